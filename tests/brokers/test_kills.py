"""Exactly once: a driver that is killed at random moments, at a venue that lies, against the venue's own journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from nn_assets.brokers.alpaca import AlpacaVenue
from nn_assets.execution.venue import VenueOrder, VenueUnsureError
from tests.brokers import oracle
from tests.brokers.alpaca_account import KEY, KEY_SECRET
from tests.brokers.kills import opened, play
from tests.sources.secrets import SECRET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)


@pytest.mark.parametrize(
    ("closes_share", "switched_share", "cycles"),
    [
        (1.0, 1.0, 1),
        *(pytest.param(*day, marks=pytest.mark.full) for day in ((0.0, 0.0, 3), (1.0, 0.0, 3), (0.0, 1.0, 3))),
    ],
)
def test_a_day_of_kills_doubles_no_order_and_loses_and_invents_no_fill(
    tmp_path: Path, closes_share: float, switched_share: float, cycles: int
) -> None:
    with opened(tmp_path, seed=3) as world:
        world.closes_share, world.switched_share = closes_share, switched_share
        world.day(cycles)
    assert world.days["closes first"] == closes_share
    assert world.days["ACTIVE"] == 1 - switched_share


class SendsBlindly(AlpacaVenue):
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
        world.member, world.closes_share, world.switched_share = SendsBlindly, 0.0, 0.0
        with pytest.raises(AssertionError):
            play(world, 50)
        journal = world.liar.account.journal
        assert [
            *oracle.orders_doubled(journal, world.intended),
            *oracle.asked_beyond(journal, world.ledger),
            *oracle.stops_doubled(journal, world.ledger),
        ]


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


@pytest.mark.parametrize(("ended", "lacking"), [((), 7), (("x",), 10)])
def test_the_oracle_expects_a_stop_of_all_that_is_held_but_of_what_is_to_cross(
    tmp_path: Path, ended: tuple[str, ...], lacking: int
) -> None:
    crosses = [{"book": "one", "quantity": -3.0}, {"book": "two", "quantity": 3.0}]
    ledger = ledger_of(
        tmp_path / "ledger.sqlite",
        account_orders=[("x", "AAA", "at_open", 0.0, json.dumps(crosses))],
        order_events=[(name, "ended", 2) for name in ended],
    )
    row = {"type": "stop", "symbol": "AAA", "side": "sell", "qty": "90", "filled_qty": "10"}
    held = {"one": ({"AAA": Decimal(90)}, Decimal(0)), "two": ({}, Decimal(0))}
    assert oracle.stops_apart([row], held, ledger) == ({}, {("AAA", False): lacking})


def ledger_of(file: Path, **tables: Sequence[tuple[object, ...]]) -> Path:
    """Rows of some tables, each with its sequence last, by the order in which they are named."""
    columns = {
        "orders": "client_order_id, side, quantity",
        "account_orders": "client_order_id, symbol, kind, quantity, allotment",
        "account_fills": "fill_id, symbol, allotment, sequence",
        "controls": "strategy, kind, state, sequence",
        "order_events": "client_order_id, event, sequence",
    }
    with closing(sqlite3.connect(file)) as connection, connection:
        for table, names in columns.items():
            connection.execute(f"CREATE TABLE {table} ({names})")
            places = ", ".join("?" * len(names.split(",")))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", tables.get(table, ()))
    return file


def shares(**of_orders: float) -> str:
    """An allotment: ``book_order`` of each book's order."""
    return json.dumps(
        [{"book": name[:3], "client_order_id": name, "quantity": quantity} for name, quantity in of_orders.items()]
    )


BOTH = ("ab", "AAA", "at_open", 40.0, shares(one_x=100.0, two_y=-60.0))
ALONE = ("a", "AAA", "at_open", 100.0, shares(one_x=100.0))
REST = ("r", "AAA", "at_open", 50.0, shares(one_x=50.0))
DECIDED = [("one_x", "buy", 100.0), ("two_y", "sell", 60.0)]


def taken(name: str) -> dict[str, str]:
    return {"what": "taken", "client_order_id": name, "type": "market"}


def fill(name: str, quantity: int) -> dict[str, str]:
    return {"what": "fill", "client_order_id": name, "quantity": str(quantity)}


def ends(name: str) -> dict[str, str]:
    return {"what": "canceled", "client_order_id": name}


@pytest.mark.parametrize(
    ("journal", "faults"),
    [
        ([taken("ab"), fill("ab", 40)], []),
        ([taken("ab"), ends("ab"), taken("a")], []),
        ([taken("ab"), fill("ab", 20), ends("ab"), taken("r")], []),  # half of each book's is filled
        ([taken("ab"), taken("a")], ["a: 200.0 of one_x, which is of 100.0"]),
        ([taken("ab"), fill("ab", 20), ends("ab"), taken("a")], ["a: 150.0 of one_x, which is of 100.0"]),
        ([taken("ab"), fill("ab", 40), ends("ab"), taken("r")], ["r: 150.0 of one_x, which is of 100.0"]),
        ([taken("x")], ["x: none of the ledger's"]),
    ],
)
def test_the_oracle_names_what_is_asked_beyond_what_a_book_decided(
    tmp_path: Path, journal: list[dict[str, str]], faults: list[str]
) -> None:
    ledger = ledger_of(tmp_path / "ledger.sqlite", orders=DECIDED, account_orders=[BOTH, ALONE, REST])
    assert oracle.asked_beyond(journal, ledger) == faults


@pytest.mark.parametrize(
    ("state", "sent", "faults"),
    [
        ("ACTIVE", "a", []),
        ("HALTED", "a", ["100.0 AAA of one, HALTED, which holds -30.0"]),
        ("HALTED", "stop", ["-30.0 AAA of one, HALTED, which holds -30.0"]),
        ("HALTED", "b", []),
        ("REDUCING", "stop", []),
        ("REDUCING", "closes", []),
        ("REDUCING", "a", ["100.0 AAA of one, REDUCING, which holds -30.0"]),
        ("REDUCING", "more", ["-10.0 AAA of one, REDUCING, which holds -30.0"]),
    ],
)
@pytest.mark.parametrize("resumed", [True, False])
def test_the_oracle_names_what_is_sent_against_a_switch(
    tmp_path: Path, state: str, sent: str, faults: list[str], resumed: bool
) -> None:
    orders = [
        ALONE,
        ("b", "AAA", "at_open", 10.0, shares(two_y=10.0)),
        ("closes", "AAA", "at_open", 30.0, shares(one_x=30.0)),
        ("more", "AAA", "at_open", -10.0, shares(one_x=-10.0)),
        ("stop", "AAA", "stop", -30.0, shares(one_x=-30.0)),
    ]
    ledger = ledger_of(
        tmp_path / "ledger.sqlite",
        account_orders=orders,
        account_fills=[("f", "AAA", shares(one_x=-20.0, one_z=-10.0, two_y=30.0), 1)],
        controls=[("one", "kill_switch", state, 3), *([("one", "kill_switch", "ACTIVE", 4)] if resumed else [])],
        order_events=[(sent, "sending", 5), ("a", "sending", 2), ("a", "taken", 6)],
    )
    assert oracle.sent_against_control(ledger) == ([] if resumed else faults)
    there = {"client_order_id": sent, "qty": "10", "filled_qty": "0"}
    against = oracle.work_against([there], ledger, {"one"}, state)
    assert against == [fault.partition(",")[0] for fault in faults]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_of_each_seed_double_no_order_and_lose_and_invent_no_fill(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path, seed) as world:
        print(play(world, 100))
