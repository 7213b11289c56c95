"""Targets made into orders with deterministic ids. An order lives for one session.

The way of a bar ends here: the order that it led to passes the pre-trade gate (``execution/gate.py``) or is denied,
and is filled on the next session's bar.

What an order leaves unfilled is never sent again as it was: the next decision starts from the
quantity truly held, and the rest only sets the urgency of the order that then follows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.portfolio.actions import price_after_actions, whole_lots
from nn_assets.portfolio.fills import day_of

__all__ = ["Orders", "client_order_id", "orders_after_actions", "orders_frame", "targets_to_orders"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Execution = Literal["next_open", "next_close"]

_ID_DIGITS = 32
_URGENT_FROM = 0.5


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders of one session, shape (orders,), at most one per symbol, in symbol order."""

    client_order_id: tuple[str, ...]
    symbol: IntArray  # place on the symbol axis
    quantity: FloatArray  # signed, never 0
    urgency: tuple[str, ...]  # passive, normal or close
    reference_price: FloatArray
    reason_code: tuple[str | None, ...]  # None: accepted (or not yet seen by the gate)

    def __len__(self) -> int:
        return len(self.client_order_id)

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """Orders without a reason against them."""
        return np.array([code is None for code in self.reason_code], dtype=np.bool_)


def client_order_id(strategy: str, session: object, symbol: str, version: int = 1) -> str:
    """Return the id of a decision's order: the same decision always gives the same id.

    SHA-256 of strategy, session, symbol and the decision's version, first 32 hex digits; the parts
    are separated by a character that none of them can hold.
    """
    parts = (strategy, str(day_of(session)), symbol, str(version))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:_ID_DIGITS]


def _urgency(ordered: float, carried: float) -> str:
    rest = max(0.0, carried * (1.0 if ordered > 0.0 else -1.0)) / abs(ordered)
    if rest == 0.0:
        return "passive"
    return "normal" if rest < _URGENT_FROM else "close"


def targets_to_orders(
    symbols: tuple[str, ...],
    target_quantity: FloatArray,
    current_quantity: FloatArray,
    reference_price: FloatArray,
    carried: FloatArray,
    *,
    strategy: str,
    session: object,
    version: int = 1,
) -> Orders:
    """Return one order for each symbol whose target differs from what is held.

    Parameters
    ----------
    target_quantity, current_quantity : ndarray, shape (symbols,)
        Signed shares or contracts. A target that is not a number asks for zero: no position rests
        on an unknown target.
    reference_price : ndarray, shape (symbols,)
        Price of the decision; NaN is passed on, and the gate denies it.
    carried : ndarray, shape (symbols,)
        Signed rest of the last session's orders (``Book.unfilled_quantity``). It adds nothing to
        the size: none of it on the order's side means passive, less than half of the new order
        normal, and more than that close.
    strategy, session, version
        What the client order id is made of; the session is the one that decided.
    """
    wanted = np.where(np.isfinite(target_quantity), target_quantity, 0.0)
    change = wanted - current_quantity
    places = np.flatnonzero(change)
    return Orders(
        client_order_id=tuple(client_order_id(strategy, session, symbols[i], version) for i in places),
        symbol=places.astype(np.int64),
        quantity=change[places],
        urgency=tuple(_urgency(float(change[i]), float(carried[i])) for i in places),
        reference_price=reference_price[places],
        reason_code=(None,) * len(places),
    )


def orders_after_actions(orders: Orders, split: FloatArray, dividend: FloatArray, lot_size: float) -> Orders:
    """Convert open orders before the ex-session's first fill; their ids stay.

    Parameters
    ----------
    split, dividend : ndarray, shape (symbols,)
        New shares for one old (1 where none); cash per share as counted on the ex-session (0 where none).
    lot_size : float
        Of the portfolio: a split's fractions of a lot are left out, and an order of nothing else lapses.
    """
    ratio, cash = split[orders.symbol], dividend[orders.symbol]
    converted = whole_lots(orders.quantity * ratio, lot_size)
    quantity = np.where(ratio == 1.0, orders.quantity, converted)
    rows = np.flatnonzero(quantity)
    return Orders(
        client_order_id=tuple(orders.client_order_id[row] for row in rows),
        symbol=orders.symbol[rows],
        quantity=quantity[rows],
        urgency=tuple(orders.urgency[row] for row in rows),
        reference_price=price_after_actions(orders.reference_price, ratio, cash)[rows],
        reason_code=tuple(orders.reason_code[row] for row in rows),
    )


def orders_frame(
    orders: Orders,
    symbols: tuple[str, ...],
    *,
    session: object,
    execution: Execution,
    reference_at: pd.Timestamp,
) -> pd.DataFrame:
    """Return the orders in the orders columns; ``session`` is the one that decided them."""
    text = pd.StringDtype(na_value=np.nan)
    count = len(orders)
    return pd.DataFrame(
        {
            "client_order_id": pd.Series(list(orders.client_order_id), dtype=text),
            "symbol": pd.Series([symbols[place] for place in orders.symbol], dtype=text),
            "session": pd.Series([pd.Timestamp(day_of(session))] * count, dtype="datetime64[ns]"),
            "side": pd.Series(["buy" if q > 0 else "sell" for q in orders.quantity], dtype=text),
            "quantity": np.abs(orders.quantity),
            "execution": pd.Series([execution] * count, dtype=text),
            "urgency": pd.Series(list(orders.urgency), dtype=text),
            "reference_price": orders.reference_price,
            "reference_at": pd.Series([reference_at] * count, dtype="datetime64[ns, UTC]"),
            "status": pd.Series(["accepted" if ok else "denied" for ok in orders.accepted], dtype=text),
            "reason_code": pd.Series(list(orders.reason_code), dtype=text),
        }
    )
