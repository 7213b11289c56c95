"""A position through a stated halt, session by session: kept, marked once, held on; stops, breakers, delistings act."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.execution.orders import targets_to_orders
from nn_assets.market.panel import FIELDS, panel_from_bars
from nn_assets.reports.round_notices import ended_notices, held_on_notices
from nn_assets.session.daily_round import Round
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.session.test_delisting import action
from tests.session.test_late_bars import holding, play, wide
from tests.session.worlds import SYMBOLS, World, world, world_strategy

FROM, AGAIN, HEARD = 150, 160, 165  # halted on [FROM, AGAIN), without a forecast until HEARD
QUANTITY = 300.0


def halted_world(
    strategy: Strategy, jump: float = 1.0, *, stated: bool = True, actions: pd.DataFrame | None = None
) -> World:
    """The world, the first symbol halted for ten sessions, and opening at a multiple of what it would have."""
    made = world(strategy, HEARD + 5)
    shape = made.panel.close.shape
    halted = np.zeros(shape, dtype=bool)
    halted[FROM:AGAIN, 0] = True
    rows, columns = np.indices(shape)
    bars = {"symbol": np.array(SYMBOLS)[columns.ravel()], "session": made.panel.sessions[rows.ravel()]}
    for name in FIELDS:
        values = getattr(made.panel, name).copy()
        values[AGAIN:, 0] *= 1.0 if name == "volume" else jump
        bars[name] = values.ravel()
    panel = panel_from_bars(pd.DataFrame(bars), made.panel.sessions, SYMBOLS, actions, halted=halted)
    silent = np.zeros(shape, dtype=bool)
    silent[FROM:HEARD, 0] = True
    calm = np.where(silent, np.nan, 0.5)  # of the others: no edge, no order
    forecasts = replace(made.forecasts, calibrated=np.where(rows >= FROM, calm, made.forecasts.calibrated))
    reach = 40 if stated else 0
    market = market_view(panel, strategy.portfolio, halted=halted if stated else None, halt_reach=reach)
    return replace(made, panel=panel, market=market, forecasts=forecasts)


def played(made: World, stop: float, last: int = HEARD - 1, quantity: float = QUANTITY) -> dict[int, Round]:
    rounds = {}
    state = holding(made, FROM - 1, quantity, stop)
    for row in range(FROM, last + 1):
        rounds[row] = play(made, state, row)
        state = rounds[row].session_state
    return rounds


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
def test_what_is_held_stays_until_a_forecast_speaks_and_its_mark_moves_once(execution: str) -> None:
    made = halted_world(wide(execution), jump=1.05)
    rounds = played(made, stop=1.0)
    close = made.panel.close[:, 0]
    for row, done in rounds.items():
        assert done.decision.target_quantity[0] == QUANTITY, row
        assert not done.orders.accepted.any()
        assert [len(batch) for batch in done.fills] == [0, 0]
        assert bool(held_on_notices(done)) == (row >= AGAIN)
        moved = 0.0 if row < AGAIN else QUANTITY * (close[row] - close[row - 1 if row > AGAIN else FROM - 1])
        before = holding(made, FROM - 1, QUANTITY, 1.0).book if row == FROM else rounds[row - 1].session_state.book
        book = done.session_state.book
        assert book.equity_usd == pytest.approx(before.equity_usd + moved + book.session_financing_usd, abs=1e-6)
    unstated = played(halted_world(wide(execution), jump=1.05, stated=False), stop=1.0, last=AGAIN)
    assert unstated[AGAIN].decision.target_quantity[0] == 0.0  # a gap that nobody stated is no reason to hold


def test_a_stop_closes_it_at_the_open_of_the_first_session_after() -> None:
    made = halted_world(wide("next_open"), jump=0.6)
    rounds = played(made, stop=0.95 * made.panel.close[FROM - 1, 0], last=AGAIN)
    assert rounds[AGAIN - 1].session_state.book.quantity[0] == QUANTITY
    stopped = rounds[AGAIN].fills[1]
    assert stopped.quantity.tolist() == [-QUANTITY]
    assert stopped.price[0] == pytest.approx(made.panel.open[AGAIN, 0], rel=1e-2)
    assert rounds[AGAIN].decision.target_quantity[0] == 0.0


def test_a_stop_at_the_close_is_an_order_of_the_first_session_after() -> None:
    made = halted_world(wide("next_close"), jump=0.6)
    rounds = played(made, stop=0.95 * made.panel.close[FROM - 1, 0], last=AGAIN + 1)
    assert rounds[AGAIN].decision.target_quantity[0] == 0.0
    assert rounds[AGAIN + 1].session_state.book.quantity[0] == 0.0


def test_a_breaker_that_the_jump_fires_closes_it() -> None:
    made = halted_world(world_strategy("next_close"), jump=0.2)
    rounds = played(made, stop=1.0, last=AGAIN, quantity=4000.0)
    assert rounds[AGAIN - 1].decision.target_quantity[0] == 4000.0
    assert "drawdown" in rounds[AGAIN].session_state.book.breaker_kinds
    assert rounds[AGAIN].decision.target_quantity[0] == 0.0


def test_a_halt_that_ends_in_a_delisting_pays_what_is_left() -> None:
    day = world(wide(), HEARD).panel.sessions[AGAIN]
    made = halted_world(wide("next_close"), actions=action(day, 12.5))
    rounds = played(made, stop=1.0, last=AGAIN + 2)
    before, after = rounds[AGAIN - 1].session_state.book, rounds[AGAIN].session_state.book
    assert before.quantity[0] == QUANTITY
    assert after.quantity[0] == 0.0
    assert after.session_delistings_usd == 12.5 * QUANTITY
    lost = QUANTITY * (12.5 - made.panel.close[FROM - 1, 0])
    assert after.equity_usd == pytest.approx(before.equity_usd + lost + after.session_financing_usd, abs=1e-6)
    for row in (AGAIN, AGAIN + 1, AGAIN + 2):
        assert rounds[row].decision.target_quantity[0] == 0.0
        assert not held_on_notices(rounds[row])
    assert rounds[AGAIN].session_state.book.session == np.datetime64(day, "D")


def test_the_page_says_that_an_order_ended_for_a_halt() -> None:
    made = halted_world(wide("next_close"))
    state = holding(made, FROM - 1, QUANTITY, 1.0)
    book, session = state.book, made.panel.sessions[FROM - 1]
    target, none = np.where(np.arange(len(SYMBOLS)) == 0, 100.0, 0.0), np.zeros(len(SYMBOLS))
    orders = targets_to_orders(SYMBOLS, target, book.quantity, book.price, none, strategy="world", session=session)
    done = play(made, replace(state, orders=orders), FROM)
    assert [order.reason for order in done.ended] == ["no_bar"]
    assert ended_notices(done, ["AAA"])[0].startswith(
        "no_bar: 1 order under way ended without a whole fill: AAA (halted)."
    )
    assert ended_notices(done)[0].startswith("no_bar: 1 order under way ended without a whole fill: AAA.")
