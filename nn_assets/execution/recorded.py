"""What an account at a venue did, as a member of the round's broker port: fills on record in place of fills on paper.

The round sends it what it would send to any broker. It fills nothing of that by itself: its fills are those that the
ledger holds for the book, known when the session was decided, so that the same decision is made of them again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import DecisionError
from nn_assets.execution.broker import Account, Stops
from nn_assets.execution.orders import Orders, ended_where, joined_orders
from nn_assets.portfolio.fills import FillArrays, joined, no_fills

NOT_SENT = "not_sent"
"""Why an order ended of which the ledger holds neither a fill nor an end."""


@dataclass(frozen=True)
class RecordedFill:
    """What a book got of a fill at the venue."""

    fill_id: str
    client_order_id: str  # of the book's order
    symbol: str
    quantity: float  # signed
    price: float
    commission_usd: float
    is_stop: bool
    filled_at: pd.Timestamp | None = None  # UTC
    mid_price: float = math.nan  # at the fill, and 30 to 60 minutes after it; NaN where the venue does not say
    later_mid_price: float = math.nan
    is_assumed: bool = False  # the commission is the cost model's: the venue did not state any


@dataclass(frozen=True)
class Recorded:
    """What a book's account did for one session."""

    fills: Sequence[RecordedFill] = ()  # in the order in which they were made
    ended: Mapping[str, str] | None = None  # the book's order to why it ended without a whole fill
    working: Collection[str] = ()  # the book's orders that the venue says work on after the session


class RecordedBroker:
    """Gives the fills on record: of orders once the orders were sent, of stops once the stops were, then all others.

    Parameters
    ----------
    account : Account
    recorded : Recorded
        Of the book and the session.

    Raises
    ------
    DecisionError
        A fill is of a symbol that the book does not have.
    """

    def __init__(self, account: Account, recorded: Recorded) -> None:
        self._book, self._ended_why = account.book, dict(recorded.ended or {})
        self._working = frozenset(recorded.working)
        indices = {symbol: number for number, symbol in enumerate(account.book.symbols)}
        lacking = sorted({fill.symbol for fill in recorded.fills} - indices.keys())
        if lacking:
            raise DecisionError(
                expected=f"fills of {', '.join(account.book.symbols)}",
                found=f"fills of {', '.join(lacking)} on record",
                remedy="put the symbol back among the strategy's symbols until its position is closed",
                strategy=account.strategy.name,
                key="market.symbols",
            )
        self._of_orders = fill_arrays([fill for fill in recorded.fills if not fill.is_stop], indices)
        self._of_stops = fill_arrays([fill for fill in recorded.fills if fill.is_stop], indices)
        self._filled: dict[str, float] = {}
        for fill in recorded.fills:
            self._filled[fill.client_order_id] = self._filled.get(fill.client_order_id, 0.0) + fill.quantity
        self._sent: list[Orders] = []
        self._asks_for: str = ""
        self._quantity, self._cash_usd = account.book.quantity.copy(), account.book.cash_usd

    def send(self, orders: Orders | Stops) -> None:
        """As of :meth:`Broker.send`."""
        if isinstance(orders, Orders):
            known = {name for batch in self._sent for name in batch.client_order_id}
            self._sent.append(orders.at(np.flatnonzero([name not in known for name in orders.client_order_id])))
            self._asks_for = "orders"
        else:  # they rest at the venue: a bar that came late hits none that did not fill there
            self._asks_for = "stops" if orders.late_bar is None else "late stops"

    def cancel(self, client_order_ids: Collection[str]) -> None:
        """As of :meth:`Broker.cancel`; at the venue the driver of the account does it."""
        for index, batch in enumerate(self._sent):
            named = [name in client_order_ids and name not in self._filled for name in batch.client_order_id]
            self._sent[index] = ended_where(batch, np.array(named, dtype=np.bool_), "cancelled")

    def orders(self) -> Orders:
        """As of :meth:`Broker.orders`; without a whole fill they ended by what the venue said, or ``not_sent``.

        One that works on after its session has no end: what it leaves in the account is not known.
        """
        return joined_orders([self._with_ends(batch) for batch in self._sent])

    def fills(self) -> FillArrays:
        """As of :meth:`Broker.fills`; asked with nothing sent since, all that are left."""
        due = no_fills()
        if self._asks_for in ("orders", ""):
            due, self._of_orders = self._of_orders, no_fills()
        if self._asks_for in ("stops", ""):
            due, self._of_stops = joined(due, self._of_stops), no_fills()
        self._asks_for = ""
        paid = -due.quantity * due.price - due.commission_usd
        self._cash_usd = math.fsum([self._cash_usd, *paid.tolist()])
        np.add.at(self._quantity, due.symbol, due.quantity)
        return due

    def positions(self) -> FloatArray:
        """As of :meth:`Broker.positions`."""
        return self._quantity.copy()

    def cash(self) -> float:
        """As of :meth:`Broker.cash`."""
        return self._cash_usd

    def _with_ends(self, orders: Orders) -> Orders:
        reasons = []
        for name, quantity, code in zip(orders.client_order_id, orders.quantity, orders.reason_code, strict=True):
            filled = self._filled.get(name, 0.0)
            whole = filled != 0.0 and abs(filled) >= abs(quantity) * (1.0 - 1e-9)
            known = whole or name in self._working
            reasons.append(code or (None if known else self._ended_why.get(name, "unfilled" if filled else NOT_SENT)))
        return replace(orders, reason_code=tuple(reasons))


def fill_arrays(fills: Sequence[RecordedFill], indices: Mapping[str, int]) -> FillArrays:
    """Fills on record as the book takes them, (fills,); ``indices`` has each symbol's place on the book's axis."""

    def numbers(values: list[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    unknown = np.full(len(fills), np.nan)
    return FillArrays(
        fill_id=tuple(fill.fill_id for fill in fills),
        client_order_id=tuple(fill.client_order_id for fill in fills),
        symbol=np.array([indices[fill.symbol] for fill in fills], dtype=np.int64),
        quantity=numbers([fill.quantity for fill in fills]),
        price=numbers([fill.price for fill in fills]),
        mid_price=numbers([fill.mid_price for fill in fills]),
        half_spread_usd=unknown,
        commission_usd=numbers([fill.commission_usd for fill in fills]),
        impact_usd=unknown,
        is_stop=np.array([fill.is_stop for fill in fills], dtype=np.bool_),
        source="venue",
        filled_at=tuple(fill.filled_at for fill in fills),
        later_mid_price=numbers([fill.later_mid_price for fill in fills]),
        is_assumed=np.array([fill.is_assumed for fill in fills], dtype=np.bool_),
    )
