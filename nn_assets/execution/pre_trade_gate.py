"""The pre-trade gate: one place that every order passes before any broker sees it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.execution.orders import Orders, denied_with_their_close, quantity_before, reduces
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR
from nn_assets.portfolio.binary import premium_usd
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.exposure import keeps_to, net_excess_usd
from nn_assets.settings import ExecutionSettings

_EXPOSURE_SLACK = 0.02
"""Relative room over the gross limit: prices move between the target and the gate."""


@dataclass(frozen=True, eq=False)
class PreTradeGateState:
    """What the gate knows beside the orders. Arrays have shape (symbols,)."""

    control: Control
    last_price: FloatArray  # last mark; NaN where none is known
    current_quantity: FloatArray
    equity_usd: float
    gross_limit: float
    net_limit: float = math.inf
    lot_size: float = 1.0
    sent_ids: Collection[str] = ()
    unknown_shares: BoolArray | None = None  # positions of which the number of shares is not known; none left out
    collar_price: FloatArray | None = None  # what the reference is held against; the last mark when left out
    stale: BoolArray | None = None  # symbols without a fresh bar for as long as the settings allow; none left out
    binary: bool = False  # contracts between 0 and 1: the collar is in dollars, and what counts is the stake


def pass_pre_trade_gate(orders: Orders, state: PreTradeGateState, settings: ExecutionSettings) -> Orders:
    """Return the same orders, each accepted or denied with a reason code.

    Every check fails closed: a figure that is missing denies. Orders that only bring a position
    nearer to zero are exempt from ``price_collar``, ``value``, ``reducing_only``, ``stale`` and ``exposure`` (there is
    always a way out, which needs a reference price and a known number of shares alone), and come first when the rate is
    short. Exposure counts every order not denied before as filled; where the net would lie
    beyond its limit, as the decision counts it, the orders that open on the side in excess are denied, so
    that no leg is opened whose counterpart was denied. An order that opens a side is denied with the one
    that should have closed the other.

    What was sent for the session before is counted where it is sent: see
    :func:`~nn_assets.operations.accounts.sending.send_orders`.

    An order is denied with the first code that holds, in this order: ``halted``, ``unexplained_factor`` (of a position
    whose shares are not known, since a factor that no stated split explains), ``quantity``, ``missing_reference``,
    ``price_collar``, ``value``, ``duplicate``, ``reducing_only``, ``stale`` (no fresh bar for
    ``portfolio.stale_symbol_sessions``), ``exposure``, ``rate``.

    Parameters
    ----------
    orders : Orders
        As made from the targets; reasons already there are kept: ``late_action`` (the book that sized them is mended by
        a late corporate action), ``delisted`` (the symbol is no more), ``late_stop`` (its stop turns out to have been
        hit on a session whose bar came late), ``unfinished_run`` (put on record only after they were due).
    """
    codes: list[str | None] = list(orders.reason_code)
    reducing = reduces(orders, state.current_quantity)

    def deny(mask: BoolArray, code: str) -> None:
        for row in np.flatnonzero(mask):
            codes[row] = codes[row] or code

    everything = np.ones(len(orders), dtype=np.bool_)
    if state.control >= Control.HALTED or not math.isfinite(state.equity_usd):
        deny(everything, "halted")
    if state.unknown_shares is not None:
        deny(state.unknown_shares[orders.symbol], UNEXPLAINED_FACTOR)
    deny(~(np.isfinite(orders.quantity) & (orders.quantity != 0.0)), "quantity")
    deny(~(np.isfinite(orders.reference_price) & (orders.reference_price > 0.0)), "missing_reference")
    deny(~(_distance(orders, state) <= settings.price_collar_fraction) & ~reducing, "price_collar")
    price = premium_usd(orders.quantity, orders.reference_price) if state.binary else orders.reference_price
    value = np.abs(orders.quantity * price)
    # A position may grow larger than an order may be, and must still be closed.
    deny(~(value <= settings.maximum_order_usd) & ~(reducing & np.isfinite(value)), "value")
    deny(_duplicates(orders, state), "duplicate")
    if state.control >= Control.REDUCING:
        deny(~reducing, "reducing_only")
    if state.stale is not None:
        deny(state.stale[orders.symbol] & ~reducing, "stale")
    codes = list(denied_with_their_close(orders, codes))
    if not _gross_fits(_quantity_after(orders, state, codes), state):
        deny(~reducing, "exposure")
    for row in _beyond_rate(orders, codes, reducing, settings.maximum_orders_per_session):
        codes[row] = "rate"
    codes = list(denied_with_their_close(orders, codes))
    # Last, since every order denied before may leave the others without their counterpart.
    side = np.sign(orders.quantity)
    for _ in (1, 2):
        after = _quantity_after(orders, state, codes)
        excess = net_excess_usd(after, state.last_price, state.equity_usd, state.net_limit, state.lot_size)
        deny(~reducing & ((side == np.sign(excess)) | math.isnan(excess)), "exposure")
    return replace(orders, reason_code=tuple(codes))


def orders_under(orders: Orders, held: FloatArray, control: Control) -> Orders:
    """What a control leaves of orders made before it was in force: all, those that reduce, or none.

    Those that are left out have the reason ``halted``.

    Parameters
    ----------
    held : ndarray, shape (symbols,)
        Signed quantities; NaN is reduced by nothing.
    """
    if control < Control.REDUCING or len(orders) == 0:
        return orders
    stays = reduces(orders, held) if control < Control.HALTED else np.zeros(len(orders), dtype=np.bool_)
    codes = tuple(code if keep else code or "halted" for code, keep in zip(orders.reason_code, stays, strict=True))
    return replace(orders, reason_code=denied_with_their_close(orders, codes))


def _distance(orders: Orders, state: PreTradeGateState) -> FloatArray:
    """How far each reference lies from the price that it is held against: a share of it, of contracts dollars."""
    last = (state.last_price if state.collar_price is None else state.collar_price)[orders.symbol]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(orders.reference_price - last if state.binary else orders.reference_price / last - 1.0)


def _duplicates(orders: Orders, state: PreTradeGateState) -> BoolArray:
    """Orders whose id was sent, or whose symbol has one already that does not merely close what is held."""
    seen = set(state.sent_ids)
    before = quantity_before(orders, state.current_quantity)
    legs: dict[int, list[float]] = {}
    double = []
    for row, (identity, symbol) in enumerate(zip(orders.client_order_id, orders.symbol.tolist(), strict=True)):
        earlier = legs.setdefault(symbol, [])
        turns = len(earlier) == 1 and before[row] == 0.0 and earlier[0] != 0.0
        double.append(identity in seen or not (turns or not earlier))
        earlier.append(float(before[row]))
        seen.add(identity)
    return np.array(double, dtype=np.bool_)


def _quantity_after(orders: Orders, state: PreTradeGateState, codes: list[str | None]) -> FloatArray:
    """Every position if all orders not denied so far were filled."""
    rows = np.array([code is None for code in codes], dtype=np.bool_)
    quantity = state.current_quantity.copy()
    np.add.at(quantity, orders.symbol[rows], orders.quantity[rows])
    return quantity


def _gross_fits(quantity: FloatArray, state: PreTradeGateState) -> bool:
    price = premium_usd(quantity, state.last_price) if state.binary else state.last_price
    values = np.where(quantity == 0.0, 0.0, quantity * price)
    allowed = state.gross_limit * state.equity_usd * (1.0 + _EXPOSURE_SLACK)
    return keeps_to(np.abs(values), allowed)


def _beyond_rate(orders: Orders, codes: list[str | None], reducing: BoolArray, maximum: int) -> list[int]:
    waiting = [row for row in range(len(orders)) if codes[row] is None]
    waiting.sort(key=lambda row: (not reducing[row], orders.client_order_id[row]))
    return waiting[max(maximum, 0) :]
