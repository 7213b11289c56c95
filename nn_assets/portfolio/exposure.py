"""Net exposure, by one function for whoever judges it: the decision, the pre-trade gate, the checks of a round."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["balanced_quantity", "net_excess_usd"]

FloatArray = npt.NDArray[np.float64]

_NEUTRAL_FRACTION = 0.005
_ROUNDING = 1e-12


def net_excess_usd(
    quantity: FloatArray, price: FloatArray, equity_usd: float, net_limit: float, lot_size: float
) -> float:
    """Signed dollars by which the net lies beyond what is allowed; 0 where it keeps to it.

    Allowed is the net limit's share of equity, and never less than a book is neutral within: 0.5% of
    equity, or one lot of the dearest name held where that is more.

    Parameters
    ----------
    quantity, price : ndarray, shape (symbols,)
        Signed quantities and the last known prices. A position without a price is NaN, and so is the excess.
    """
    held = quantity != 0.0
    values = np.where(held, quantity * price, 0.0)
    net = math.fsum(values.tolist())
    if math.isnan(net):
        return math.nan
    dearest = float((lot_size * price[held]).max()) if held.any() else 0.0
    allowed = max(net_limit * equity_usd, _NEUTRAL_FRACTION * equity_usd, dearest)
    excess = abs(net) - allowed * (1.0 + _ROUNDING)
    return math.copysign(excess, net) if excess > 0.0 else 0.0


def balanced_quantity(
    quantity: FloatArray,
    price: FloatArray,
    current: FloatArray,
    tradable: npt.NDArray[np.bool_],
    equity_usd: float,
    net_limit: float,
    lot_size: float,
) -> FloatArray:
    """Cut the heavier side, by whole lots, until the net keeps to what is allowed; nothing grows.

    Rounding each leg towards zero unbalances a book of dear names. First the heavier side is scaled, where
    it is over by more than a lot of each of its names; then it gives up a lot of each name in turn, those
    traded anyway before those whose quantity would not have changed, the dearest lots first.

    Parameters
    ----------
    quantity : ndarray, shape (symbols,)
        Targets; of what cannot be traded, what is held.
    price, current : ndarray, shape (symbols,)
        Last known prices, and what is held now.
    tradable : ndarray of bool, shape (symbols,)
        The rest keeps its quantity, whatever the net.

    Returns
    -------
    ndarray, shape (symbols,)
        As given where the net keeps to its limit, or cannot be known.
    """
    cut = quantity.copy()

    def excess() -> float:
        return net_excess_usd(cut, price, equity_usd, net_limit, lot_size)

    over = excess()
    if over == 0.0 or math.isnan(over):
        return cut
    side = tradable & (np.sign(cut) == np.sign(over))
    value = math.fsum(np.abs(cut[side] * price[side]).tolist())
    if value == 0.0:
        return cut
    if abs(over) > math.fsum((lot_size * price[side]).tolist()):
        kept = np.floor(np.abs(cut[side]) * max(0.0, 1.0 - abs(over) / value) / lot_size) * lot_size
        cut[side] = np.sign(cut[side]) * kept
    unchanged = quantity == current
    order = sorted(np.flatnonzero(side), key=lambda place: (unchanged[place], -price[place], place))
    while (over := excess()) != 0.0 and any(cut[place] * over > 0.0 for place in order):
        for place in order:
            if cut[place] * over > 0.0:
                cut[place] = math.copysign(max(0.0, abs(cut[place]) - lot_size), over)
                if (over := excess()) == 0.0:
                    break
    return cut + 0.0
