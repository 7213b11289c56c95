"""Orders of an account that are under way: whose session is over, and what of the books' orders goes again."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import pandas as pd

from nn_assets.execution.netting import AccountOrder, BookOrder
from nn_assets.market.calendar.sessions import session_close
from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.asof.accounts import ACCEPTED, ALLOTTED, DIFFERS, AccountRecord, TrackedOrder

_AFTER_CLOSE = pd.Timedelta(minutes=30)
_NOTHING = 1e-9  # of a quantity: less is rounding


def is_over(calendar: str, session: pd.Timestamp, moment: pd.Timestamp) -> bool:
    """Whether a session is over for orders at a UTC moment: half an hour after its close."""
    return moment > session_close(calendar, session) + _AFTER_CLOSE


def outlived(driver: Driver, order: AccountOrder) -> bool:
    """Whether an order is for a session that is over; a stop rests on."""
    if order.kind == "stop":
        return False
    strategy = driver.account.of(order.children[0].book) or driver.account.strategies[0]
    return is_over(strategy.market.calendar, order.session, driver.now())


def not_counted(order: AccountOrder, record: AccountRecord) -> list[str]:
    """Orders of books, by name, whose symbol the same book has an order of an earlier session in that may fill still.

    What that one leaves in the account is not known, so that one more may be one too many.
    """
    if order.kind == "stop":
        return []
    open_still = {
        child.book
        for tracked in record.orders.values()
        if tracked.order.symbol == order.symbol
        and tracked.order.kind != "stop"
        and tracked.order.session < order.session
        and tracked.is_live
        for child in tracked.order.children
    }
    return [child.client_order_id for child in order.children if child.book in open_still]


def rests(tracked: TrackedOrder) -> list[BookOrder]:
    """What is left of each book's order in one of the account; those that are filled whole are left out."""
    pairs = zip(tracked.order.children, tracked.received, strict=True)
    left = [replace(child, quantity=child.quantity - got) for child, got in pairs]
    whole = {child.client_order_id: abs(child.quantity) for child in tracked.order.children}
    return [child for child in left if abs(child.quantity) > _NOTHING * whole[child.client_order_id]]


def netted_before(record: AccountRecord) -> Mapping[str, BookOrder | None]:
    """Orders of books that an order stood for or that were stopped with it, by name: None, or what goes again of them.

    An order that a control ended for one book ends for all that it was netted of: what it left unfilled of the others'
    goes again, once the venue has said that it ended and all that it filled is on record.
    """
    netted: dict[str, BookOrder | None] = {}
    for tracked in record.orders.values():
        if tracked.status == "withdrawn":
            netted |= dict.fromkeys(tracked.events[-1].details["children"])
            continue
        netted |= dict.fromkeys(child.client_order_id for child in tracked.order.children)
        stopped = tracked.stopped
        if stopped and _ended_as_asked(tracked):
            netted |= {rest.client_order_id: rest for rest in rests(tracked) if rest.client_order_id not in stopped}
    return netted


def _ended_as_asked(tracked: TrackedOrder) -> bool:
    ends = [event for event in tracked.events if event.event == "ended" and event.reason == "cancelled"]
    if tracked.status != "ended" or not ends:
        return False
    filled = abs(float(ends[-1].details.get("filled_quantity", 0.0)))
    return filled <= abs(tracked.filled) + _NOTHING * abs(tracked.order.quantity)


def covered_until(record: AccountRecord) -> Mapping[str, pd.Timestamp]:
    """Orders whose fills up to a moment, UTC, were taken over by an acceptance though none told of them, by name."""
    covered: dict[str, pd.Timestamp] = {}
    for row in record.reconciliations:
        if row["state"] == ACCEPTED:
            covered |= {name: pd.Timestamp(at) for name, at in row["details"].get("covers", {}).items()}
    return covered


def filled_when_ended(tracked: TrackedOrder) -> float:
    """How much of an order the venue said was filled when it ended, without a sign; zero while it works."""
    ends = [event for event in tracked.events if event.event == "ended"]
    if not ends:
        return 0.0
    whole = abs(tracked.order.quantity)
    return whole if ends[-1].reason == "filled" else abs(float(ends[-1].details.get("filled_quantity") or 0.0))


def is_beyond(filled: float, tracked: TrackedOrder) -> bool:
    """Whether a venue says that it filled more of an order than fills on record have."""
    return filled > abs(tracked.filled) + _NOTHING * abs(tracked.order.quantity)


def untold(tracked: TrackedOrder, record: AccountRecord) -> float:
    """How much more of an order the venue filled, as it said when it ended, than fills on record have; signed.

    Zero of one that an acceptance has taken over.
    """
    filled = filled_when_ended(tracked)
    if not is_beyond(filled, tracked) or tracked.order.client_order_id in covered_until(record):
        return 0.0
    return math.copysign(filled - abs(tracked.filled), tracked.order.quantity)


def stopped_out(record: AccountRecord, books: Iterable[BookNow]) -> set[tuple[str, str]]:
    """Books and symbols whose stop filled since the book decided: its orders were made of a position that is gone."""
    hit = {
        (child.book, tracked.order.symbol)
        for tracked in record.orders.values()
        if tracked.order.kind == "stop" and untold(tracked, record)
        for child in tracked.order.children
    }
    for book in books:
        name = book.strategy.name
        hit |= {
            (name, row["symbol"])
            for row in record.fills
            if row["state"] == ALLOTTED and not book.is_taken(row)
            for share in row["allotment"] or ()
            if share["is_stop"] and share["book"] == name
        }
    return hit


def held_where_positions_differ(record: AccountRecord) -> dict[str, float]:
    """What the venue held of the books' by the last comparison, of symbols whose positions differed then."""
    last = record.last_reconciliation
    if last is None or last["state"] != DIFFERS:
        return {}
    apart = [row for row in last["differences"] if row["kind"] == "position"]
    return {row["symbol"]: float(row["venue"]) - record.outside.get(row["symbol"], 0.0) for row in apart}


def closable(record: AccountRecord, beside: Collection[str] = ()) -> dict[str, float]:
    """What the venue holds of symbols that differ and no order closes yet, signed.

    Parameters
    ----------
    beside : collection of str
        Orders that do not count.
    """
    there = held_where_positions_differ(record)
    for name, tracked in record.orders.items() if there else ():
        symbol = tracked.order.symbol
        if symbol not in there or name in beside or tracked.order.kind == "stop":
            continue
        if tracked.is_live or tracked.status == "waiting":
            left = tracked.order.quantity - tracked.filled
            if left * there[symbol] < 0.0:
                there[symbol] = math.copysign(max(0.0, abs(there[symbol]) - abs(left)), there[symbol])
    return there


def lacks_fills(tracked: TrackedOrder, record: AccountRecord) -> bool:
    """Whether fills of an order are to come: it works for a session, or ended with more than what is on record.

    Not those of one that an acceptance has taken over.
    """
    if tracked.order.client_order_id in covered_until(record):
        return False
    return (tracked.is_live and tracked.order.kind != "stop") or is_beyond(filled_when_ended(tracked), tracked)
