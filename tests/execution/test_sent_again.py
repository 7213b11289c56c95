"""A parent order whose fills are never counted is sent again and again (Knight, 2012): the gate stops it.

The account at the venue takes whatever is sent and fills it. The book never hears of it, and so it asks for the same
target each time, with orders of other ids. What the venue holds is the truth that a limit is measured by.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Account, Stops
from nn_assets.execution.orders import Orders, joined_orders, targets_to_orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.execution.pre_trade_gate import PreTradeGateState, Sent, pass_pre_trade_gate
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.fills import FillArrays, no_fills
from nn_assets.session.daily_round import Controls, SessionFacts, first_session_state, play_session
from nn_assets.settings import ExecutionSettings
from tests.session.worlds import SYMBOLS, world, world_strategy

SETTINGS = ExecutionSettings(maximum_orders_per_session=1000, maximum_order_usd=60_000.0)
EQUITY, TRIES, PRICE = 100_000.0, 60, 50.0
STATE = PreTradeGateState(
    control=Control.NORMAL,
    last_price=np.array([PRICE, 20.0]),
    current_quantity=np.zeros(2),
    equity_usd=EQUITY,
    gross_limit=1.0,
)


@dataclass
class Desk:
    """Sends the same parent order within a session, and what the gate is told of what left before."""

    held: np.ndarray = field(default_factory=lambda: np.zeros(2))
    sent: list[Orders] = field(default_factory=list)
    codes: list[str | None] = field(default_factory=list)

    def try_again(self, number: int, target: np.ndarray, sent: Sent, settings: ExecutionSettings = SETTINGS) -> None:
        orders = targets_to_orders(
            ("A", "B"), target, self.held, STATE.last_price, np.zeros(2),
            strategy=f"child {number}", session=pd.Timestamp("2017-06-01"),
        )  # fmt: skip
        state = replace(STATE, current_quantity=self.held, sent=sent)
        passed = pass_pre_trade_gate(orders, state, settings)
        self.codes += passed.reason_code
        self.sent.append(passed)

    @property
    def at_the_venue(self) -> np.ndarray:
        """Dollars that truly left."""
        batches = [batch.at(np.flatnonzero(batch.accepted)) for batch in self.sent]
        quantity = np.zeros(2)
        for batch in batches:
            np.add.at(quantity, batch.symbol, batch.quantity)
        return quantity * STATE.last_price


TARGET = np.array([600.0, 0.0])  # 30,000 USD


def test_without_a_count_of_what_was_sent_nothing_stops_it() -> None:
    """The fault itself: 18 times the equity leaves, and each order by itself is sound."""
    desk = Desk()
    for number in range(TRIES):
        desk.try_again(number, TARGET, Sent())
    assert set(desk.codes) == {None}
    assert desk.at_the_venue[0] == TRIES * 30_000.0


def test_the_second_order_of_a_symbol_whose_first_is_not_counted_is_denied() -> None:
    desk = Desk()
    for number in range(TRIES):
        desk.try_again(number, TARGET, Sent.of(desk.sent, counted=np.zeros(2)))
    assert desk.codes[0] is None
    assert set(desk.codes[1:]) == {"uncounted"}
    assert desk.at_the_venue[0] == 30_000.0


def test_where_nobody_knows_what_is_counted_the_value_sent_stops_it_at_twice_the_gross_limit() -> None:
    desk = Desk()
    for number in range(TRIES):
        so_far = Sent.of(desk.sent, counted=np.zeros(2))
        desk.try_again(number, TARGET, replace(so_far, uncounted=None))
    assert desk.codes.count(None) == 6
    assert set(desk.codes) == {None, "sent_value"}
    assert desk.at_the_venue[0] == 180_000.0 <= 2.0 * EQUITY


def test_what_is_sent_in_small_pieces_is_stopped_by_their_number() -> None:
    desk, settings = Desk(), SETTINGS.model_copy(update={"maximum_orders_per_session": 20})
    for number in range(TRIES):
        so_far = Sent.of(desk.sent, counted=np.zeros(2))
        desk.try_again(number, np.array([1.0, 0.0]), replace(so_far, uncounted=None), settings)
    assert desk.codes == [None] * 20 + ["rate"] * (TRIES - 20)
    assert desk.at_the_venue[0] == 20 * PRICE


def test_a_sale_that_is_never_counted_does_not_become_a_short() -> None:
    """Each sale seems to reduce what the book holds, and orders that reduce are exempt from nearly all else."""
    desk = Desk(held=np.array([600.0, 0.0]))
    for number in range(TRIES):
        desk.try_again(number, np.zeros(2), Sent.of(desk.sent, counted=np.zeros(2)))
    assert set(desk.codes[1:]) == {"uncounted"}
    assert desk.at_the_venue[0] == -30_000.0


def test_what_was_counted_is_no_hindrance_and_other_symbols_go_on() -> None:
    desk = Desk()
    desk.try_again(0, TARGET, Sent())
    desk.held = TARGET.copy()
    counted = Sent.of(desk.sent, counted=TARGET)
    assert (counted.orders, counted.value_usd, counted.uncounted.tolist()) == (1, 30_000.0, [0.0, 0.0])
    desk.try_again(1, np.array([700.0, 100.0]), counted)
    assert desk.codes == [None, None, None]
    desk.held = np.zeros(2)
    desk.try_again(2, np.array([600.0, 100.0]), Sent.of(desk.sent[:1], counted=np.zeros(2)))
    assert desk.codes[3:] == ["uncounted", None]


@pytest.mark.parametrize(
    "sent", [Sent(1, np.nan), Sent(1, 0.0, np.array([0.0, np.nan]))], ids=["value unknown", "quantity unknown"]
)
def test_what_is_not_known_of_it_denies(sent: Sent) -> None:
    desk = Desk()
    desk.try_again(0, np.array([100.0, 100.0]), sent)
    assert desk.codes[1] in {"sent_value", "uncounted"}
    assert None not in desk.codes


# --- across sessions: the round, at a broker that takes orders and says nothing of them ------------------------

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
