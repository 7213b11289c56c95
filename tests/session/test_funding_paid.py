"""A perpetual's funding is part of every book: the round's, the replay's, the yardstick's, and on record."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.market.facts.funding import Funding
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, session_flows, state_row
from nn_assets.session.daily_round import Round
from nn_assets.settings import Strategy
from tests.session.test_late_bars import ROW, holding, one_order, play
from tests.session.test_late_bars import of as of_bars
from tests.session.worlds import World, world, yardstick_of

PERPETUALS = {
    "name": "world",
    "market": {"history_starts": "2014-01-02", "cash_rate_annual_fraction": 0.01, "asset_class": "perpetual"},
    "label": {"horizon_sessions": 3},
    "portfolio": {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0},
    "costs": {"funding": "funding"},
    "series": [{"name": "funding", "path": "funding.csv", "stamps": "moments", "lag_minutes": 1}],
}
ROWS = range(80, 140)


def strategy(execution: str = "next_close", **changed: dict[str, object]) -> Strategy:
    settings = {**PERPETUALS, **changed}
    return Strategy.model_validate({**settings, "label": {"horizon_sessions": 3, "execution": execution}})


def rates(of: World, scale: float = 3e-4, seed: int = 5) -> Funding:
    draw = np.random.default_rng(seed)
    shape = of.panel.close.shape
    early, late = (draw.normal(scale / 2.0, scale, shape) for _ in range(2))
    assumed, both = draw.random(shape) < 0.1, draw.random(shape) * scale
    return Funding(early, late, assumed, np.maximum(late, 0.0) + both, np.minimum(late, 0.0) - both)


def played(of: World, funding: Funding | None) -> Replay:
    costs = cost_model_from(of.strategy.costs)
    scene = of.scene(ROWS, replace(of.market, funding=funding))
    return replay(of.strategy, costs, 252, [scene])


@pytest.mark.parametrize("execution", ["next_close", "next_open"])
def test_every_dollar_of_funding_is_rate_times_what_was_held_at_the_payment(execution: str) -> None:
    of = world(strategy(execution))
    funding = rates(of)
    done = played(of, funding)
    paid, moved, stops = 0.0, 0, 0
    for before, after in zip(done.rounds, done.rounds[1:], strict=False):
        row = of.panel.row(after.session)
        held = {column: float(q) for column, q in enumerate(before.session_state.book.quantity)}
        expected, assumed = 0.0, set()
        for column, quantity in held.items():
            mark = float(of.panel.close[row - 1, column])
            rate = float(funding.until_open[row, column])
            bought = sum(
                float(q)
                for symbol, q in zip(after.fills[0].symbol, after.fills[0].quantity, strict=True)
                if symbol == column
            )
            rest = quantity + bought if execution == "next_open" else quantity
            stopped, at_open = stopped_out(after, of.panel.open[row, column], column)
            owed = funding.owed_by_longs if stopped > 0.0 else funding.owed_by_shorts
            charged = 0.0 if at_open else stopped * mark * float(owed[row, column])
            expected -= quantity * mark * rate + (rest - stopped) * mark * float(funding.until_close[row, column])
            expected -= charged
            stops += stopped != 0.0
            if funding.assumed[row, column] and (quantity or (rest and not at_open)):
                assumed.add(of.panel.symbols[column])
        book = after.session_state.book
        assert book.session_funding_usd == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert set(book.funding_assumed) == assumed
        # interest on all of the equity, no fee for shorts, and nothing else
        assert book.session_financing_usd == pytest.approx(before.state.equity_usd * 0.01 / 252, rel=1e-9)
        traded = math.fsum(
            float((batch.quantity * (of.panel.close[row][batch.symbol] - batch.price) - batch.commission_usd).sum())
            for batch in after.fills
        )
        gained = sum(q * float(of.panel.close[row, p] - of.panel.close[row - 1, p]) for p, q in held.items())
        equity = before.state.equity_usd + gained + traded + book.session_financing_usd + book.session_funding_usd
        assert after.state.equity_usd == pytest.approx(equity, abs=1e-6)
        paid += abs(expected)
        moved += expected != 0.0
    assert moved > 30
    assert paid > 100.0
    assert (stops > 0) is (execution == "next_open")


def stopped_out(done: Round, opened: float, column: int) -> tuple[float, bool]:
    """What of a symbol the session's stops closed, signed as it was held, and whether they filled at its open."""
    batch = done.fills[1]
    for row in np.flatnonzero(batch.symbol == column):
        quantity = float(batch.quantity[row])
        undisturbed = float(batch.mid_price[row]) - float(batch.impact_usd[row]) / quantity
        return -quantity, undisturbed == pytest.approx(opened, rel=1e-9)
    return 0.0, False


STOPPED = [
    # 1,000 marked at 50 are 50,000 USD; the stop rests 5 away. 0.0004 is paid until the open, then 0.0010, 0.0020 and
    # -0.0005: longs owe 0.0030 of these, shorts 0.0005, and all of them are 0.0025.
    ("a short within the session", -1000.0, {"high": 60.0}, 1.0, 5e6, 20.0 - 25.0),
    ("a long within the session", 1000.0, {"low": 40.0}, 1.0, 5e6, -20.0 - 150.0),
    ("a short where shorts pay", -1000.0, {"high": 60.0}, -1.0, 5e6, -20.0 - 150.0),
    ("a long where shorts pay", 1000.0, {"low": 40.0}, -1.0, 5e6, 20.0 - 25.0),
    ("a short at the open", -1000.0, {"open": 58.0, "high": 60.0}, 1.0, 5e6, 20.0),
    ("a long at the open", 1000.0, {"open": 42.0, "low": 40.0}, 1.0, 5e6, -20.0),
    ("400 of a short", -1000.0, {"high": 60.0}, 1.0, 4000.0, 20.0 + 75.0 - 10.0),
    ("400 of a long", 1000.0, {"low": 40.0}, 1.0, 4000.0, -20.0 - 75.0 - 60.0),
    ("none of a short", -1000.0, {}, 1.0, 5e6, 20.0 + 125.0),
    ("none of a long", 1000.0, {}, 1.0, 5e6, -20.0 - 125.0),
]


def quiet(rates_of: dict[str, dict[int, float]], bars: int, assumed_on: int | None = None) -> Funding:
    """Rates of the first symbol by row, assumed on one; the others pay nothing."""
    laid = {name: np.zeros((bars, 5)) for name in ("until_open", "until_close", "owed_by_longs", "owed_by_shorts")}
    for name, by_row in rates_of.items():
        for row, rate in by_row.items():
            laid[name][row, 0] = rate
    assumed = np.zeros((bars, 5), dtype=bool)
    if assumed_on is not None:
        assumed[assumed_on, 0] = True
    return Funding(assumed=assumed, **laid)


def loose() -> Strategy:
    limits = {"drawdown_limit_fraction": 0.9, "weekly_loss_limit_fraction": 0.8, "session_loss_limit_fraction": 0.7}
    limits |= {"minimum_outcomes": 20, "shrink_prior_outcomes": 5.0}
    settings = {**PERPETUALS, "portfolio": limits, "execution": {"participation_cap_fraction": 0.1}}
    return Strategy.model_validate({**settings, "label": {"horizon_sessions": 3, "execution": "next_open"}})


def with_bar(cells: dict[tuple[str, int], float]) -> World:
    """The world with bars of the first symbol that hardly move about 50, but for some cells."""
    bars = {name: {(row, 0): value for row in (ROW - 1, ROW)} for name, value in QUIET_BAR.items()}
    for (name, row), value in cells.items():
        bars[name][row, 0] = value
    return of_bars(loose(), **bars)


QUIET_BAR = {"open": 50.0, "high": 51.0, "low": 49.0, "close": 50.0, "volume": 5e6}


@pytest.mark.parametrize(("quantity", "bar", "sign", "volume", "received"), [case[1:] for case in STOPPED],
                         ids=[case[0] for case in STOPPED])  # fmt: skip
def test_what_is_stopped_out_is_credited_nothing_after_the_open_and_charged_what_it_may_have_paid(
    quantity: float, bar: dict[str, float], sign: float, volume: float, received: float
) -> None:
    made = with_bar({(name, ROW): value for name, value in {**bar, "volume": volume}.items()})
    funding_rates = {"until_open": 4e-4, "until_close": 25e-4, "owed_by_longs": 30e-4, "owed_by_shorts": -5e-4}
    if sign < 0.0:
        funding_rates = {"until_open": -4e-4, "until_close": -25e-4, "owed_by_longs": 5e-4, "owed_by_shorts": -30e-4}
    funding = quiet({name: {ROW: rate} for name, rate in funding_rates.items()}, len(made.panel.sessions))
    made = replace(made, market=replace(made.market, funding=funding))
    stop = 50.0 - 5.0 * np.sign(quantity)
    done = play(made, holding(made, ROW - 1, quantity, stop), ROW)
    closed = 0.0 if not bar else 400.0 if volume < 5e6 else 1000.0
    assert -np.sign(quantity) * done.fills[1].quantity.sum() == closed
    assert done.session_state.book.session_funding_usd == pytest.approx(received, abs=1e-9)


@pytest.mark.parametrize(
    ("quantity", "bar", "received"),
    [
        # The session before paid 0.0004 until its open, then 0.0025 (longs owe 0.0030, shorts 0.0005); this one 0.0007.
        # A short of 50,000 USD was booked 20 + 125; stopped within that session it owed 25, so that 150 is taken back.
        (-1000.0, {"high": 60.0}, -125.0 - 25.0),
        (-1000.0, {"open": 58.0, "high": 60.0}, -125.0),
        (1000.0, {"low": 40.0}, 125.0 - 150.0),
        (1000.0, {"open": 42.0, "low": 40.0}, 125.0),
    ],
)
def test_funding_booked_after_a_stop_that_a_late_bar_shows_is_taken_back(
    quantity: float, bar: dict[str, float], received: float
) -> None:
    before, late = with_bar({("close", ROW): np.nan}), with_bar({(name, ROW): value for name, value in bar.items()})
    rows = {"until_open": {ROW: 4e-4, ROW + 1: 7e-4}, "until_close": {ROW: 25e-4, ROW + 1: 1e-4}}
    rows |= {"owed_by_longs": {ROW: 30e-4, ROW + 1: 1e-4}, "owed_by_shorts": {ROW: -5e-4}}
    funding = quiet(rows, len(late.panel.sessions), assumed_on=ROW)
    before, late = (replace(made, market=replace(made.market, funding=funding)) for made in (before, late))
    silent = play(before, holding(before, ROW - 1, quantity, 50.0 - 5.0 * np.sign(quantity)), ROW)
    assert silent.session_state.book.session_funding_usd == pytest.approx(-quantity * 50.0 * 29e-4, abs=1e-9)
    assert silent.session_state.book.funding_assumed == (late.panel.symbols[0],)
    done = play(late, silent.session_state, ROW + 1)
    assert done.fills[1].quantity.tolist() == [-quantity]
    assert done.session_state.book.session_funding_usd == pytest.approx(received, abs=1e-9)
    assert done.session_state.book.funding_assumed == (), (
        "told of the session before, not of the one that takes it back"
    )


@pytest.mark.parametrize(
    ("quantity", "hit", "bar", "received"),
    [
        # Three sessions were decided without their bars: 0.0004 and 0.0025 of the first (longs owe 0.0030, shorts
        # 0.0005), 0.0007 and 0.0001 of the second (longs owe 0.0002), 0.0003 and 0.0009 of the third. A short of 50,000
        # USD stopped within the first gives back 125 + 40 + 60 and owes 25, within the second 5 + 60 and owes nothing.
        (-1000.0, ROW, {"high": 60.0}, -225.0 - 25.0),
        (-1000.0, ROW, {"open": 58.0, "high": 60.0}, -225.0),
        (-1000.0, ROW + 1, {"high": 60.0}, -65.0),
        (1000.0, ROW, {"low": 40.0}, 225.0 - 150.0),
        (1000.0, ROW + 1, {"low": 40.0}, 65.0 - 10.0),
    ],
)
def test_what_was_booked_over_several_sessions_since_a_late_stop_is_taken_back(
    quantity: float, hit: int, bar: dict[str, float], received: float
) -> None:
    quiet_bars = {(name, row): value for name, value in QUIET_BAR.items() for row in range(ROW, ROW + 4)}
    before = with_bar(quiet_bars | {("close", row): np.nan for row in range(ROW, ROW + 3)})
    late = with_bar({**quiet_bars, **{(name, hit): value for name, value in bar.items()}})
    rows = {"until_open": {ROW: 4e-4, ROW + 1: 7e-4, ROW + 2: 3e-4}, "owed_by_shorts": {ROW: -5e-4}}
    rows |= {"until_close": {ROW: 25e-4, ROW + 1: 1e-4, ROW + 2: 9e-4}, "owed_by_longs": {ROW: 30e-4, ROW + 1: 2e-4}}
    funding = quiet(rows, len(late.panel.sessions))
    before, late = (replace(made, market=replace(made.market, funding=funding)) for made in (before, late))
    session_state = holding(before, ROW - 1, quantity, 50.0 - 5.0 * np.sign(quantity))
    for row, rate in ((ROW, 29e-4), (ROW + 1, 8e-4), (ROW + 2, 12e-4)):
        silent = play(before, session_state, row)
        session_state = silent.session_state
        assert session_state.book.session_funding_usd == pytest.approx(-quantity * 50.0 * rate, abs=1e-9)
    done = play(late, session_state, ROW + 3)
    assert done.fills[1].quantity.tolist() == [-quantity]
    assert done.session_state.book.session_funding_usd == pytest.approx(received, abs=1e-9)


def test_the_borrow_fee_and_interest_are_of_the_night_before_and_a_stop_changes_neither() -> None:
    """A short of 50,000 USD at 0.3% a year, and 1,050,000 USD in cash at 1%, for one of 252 sessions."""
    settings = {name: value for name, value in PERPETUALS.items() if name in ("name", "market")}
    settings["market"] = {**settings["market"], "asset_class": "equity"}
    shares = Strategy.model_validate({**settings, "label": {"horizon_sessions": 3, "execution": "next_open"},
                                      "portfolio": loose().portfolio.model_dump()})  # fmt: skip
    financing = []
    for high in (51.0, 60.0):
        made = of_bars(shares, **{name: {(row, 0): high if (name, row) == ("high", ROW) else value
                                         for row in (ROW - 1, ROW)} for name, value in QUIET_BAR.items()})  # fmt: skip
        session_state = holding(made, ROW - 1, -1000.0, 55.0)
        session_state = replace(session_state, book=replace(session_state.book, cash_usd=1_050_000.0))
        done = play(made, session_state, ROW)
        assert done.fills[1].quantity.sum() == (1000.0 if high == 60.0 else 0.0)
        financing.append(done.session_state.book.session_financing_usd)
    assert financing == pytest.approx([(1_050_000.0 * 0.01 - 50_000.0 * 0.003) / 252.0] * 2, rel=1e-12)


def test_a_short_receives_what_a_long_pays_and_borrows_nothing() -> None:
    flat = empty_book(("AAA", "BBB"), 10_000.0)
    book = replace(flat, quantity=np.array([-100.0, 50.0]), price=np.array([50.0, 40.0]), cash_usd=13_000.0)
    opened = book.opened(strategy().costs, 0.0, 365, margined=True)
    funded = opened.funded(np.array([3e-4, 1e-4]), np.array([False, True]))
    assert opened.session_financing_usd == 0.0
    assert funded.session_funding_usd == pytest.approx(5_000.0 * 3e-4 - 2_000.0 * 1e-4)
    assert funded.cash_usd == 13_000.0 + funded.session_funding_usd
    assert funded.funding_assumed == ("BBB",)
    of_what_pays = opened.funded(np.zeros(2), np.array([True, True]), position_usd=np.array([0.0, 2_000.0]))
    assert of_what_pays.funding_assumed == ("BBB",)


def test_what_was_opened_and_stopped_out_within_a_session_is_told_where_its_funding_was_assumed() -> None:
    """Held at neither the close before nor this one: what is charged on it is the one payment that tells of it."""
    made = with_bar({("low", ROW): 40.0})
    funding = quiet({}, len(made.panel.sessions), assumed_on=ROW)
    made = replace(made, market=replace(made.market, funding=funding))
    before = play(made, holding(made, ROW - 2, 0.0, np.nan), ROW - 1)
    distance = np.where(np.arange(len(made.panel.symbols)) == 0, 5.0, np.nan)
    book = replace(before.session_state.book, pending_stop_distance=distance)
    done = play(made, replace(before.session_state, book=book, orders=one_order(before, 1000.0)), ROW)
    assert [batch.quantity.tolist() for batch in done.fills] == [[1000.0], [-1000.0]]
    assert done.session_state.book.funding_assumed == (made.panel.symbols[0],)


def test_the_record_gives_funding_back_and_a_book_without_any_keeps_its_record() -> None:
    of = world(strategy())
    last = played(of, rates(of)).rounds[-1]
    book = last.session_state.book
    remainder = book_remainder(book)
    assert session_flows(remainder)["funding_usd"] == book.session_funding_usd != 0.0
    again = book_from_records(state_row(last.state), holdings_frame(book), remainder)
    assert (again.session_funding_usd, again.funding_assumed) == (book.session_funding_usd, book.funding_assumed)
    assert "funding" not in book_remainder(played(of, None).rounds[-1].session_state.book)


def test_the_yardstick_pays_the_same_funding_as_any_other_book() -> None:
    of = world(strategy())
    funding = rates(of)
    scenes = [of.scene(range(80, 100), replace(of.market, funding=funding)),
              of.scene(range(100, 140), replace(of.market, funding=funding))]  # fmt: skip
    gross = yardstick_of(scenes, of.strategy).gross
    worth = [1.0] * 5
    for row in range(81, 140):
        before = sum(worth)
        for column in range(5):
            grown = of.panel.close[row, column] / of.panel.close[row - 1, column]
            paid = funding.until_open[row, column] + funding.until_close[row, column]
            worth[column] *= grown - paid
        assert gross[row] == pytest.approx(sum(worth) / before - 1.0, abs=1e-12)


def test_replayed_on_history_cut_at_a_session_funding_is_the_same_to_the_bit() -> None:
    of = world(strategy())
    funding = rates(of)
    whole = played(of, funding)
    arrays = {field.name: getattr(funding, field.name) for field in fields(funding)}
    changed = {
        name: np.vstack([values[:120], values[120:] * 7]) for name, values in arrays.items() if name != "assumed"
    }
    later = Funding(assumed=funding.assumed, **changed)
    for actual, theirs in zip(played(of, later).rounds[:40], whole.rounds, strict=False):
        assert actual.state == theirs.state


@pytest.mark.parametrize(
    ("market", "costs", "message"),
    [
        ({"asset_class": "perpetual"}, {}, "costs.funding"),
        ({}, {"funding": "funding"}, "asset_class: perpetual"),
        ({"asset_class": "perpetual"}, {"funding": "fundin"}, "did you mean funding"),
        ({"asset_class": "crypto"}, {}, "costs.borrow_fee_annual_fraction"),
    ],
)
def test_settings_that_contradict_each_other_name_both(
    market: dict[str, str], costs: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Strategy.model_validate({**PERPETUALS, "market": {"history_starts": "2014-01-02", **market}, "costs": costs})


@pytest.mark.parametrize(
    ("asset_class", "fee"), [(None, 0.003), ("equity", 0.003), ("future", 0.0), ("index", 0.0), ("fx", 0.0)]
)
def test_the_borrow_fee_follows_the_asset_class_unless_it_is_stated(asset_class: str | None, fee: float) -> None:
    market = {"history_starts": "2014-01-02", "asset_class": asset_class}
    assert Strategy.model_validate({"name": "a", "market": market}).costs.borrow_fee_annual_fraction == fee
    explicit = Strategy.model_validate({"name": "a", "market": market, "costs": {"borrow_fee_annual_fraction": 0.02}})
    assert explicit.costs.borrow_fee_annual_fraction == 0.02
    assert Strategy.model_validate(explicit.model_dump()).content_hash() == explicit.content_hash()
