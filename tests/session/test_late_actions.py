"""A reverse split of a held symbol told one session late: what the mended session fills, holds and measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import replay
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.portfolio.actions import book_after_actions
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.late_actions import ActionRows, LateActions
from nn_assets.session.daily_round import Controls, Round
from nn_assets.session.late_rounds import late_actions_since
from nn_assets.session.market_view import MarketView, market_view
from tests.evaluation.test_replay_actions import FIRST, quoted_raw
from tests.session.worlds import SYMBOLS, World, world, world_strategy

AT = 140  # the ex-session, decided without the action
SYMBOL = "DDD"  # held long into it, and for longer
COLUMN = SYMBOLS.index(SYMBOL)
REVERSE_SPLIT = 0.1


@dataclass(frozen=True)
class Lived:
    """The sessions decided blindly, the two after, and the market by what is true."""

    of: World
    market: MarketView
    blind: tuple[Round, ...]
    after: tuple[Round, ...]


def late_of(
    rounds: tuple[Round, ...], market: MarketView, dividend: float, split: float, multiple: float
) -> LateActions:
    shape = (len(rounds), len(SYMBOLS))
    traded = np.zeros(shape)
    for row, done in enumerate(rounds):
        for batch in done.fills:
            np.add.at(traded[row], batch.symbol, batch.quantity)
    marks = np.vstack([np.full(len(SYMBOLS), np.nan), *[done.session_state.book.price for done in rounds[:-1]]])
    taken, known = (ActionRows.nothing(*shape) for _ in (1, 2))
    known.split[-1, COLUMN], known.dividend[-1, COLUMN] = split, dividend
    return LateActions(
        sessions=np.array([done.session for done in rounds], dtype="datetime64[D]"),
        traded=traded,
        taken=taken,
        known=known,
        mark=marks,
        quoted=np.ones(shape, dtype=np.bool_),
        stop_distance=multiple * market.average_true_range[AT],
        held=np.array([done.session_state.book.quantity for done in rounds]),
        equity_usd=np.array([done.state.equity_usd for done in rounds]),
        booked_usd=np.zeros(len(rounds)),
        reset=np.zeros(len(rounds), dtype=np.bool_),
        first_peak_usd=rounds[0].state.high_water_mark_usd,
    )


def lived(execution: str, split: float = REVERSE_SPLIT, dividend: float = 0.0, column: int = COLUMN) -> Lived:
    of = world(world_strategy(execution))
    truth = quoted_raw(of.panel, {(AT, SYMBOL): split}, {})
    long = pd.concat(
        pd.DataFrame({"symbol": symbol, "session": truth.sessions, **{n: getattr(truth, n)[:, i] for n in FIELDS}})
        for i, symbol in enumerate(SYMBOLS)
    )
    untold = market_view(panel_from_bars(long, truth.sessions, SYMBOLS), of.strategy.portfolio)
    market = market_view(truth, of.strategy.portfolio)

    def played(rows: range, view: MarketView, **overrides: object) -> tuple[Round, ...]:
        costs, allowed = cost_model_from(of.strategy.costs), Controls(verdict_allows=True)
        arguments = {"controls": lambda _: allowed, **overrides}
        return replay(of.strategy, costs, 252, [of.scene(rows, view)], **arguments).rounds  # type: ignore[arg-type]

    blind = played(range(FIRST, AT + 1), untold)
    late = late_of(blind, market, dividend, split, of.strategy.portfolio.stop_atr_multiple)
    after = played(
        range(AT + 1, AT + 3), market, initial=blind[-1].session_state, late=lambda row: late if row == AT + 1 else None
    )
    return Lived(of, market, blind, after)


@pytest.fixture(scope="module", params=["next_open", "next_close"])
def told_late(request: pytest.FixtureRequest) -> Lived:
    return lived(request.param)


def test_orders_sized_on_the_wrong_book_are_cancelled_and_limits_hold(told_late: Lived) -> None:
    before, mended, settings = told_late.blind[-1], told_late.after[0], told_late.of.strategy.portfolio
    ordered = before.orders.quantity[before.orders.symbol == COLUMN]
    assert (
        abs(ordered[0]) > 3.0 * before.session_state.book.quantity[COLUMN] * REVERSE_SPLIT
    )  # would turn the position over
    assert mended.cancelled == before.orders.accepted.sum() > 0
    assert sum(len(batch) for batch in mended.fills[:1]) == 0
    assert mended.orders.reason_code.count("late_action") == 0
    for done in told_late.after:
        book = done.session_state.book
        assert done.state.gross_fraction <= settings.gross_limit
        assert np.max(np.abs(book.position_usd)) / book.equity_usd <= settings.single_name_limit * 1.05  # a day's move


def test_what_is_owed_is_of_what_the_book_was_quoted_then_and_of_no_later_session(told_late: Lived) -> None:
    of, missing = told_late.of, AT - 5
    multiple = of.strategy.portfolio.stop_atr_multiple
    lost = {name: getattr(of.panel, name)[: AT + 1].copy() for name in FIELDS}
    for values in lost.values():
        values[missing, COLUMN] = np.nan
    panel = Panel(sessions=of.panel.sessions[: AT + 1], symbols=SYMBOLS, **lost)
    before = market_view(panel, of.strategy.portfolio)  # the bar came since, with the split
    late = late_actions_since(told_late.blind, before, told_late.market, multiple)
    assert late is not None
    expected = np.ones((AT + 1 - FIRST, len(SYMBOLS)), dtype=np.bool_)
    expected[missing - FIRST, COLUMN] = False
    np.testing.assert_array_equal(late.quoted, expected)
    quoted, truth = told_late.market.panel, range(AT - 13, AT + 1)
    for column in (index for index in range(len(SYMBOLS)) if index != COLUMN):  # prices without an action
        ranges = [
            max(quoted.high[row, column], quoted.close[row - 1, column])
            - min(quoted.low[row, column], quoted.close[row - 1, column])
            for row in truth
        ]
        assert late.stop_distance[column] == pytest.approx(multiple * sum(ranges) / 14.0, rel=1e-9)


@pytest.mark.full
def test_an_action_that_owes_nothing_leaves_orders_alone() -> None:
    nothing = lived("next_open", split=1.0, dividend=0.0)
    assert nothing.after[0].cancelled == 0
    assert len(nothing.after[0].fills[0]) == nothing.blind[-1].orders.accepted.sum() > 0


@pytest.mark.full
def test_equity_and_peaks_are_those_of_a_book_that_knew_in_time_and_no_breaker_fires(told_late: Lived) -> None:
    of, market = told_late.of, told_late.market
    in_time = empty_book(SYMBOLS, of.strategy.portfolio.initial_capital_usd)
    for row, done in enumerate((*told_late.blind, *told_late.after), start=FIRST):
        facts = market.at(row)
        assert facts.split is not None
        assert facts.dividend is not None
        in_time = book_after_actions(in_time, facts.split, facts.dividend, 1.0)
        in_time = in_time.opened(of.strategy.costs, of.strategy.market.cash_rate_annual_fraction, 252)
        for batch in done.fills:
            in_time = in_time.filled(batch, done.session)
        in_time, state = in_time.marked(done.session, facts.close, of.strategy.portfolio)
        if row > AT:
            book = done.session_state.book
            peaks = (book.equity_usd, book.high_water_mark_usd, book.highest_ever_usd, book.week_peak_usd)
            expected = (in_time.equity_usd, in_time.high_water_mark_usd, in_time.highest_ever_usd)
            assert peaks == pytest.approx((*expected, in_time.week_peak_usd), abs=1.0)  # but for interest
            assert done.state.session_return == pytest.approx(state.session_return, abs=1e-6)
            assert done.state.breaker is None
    assert abs(told_late.blind[-1].state.session_return) > 0.5
