"""Orders of several books on one account made into one a symbol, and its fills given back to the books.

The rule. The orders of the account's books for a session net to one order a symbol and kind (stops: a symbol, side and
price). Each fill of that order fills the order of every book by the same share, at the same price: a book on the
order's side gets more than the account did, a book on the other side gives it, so that what crosses between books
crosses at the price of the account's own fill, and the books sum to the fill. Where the orders cancel each other out
nothing is sent: they cross whole at the session's official open (or close). Whole lots are given by largest remainder,
ties by the order's name; no book ever gets more than it ordered, nor on the other side. The commission is shared by the
quantity given, to the cent, by largest remainder too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from nn_assets.execution.venue import OrderKind, VenueOrder

_ID_DIGITS = 32
_CENT = 0.01
_NOTHING = 1e-9  # of a lot: less is rounding


@dataclass(frozen=True)
class BookOrder:
    """An order of one book of an account."""

    book: str
    client_order_id: str
    symbol: str
    quantity: float  # signed, never 0
    kind: OrderKind
    price: float | None = None  # of a stop
    reference_price: float | None = None


@dataclass(frozen=True)
class AccountOrder:
    """What the orders of an account's books come to for a symbol, kind and price."""

    client_order_id: str
    session: pd.Timestamp
    symbol: str
    quantity: float  # signed; 0 where the orders cancel each other out
    kind: OrderKind
    price: float | None
    reference_price: float | None
    children: tuple[BookOrder, ...]  # by name

    def for_venue(self) -> VenueOrder:
        """As it is sent."""
        return VenueOrder(self.client_order_id, self.symbol, self.quantity, self.kind, self.session, self.price)

    def to_record(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        children = [
            {"book": child.book, "client_order_id": child.client_order_id, "quantity": child.quantity}
            for child in self.children
        ]
        return {
            "client_order_id": self.client_order_id,
            "session": self.session,
            "symbol": self.symbol,
            "quantity": self.quantity,
            "kind": self.kind,
            "price": self.price,
            "reference_price": self.reference_price,
            "allotment": children,
        }

    @classmethod
    def from_record(cls, row: dict[str, Any]) -> Self:
        """Read what :meth:`to_record` wrote."""
        price, reference = (None if pd.isna(row[name]) else float(row[name]) for name in ("price", "reference_price"))
        children = tuple(
            BookOrder(
                child["book"],
                child["client_order_id"],
                row["symbol"],
                float(child["quantity"]),
                row["kind"],
                price,
                reference,
            )
            for child in row["allotment"]
        )
        return cls(
            str(row["client_order_id"]),
            pd.Timestamp(row["session"]),
            str(row["symbol"]),
            float(row["quantity"]),
            row["kind"],
            price,
            reference,
            children,
        )


@dataclass(frozen=True)
class Share:
    """What one book gets of a fill."""

    book: str
    client_order_id: str  # of the book's order
    quantity: float  # signed
    commission_usd: float


def netted(orders: Iterable[BookOrder], *, account: str, session: pd.Timestamp) -> tuple[AccountOrder, ...]:
    """Return one order for each symbol and kind (of stops: symbol, side and price), by symbol.

    The same orders always give the same names, in whatever order they come.
    """
    together: dict[tuple[str, OrderKind, float, float], list[BookOrder]] = {}
    for order in sorted(orders, key=lambda order: (order.book, order.client_order_id)):
        side = math.copysign(1.0, order.quantity) if order.kind == "stop" else 0.0
        key = (order.symbol, order.kind, -1.0 if order.price is None else order.price, side)
        together.setdefault(key, []).append(order)
    made = []
    for key in sorted(together):
        children = tuple(together[key])
        first, quantity = children[0], math.fsum(child.quantity for child in children)
        largest = max(abs(child.quantity) for child in children)
        quantity = 0.0 if abs(quantity) <= _NOTHING * largest else quantity
        parts = [account, str(session.date()), first.symbol, first.kind, repr(first.price)]
        parts += [f"{child.client_order_id}:{child.quantity!r}" for child in children]
        name = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:_ID_DIGITS]
        made.append(
            AccountOrder(
                name, session, first.symbol, quantity, first.kind, first.price, first.reference_price, children
            )
        )
    return tuple(made)


def crossed(order: AccountOrder) -> tuple[Share, ...]:
    """What each book gets where the orders cancel each other out: all that it ordered, without commission."""
    return tuple(Share(child.book, child.client_order_id, child.quantity, 0.0) for child in order.children)


def allotted(
    order: AccountOrder, received: Sequence[float], quantity: float, commission_usd: float, *, lot_size: float = 1.0
) -> tuple[Share, ...]:
    """Return what each book gets of a fill; books that get nothing are left out.

    Parameters
    ----------
    order : AccountOrder
    received : sequence of float
        What each of its children got before, signed, in their order.
    quantity : float
        Of the fill, on the order's side and not more than what is left of it.
    commission_usd : float
        Of the fill.
    lot_size : float
        What is given is a multiple of it, but for the last of an order and for what a fill leaves over.
    """
    side = math.copysign(1.0, order.quantity)
    mine = [index for index, child in enumerate(order.children) if child.quantity * side > 0.0]
    others = [index for index, child in enumerate(order.children) if child.quantity * side < 0.0]
    wanted = [abs(child.quantity) for child in order.children]
    taken = [abs(value) for value in received]
    filled = math.fsum(value * side for value in received) + abs(quantity)
    share = min(1.0, filled / abs(order.quantity))
    whole = abs(order.quantity) - filled <= _NOTHING * max(1.0, abs(order.quantity))
    got = [0.0] * len(wanted)
    for index in others:
        due = wanted[index] if whole else _whole_lots(wanted[index] * share, lot_size)
        got[index] = max(0.0, due - taken[index])
    total = math.fsum([abs(quantity), *(got[index] for index in others)])
    for index, amount in zip(
        mine, apportioned(total, [wanted[i] for i in mine], [taken[i] for i in mine], lot_size), strict=True
    ):
        got[index] = amount
    commissions = cents_by_weight(commission_usd, got)
    return tuple(
        Share(child.book, child.client_order_id, math.copysign(amount, child.quantity), commission)
        for child, amount, commission in zip(order.children, got, commissions, strict=True)
        if amount > 0.0
    )


def _whole_lots(value: float, lot_size: float) -> float:
    return math.floor(value / lot_size + _NOTHING) * lot_size


def apportioned(total: float, wanted: Sequence[float], taken: Sequence[float], lot_size: float) -> list[float]:
    """Split a total in whole lots towards equal shares of what is wanted, none beyond it; the sum is the total."""
    if not wanted:
        return []
    reached = (math.fsum(taken) + total) / math.fsum(wanted)
    room = [max(0.0, want - have) for want, have in zip(wanted, taken, strict=True)]
    due = [min(space, max(0.0, want * reached - have)) for want, have, space in zip(wanted, taken, room, strict=True)]
    scale = total / math.fsum(due) if math.fsum(due) > 0.0 else 0.0
    exact = [min(space, value * scale) for space, value in zip(room, due, strict=True)]
    got = [_whole_lots(value, lot_size) for value in exact]
    by_remainder = sorted(range(len(got)), key=lambda index: (got[index] - exact[index], index))
    left = total - math.fsum(got)
    while left > _NOTHING * lot_size:
        before = left
        for index in by_remainder:
            more = min(lot_size, left, room[index] - got[index])
            if more > 0.0:
                got[index] += more
                left = total - math.fsum(got)
            if left <= _NOTHING * lot_size:
                break
        if left == before:
            break
    return got


def cents_by_weight(amount: float, weights: Sequence[float]) -> list[float]:
    """Split dollars by weights in whole cents, by largest remainder; what is below a cent goes to the largest."""
    total = math.fsum(weights)
    if amount == 0.0 or total == 0.0:
        return [0.0] * len(weights)
    cents = math.floor(abs(amount) / _CENT + _NOTHING)
    exact = [cents * weight / total for weight in weights]
    got = [math.floor(value + _NOTHING) for value in exact]
    by_remainder = sorted(range(len(got)), key=lambda index: (got[index] - exact[index], index))
    for index in by_remainder[: cents - sum(got)]:
        got[index] += 1
    shares = [math.copysign(value * _CENT, amount) for value in got]
    largest = max(range(len(weights)), key=lambda index: (weights[index], -index))
    rest = [share for index, share in enumerate(shares) if index != largest]
    shares[largest] = math.fsum([amount, *(-share for share in rest)])
    return shares
