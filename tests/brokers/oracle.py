"""What truly happened at a venue against what a ledger says: by the venue's own journal and plain SQL, nothing else."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

Entry = Mapping[str, Any]


def rows_of(ledger: Path, table: str) -> list[dict[str, Any]]:
    """Rows of a table as they lie in the file."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def orders_doubled(journal: Iterable[Entry], intended: Iterable[tuple[str, Decimal]]) -> list[str]:
    """Orders that the venue took and nobody intended, or more often than intended; stops are no part of this.

    Parameters
    ----------
    intended : iterable of (symbol, signed quantity)
        One for each order that was to be sent at most once.
    """
    taken = Counter(
        (entry["symbol"], Decimal(entry["quantity"]) * (1 if entry["side"] == "buy" else -1))
        for entry in journal
        if entry["what"] == "taken" and entry["type"] != "stop"
    )
    return [f"{count} x {name}" for name, count in (taken - Counter(intended)).items()]


def asked_beyond(journal: Iterable[Entry], ledger: Path) -> list[str]:
    """Orders that the venue took beyond what a book decided, all before them counted, and those none of the ledger's.

    At each moment what works counts whole, what has ended as far as it filled, and what crossed within the account. A
    share is of whole lots: one lot is passed over for each order that ended.

    Parameters
    ----------
    journal : iterable of mapping
        All of the orders that the ledger's had for some sessions.
    """
    shares = {row["client_order_id"]: row for row in rows_of(ledger, "account_orders") if row["kind"] != "stop"}
    crossed: Counter[str] = Counter()
    for row in rows_of(ledger, "account_fills"):
        if row["fill_id"].startswith("crossed-"):
            crossed.update({share["client_order_id"]: Fraction(share["quantity"]) for share in _json(row["allotment"])})
    decided = {
        row["client_order_id"]: Fraction(row["quantity"]) * (1 if row["side"] == "buy" else -1)
        for row in rows_of(ledger, "orders")
    }
    filled, ended, faults = Counter[str](), set[str](), []
    there: dict[str, Any] = {}
    for entry in journal:
        name = entry["client_order_id"]
        if entry["what"] == "taken" and entry["type"] != "stop":
            if name not in shares:
                faults.append(f"{name}: none of the ledger's")
                continue
            there[name] = shares[name]
        elif name in there and entry["what"] == "fill":
            filled[name] += Fraction(entry["quantity"])
        elif name in there and entry["what"] in ("canceled", "expired", "rejected"):
            ended.add(name)
        if name not in there or entry["what"] != "taken":
            continue
        asked, lots = Counter(crossed), Counter[str]()
        for other, row in there.items():
            part = filled[other] / Fraction(row["quantity"]) if other in ended else 1
            for child in _json(row["allotment"]):
                asked[child["client_order_id"]] += Fraction(child["quantity"]) * part
                lots[child["client_order_id"]] += other in ended
        for child in _json(shares[name]["allotment"]):
            what, most = child["client_order_id"], decided[child["client_order_id"]]
            if abs(asked[what]) > abs(most) + lots[what] or asked[what] * most < 0:
                faults.append(f"{name}: {float(asked[what])} of {what}, which is of {float(most)}")
    return faults


def work_against(working: Iterable[Mapping[str, Any]], ledger: Path, books: Container[str], state: str) -> list[str]:
    """What works at the venue of some books and may not under a switch: all if HALTED, what opens if REDUCING."""
    order_of = {row["client_order_id"]: row for row in rows_of(ledger, "account_orders")}
    held: Counter[tuple[str, str]] = Counter()
    for row in rows_of(ledger, "account_fills"):
        _receive(held, row)
    faults = []
    for there in working:
        order = order_of[there["client_order_id"]]
        left = 1 - Fraction(there["filled_qty"]) / Fraction(there["qty"])
        for book, quantity in _of_books(order).items():
            if book in books and not _passes(order, held[book, order["symbol"]], quantity * left, state):
                faults.append(f"{float(quantity * left)} {order['symbol']} of {book}")
    return faults


def _receive(held: Counter[tuple[str, str]], fill: Mapping[str, Any]) -> None:
    for share in _json(fill["allotment"]):
        held[share["book"], fill["symbol"]] += Fraction(share["quantity"])


def _of_books(order: Mapping[str, Any]) -> Mapping[str, Fraction]:
    asked: Counter[str] = Counter()
    for child in _json(order["allotment"]):
        asked[child["book"]] += Fraction(child["quantity"])
    return asked


def _passes(order: Mapping[str, Any], before: Fraction, quantity: Fraction, state: str) -> bool:
    after = before + quantity
    reduces = order["kind"] == "stop" or (abs(after) < abs(before) and before * after >= 0)
    return state == "ACTIVE" or (state == "REDUCING" and reduces)


def sent_against_control(ledger: Path) -> list[str]:
    """What was sent of a book while its kill switch was not ACTIVE: anything while HALTED, what opens while REDUCING.

    By the order in which the ledger's rows were put on record. What a book holds is what fills on record gave it.
    """
    order_of = {row["client_order_id"]: row for row in rows_of(ledger, "account_orders")}
    moments = [("control", row) for row in rows_of(ledger, "controls") if row["kind"] == "kill_switch"]
    moments += [("fill", row) for row in rows_of(ledger, "account_fills")]
    moments += [("sending", row) for row in rows_of(ledger, "order_events") if row["event"] == "sending"]
    states: dict[str, str] = {}
    held: Counter[tuple[str, str]] = Counter()
    faults = []
    for what, row in sorted(moments, key=lambda moment: int(moment[1]["sequence"])):
        if what == "control":
            states[row["strategy"]] = row["state"]
            continue
        if what == "fill":
            _receive(held, row)
            continue
        order = order_of[row["client_order_id"]]
        for book, quantity in _of_books(order).items():
            before, state = held[book, order["symbol"]], states.get(book, "ACTIVE")
            if not _passes(order, before, quantity, state):
                faults.append(f"{float(quantity)} {order['symbol']} of {book}, {state}, which holds {float(before)}")
    return faults


def stops_doubled(journal: Iterable[Entry], ledger: Path) -> list[str]:
    """Stops that the venue took while the same one worked, and those that the ledger never had.

    The same one: of one symbol, size and side, and of one price before it was rounded to the venue's ticks; those of
    two books that are all that are one order.
    """
    prices = {row["client_order_id"]: row["price"] for row in rows_of(ledger, "account_orders")}
    working: dict[str, tuple[str, ...]] = {}
    faults = []
    for entry in journal:
        name = entry["client_order_id"]
        if entry["what"] == "taken" and entry["type"] == "stop":
            if name not in prices:
                faults.append(f"{name}: none of the ledger's")
            what = entry["symbol"], entry["side"], entry["quantity"], str(prices.get(name))
            faults += [f"{name} beside {other}: {what}" for other, before in working.items() if before == what]
            working[name] = what
        elif entry["what"] in ("fill", "canceled", "expired", "rejected"):
            working.pop(name, None)
    return faults


def stops_apart(
    orders: Iterable[Mapping[str, Any]], books: Mapping[str, tuple[Mapping[str, Decimal], Decimal]], ledger: Path
) -> Any:
    """What works as stops at the venue, and what they should be: all that each book holds, by symbol and side.

    But what a book gives up to another, within the account and at a bar that is still to come, has no stop.
    """
    working: Counter[tuple[str, bool]] = Counter()
    for row in orders:
        if row["type"] == "stop":
            working[row["symbol"], row["side"] == "buy"] += int(Decimal(row["qty"]) - Decimal(row["filled_qty"]))
    due: Counter[tuple[str, bool]] = Counter()
    for held, _ in books.values():
        for symbol, quantity in held.items():
            due[symbol, quantity < 0] += int(abs(quantity))
    for book, symbol, quantity in _to_cross(ledger):
        holds = books[book][0].get(symbol, Decimal(0)) if book in books else Decimal(0)
        if holds * quantity < 0:
            due[symbol, holds < 0] -= int(min(abs(holds), abs(quantity)))
    return working - due, due - working


def _to_cross(ledger: Path) -> Iterator[tuple[str, str, Decimal]]:
    """Orders of books that cancel each other out, of which nothing is told yet: book, symbol, quantity."""
    over = {row["client_order_id"] for row in rows_of(ledger, "order_events") if row["event"] in ("ended", "withdrawn")}
    for row in rows_of(ledger, "account_orders"):
        if row["quantity"] == 0.0 and row["client_order_id"] not in over:
            for child in _json(row["allotment"]):
                yield child["book"], row["symbol"], Decimal(str(child["quantity"]))


def fills_lost_or_invented(journal: Iterable[Entry], ledger: Path) -> tuple[list[str], list[str]]:
    """Fills of the venue that the ledger lacks, and those of the ledger that the venue did not make."""

    def spelled(name: str, order: str, symbol: str, quantity: object, price: object) -> str:
        return f"{name} of {order}: {Decimal(str(quantity)).normalize()} {symbol} at {Decimal(str(price)).normalize()}"

    made = Counter(
        spelled(entry["id"], entry["client_order_id"], entry["symbol"], entry["quantity"], entry["price"])
        for entry in journal
        if entry["what"] == "fill"
    )
    kept = Counter(
        spelled(row["fill_id"], row["client_order_id"], row["symbol"], row["quantity"], row["price"])
        for row in rows_of(ledger, "account_fills")
        if not row["fill_id"].startswith("crossed-")
    )
    return list((made - kept).elements()), list((kept - made).elements())


def books_by_fills(ledger: Path) -> dict[str, tuple[dict[str, Decimal], Decimal]]:
    """What each book holds, and what it was paid less what it paid, by the shares of the fills on record."""
    books: dict[str, tuple[defaultdict[str, Decimal], list[Decimal]]] = {}
    for row in rows_of(ledger, "account_fills"):
        assert row["state"] == "allotted", row
        shares = _json(row["allotment"])
        allotted = sum((Decimal(str(share["quantity"])) for share in shares), Decimal(0))
        assert allotted == Decimal(str(row["quantity"])), row  # the books sum to the fill
        for share in shares:
            held, paid = books.setdefault(share["book"], (defaultdict(Decimal), []))
            quantity = Decimal(str(share["quantity"]))
            held[row["symbol"]] += quantity
            paid.append(-quantity * Decimal(str(row["price"])) - Decimal(str(share["commission_usd"])))
    return {name: ({s: q for s, q in held.items() if q}, sum(paid, Decimal(0))) for name, (held, paid) in books.items()}


def account_by_journal(journal: Iterable[Entry], money: Decimal) -> tuple[dict[str, Decimal], Decimal]:
    """Positions and cash by what the venue did."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in journal:
        if entry["what"] == "fill":
            held[entry["symbol"]] += Decimal(entry["quantity"])
            money -= Decimal(entry["quantity"]) * Decimal(entry["price"])
    return {symbol: quantity for symbol, quantity in held.items() if quantity}, money


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        value = zlib.decompress(value).decode()
    return json.loads(value) if isinstance(value, str) else value
