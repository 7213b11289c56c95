"""Passive orders: each rests at the near side of its reference price, behind a queue, for one session.

The limit lies half a spread on the near side of the price that the order was decided on. Where the session opens
beyond it, so far that crossing costs no more than the limit, the order crosses there, as any other does. Otherwise it
rests, and fills at its limit once the session's prices trade through it: by as much as half a spread, so that the mid
is then on the far side of what was paid. What resting seems to earn is thus lost to those that know more (Glosten and
Milgrom 1985: the half-spread is what adverse selection costs), and a passive order pays the half-spread that a decision
reckons with, in the mid instead of in the price. The session's volume is spread evenly over its range; of what trades
beyond the limit, those ahead in the queue have theirs first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.execution.broker import Bar, Liquidity
from nn_assets.execution.orders import Orders

PASSIVE = "passive"
LIMIT_NOT_REACHED = "limit_not_reached"
"""The price of a passive order was not traded through."""
QUEUE_AHEAD = "queue_ahead"
"""It was, by no more than those ahead in the queue were to have."""
STOP_FIRST = "stop_first"
"""A stop of the position was hit on the session too, and counts as hit before the order could fill."""


@dataclass(frozen=True, eq=False)
class Resting:
    """How a session's orders stand at its bar, if each was passive; arrays of shape (orders,)."""

    passive: BoolArray  # which of them are
    limit: FloatArray  # price; NaN where no reference price or spread is known
    mid_price: FloatArray  # the mid at a fill that rested, half a spread on the far side of the limit
    crosses: BoolArray  # crosses at the open, for no more than the limit
    volume_share: FloatArray  # of the session's volume that trades beyond the limit once it is the order's turn
    reason: npt.NDArray[np.str_]  # what keeps one that rests from any fill; empty where nothing does

    @property
    def rests(self) -> BoolArray:
        """Passive orders that wait at their limit."""
        return self.passive & ~self.crosses


def resting_orders(
    orders: Orders,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    closing: BoolArray,
    held: FloatArray,
    stop_price: FloatArray | None,
    *,
    queue_ahead: float,
) -> Resting:
    """Lay orders at their limits, and hold a session's bar against them.

    Parameters
    ----------
    orders : Orders
        Any; those that are not passive are left to the caller.
    bar : Bar, arrays of shape (symbols,)
        NaN reaches nothing.
    closing : ndarray of bool, shape (orders,)
        Priced by the closing liquidity.
    held, stop_price : ndarray, shape (symbols,)
        Signed quantities before the session's fills, and the stops that rest within the session, NaN for none; None
        where stops rest at closes alone.
    queue_ahead : float
        Share of the session's volume that those ahead in the queue trade first.
    """
    symbol, side = orders.symbol, np.sign(orders.quantity)
    opened, low, high = bar.open[symbol], bar.low[symbol], bar.high[symbol]
    value = np.zeros(len(bar.open))
    np.add.at(value, symbol, np.abs(orders.quantity) * opened)  # two orders of a symbol move its price as one
    parts = costs.parts(value[symbol], *liquidity.known(symbol, closing))
    limit = orders.reference_price * (1.0 - side * parts.half_spread)
    mid = limit / (1.0 + side * parts.half_spread)
    crossing = opened * (1.0 + side * parts.impact) * (1.0 + side * parts.half_spread)
    with np.errstate(invalid="ignore", divide="ignore"):
        crosses = side * (limit - crossing) >= 0.0
        depth = side * (mid - np.where(side > 0.0, low, high))
        share = np.clip(depth / (high - low), 0.0, 1.0)
        reached = depth > 0.0
    turn = np.where(reached, np.maximum(np.nan_to_num(share, nan=1.0) - queue_ahead, 0.0), 0.0)
    stopped = np.zeros(len(orders), dtype=np.bool_)
    if stop_price is not None:
        stopped = _after_a_stop(limit, side, held[symbol], stop_price[symbol], low, high)
    turn = np.where(stopped, 0.0, turn)
    passive = np.array([urgency == PASSIVE for urgency in orders.urgency], dtype=np.bool_)
    reason = np.select([stopped, ~reached, turn == 0.0], [STOP_FIRST, LIMIT_NOT_REACHED, QUEUE_AHEAD], "")
    return Resting(passive, limit, mid, passive & crosses, turn, np.where(passive & ~crosses, reason, ""))


def _after_a_stop(
    limit: FloatArray, side: FloatArray, held: FloatArray, stop: FloatArray, low: FloatArray, high: FloatArray
) -> BoolArray:
    """Orders that a stop of their symbol, hit on the same session, comes before; shape (orders,) each.

    No bar says which of two prices traded first, so it is the one that is worse for us: the stop, but where an order
    adds to the position at a price before the stop, which every path passes on its way there.
    """
    position = np.sign(held)
    with np.errstate(invalid="ignore"):
        hit = (position != 0.0) & np.where(position > 0.0, low <= stop, high >= stop)
        passed_before = (side == position) & (position * (limit - stop) > 0.0)
    return np.asarray(hit & ~passed_before)
