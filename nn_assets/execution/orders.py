"""Targets made into orders with deterministic ids. An order lives for one session.

The way of a bar ends here: the order that it led to passes the pre-trade gate (``execution/pre_trade_gate.py``) or is
denied, and is filled on the next session's bar.

What an order leaves unfilled is never sent again as it was: the next decision starts from the
quantity truly held, and the rest only sets the urgency of the order that then follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray, IntArray, Session, Symbol
from nn_assets.contracts import ORDERS, framed
from nn_assets.contracts.frames import OrderRows
from nn_assets.portfolio.actions import price_after_actions, whole_lots
from nn_assets.portfolio.fills import day_of

Execution = Literal["next_open", "next_close"]

_ID_DIGITS = 32
_VERSION = "1"  # of a decision: it is decided once
_URGENT_FROM = 0.5


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders of one session, shape (orders,), in symbol order.

    A symbol has one, or, where its position changes sides, two: what closes it, then what opens the other side.
    """

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

    def at(self, rows: IntArray) -> Orders:
        """Some of them, by their rows."""
        return Orders(
            client_order_id=tuple(self.client_order_id[row] for row in rows),
            symbol=self.symbol[rows],
            quantity=self.quantity[rows],
            urgency=tuple(self.urgency[row] for row in rows),
            reference_price=self.reference_price[rows],
            reason_code=tuple(self.reason_code[row] for row in rows),
        )


def joined_orders(batches: Sequence[Orders]) -> Orders:
    """Batches as one, in their order."""
    if len(batches) == 1:
        return batches[0]
    none, nowhere = np.zeros(0), np.zeros(0, dtype=np.int64)
    return Orders(
        client_order_id=tuple(name for batch in batches for name in batch.client_order_id),
        symbol=np.concatenate([nowhere, *(batch.symbol for batch in batches)]),
        quantity=np.concatenate([none, *(batch.quantity for batch in batches)]),
        urgency=tuple(urgency for batch in batches for urgency in batch.urgency),
        reference_price=np.concatenate([none, *(batch.reference_price for batch in batches)]),
        reason_code=tuple(code for batch in batches for code in batch.reason_code),
    )


def client_order_id(strategy: str, session: Session, symbol: Symbol, *, opening: bool = False) -> str:
    """Return the id of a decision's order: the same decision always gives the same id.

    SHA-256 of strategy, session, symbol and a version that is always 1, first 32 hex digits; the parts
    are separated by a character that none of them can hold. The second order of a symbol, which opens
    the other side, has one part more.
    """
    parts = (strategy, str(day_of(session)), symbol, _VERSION, *(("opening",) if opening else ()))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:_ID_DIGITS]


def _urgency(ordered: float, carried: float) -> str:
    rest = max(0.0, carried * (1.0 if ordered > 0.0 else -1.0)) / abs(ordered)
    if rest == 0.0:
        return "passive"
    return "normal" if rest < _URGENT_FROM else "close"


def targets_to_orders(
    symbols: tuple[Symbol, ...],
    target_quantity: FloatArray,
    current_quantity: FloatArray,
    reference_price: FloatArray,
    carried: FloatArray,
    *,
    strategy: str,
    session: Session,
) -> Orders:
    """Return an order for each symbol whose target differs from what is held; two where it changes sides.

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
    strategy, session
        What the client order id is made of; the session is the one that decided.
    """
    wanted = np.where(np.isfinite(target_quantity), target_quantity, 0.0)
    turns = wanted * current_quantity < 0.0
    first = np.where(turns, -current_quantity, wanted - current_quantity)
    legs = [(index, False) for index in np.flatnonzero(first)] + [(index, True) for index in np.flatnonzero(turns)]
    legs.sort()
    indices = np.array([index for index, _ in legs], dtype=np.int64)
    quantity = [float(wanted[index] if opening else first[index]) for index, opening in legs]
    return Orders(
        client_order_id=tuple(
            client_order_id(strategy, session, symbols[index], opening=opening) for index, opening in legs
        ),
        symbol=indices,
        quantity=np.array(quantity, dtype=np.float64),
        urgency=tuple(
            _urgency(ordered, float(carried[index])) for (index, _), ordered in zip(legs, quantity, strict=True)
        ),
        reference_price=reference_price[indices],
        reason_code=(None,) * len(indices),
    )


def quantity_before(orders: Orders, held: FloatArray) -> FloatArray:
    """What each order finds held, shape (orders,): the second of a symbol what the first leaves.

    Parameters
    ----------
    held : ndarray, shape (symbols,)
        Signed quantities before any of them.
    """
    before = np.empty(len(orders))
    state = held.copy()
    for row, index in enumerate(orders.symbol.tolist()):
        before[row] = state[index]
        state[index] += orders.quantity[row]
    return before


def reduces(orders: Orders, held: FloatArray) -> npt.NDArray[np.bool_]:
    """Orders that only bring a position nearer to zero, shape (orders,); arguments as :func:`quantity_before`."""
    before = quantity_before(orders, held)
    after = before + orders.quantity
    return np.asarray((np.abs(after) < np.abs(before)) & (np.sign(after) * np.sign(before) >= 0.0))


def urgent_where(orders: Orders, urgent: npt.NDArray[np.bool_]) -> Orders:
    """Make some orders, by a mask of shape (orders,), urgent, whatever was carried."""
    return replace(
        orders,
        urgency=tuple("close" if now else urgency for urgency, now in zip(orders.urgency, urgent, strict=True)),
    )


def denied_with_their_close(orders: Orders, codes: Sequence[str | None]) -> tuple[str | None, ...]:
    """The codes, with each order that opens a side denied where the one that closes the other is."""
    denied = list(codes)
    for row in range(1, len(orders)):
        if orders.symbol[row] == orders.symbol[row - 1]:
            denied[row] = denied[row] or denied[row - 1]
    return tuple(denied)


def ended_where(orders: Orders, ended: npt.NDArray[np.bool_], reason: str) -> Orders:
    """End some orders, by a mask of shape (orders,), for a reason; those that ended before keep theirs."""
    codes = zip(orders.reason_code, ended, strict=True)
    return replace(orders, reason_code=tuple(code or (reason if ends else None) for code, ends in codes))


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
    price = price_after_actions(orders.reference_price, ratio, cash)
    return replace(orders, quantity=quantity, reference_price=price).at(np.flatnonzero(quantity))


def orders_frame(
    orders: Orders,
    symbols: tuple[Symbol, ...],
    *,
    session: Session,
    execution: Execution,
    reference_at: pd.Timestamp,
) -> OrderRows:
    """Return the orders in the orders columns; ``session`` is the one that decided them."""
    return framed(
        ORDERS,
        len(orders),
        client_order_id=orders.client_order_id,
        symbol=[symbols[index] for index in orders.symbol],
        session=day_of(session),
        side=["buy" if quantity > 0 else "sell" for quantity in orders.quantity],
        quantity=np.abs(orders.quantity),
        execution=execution,
        urgency=orders.urgency,
        reference_price=orders.reference_price,
        reference_at=reference_at,
        status=["accepted" if ok else "denied" for ok in orders.accepted],
        reason_code=orders.reason_code,
    )
