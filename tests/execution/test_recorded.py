"""Fills on record in the round's broker port: given once, in their order, whatever the round sends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.errors import DecisionError
from nn_assets.execution.broker import Account, Bar, Liquidity, Stops, ended_orders
from nn_assets.execution.orders import Orders
from nn_assets.execution.recorded import Recorded, RecordedBroker, RecordedFill
from nn_assets.portfolio.book import empty_book
from nn_assets.settings import Strategy

SYMBOLS = ("AAA", "BBB")


def an_account() -> Account:
    strategy = Strategy.model_validate({"name": "one", "market": {"symbols": SYMBOLS, "history_starts": "2020-01-02"}})
    none = np.full(2, np.nan)  # no bar is looked at
    book = replace(empty_book(SYMBOLS, 1000.0), quantity=np.array([0.0, 10.0]))
    bar, liquidity = Bar(none, none, none, none, none), Liquidity(none, none)
    return Account(strategy, cost_model_from(strategy.costs), np.datetime64("2024-03-05"), bar, liquidity, book)


def orders(*names: str) -> Orders:
    count = len(names)
    return Orders(
        names,
        np.zeros(count, dtype=np.int64),
        np.full(count, 5.0),
        ("normal",) * count,
        np.full(count, 2.0),
        (None,) * count,
    )


ORDER = RecordedFill("f1", "a", "AAA", 3.0, 2.0, 0.25, is_stop=False)
STOP = RecordedFill("f2", "s", "BBB", -10.0, 4.0, 0.5, is_stop=True)


def test_orders_fills_come_after_orders_and_stops_after_stops_and_each_once() -> None:
    account = an_account()
    broker = RecordedBroker(account, Recorded([ORDER, STOP], {"b": "rejected"}))
    broker.send(Stops(account.book, late_bar=account.bar))
    assert len(broker.fills()) == 0  # a stop that rests at the venue is hit there or not at all
    broker.send(orders("a", "b", "c"))
    broker.send(orders("a"))
    filled = broker.fills()
    assert (filled.fill_id, filled.source, filled.is_stop.tolist()) == (("f1",), "venue", [False])
    broker.send(Stops(account.book))
    assert broker.fills().fill_id == ("f2",)
    assert len(broker.fills()) == 0
    assert broker.positions().tolist() == [3.0, 0.0]
    assert broker.cash() == 1000.0 - 3 * 2.0 - 0.25 + 10 * 4.0 - 0.5
    ends = {end.client_order_id: end.reason for end in ended_orders(orders("a", "b", "c"), broker.orders())}
    assert ends == {"a": "unfilled", "b": "rejected", "c": "not_sent"}


def test_what_the_account_did_is_booked_although_nothing_was_to_fill() -> None:
    broker = RecordedBroker(an_account(), Recorded([ORDER, STOP]))
    broker.send(orders())
    assert broker.fills().fill_id == ("f1",)
    assert broker.fills().fill_id == ("f2",)  # no stops were sent: the session was halted


def test_a_fill_of_a_symbol_that_the_book_lacks_is_refused_by_name() -> None:
    with pytest.raises(DecisionError, match=r"fills of ZZZ on record.*put the symbol back"):
        RecordedBroker(an_account(), Recorded([replace(ORDER, symbol="ZZZ")]))
