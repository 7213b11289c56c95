"""The pre-trade gate: one place that every order passes before any broker sees it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nn_assets.execution.orders import Orders
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import ExecutionSettings

__all__ = ["REASON_CODES", "GateState", "pass_gate"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REASON_CODES = (
    "late_action",
    "unfinished_run",
    "halted",
    "quantity",
    "missing_reference",
    "price_collar",
    "value",
    "duplicate",
    "reducing_only",
    "exposure",
    "rate",
)
"""In the order in which they are looked at; an order is denied with the first that holds.

``late_action`` denies orders under way when the book that sized them is mended by a late corporate action,
``unfinished_run`` those that were put on record only after they were due.
"""

_EXPOSURE_SLACK = 0.02
"""Relative room over the gross limit: prices move between the target and the gate."""


@dataclass(frozen=True, eq=False)
class GateState:
    """What the gate knows beside the orders. Arrays have shape (symbols,)."""

    control: Control
    last_price: FloatArray  # last mark; NaN where none is known
    current_quantity: FloatArray
    equity_usd: float
    gross_limit: float
    net_limit: float = math.inf
    lot_size: float = 1.0  # rounding may unbalance the net by a lot of each instrument
    sent_ids: Collection[str] = ()
    collar_price: FloatArray | None = None  # what the reference is held against; the last mark when left out


def pass_gate(orders: Orders, state: GateState, settings: ExecutionSettings) -> Orders:
    """Return the same orders, each accepted or denied with a reason code.

    Every check fails closed: a figure that is missing denies. Orders that only bring a position
    nearer to zero are exempt from ``price_collar``, ``value``, ``reducing_only`` and ``exposure`` (there
    is always a way out), and come first when the rate is short. Exposure counts every order not denied
    before as filled; where the net would lie beyond its limit, the orders that open on the side in
    excess are denied, so that no leg is opened whose counterpart was denied.

    Parameters
    ----------
    orders : Orders
        As made from the targets; reasons already there are kept.
    """
    codes: list[str | None] = list(orders.reason_code)
    reducing = _reducing(orders, state)

    def deny(mask: BoolArray, code: str) -> None:
        for row in np.flatnonzero(mask):
            codes[row] = codes[row] or code

    everything = np.ones(len(orders), dtype=np.bool_)
    if state.control >= Control.HALTED or not math.isfinite(state.equity_usd):
        deny(everything, "halted")
    deny(~(np.isfinite(orders.quantity) & (orders.quantity != 0.0)), "quantity")
    deny(~(np.isfinite(orders.reference_price) & (orders.reference_price > 0.0)), "missing_reference")
    collar = state.last_price if state.collar_price is None else state.collar_price
    last = collar[orders.symbol]
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.abs(orders.reference_price / last - 1.0)
    deny(~(away <= settings.price_collar_fraction) & ~(reducing & np.isfinite(away)), "price_collar")
    value = np.abs(orders.quantity * orders.reference_price)
    # A position may grow larger than an order may be, and must still be closed.
    deny(~(value <= settings.maximum_order_usd) & ~(reducing & np.isfinite(value)), "value")
    deny(_duplicates(orders, state.sent_ids), "duplicate")
    if state.control >= Control.REDUCING:
        deny(~reducing, "reducing_only")
    if not _gross_fits(_values_after(orders, state, codes), state):
        deny(~reducing, "exposure")
    for row in _beyond_rate(orders, codes, reducing, settings.maximum_orders_per_session):
        codes[row] = "rate"
    # Last, since every order denied before may leave the others without their counterpart.
    side = np.sign(orders.quantity)
    for _ in (1, 2):
        excess = _net_excess(_values_after(orders, state, codes), state)
        deny(~reducing & (side == excess), "exposure")
    return replace(orders, reason_code=tuple(codes))


def _reducing(orders: Orders, state: GateState) -> BoolArray:
    held = state.current_quantity[orders.symbol]
    after = held + orders.quantity
    return (np.abs(after) < np.abs(held)) & (np.sign(after) * np.sign(held) >= 0.0)


def _duplicates(orders: Orders, sent: Collection[str]) -> BoolArray:
    seen = set(sent)
    symbols: set[int] = set()
    double = []
    for identity, symbol in zip(orders.client_order_id, orders.symbol.tolist(), strict=True):
        double.append(identity in seen or symbol in symbols)
        seen.add(identity)
        symbols.add(symbol)
    return np.array(double, dtype=np.bool_)


def _values_after(orders: Orders, state: GateState, codes: list[str | None]) -> FloatArray:
    """Signed dollars of every position if all orders not denied so far were filled."""
    rows = np.array([code is None for code in codes], dtype=np.bool_)
    quantity = state.current_quantity.copy()
    np.add.at(quantity, orders.symbol[rows], orders.quantity[rows])
    return np.where(quantity == 0.0, 0.0, quantity * state.last_price)


def _gross_fits(values: FloatArray, state: GateState) -> bool:
    allowed = state.gross_limit * state.equity_usd * (1.0 + _EXPOSURE_SLACK)
    return math.fsum(np.abs(values).tolist()) <= allowed


def _net_excess(values: FloatArray, state: GateState) -> float:
    """Side, 1 or -1, on which the net lies beyond its limit; 0 where it keeps to it.

    The room beyond the limit is a lot of each position and the slack's share of the gross.
    """
    lots = math.fsum((state.lot_size * state.last_price[values != 0.0]).tolist())
    room = lots + _EXPOSURE_SLACK * math.fsum(np.abs(values).tolist())
    net = math.fsum(values.tolist())
    return math.copysign(1.0, net) if abs(net) > state.net_limit * state.equity_usd + room else 0.0


def _beyond_rate(orders: Orders, codes: list[str | None], reducing: BoolArray, maximum: int) -> list[int]:
    waiting = [row for row in range(len(orders)) if codes[row] is None]
    waiting.sort(key=lambda row: (not reducing[row], orders.client_order_id[row]))
    return waiting[maximum:]
