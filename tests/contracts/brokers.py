"""What every broker keeps; a new one brings what opens it on an account, at a venue whose market is the account's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.execution.broker import Account, Bar, Broker, Liquidity, OpenBroker, Stops, ended_orders
from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.settings import Strategy

SYMBOLS = ("A", "B", "C")
SESSION = pd.Timestamp("2017-06-02")
BAR = Bar(
    open=np.array([50.0, 20.0, np.nan]),
    high=np.array([52.0, 21.0, np.nan]),
    low=np.array([48.0, 19.0, np.nan]),
    close=np.array([51.0, 20.5, np.nan]),
    volume=np.array([1e6, 2e6, np.nan]),
)
HELD = np.array([0.0, 300.0, 0.0])


def account(book: Book, bar: Bar = BAR) -> Account:
    """An account of a strategy with the settings that there are where none are stated, filled at opens."""
    strategy = Strategy.model_validate(
        {"name": "s", "market": {"history_starts": "2016-01-04"}, "label": {"execution": "next_open"}}
    )
    liquidity = Liquidity(adv_usd=np.full(3, 5e7), daily_volatility=np.full(3, 0.02))
    return Account(strategy, cost_model_from(strategy.costs), SESSION, bar, liquidity, book)


def holding() -> Book:
    """300 of B, with a stop that the bar touches."""
    stop = np.array([np.nan, 19.5, np.nan])
    return replace(empty_book(SYMBOLS, 1e6), quantity=HELD.copy(), stop_price=stop)


def orders(*quantity: float) -> Orders:
    """An order for each quantity that is not zero; for C the session has no bar."""
    target = HELD + np.array(quantity)
    return targets_to_orders(SYMBOLS, target, HELD, BAR.open, np.zeros(3), strategy="s", session=SESSION)


class BrokerContract:
    """Tests that a member inherits, with the fixture ``open_broker``."""

    @pytest.fixture
    def open_broker(self) -> OpenBroker:
        raise NotImplementedError

    @pytest.fixture
    def broker(self, open_broker: OpenBroker) -> Broker:
        return open_broker(account(holding()))

    def test_before_anything_is_sent_it_has_what_the_account_has(self, broker: Broker) -> None:
        assert (len(broker.orders()), len(broker.fills()), broker.cash()) == (0, 0, 1e6)
        assert broker.positions().tolist() == HELD.tolist()

    def test_fills_move_positions_and_cash_as_they_move_the_book(self, broker: Broker) -> None:
        sent = orders(100.0, -50.0, 0.0)
        broker.send(sent)
        fills = broker.fills()
        assert (fills.client_order_id, fills.quantity.tolist()) == (sent.client_order_id, [100.0, -50.0])
        assert not fills.is_stop.any()
        assert len(set(fills.fill_id)) == 2
        book = holding().filled(fills, SESSION)
        assert broker.positions().tolist() == book.quantity.tolist() == [100.0, 250.0, 0.0]
        assert broker.cash() == book.cash_usd
        assert book.cash_usd == pytest.approx(1e6 - 100 * 50.0 + 50 * 20.0, abs=200.0)  # within the bar, and its costs

    def test_every_fill_is_given_once(self, broker: Broker) -> None:
        broker.send(orders(100.0, 0.0, 0.0))
        first = broker.fills()
        broker.send(orders(0.0, 50.0, 0.0))
        second = broker.fills()
        assert [fills.symbol.tolist() for fills in (first, second, broker.fills())] == [[0], [1], []]
        assert broker.orders().symbol.tolist() == [0, 1]

    def test_an_order_that_is_sent_again_is_the_same_order(self, broker: Broker) -> None:
        for _ in (1, 2):
            broker.send(orders(100.0, 0.0, 0.0))
        assert broker.fills().quantity.tolist() == [100.0]
        broker.send(orders(100.0, 0.0, 0.0))
        assert len(broker.fills()) == 0
        assert len(broker.orders()) == 1

    def test_a_denied_order_is_never_filled_and_keeps_its_reason(self, broker: Broker) -> None:
        broker.send(replace(orders(100.0, 50.0, 0.0), reason_code=("value", None)))
        assert broker.fills().symbol.tolist() == [1]
        assert broker.orders().reason_code == ("value", None)

    def test_a_cancelled_order_is_not_filled_and_one_that_was_filled_stays(self, broker: Broker) -> None:
        sent = orders(100.0, 50.0, 0.0)
        broker.send(sent)
        broker.cancel(sent.client_order_id[:1])
        assert broker.fills().symbol.tolist() == [1]
        broker.cancel([*sent.client_order_id, "unknown"])
        assert broker.orders().reason_code == ("cancelled", None)
        assert broker.positions().tolist() == [0.0, 350.0, 0.0]

    def test_what_is_not_filled_whole_ends_with_a_reason(self, broker: Broker) -> None:
        sent = orders(100.0, 0.0, 10.0)
        broker.send(sent)
        assert broker.orders().reason_code == (None, None)  # open
        assert broker.fills().symbol.tolist() == [0]
        (ended,) = ended_orders(sent, broker.orders())
        assert ended == (sent.client_order_id[1], 2, "no_bar")

    def test_a_stop_that_the_market_hits_closes_what_is_held_and_is_no_order(self, broker: Broker) -> None:
        broker.send(Stops(holding()))
        fills = broker.fills()
        assert (fills.symbol.tolist(), fills.quantity.tolist(), fills.is_stop.tolist()) == ([1], [-300.0], [True])
        assert broker.positions().tolist() == [0.0, 0.0, 0.0]
        assert (len(broker.orders()), len(broker.fills())) == (0, 0)

    def test_the_same_session_opened_again_fills_to_the_bit_alike(self, open_broker: OpenBroker) -> None:
        filled = []
        for _ in (1, 2):
            broker = open_broker(account(holding()))
            broker.send(orders(100.0, -50.0, 0.0))
            filled.append((broker.fills(), broker.cash()))
        (one, cash), (other, same) = filled
        assert (one.fill_id, one.price.tobytes(), cash) == (other.fill_id, other.price.tobytes(), same)
