"""A broker that takes orders and says nothing of them halts the book, and nothing is sent again (Knight, 2012).

How an account at a venue keeps to limits on what was sent: tests/operations/test_account_controls.py.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Account, Stops
from nn_assets.execution.orders import Orders, joined_orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.fills import FillArrays, no_fills
from nn_assets.session.daily_round import Controls, SessionFacts, first_session_state, play_session
from tests.session.worlds import SYMBOLS, world, world_strategy

ROWS = range(150, 170)


class Silent:
    """A broker that fills at the venue, and never says so: no fill is given, and no order ever ends."""

    taken: list[Orders]

    def __init__(self, account: Account) -> None:
        self._account = account
        self._sent: list[Orders] = []

    def send(self, orders: Orders | Stops) -> None:
        if isinstance(orders, Orders):
            self._sent.append(orders)
            type(self).taken.append(orders)

    def cancel(self, client_order_ids: Collection[str]) -> None:
        pass

    def orders(self) -> Orders:
        return joined_orders(self._sent)

    def fills(self) -> FillArrays:
        return no_fills()

    def positions(self) -> np.ndarray:
        return self._account.book.quantity

    def cash(self) -> float:
        return self._account.book.cash_usd


def test_a_broker_that_says_nothing_of_an_order_halts_the_book_in_the_round_that_finds_out() -> None:
    """The same target is asked for each session. It leaves once; the breaker then stays until a person resets it."""
    of = world(world_strategy())
    Silent.taken = []
    state = first_session_state(of.strategy, SYMBOLS, of.panel.sessions[ROWS[0]])
    rounds = []
    for row in ROWS:
        facts = SessionFacts(of.market.at(row), of.signals(row), None, Controls(verdict_allows=True))
        done = play_session(of.strategy, cost_model_from(of.strategy.costs), 252, state, facts, Silent)
        rounds.append(done)
        state = done.session_state
    accepted = [int(batch.accepted.sum()) for batch in Silent.taken]
    assert accepted[1] > 0  # what the first session ordered was sent on the second
    assert sum(accepted) == accepted[1]
    assert rounds[1].state.breaker == "unfinished_run"
    (breaker,) = rounds[1].session_state.book.breakers
    first = Silent.taken[1]
    assert "neither filled as ordered nor ended" in breaker.reason
    assert first.client_order_id[0] in breaker.reason
    assert SYMBOLS[first.symbol[0]] in breaker.reason
    assert all(done.decision.control is Control.HALTED for done in rounds[1:])


@pytest.mark.parametrize("execution", ["next_open", pytest.param("next_close", marks=pytest.mark.full)])
def test_the_paper_broker_leaves_nothing_uncounted(execution: str) -> None:
    of = world(world_strategy(execution, stale_symbols_limit_fraction=0.9))
    state = first_session_state(of.strategy, SYMBOLS, of.panel.sessions[ROWS[0]])
    for row in ROWS:
        market = of.market.at(row)
        thin = replace(market, volume=np.where(np.arange(5) < row % 5, 20_000.0, market.volume))
        facts = SessionFacts(thin, of.signals(row), None, Controls(verdict_allows=True))
        state = play_session(
            of.strategy, cost_model_from(of.strategy.costs), 252, state, facts, PaperBroker
        ).session_state  # fmt: skip
        assert "unfinished_run" not in state.book.breaker_kinds
