"""Net exposure, by one function for all that judge it: the decision, the pre-trade gate, the checks of a round."""

from __future__ import annotations

import math

import numpy as np

from nn_assets.arrays import FloatArray

NEUTRAL_SLACK = 0.005
"""Net sum, fraction of equity, up to which a book is neutral."""

_ROUNDING = 1e-12
_IN_DOUBT = 1e-9  # of the gross: a plain sum of a million values is that exact, and a hundred times more


def keeps_to(values: FloatArray, allowed: float) -> bool:
    """Whether a sum of values, none of them negative, is at most what is allowed, by the exact sum; NaN never is."""
    rough = float(values.sum())
    if abs(rough - allowed) > _IN_DOUBT * rough:
        return rough <= allowed
    return math.fsum(values.tolist()) <= allowed


def net_allowance(net_limit: float, largest_lot_weight: float = 0.0) -> float:
    """How far a net sum may lie from zero, fraction of equity: the limit, 0.5%, or a lot of the dearest name."""
    return max(net_limit, NEUTRAL_SLACK, largest_lot_weight)


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
    dearest = float((lot_size * price[held]).max()) if held.any() else 0.0
    allowed = max(net_allowance(net_limit) * equity_usd, dearest)
    if abs(float(values.sum())) + _IN_DOUBT * float(np.abs(values).sum()) < allowed:
        return 0.0  # to the last bit as by the exact sum, which takes twenty times as long
    net = math.fsum(values.tolist())
    if math.isnan(net):
        return math.nan
    excess = abs(net) - allowed * (1.0 + _ROUNDING)
    return math.copysign(excess, net) if excess > 0.0 else 0.0
