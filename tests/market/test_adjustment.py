"""Adjustment against the contract's oracle, hand-worked cases, a share-counting account, and cut history."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import SchemaError
from nn_assets.features.labels import forward_returns
from nn_assets.market.adjustment import Convention
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.settings import LabelSettings
from tests.market.builders import CALENDAR, sound_bars

SESSIONS = sessions_between(CALENDAR, "2018-01-02", "2019-12-31")
Event = tuple[int, str, float]  # place on SESSIONS, kind, value
YAHOO: Convention = "previous_close"
QUANDL: Convention = "ex_close"


def actions_of(*events: Event, symbol: str = "AAA") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": symbol,
            "ex_session": pd.DatetimeIndex([SESSIONS[at] for at, _, _ in events]),
            "kind": [kind for _, kind, _ in events],
            "value": [value for _, _, value in events],
        }
    )


def panel_of(closes: list[float], *events: Event, convention: Convention = YAHOO, volume: float = 1000.0) -> Panel:
    """One symbol whose open, high and low are its close; a close of NaN is no bar."""
    axis = SESSIONS[: len(closes)]
    bars = pd.DataFrame({"symbol": "AAA", "session": axis, "close": closes, "volume": volume})
    bars = bars.assign(**dict.fromkeys(FIELDS[:3], bars["close"])).dropna()
    return panel_from_bars(bars, axis, ("AAA",), actions_of(*events), convention)


def test_the_contracts_oracle() -> None:
    panel = panel_of([46.99, 48.30, 24.96, 24.53], (2, "split", 2.0), (3, "dividend", 0.08))
    adjusted = panel.backward_adjusted()
    assert adjusted.close[:, 0].round(2).tolist() == [23.42, 24.07, 24.88, 24.53]
    assert adjusted.volume[:, 0].tolist() == [2000.0, 2000.0, 1000.0, 1000.0]


def test_the_other_convention_divides_by_the_close_of_the_ex_session() -> None:
    panel = panel_of([50.0, 49.0, 51.0], (1, "dividend", 1.0), convention=QUANDL)
    assert panel.backward_adjusted().close[:, 0].tolist() == pytest.approx([50.0 * 49.0 / 50.0, 49.0, 51.0], rel=1e-15)


def test_forward_chained_prices_start_at_the_first_bar_and_grow_by_every_action() -> None:
    panel = panel_of([100.0, 51.0, 50.0, 50.0], (1, "split", 2.0), (2, "dividend", 1.0))
    # 1 share of 100 becomes 2 of 51; each pays 1 and is worth 50: reinvested at 51 - 1, 2.04 shares.
    assert panel.total_return().close[:, 0].tolist() == pytest.approx([100.0, 102.0, 102.0, 102.0], rel=1e-15)
    assert panel.total_return().volume[:, 0].tolist() == [1000.0, 500.0, 500.0, 500.0]


def test_a_dividend_on_the_day_of_a_split_counts_in_new_shares() -> None:
    panel = panel_of([100.0, 49.0], (1, "split", 2.0), (1, "dividend", 1.0))
    assert panel.total_return().close[1, 0] == pytest.approx(100.0, rel=1e-15)


def test_an_action_on_a_day_without_a_bar_shows_in_the_next_bar() -> None:
    panel = panel_of([100.0, np.nan, 49.0], (1, "split", 2.0), (2, "dividend", 1.0))
    assert panel.total_return().close[[0, 2], 0].tolist() == pytest.approx([100.0, 100.0], rel=1e-15)


def test_actions_at_or_before_the_first_bar_or_of_other_symbols_or_beyond_the_axis_change_nothing() -> None:
    panel = panel_of([np.nan, 50.0, 51.0], (0, "split", 3.0), (1, "dividend", 5.0), (9, "split", 2.0))
    for made in (panel.total_return(), panel.backward_adjusted()):
        assert np.array_equal(made.close, panel.close, equal_nan=True)
    stranger = actions_of((1, "split", 2.0), symbol="ZZZ")
    axis = SESSIONS[:3]
    assert panel_from_bars(sound_bars(count=3), axis, ("AAA",), stranger).adjustment is None


def test_without_actions_the_panel_is_handed_on_as_it_is() -> None:
    panel = panel_from_bars(sound_bars(count=9), SESSIONS[:9], ("AAA",))
    assert panel.total_return() is panel
    assert panel.backward_adjusted() is panel


def test_a_dividend_that_leaves_no_price_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="AAA, session 2018-01-03, rule dividend_size, value 50"):
        panel_of([50.0, 49.0], (1, "dividend", 50.0))


events = st.lists(
    st.tuples(
        st.integers(1, 39),
        st.sampled_from(["split", "dividend"]),
        st.floats(0.1, 4.0),
    ),
    max_size=6,
    unique_by=lambda event: event[:2],
)


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(events, st.integers(2, 40), st.sampled_from([YAHOO, QUANDL]))
def test_cutting_history_changes_no_forward_chained_value_by_a_bit(
    drawn: list[Event], cut: int, convention: Convention
) -> None:
    bars, axis = sound_bars(count=40), SESSIONS[:40]
    known = [event for event in drawn if event[0] < cut]
    whole = panel_from_bars(bars, axis, ("AAA",), actions_of(*drawn), convention)
    short = panel_from_bars(bars[:cut], axis[:cut], ("AAA",), actions_of(*known), convention)
    for name in FIELDS:
        expected = getattr(short.total_return(), name)
        assert np.array_equal(getattr(whole.total_return(), name)[:cut], expected)
        assert np.array_equal(getattr(whole.until(axis[cut - 1]).total_return(), name), expected)


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(events, st.sampled_from([YAHOO, QUANDL]))
def test_forward_and_backward_prices_show_the_same_returns(drawn: list[Event], convention: Convention) -> None:
    panel = panel_from_bars(sound_bars(count=40), SESSIONS[:40], ("AAA",), actions_of(*drawn), convention)
    forward, backward = panel.total_return().close, panel.backward_adjusted().close
    np.testing.assert_allclose(forward[1:] / forward[:-1], backward[1:] / backward[:-1], rtol=1e-11)
    assert backward[-1, 0] == panel.close[-1, 0]
    assert forward[0, 0] == panel.close[0, 0]


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(events)
def test_a_label_is_what_an_account_that_reinvests_every_dividend_earns(drawn: list[Event]) -> None:
    panel = panel_from_bars(sound_bars(count=40), SESSIONS[:40], ("AAA",), actions_of(*drawn), QUANDL)
    label = LabelSettings(execution="next_close", horizon_sessions=5)
    made = forward_returns(panel.total_return(), label)[:, 0]
    by_day = {(at, kind): value for at, kind, value in drawn}
    close = panel.close[:, 0]
    for decided in range(40 - 6):
        shares = 1.0
        for day in range(decided + 2, decided + 7):  # bought at the close of decided + 1
            shares *= by_day.get((day, "split"), 1.0)
            shares += shares * by_day.get((day, "dividend"), 0.0) / close[day]
        assert made[decided] == pytest.approx(shares * close[decided + 6] / close[decided + 1] - 1.0, abs=1e-11)
