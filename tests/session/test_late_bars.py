"""A gap in the bars of what is held: the way out needs one price, and a stop rests on every session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.paper import PaperBroker
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.session.daily_round import Controls, Round, SessionFacts, SessionState, first_session_state, play_session
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.session.worlds import SYMBOLS, World, world, world_strategy

ROW = 150


def of(strategy: Strategy, **changed: dict[tuple[int, int], float]) -> World:
    """The world with some cells of its bars changed; a close changed to NaN takes the whole bar out."""
    made = world(strategy, ROW + 10)
    arrays = {name: getattr(made.panel, name).copy() for name in FIELDS}
    for name, cells in changed.items():
        for (row, column), value in cells.items():
            for field in FIELDS if np.isnan(value) else (name,):
                arrays[field][row, column] = value
    panel = Panel(made.panel.sessions, made.panel.symbols, **arrays)
    return replace(made, panel=panel, market=market_view(panel, strategy.portfolio))


def holding(made: World, row: int, quantity: float, stop: float) -> SessionState:
    """The standing after session ``row``: one position, no order under way."""
    session_state = first_session_state(made.strategy, SYMBOLS, made.panel.sessions[row + 1])
    one = np.arange(len(SYMBOLS)) == 0
    flat = np.full(len(SYMBOLS), np.nan)
    price = np.where(one, made.panel.close[row], np.nan)
    book = replace(
        session_state.book,
        quantity=np.where(one, quantity, 0.0), price=price, entry_price=price, stop_price=np.where(one, stop, flat),
        entered_session=np.where(one, np.datetime64(made.panel.sessions[row], "D"), np.datetime64("NaT", "D")),
    )  # fmt: skip
    book, _ = book.marked(made.panel.sessions[row], made.panel.close[row], made.strategy.portfolio)
    return replace(session_state, book=book.awaiting(np.zeros(len(SYMBOLS)), flat, book.quantity, book.quantity))


def play(made: World, session_state: SessionState, row: int) -> Round:
    facts = SessionFacts(market=made.market.at(row), signals=made.signals(row), controls=Controls(verdict_allows=True))
    return play_session(made.strategy, cost_model_from(made.strategy.costs), 252, session_state, facts, PaperBroker)


def wide(execution: str = "next_open") -> Strategy:
    loose = {"drawdown_limit_fraction": 0.9, "weekly_loss_limit_fraction": 0.8, "session_loss_limit_fraction": 0.7}
    return world_strategy(execution, **loose)


def test_a_stop_fills_at_the_open_of_the_first_bar_after_a_gap_and_nothing_opens_on_thin_evidence() -> None:
    strategy = wide()
    gap = {(ROW - 1, 0): np.nan}
    low = 0.7 * world(strategy, ROW).panel.close[ROW - 2, 0]
    made = of(strategy, close=gap, open={(ROW, 0): low}, low={(ROW, 0): low * 0.99}, high={(ROW, 0): low * 1.01})
    session_state = holding(made, ROW - 2, 1000.0, stop=0.95 * made.panel.close[ROW - 2, 0])
    silent = play(made, session_state, ROW - 1)
    assert [len(batch) for batch in silent.fills] == [0, 0]
    done = play(made, silent.session_state, ROW)
    stopped = done.fills[1]
    assert stopped.quantity.tolist() == [-1000.0]
    assert stopped.price[0] == pytest.approx(low, rel=5e-3)
    assert done.session_state.book.quantity[0] == 0.0
    for later in range(ROW + 1, ROW + 8):  # fewer than 20 unbroken bars: closed, and not opened again
        done = play(made, done.session_state, later)
        assert done.session_state.book.quantity[0] == 0.0
        assert 0 not in done.orders.symbol[done.orders.accepted].tolist()


def test_a_position_can_be_closed_by_order_on_the_first_bar_after_a_gap() -> None:
    made = of(wide(), close={(ROW - 1, 0): np.nan})
    silent = play(made, holding(made, ROW - 2, 1000.0, stop=1.0), ROW - 1)
    asked = play(made, silent.session_state, ROW)
    mask = asked.orders.symbol == 0
    assert asked.orders.quantity[mask].tolist() == [-1000.0]  # without ADV and ATR nothing stays
    assert asked.orders.accepted[mask].all()
    done = play(made, asked.session_state, ROW + 1)
    assert done.session_state.book.quantity[0] == 0.0
    assert done.ended == ()


def test_a_stop_touched_on_a_session_whose_bar_comes_late_is_filled_once_it_is_there() -> None:
    strategy = wide()
    before = world(strategy, ROW).panel.close[ROW - 2, 0]
    stop, low = 0.95 * before, 0.90 * before
    dip = {"open": {(ROW - 1, 0): low}, "low": {(ROW - 1, 0): low}}
    without, late = of(strategy, close={(ROW - 1, 0): np.nan}), of(strategy, **dip)
    late = replace(late, market=market_view(late.panel, strategy.portfolio))
    assert late.panel.low[ROW, 0] > stop  # the next bar touches nothing
    silent = play(without, holding(without, ROW - 2, 1000.0, stop), ROW - 1)
    assert silent.session_state.book.quantity[0] == 1000.0
    sold = replace(silent.session_state, orders=one_order(silent, -1000.0))
    for session_state in (silent.session_state, stored(silent)):
        done = play(late, session_state, ROW)
        assert done.fills[1].quantity.tolist() == [-1000.0]
        assert done.fills[1].is_stop.all()
        assert done.fills[1].price[0] == pytest.approx(low, rel=5e-3)
        assert done.session_state.book.blocked_side[0] == 1
    done = play(late, sold, ROW)  # an order under way on what the stop closed is ended, never filled beside it
    assert done.session_state.book.quantity[0] == 0.0
    assert [order.reason for order in done.ended] == ["late_stop"]
    again = play(late, done.session_state, ROW + 1)
    assert not len(again.fills[1])


def test_a_late_close_beyond_the_stop_blocks_the_side_where_only_closes_trade() -> None:
    strategy = wide("next_close")
    before = world(strategy, ROW).panel.close[ROW - 2, 0]
    without = of(strategy, close={(ROW - 1, 0): np.nan})
    late = of(strategy, close={(ROW - 1, 0): 0.90 * before})
    silent = play(without, holding(without, ROW - 2, 1000.0, 0.95 * before), ROW - 1)
    assert silent.session_state.book.blocked_side[0] == 0
    assert play(late, silent.session_state, ROW).session_state.book.blocked_side[0] == 1


def test_a_mark_older_than_its_session_survives_the_records() -> None:
    made = of(wide(), close={(ROW - 1, 0): np.nan})
    silent = play(made, holding(made, ROW - 2, 1000.0, stop=1.0), ROW - 1)
    assert stored(silent).book.marked_session[0] == np.datetime64(made.panel.sessions[ROW - 2], "D")


def one_order(done: Round, quantity: float):  # type: ignore[no-untyped-def]
    from nn_assets.execution.orders import targets_to_orders

    book = done.session_state.book
    target = book.quantity + np.where(np.arange(len(SYMBOLS)) == 0, quantity, 0.0)
    return targets_to_orders(
        SYMBOLS, target, book.quantity, book.price, book.unfilled_quantity, strategy="world", session=done.session
    )


def stored(done: Round) -> SessionState:
    book = done.session_state.book
    back = book_from_records(state_row(done.state), holdings_frame(book), book_remainder(book))
    return replace(done.session_state, book=back)


def test_two_bars_that_come_late_at_once_give_fills_of_their_own_ids() -> None:
    strategy = wide()
    before = world(strategy, ROW).panel.close[ROW - 3, 0]
    stop, low = 0.95 * before, 0.90 * before
    thin = {(ROW - 2, 0): 1_000.0, (ROW - 1, 0): 1_000.0}  # the volume cap leaves a rest of each
    dips = {(ROW - 2, 0): low, (ROW - 1, 0): low}
    without = of(strategy, close={(ROW - 2, 0): np.nan, (ROW - 1, 0): np.nan})
    late = of(strategy, open=dips, low=dips, volume=thin)
    session_state = holding(without, ROW - 3, 100_000.0, stop)
    for row in (ROW - 2, ROW - 1):
        session_state = play(without, session_state, row).session_state
    stopped = play(late, session_state, ROW).fills[1]
    assert len(stopped) >= 2
    assert len(set(stopped.fill_id)) == len(stopped)


def test_a_late_close_blocks_the_side_that_it_hit_and_not_what_was_reversed_since() -> None:
    strategy = wide("next_close")
    before = world(strategy, ROW).panel.close[ROW - 2, 0]
    stop, low = 0.95 * before, 0.90 * before
    without = of(strategy, close={(ROW - 1, 0): np.nan})
    late = of(strategy, close={(ROW - 1, 0): low}, low={(ROW - 1, 0): low})
    silent = play(without, holding(without, ROW - 2, 1000.0, stop), ROW - 1)
    stays = play(late, replace(silent.session_state, orders=one_order(silent, 0.0)), ROW)
    assert stays.session_state.book.blocked_side[0] == 1
    turned = play(late, replace(silent.session_state, orders=one_order(silent, -2000.0)), ROW)
    assert turned.session_state.book.quantity[0] < 0.0
    assert turned.session_state.book.blocked_side[0] != -1
