"""The limits of the programme: bounds on each name, and limits that names share; and the book without new risk.

A limit is never missing for want of a feasible book: what cannot be traded today is let be, and every shared
limit that it breaks by itself is held where :func:`no_new_risk` leaves it, so that nothing adds to the excess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["LIMIT_TOLERANCE", "Limits", "SharedLimit", "exceeded", "no_new_risk", "pinned_names"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

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
    found = []
    if (weights > limits.upper + tolerance).any() or (weights < limits.lower - tolerance).any():
        found.append("name")
    found += [each.name for each in limits.sizes if _size(weights, each) > each.limit + tolerance]
    found += [each.name for each in limits.nets if abs(_net(weights, each)) > each.limit + tolerance]
    return tuple(found)


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
    side = np.sign(start)
    stays = np.maximum(np.abs(start) - limits.reach, 0.0)
    size = np.maximum(np.abs(np.clip(start, limits.lower, limits.upper)), stays)
    for _ in range(_ROUNDS):
        before = size
        for each in limits.sizes:
            size = _scaled(size, stays, each.coefficient, each.limit)
        for each in limits.nets:
            size = _balanced(size, stays, side, each)
        if (size >= before * (1.0 - _NO_ROOM)).all():
            break
    return side * size


def _scaled(size: FloatArray, stays: FloatArray, coefficient: FloatArray, limit: float) -> FloatArray:
    used, least = math.fsum(coefficient * size), math.fsum(coefficient * stays)
    if used <= limit or used <= least:
        return size
    share = max(limit - least, 0.0) / (used - least)
    return np.where(coefficient > 0.0, stays + share * (size - stays), size)


def _balanced(size: FloatArray, stays: FloatArray, side: FloatArray, each: SharedLimit) -> FloatArray:
    parts = each.coefficient * side * size
    total = math.fsum(parts)
    if abs(total) <= each.limit:
        return size
    along = np.where(np.sign(parts) == np.sign(total), np.abs(each.coefficient), 0.0)
    against = math.fsum(along * size) - abs(total)
    return _scaled(size, stays, along, each.limit + against)


def _size(weights: FloatArray, each: SharedLimit) -> float:
    return math.fsum(each.coefficient * np.abs(weights))


def _net(weights: FloatArray, each: SharedLimit) -> float:
    return math.fsum(each.coefficient * weights)


def pinned_names(start: FloatArray, safe: FloatArray, limits: Limits) -> tuple[Limits, BoolArray]:
    """Narrow the bounds to what can be reached in this session, and fix the names that have no room.

    A name has none when its bounds meet, or when a shared limit is used up by what cannot be traded. Limits on
    net sums that the safe book exceeds are widened to where it stands.

    Returns
    -------
    Limits
        With bounds of what can be reached; equal ones for the names fixed.
    ndarray of bool
        The names fixed.
    """
    lower = np.maximum(limits.lower, start - limits.reach)
    upper = np.minimum(limits.upper, start + limits.reach)
    away = lower > upper  # beyond its bound by more than can be traded: as far as it goes
    lower, upper = np.where(away, safe, lower), np.where(away, safe, upper)
    for _ in range(len(limits.sizes) + len(limits.nets) + 1):
        fixed = upper - lower <= _NO_ROOM
        for each in limits.sizes:
            least = np.clip(0.0, lower, upper)
            lower, upper = _without_room(each, each.limit, np.abs(least), lower, upper, least)
        for each in limits.nets:
            for sign in (1.0, -1.0):
                bound = max(each.limit, sign * _net(safe, each))
                least = np.where(sign * each.coefficient > 0.0, lower, upper)
                lower, upper = _without_room(each, bound, sign * least, lower, upper, least)
        if ((upper - lower <= _NO_ROOM) == fixed).all():
            break
    fixed = upper - lower <= _NO_ROOM
    return replace(limits, lower=lower, upper=np.where(fixed, lower, upper)), fixed


def _without_room(
    each: SharedLimit, bound: float, measured: FloatArray, lower: FloatArray, upper: FloatArray, least: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fix the names of a shared limit at ``least``, where even that leaves no room under it."""
    if bound - math.fsum(each.coefficient * measured) > _NO_ROOM:
        return lower, upper
    inside = each.coefficient != 0.0
    return np.where(inside, least, lower), np.where(inside, least, upper)
