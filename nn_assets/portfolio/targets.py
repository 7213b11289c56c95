"""From the unscaled book to what is held next: lots, controls, and the unscaled book carried to the next session.

The unscaled book u is what the programme wants; a scale multiplies it and never enters the programme. All is in
quantities, arrays (symbols,).
"""

from __future__ import annotations

import math

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.constraints import Limits, exceeded
from nn_assets.portfolio.exposure import net_allowance
from nn_assets.settings import PortfolioSettings

_ROUNDED = 1e-12  # relative: the last bits of a sum
_RETURNS_BELOW = 0.5  # of the net sum's allowance
_WHOLE = 1e-9  # lots: what rounding may have taken from a whole number of them
_HALVES = (1.0, 0.5, 0.25, 0.125)  # scales are products of halves: regime, drawdown, drift


def without_small_changes(weights: FloatArray, start: FloatArray, lot_weight: FloatArray, limits: Limits) -> FloatArray:
    """Leave out the changes smaller than a lot, where the book then still keeps to every limit.

    Impact of size^1.5 costs next to nothing for the smallest orders, so the programme closes in on its aim in ever
    smaller steps; this ends them. A change wanted on is made as soon as it is worth a lot.

    Parameters
    ----------
    weights, start : ndarray, shape (symbols,)
        After and before.
    lot_weight : ndarray, shape (symbols,)
        One lot's value, fraction of capital; NaN without a price.
    """
    small = (np.abs(weights - start) < lot_weight) & (start != 0.0)
    kept = np.where(small, start, weights)
    return kept if set(exceeded(kept, limits)) <= set(exceeded(weights, limits)) else weights


def controlled(unscaled: FloatArray, scale: float, control: Control, held: FloatArray) -> FloatArray:
    """Let the controls act on the unscaled book, name by name: at most s |u|, whatever is held.

    Parameters
    ----------
    unscaled : ndarray, shape (symbols,)
        u; NaN counts as 0.
    scale : float
        s, the product of the scales in force; below 0 or NaN it is 0, above 1 it is 1.
    control : Control
        The strictest in force. A pause that holds is ``REDUCING`` at half the scale: min(|held|, s |u| / 2).
    held : ndarray, shape (symbols,)

    Returns
    -------
    ndarray, shape (symbols,)
        ``HALTED``: what is held. ``FLAT``: 0. ``REDUCING``: the smaller of |held| and s |u| on the side held, 0
        where u is on the other side. Otherwise s u.
    """
    if control is Control.HALTED:
        return held.copy()
    share = min(max(scale, 0.0), 1.0) if not math.isnan(scale) else 0.0
    wanted = np.where(np.isfinite(unscaled), unscaled, 0.0) * share
    if control is Control.FLAT:
        return np.zeros_like(wanted)
    if control is Control.REDUCING:
        size = np.minimum(np.abs(held), np.abs(wanted))
        return np.where(np.sign(wanted) == np.sign(held), np.sign(held) * size, 0.0)
    return wanted + 0.0


def in_lots(quantity: FloatArray, lot_size: float) -> FloatArray:
    """Round towards zero to whole lots; a whole number of lots stays one whatever its last bit."""
    shares = np.where(np.isfinite(quantity), quantity, 0.0)
    return np.sign(shares) * np.floor(np.abs(shares) / lot_size + _WHOLE) * lot_size + 0.0


def whole_targets(
    unscaled: FloatArray,
    before: FloatArray,
    held: FloatArray,
    control: Control,
    scale: float,
    settings: PortfolioSettings,
    *,
    priced: BoolArray,
    price: FloatArray,
    worth_keeping: FloatArray,
    equity_usd: float,
    stuck_usd: float,
    held_on: BoolArray | None = None,
) -> FloatArray:
    """Step 8: what controls and whole lots leave of the unscaled book, in shares; what has no price stays.

    Names whose unscaled quantities did not change, and which the net limit cut before by as much as a lot of the
    dearest name is worth, or less in all, get those lots back only where the net sum is then within half its
    allowance: a price that moves it across the edge day by day must not become an order day by day.

    Parameters
    ----------
    unscaled, before, held : ndarray, shape (symbols,)
        u, u of the session before carried to this one, and what is held; NaN counts as 0.
    control, scale
        As in :func:`controlled`.
    priced : ndarray, shape (symbols,)
        Whether a name can be traded; one whose price is not a positive number cannot.
    price, worth_keeping, stuck_usd
        As ``lot_value``, ``worth_keeping`` and ``fixed_usd`` of :func:`neutral`; the price is of one share.
    held_on : ndarray of bool, shape (symbols,), optional
        Names of which no more than is held may be held, whatever scale was lifted. None where left out.
    """
    current, lot = np.nan_to_num(held), settings.lot_size
    if control is Control.HALTED:
        return controlled(unscaled, scale, control, current)
    priced = priced & np.isfinite(price) & (price > 0.0)
    allowance = {"equity_usd": equity_usd, "net_limit": settings.net_limit, "fixed_usd": stuck_usd}

    def left_by(act: Control, share: float, bound: FloatArray) -> FloatArray:
        whole = np.where(priced, in_lots(controlled(unscaled, share, act, current), lot), 0.0)
        whole = np.sign(whole) * np.minimum(np.abs(whole), bound)
        cut_before = (unscaled == before) & (np.sign(current) == np.sign(whole))
        missing = np.round((np.abs(whole) - np.abs(current)) / lot)
        value = np.where(whole != 0.0, price, 0.0)
        cut_before &= missing >= 1.0
        most = value.max(initial=0.0) + value[cut_before].max(initial=0.0)  # a scale took more
        cut_before &= float((missing * value)[cut_before].sum()) <= most
        if cut_before.any() and net_share(whole, lot * price, lot_size=lot, **allowance) > _RETURNS_BELOW:
            whole = np.where(cut_before, current, whole)
        return neutral(whole, lot * price, worth_keeping, lot_size=lot, held=current, **allowance)

    if control is Control.FLAT or not scale > 0.0:
        return np.where(priced, 0.0, current)
    # Where the other side shrinks more, less is over the allowance and less is cut: no smaller scale and no stricter
    # control may spare a name its cut, so that each is bound by those before it.
    shares = [*(larger for larger in _HALVES if larger > scale), scale]
    most = np.full(len(current), np.inf) if held_on is None else np.where(held_on, np.abs(current), np.inf)
    bounds = [most] * len(shares)
    whole = current
    for act in (Control.NORMAL, control) if control is Control.REDUCING else (control,):
        bound = bounds[0]
        for index, share in enumerate(shares):
            whole = left_by(act, share, np.minimum(bound, bounds[index]))
            bound = bounds[index] = np.abs(whole)
    return np.where(priced, whole, current)


def net_share(
    quantity: FloatArray,
    lot_value: FloatArray,
    *,
    lot_size: float,
    equity_usd: float,
    net_limit: float,
    fixed_usd: float = 0.0,
) -> float:
    """Return |net sum| over its allowance; parameters as in :func:`neutral`. Without an allowance it is infinite."""
    lots = np.round(quantity / lot_size)
    value = np.where(lots == 0.0, 0.0, np.nan_to_num(lot_value))
    allowed = _allowed(value, equity_usd, net_limit)
    net = math.fsum([fixed_usd, *(lots * value).tolist()])
    return abs(net) / allowed if allowed > 0.0 else math.inf


def _allowed(value: FloatArray, equity_usd: float, net_limit: float) -> float:
    return (
        net_allowance(net_limit, float(value.max(initial=0.0)) / equity_usd) * equity_usd if equity_usd > 0.0 else 0.0
    )


def neutral(
    quantity: FloatArray,
    lot_value: FloatArray,
    worth_keeping: FloatArray,
    *,
    lot_size: float,
    equity_usd: float,
    net_limit: float,
    fixed_usd: float = 0.0,
    held: FloatArray | None = None,
) -> FloatArray:
    """Cut the heavier side, whole lots, the dearest to keep first, until the net sum is within its allowance.

    What rounding alone put over it, a lot of the dearest name at most, comes off a name that is traded anyway,
    where one has enough.

    Parameters
    ----------
    quantity : ndarray, shape (symbols,)
        Whole lots.
    lot_value : ndarray, shape (symbols,)
        Dollars a lot; read where ``quantity`` is not 0 only.
    worth_keeping : ndarray, shape (symbols,)
        What the last dollar of each position adds to the objective; the lowest is cut first, equal ones in
        symbol order, NaN before all.
    fixed_usd : float
        Net value of what cannot be traded.
    held : ndarray, shape (symbols,), optional
        Shares; a name whose ``quantity`` is another is traded anyway. All are when left out.
    """
    lots = np.round(quantity / lot_size)
    value = np.where(lots == 0.0, 0.0, np.nan_to_num(lot_value))
    allowed = _allowed(value, equity_usd, net_limit)
    net = math.fsum([fixed_usd, *(lots * value).tolist()])
    side = np.sign(net)
    untouched = np.zeros(len(lots), dtype=bool) if held is None else quantity == held
    by_rounding = abs(net) - allowed <= float(value.max(initial=0.0))
    order = np.lexsort((np.nan_to_num(worth_keeping, nan=-np.inf), untouched & by_rounding))
    for name in order.tolist():
        over = abs(net) - allowed
        if over <= _ROUNDED * allowed:
            break
        if np.sign(lots[name]) == side and value[name] > 0.0:
            cut = side * min(abs(lots[name]), math.ceil(over / value[name] - _WHOLE))
            lots[name] -= cut
            net -= cut * value[name]
    return lots * lot_size + 0.0


def carried(unscaled: FloatArray, target: FloatArray, held: FloatArray, split: FloatArray | float = 1.0) -> FloatArray:
    """Carry the unscaled book over one session's fills: u0 of the next.

    Parameters
    ----------
    unscaled, target : ndarray, shape (symbols,)
        u and the target of the session before, in its own shares.
    held : ndarray, shape (symbols,)
        What is held after the fills and stops of this session, in this session's shares.
    split : ndarray or float
        New shares for an old one.

    Returns
    -------
    ndarray, shape (symbols,)
        u x min(1, |held on its side| / |target|): fills that fell short and stops that were hit lower it. As it was
        where the target was 0, for it is then a control or a rounding that left nothing, not the programme.
    """
    aim, before = target * split, unscaled * split
    aimed = aim != 0.0
    on_its_side = np.where(aimed, held * np.sign(aim), 0.0)
    share = np.clip(on_its_side / np.where(aimed, np.abs(aim), 1.0), 0.0, 1.0)
    return np.where(aimed, before * share, before) + 0.0
