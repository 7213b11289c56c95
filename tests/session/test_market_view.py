"""The market of a session: the mean of its members, what regimes and betas are measured by."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.adjustment import adjustment_of
from nn_assets.market.facts.funding import Funding
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import PortfolioSettings
from tests.features.panels import changed, columns_of, random_panel

BARS, JOINED = 700, 620
MEMBERS, FUTURE, STRANGER = [0, 1, 2, 3, 4], 5, 6
KEPT = [*MEMBERS, FUTURE]
PANEL = random_panel(BARS, 7, seed=1)
SETTINGS = PortfolioSettings()
STATES = ("rising", "tercile", "in_drawdown")


def belongs() -> np.ndarray:
    members = np.ones((BARS, 7), dtype=bool)
    members[:JOINED, FUTURE] = False
    members[:, STRANGER] = False
    return members


def tripled(column: int, stop: int = BARS):
    return changed(PANEL, lambda values: values.__setitem__((slice(0, stop, 2), column), 3 * values[:stop:2, column]))


def assert_same(one: MarketView, other: MarketView, stop: int, columns: list[int], others: list[int]) -> None:
    for name in STATES:
        np.testing.assert_array_equal(getattr(one.regimes, name)[:stop], getattr(other.regimes, name)[:stop])
    for name in ("beta", "volatility", "adv_usd", "returns", "average_true_range"):
        actual, theirs = getattr(one, name)[:stop, columns], getattr(other, name)[:stop, others]
        assert actual.tobytes() == theirs.tobytes(), name


def test_neither_regime_nor_beta_of_a_member_knows_of_a_symbol_that_is_none() -> None:
    plain = market_view(PANEL, SETTINGS, belongs())
    for name, states in zip(STATES, ({0, 1}, {0, 1, 2}, {0, 1}), strict=True):
        assert set(getattr(plain.regimes, name)) == {-1, *states}
    assert np.isfinite(plain.beta[70:, KEPT]).all()
    assert_same(plain, market_view(tripled(STRANGER), SETTINGS, belongs()), BARS, KEPT, KEPT)
    gone = market_view(columns_of(PANEL, KEPT), SETTINGS, belongs()[:, KEPT])
    assert_same(plain, gone, BARS, KEPT, list(range(len(KEPT))))
    # One that joins later says nothing of the market before.
    assert_same(plain, market_view(tripled(FUTURE, JOINED), SETTINGS, belongs()), JOINED, MEMBERS, MEMBERS)


def test_beta_is_the_slope_on_the_mean_of_the_members_of_each_session() -> None:
    view = market_view(PANEL, SETTINGS, belongs())
    returns = PANEL.close[1:] / PANEL.close[:-1] - 1.0
    window = range(640 - SETTINGS.correlation_sessions, 640)  # rows of returns; the last is session 640
    market = [np.mean([returns[row, column] for column in range(7) if belongs()[row + 1, column]]) for row in window]
    own = [returns[row, 2] for row in window]
    assert view.beta[640, 2] == pytest.approx(np.polyfit(market, own, 1)[0], rel=1e-9)


def test_four_members_are_no_market_however_many_others_there_are() -> None:
    few = belongs()
    few[:, 4] = False
    view = market_view(PANEL, SETTINGS, few)
    assert np.isnan(view.beta[:JOINED]).all()
    assert np.isnan(view.beta[JOINED : JOINED + SETTINGS.correlation_sessions - 1]).all()
    assert np.isfinite(view.beta[JOINED + SETTINGS.correlation_sessions :, MEMBERS]).all()


def test_a_history_before_the_first_member_has_an_unknown_regime() -> None:
    late = belongs()
    late[:100] = False
    view = market_view(PANEL, SETTINGS, late)
    assert (view.regimes.rising[: 100 + 199] == -1).all()
    assert (view.regimes.rising[100 + 199 :] >= 0).all()


def test_without_a_universe_and_with_everyone_in_it_nothing_changes_to_the_bit() -> None:
    everyone = np.ones((BARS, 7), dtype=bool)
    assert_same(
        market_view(PANEL, SETTINGS), market_view(PANEL, SETTINGS, everyone), BARS, list(range(7)), list(range(7))
    )


def test_the_volatility_beside_the_median_is_that_of_the_members_written_out() -> None:
    view, row, decay = market_view(PANEL, SETTINGS, belongs()), 640, 1.0 - 2.0 / 21.0
    returns = PANEL.close[1:] / PANEL.close[:-1] - 1.0
    squares, weights = 0.0, 0.0
    for lag in range(60):
        at = row - lag
        members = [returns[at - 1, column] for column in range(7) if belongs()[at, column]]
        squares += decay**lag * (returns[at - 1, 2] - np.median(members)) ** 2
        weights += decay**lag
    assert view.relative_volatility[row, 2] == pytest.approx((squares / weights) ** 0.5, rel=1e-9)
    assert "relative_volatility" in vars(view)  # made when it was asked for
    assert "relative_volatility" not in vars(market_view(PANEL, SETTINGS, belongs()))


def test_the_volatility_beside_the_median_knows_of_no_stranger_and_of_no_later_session() -> None:
    plain = market_view(PANEL, SETTINGS, belongs()).relative_volatility
    other = market_view(tripled(STRANGER), SETTINGS, belongs()).relative_volatility
    assert plain[:, KEPT].tobytes() == other[:, KEPT].tobytes()
    cut = market_view(PANEL.until(PANEL.sessions[500]), SETTINGS, belongs()[:501]).relative_volatility
    assert cut.tobytes() == plain[:501].tobytes()
    few = belongs()
    few[:, 4] = False
    assert np.isnan(market_view(PANEL, SETTINGS, few).relative_volatility[:JOINED]).all()


@pytest.mark.parametrize("candidates", [None, belongs()], ids=["everyone", "members"])
def test_what_a_view_makes_when_it_is_asked_cannot_be_written_to(candidates: np.ndarray | None) -> None:
    """All sessions share one array: a number written into it would be of every later decision."""
    view = market_view(PANEL, SETTINGS, candidates)
    made = [name for name, what in vars(MarketView).items() if isinstance(what, property | cached_property)]
    arrays = {name: array for name in made if isinstance(array := getattr(view, name), np.ndarray)}
    assert {"relative_returns", "relative_volatility", "usual_volatility"} <= set(arrays)
    assert [name for name, array in arrays.items() if array.flags.writeable] == []
    with pytest.raises(ValueError, match="read-only"):
        view.relative_returns[5, 0] = 1.0


def test_what_an_order_is_priced_by_is_of_the_sessions_before_its_fill() -> None:
    """The day's own trade is not known when the order is decided, whatever it is; the sizes after it move with it."""
    row = 640
    loud = changed(PANEL, lambda values: values.__setitem__(row, 3.0 * values[row]))
    one, other = market_view(PANEL, SETTINGS).at(row), market_view(loud, SETTINGS).at(row)
    for name in ("adv_usd", "volatility"):
        assert not np.isclose(getattr(one, name), getattr(other, name)).any(), name
        for known in (f"previous_{name}", f"closing_{name}"):
            assert getattr(one, known).tobytes() == getattr(other, known).tobytes(), known
    assert one.previous_close.tobytes() == other.previous_close.tobytes()
    traded = [sum(PANEL.close[day, 2] * PANEL.volume[day, 2] for day in range(row - 20, row)) / 20.0]
    assert one.previous_adv_usd[2] == pytest.approx(traded[0], rel=1e-9)


def test_the_usual_volatility_is_the_median_session_until_then_of_the_members_median_name() -> None:
    view = market_view(PANEL, SETTINGS, belongs())
    usual_volatility, judged = view.usual_volatility, np.where(belongs(), view.volatility, np.nan)
    seen: list[float] = []
    for row in range(len(judged)):
        known = judged[row][np.isfinite(judged[row])]
        if len(known):
            seen.append(float(np.median(known)))
        np.testing.assert_equal(usual_volatility[row], np.median(seen) if seen else np.nan)
    assert len(seen) > 100
    assert view.at(640).usual_volatility == usual_volatility[640]


def test_what_comes_later_changes_no_bit_of_the_usual_volatility() -> None:
    whole = market_view(PANEL, SETTINGS).usual_volatility
    wilder = changed(PANEL, lambda values: values.__setitem__(slice(600, None, 2), 3 * values[600::2]))
    later = market_view(wilder, SETTINGS).usual_volatility
    assert whole[:600].tobytes() == later[:600].tobytes()
    assert whole[600:].tobytes() != later[600:].tobytes()


LOST, OF = 500, 2


def lost(rows: list[int]):
    return changed(PANEL, lambda values: values.__setitem__((rows, OF), np.nan))


def test_a_lost_bar_costs_its_own_session_and_the_sizes_around_it_are_of_the_bars_there_are() -> None:
    panel = lost([LOST])
    view = market_view(panel, SETTINGS, max_missing_fraction=0.05)
    frame = pd.DataFrame({name: getattr(panel, name)[:, OF] for name in ("high", "low", "close", "volume")}).dropna()
    before = frame["close"].shift(1)
    ranges = pd.concat([frame["high"] - frame["low"], (frame["high"] - before).abs(), (frame["low"] - before).abs()])
    ranges = ranges.groupby(level=0).max()
    expected = {
        "adv_usd": (frame["close"] * frame["volume"]).rolling(20).mean(),
        "average_true_range": ranges.where(before.notna()).rolling(14).mean(),
    }
    for name, values in expected.items():
        sizes = getattr(view, name)
        np.testing.assert_allclose(sizes[:, OF], values.reindex(range(BARS)), rtol=1e-9)
        assert np.flatnonzero(np.isnan(sizes[30:, OF])).tolist() == [LOST - 30], name
    whole = market_view(PANEL, SETTINGS)
    assert np.flatnonzero(np.isnan(view.beta[100:, OF])).tolist() == [LOST - 100, LOST - 99]
    assert np.nanmax(np.abs(view.beta[:, OF] - whole.beta[:, OF])) < 0.5
    others = [column for column in range(7) if column != OF]
    for name in ("adv_usd", "average_true_range", "volatility"):
        assert getattr(view, name)[:, others].tobytes() == getattr(whole, name)[:, others].tobytes()


@pytest.mark.parametrize(("rows", "fraction"), [([LOST, LOST + 1], 0.05), ([LOST], 0.0)])
def test_beyond_the_share_a_size_waits_for_bars_in_a_row(rows: list[int], fraction: float) -> None:
    view = market_view(lost(rows), SETTINGS, max_missing_fraction=fraction)
    assert np.isnan(view.adv_usd[rows[0] : rows[-1] + 20, OF]).all()
    assert np.isfinite(view.adv_usd[rows[-1] + 20, OF])
    assert np.isfinite(view.average_true_range[rows[-1] + 15, OF])


def plain(value: object) -> object:
    """A value taken apart, so that equal parts compare equal."""
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return str(value)


@pytest.mark.parametrize("row", [0, 1, 30, JOINED, BARS - 1])
def test_what_is_known_at_a_session_is_its_rows_and_no_later_one(row: int) -> None:
    days = [str(PANEL.sessions[at].date()) for at in (20, 640)]
    kinds = zip(PANEL.symbols[:2], days, ("split", "dividend"), (2.0, 0.1), strict=True)
    actions = pd.DataFrame(kinds, columns=["symbol", "ex_session", "kind", "value"]).astype(
        {"ex_session": "datetime64[ns]"}
    )
    adjustment = adjustment_of(actions, PANEL.sessions, PANEL.symbols, PANEL.close, "previous_close")
    early, late, none = (np.full(PANEL.close.shape, rate) for rate in (1e-4, 2e-4, 0.0))
    paid = Funding(early, late, np.zeros((BARS, 7), dtype=bool), late, none)
    whole = market_view(replace(PANEL, adjustment=adjustment), SETTINGS, belongs(), paid)
    known = whole.until(row)
    assert known.panel.session_count == row + 1
    for field in fields(known):
        value = getattr(known, field.name)
        for part in (value, *(vars(value).values() if is_dataclass(value) else ())):
            assert not isinstance(part, np.ndarray) or len(part) == row + 1, field.name
    assert plain(known.at(row)) == plain(whole.at(row))
    alone = market_view(whole.panel.until(PANEL.sessions[row]), SETTINGS, belongs()[: row + 1], paid.at(slice(row + 1)))
    assert plain(known) == plain(alone)
    assert plain(known.at(row)) == plain(alone.at(row))
    assert known.relative_volatility.tobytes() == alone.relative_volatility.tobytes()
