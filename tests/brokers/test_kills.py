"""Exactly once: a driver that is killed at random moments, at a venue that lies, against the venue's own journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from nn_assets.execution.venue import VenueOrder, VenueUnsureError
from tests.brokers import oracle
from tests.brokers.alpaca_account import KEY, KEY_SECRET
from tests.brokers.kills import TurnsPositions, opened, play
from tests.sources.secrets import SECRET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)


def test_a_day_of_kills_doubles_no_order_and_loses_and_invents_no_fill(tmp_path: Path) -> None:
    with opened(tmp_path, seed=3) as world:
        world.day(3)
    assert world.outcomes.total() == 5


class SendsBlindly(TurnsPositions):
    """A member that sends again what it is unsure of, under another id."""

    def send(self, order: VenueOrder) -> None:
        try:
            super().send(order)
        except VenueUnsureError:
            with suppress(VenueUnsureError):
                super().send(replace(order, client_order_id=f"{order.client_order_id}x"))
            raise


@pytest.mark.full
def test_a_member_that_sends_blindly_again_is_found_out(tmp_path: Path) -> None:
    with opened(tmp_path, seed=1) as world:
        world.member = SendsBlindly
        with pytest.raises(AssertionError):
            play(world, 50)
        assert oracle.orders_doubled(world.liar.account.journal, world.intended)


def test_the_oracle_names_what_was_doubled_lost_and_invented(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("CREATE TABLE account_fills (fill_id, client_order_id, symbol, quantity, price)")
        connection.execute("CREATE TABLE account_orders (client_order_id, price)")
        connection.executemany("INSERT INTO account_orders VALUES (?, ?)", [("c", 45.0), ("d", 45.0), ("e", 45.001)])
        connection.executemany(
            "INSERT INTO account_fills VALUES (?, 'a', 'AAA', ?, 50.1)", [("1", 30.0), ("2", 70.0), ("3", 5.0)]
        )
    taken = {"what": "taken", "client_order_id": "a", "symbol": "AAA", "quantity": "100", "side": "buy"}
    fill = {"what": "fill", "client_order_id": "a", "symbol": "AAA", "price": "50.10"}
    stop = {**taken, "type": "stop", "side": "sell"}
    journal = [
        {**taken, "type": "market"},
        {**taken, "type": "market", "client_order_id": "b"},
        *({**fill, "id": name, "quantity": quantity} for name, quantity in (("1", "30"), ("2", "60"), ("4", "10"))),
        {**stop, "client_order_id": "c"},
        *({**stop, "client_order_id": name} for name in "def"),
    ]
    once = [("AAA", Decimal(100))]
    assert oracle.orders_doubled(journal, once) == ["1 x ('AAA', Decimal('100'))"]
    assert oracle.orders_doubled(journal, once * 2) == []
    lost, invented = oracle.fills_lost_or_invented(journal, ledger)
    assert sorted(lost) == ["2 of a: 6E+1 AAA at 50.1", "4 of a: 1E+1 AAA at 50.1"]
    assert sorted(invented) == ["2 of a: 7E+1 AAA at 50.1", "3 of a: 5 AAA at 50.1"]
    assert [fault.partition(":")[0] for fault in oracle.stops_doubled(journal, ledger)] == ["d beside c", "f"]
    row = {"type": "stop", "symbol": "AAA", "side": "sell", "qty": "90", "filled_qty": "10"}
    assert oracle.stops_apart([row], {"one": ({"AAA": Decimal(90)}, Decimal(0))}) == ({}, {("AAA", False): 10})


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_of_each_seed_double_no_order_and_lose_and_invent_no_fill(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path, seed) as world:
        print(play(world, 100))
