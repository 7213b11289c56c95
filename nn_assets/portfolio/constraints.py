"""The limits of the programme: bounds on each name, and limits that names share; and the book without new risk.

A feasible book always exists: what cannot be traded in this session is left as it is. A limit on sizes that it uses up
by itself leaves the names in it no room; a limit on a net sum that it breaks by itself is kept as nearly as can be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray

LIMIT_TOLERANCE = 5e-7
"""Excess over a limit, in its own unit (fraction of capital), that is the solver's rounding and no breach."""

_NO_ROOM = 1e-9
_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class SharedLimit:
    """A limit on a sum over names.

    Attributes
    ----------
    coefficient : shape (symbols,), finite; of |w| in a limit on sizes (not negative), of w in a limit on a net sum
    limit : not negative
    """

    name: str
    coefficient: FloatArray
    limit: float


@dataclass(frozen=True, eq=False)
class Limits:
    """What a book must keep to. Weights are signed fractions of capital, arrays (symbols,), nothing is NaN.

    Attributes
    ----------
    lower, upper : bounds of each weight, lower <= 0 <= upper; both 0 for a name that may not be held
    reach : largest change of each weight that can be traded in this session; 0 for a name without a price
    sizes : each keeps sum of coefficient x |w| to its limit
    nets : each keeps |sum of coefficient x w| to its limit
    """

    lower: FloatArray
    upper: FloatArray
    reach: FloatArray
    sizes: tuple[SharedLimit, ...] = ()
    nets: tuple[SharedLimit, ...] = ()


def exceeded(weights: FloatArray, limits: Limits, tolerance: float = LIMIT_TOLERANCE) -> tuple[str, ...]:
    """Return the names of the limits that a book exceeds; "name" where a weight is outside its own bounds."""
    names = []
    if (weights > limits.upper + tolerance).any() or (weights < limits.lower - tolerance).any():
        names.append("name")
    names += [limit.name for limit in limits.sizes if _size(weights, limit) > limit.limit + tolerance]
    names += [limit.name for limit in limits.nets if abs(_net(weights, limit)) > limit.limit + tolerance]
    return tuple(names)


def no_new_risk(start: FloatArray, limits: Limits) -> FloatArray:
    """The book that answers when the programme has no answer: nothing is opened, nothing enlarged.

    Every weight is cut to its bounds; then, while a shared limit is exceeded, the names in it (of a net sum,
    those on the side in excess) give up the same share of what they can trade.

    Returns
    -------
    ndarray, shape (symbols,)
        The sign of ``start`` or 0, |w| <= |start|, and within every limit but those that names which cannot be
        traded exceed by themselves.
    """
    side, stays = np.sign(start), np.abs(untradable(start, limits))
    size = np.maximum(np.abs(np.clip(start, limits.lower, limits.upper)), stays)
    for _ in range(_ROUNDS):
        before = size
        for limit in limits.sizes:
            size = _scaled(size, stays, limit.coefficient, limit.limit)
        for limit in limits.nets:
            size = _balanced(size, stays, side, limit)
        if (size >= before * (1.0 - _NO_ROOM)).all():
            break
    return side * size


def _scaled(size: FloatArray, stays: FloatArray, coefficient: FloatArray, limit: float) -> FloatArray:
    used, least = float((coefficient * size).sum()), float((coefficient * stays).sum())
    if used <= limit or used <= least:
        return size
    share = max(limit - least, 0.0) / (used - least)
    return np.where(coefficient > 0.0, stays + share * (size - stays), size)


def _balanced(size: FloatArray, stays: FloatArray, side: FloatArray, limit: SharedLimit) -> FloatArray:
    parts = limit.coefficient * side * size
    total = float(parts.sum())
    if abs(total) <= limit.limit:
        return size
    along = np.where(np.sign(parts) == np.sign(total), np.abs(limit.coefficient), 0.0)
    against = float((along * size).sum()) - abs(total)
    return _scaled(size, stays, along, limit.limit + against)


def _size(weights: FloatArray, limit: SharedLimit) -> float:
    return float((limit.coefficient * np.abs(weights)).sum())


def _net(weights: FloatArray, limit: SharedLimit) -> float:
    return float((limit.coefficient * weights).sum())


def untradable(start: FloatArray, limits: Limits) -> FloatArray:
    """What of each weight cannot be sold in this session, signed, (symbols,)."""
    return np.sign(start) * np.maximum(np.abs(start) - limits.reach, 0.0)


def reachable(start: FloatArray, limits: Limits) -> tuple[Limits, BoolArray]:
    """Narrow the bounds to what can be reached in this session, and fix the names that have no choice left.

    Returns
    -------
    Limits
        Without the limits on sizes that what cannot be traded uses up; their names are fixed at that.
    ndarray of bool
        The names fixed: lower and upper bound are equal.
    """
    stays = untradable(start, limits)
    lower = np.maximum(limits.lower, start - limits.reach)
    upper = np.minimum(limits.upper, start + limits.reach)
    fixed, room = lower >= upper, []  # beyond a bound by more than can be traded: as near as it goes
    for limit in limits.sizes:
        if limit.limit - _size(stays, limit) > _NO_ROOM:
            room.append(limit)
        else:
            fixed |= limit.coefficient > 0.0
    lower, upper = np.where(fixed, stays, lower), np.where(fixed, stays, upper)
    return replace(limits, lower=lower, upper=upper, sizes=tuple(room)), fixed
