"""Paper as a venue: the contract, the same fills as the rounds' paper broker gives, and a journal that outlasts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.brokers.paper_venue import PaperVenue
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import DecisionError
from nn_assets.execution.broker import Account, Bar, Liquidity, Stops
from nn_assets.execution.orders import Orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.execution.venue import Venue, VenueDownError, VenueRefusedError
from nn_assets.portfolio.book import empty_book
from nn_assets.settings import Strategy
from tests.contracts.venues import BEFORE, CASH, OPENED, SESSION, VenueContract, order

SYMBOLS = ("AAA", "BBB")
STRATEGY = Strategy.model_validate({"name": "s", "market": {"history_starts": "2016-01-04"}})
CAP = STRATEGY.execution.participation_cap_fraction
LIQUIDITY = Liquidity(np.full(2, 5e7), np.full(2, 0.02))


def bar(low: float = 48.0, volume: float = 1e6) -> Bar:
    columns = ((50.0, 20.0), (52.0, 21.0), (low, 19.0), (51.0, 20.5), (volume, volume))
    return Bar(*(np.array(column) for column in columns))


class Market:
    """Gives the account a bar of one symbol, with as much volume as is to be filled."""

    def __init__(self, venue: PaperVenue) -> None:
        self.venue = venue

    def fill(self, client_order_id: str, quantity: float, price: float) -> None:
        (row,) = [row for row in self.venue.orders() if row.client_order_id == client_order_id]
        prices = np.where(np.array(SYMBOLS) == row.symbol, price, np.nan)
        volume = np.full(2, abs(quantity) / CAP * (1.0 + 1e-9))
        self.venue.trade(SESSION, Bar(prices, prices, prices, prices, volume), LIQUIDITY, OPENED)

    def heed(self) -> None:
        pass


class OfADeadDisk(PaperVenue):
    """Down, as the contract asks of it: an account on paper has nothing to reach."""

    def __init__(self) -> None:
        pass

    def send(self, *_: object) -> None:
        raise VenueDownError(expected="-", found="-", remedy="-")

    cancel = orders = fills = positions = cash = send  # type: ignore[assignment]


class TestPaperVenue(VenueContract):
    refuses = order("bad", 10.0, "CCC")

    @pytest.fixture
    def venue(self, tmp_path: Path) -> PaperVenue:
        return PaperVenue(STRATEGY, SYMBOLS, CASH, tmp_path / "journal.jsonl")

    @pytest.fixture
    def other_side(self, venue: PaperVenue) -> Market:
        return Market(venue)

    @pytest.fixture
    def down(self) -> Venue:
        return OfADeadDisk()


def test_it_fills_to_the_bit_as_the_paper_broker_of_a_round() -> None:
    for kind, execution in (("at_open", "next_open"), ("at_close", "next_close")):
        venue = PaperVenue(STRATEGY, SYMBOLS, CASH)
        venue.send(order("two", -40.0, "BBB", kind=kind))
        venue.send(order("one", 100.0, kind=kind))
        venue.trade(SESSION, bar(), LIQUIDITY, OPENED)
        strategy = STRATEGY.model_copy(update={"label": STRATEGY.label.model_copy(update={"execution": execution})})
        book = empty_book(SYMBOLS, CASH)
        broker = PaperBroker(Account(strategy, cost_model_from(STRATEGY.costs), SESSION, bar(), LIQUIDITY, book))
        two, none = np.array([100.0, -40.0]), (None, None)
        broker.send(Orders(("one", "two"), np.array([0, 1]), two, ("normal",) * 2, two, none))
        fills = broker.fills()
        assert [fill.price for fill in venue.fills(BEFORE)] == fills.price.tolist()
        assert [fill.commission_usd for fill in venue.fills(BEFORE)] == fills.commission_usd.tolist()
        assert venue.cash() == broker.cash()


def test_a_stop_fills_where_the_bar_touches_it_at_what_the_round_pays_and_rests_until_then() -> None:
    venue = PaperVenue(STRATEGY, SYMBOLS, CASH)
    venue.send(order("one", 100.0))
    venue.trade(SESSION, bar(), LIQUIDITY, OPENED)
    venue.send(order("stop", -100.0, kind="stop", price=47.0))
    venue.trade(SESSION, bar(), LIQUIDITY, OPENED, ("stop",))
    venue.end_session(SESSION)
    assert [row.client_order_id for row in venue.orders()] == ["stop"]
    then = SESSION + pd.Timedelta(days=3)
    venue.trade(then, bar(low=46.0), LIQUIDITY, OPENED + pd.Timedelta(days=3))
    book = replace(empty_book(SYMBOLS, 0.0), quantity=np.array([100.0, 0.0]), stop_price=np.array([47.0, np.nan]))
    round_account = Account(STRATEGY, cost_model_from(STRATEGY.costs), then, bar(low=46.0), LIQUIDITY, book)
    broker = PaperBroker(round_account)
    broker.send(Stops(book))
    assert [fill.price for fill in venue.fills(OPENED + pd.Timedelta(days=1))] == broker.fills().price.tolist()
    assert venue.positions() == {}


def test_what_a_session_does_not_fill_expires_with_it() -> None:
    venue = PaperVenue(STRATEGY, SYMBOLS, CASH)
    venue.send(order("one", 100.0))
    venue.trade(SESSION, bar(volume=30.0 / CAP), LIQUIDITY, OPENED)
    venue.end_session(SESSION)
    (row,) = venue.orders(["one"])
    assert (row.status, row.filled_quantity) == ("expired", 30.0)


def test_a_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VenueRefusedError, match="limit"):
        PaperVenue(STRATEGY, SYMBOLS, CASH).send(order("one", 1.0, kind="limit", price=50.0))


def test_the_account_is_the_same_after_a_restart_wherever_a_writer_was_killed(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    venue = PaperVenue(STRATEGY, SYMBOLS, CASH, journal)
    venue.send(order("one", 100.0))
    venue.trade(SESSION, bar(volume=30.0 / CAP), LIQUIDITY, OPENED)
    venue.send(order("two", -40.0, "BBB"))
    venue.cancel("two")

    def state(venue: PaperVenue) -> tuple[object, ...]:
        return venue.orders(["one", "two"]), venue.fills(BEFORE), venue.positions(), venue.cash()

    assert state(PaperVenue(STRATEGY, SYMBOLS, CASH, journal)) == state(venue)
    whole = journal.read_bytes()
    for cut in range(0, len(whole), 13):
        journal.write_bytes(whole[:cut])
        again = PaperVenue(STRATEGY, SYMBOLS, CASH, journal)
        assert len(again.orders(["one", "two"])) + len(again.fills(BEFORE)) <= whole[:cut].count(b"\n")
        assert journal.read_bytes() == whole[: whole[:cut].rfind(b"\n") + 1]
    journal.write_bytes(whole.replace(b'"what"', b'"wat"', 1))
    with pytest.raises(DecisionError, match="journal"):
        PaperVenue(STRATEGY, SYMBOLS, CASH, journal)
