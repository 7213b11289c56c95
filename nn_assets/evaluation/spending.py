"""How much error each look at a growing record may spend: 5% in all, however long the record is watched.

A look is a verdict taken at a month's end. The first one on a history may spend 3%. Sixty monthly looks are planned
at that moment and never again; they share 1.5% by an error-spending function, almost nothing early and most of it
late. What comes after them has 0.5%, by a sequence that holds at every length. Read or not, a look is a look.

Numbers in, numbers out: a look is the months since the first one and the sessions in its record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from nn_assets.arrays import FloatArray

FIRST_LOOK = 0.03
PLANNED, AFTERWARDS = 0.015, 0.005
"""Together the 2% of live trading: without a share of its own the sequence afterwards would break the 5%."""
PLANNED_LOOKS = 60

_NODES = 512
_FAR = 8.0  # standard deviations beyond which no path is followed
_NOTHING = 1e-10  # a level too small to form a boundary of; it is kept for the next look
_LEAST_GROWTH = 1.0 / 1500.0  # of the record, between two looks: what the grid resolves


def per_trial_level(level: float, trials: int) -> float:
    """Level of one of ``trials`` trials at which all of them together keep to ``level`` (Šidák 1967)."""
    return -math.expm1(math.log1p(-level) / max(trials, 1))


def spent(fraction: float, level: float) -> float:
    """One-sided error that may be spent by a fraction of what was planned.

    2 - 2 Phi(z / sqrt(fraction)), z the upper ``level`` / 2 point of a normal; nothing at 0, ``level`` from 1 on.
    Lan and DeMets (1983), "Discrete sequential boundaries for clinical trials", Biometrika 70, alpha-1*: the shape
    of O'Brien and Fleming's boundaries.
    """
    if fraction <= 0.0:
        return 0.0
    return float(2.0 * ndtr(ndtri(level / 2.0) / math.sqrt(min(fraction, 1.0))))


def boundaries(information: Sequence[float], cumulative: Sequence[float]) -> FloatArray:
    """Standardised boundaries that a mean of zero crosses upwards with a given probability, look by look.

    Parameters
    ----------
    information : sequence of float
        Growing amounts of what was seen at each look, such as sessions; the sum seen at a look has that
        variance, in units of its own.
    cumulative : sequence of float
        Probability of having crossed at that look or an earlier one. What one look cannot use, the next has.

    Returns
    -------
    ndarray, shape (looks,)
        In standard errors. Infinite where next to nothing may be spent, or next to nothing was added.

    Notes
    -----
    The density of the sums that have not crossed is carried from look to look: Armitage, McPherson and Rowe (1969),
    JRSS A 132, eq. 2.3, by Gauss-Legendre quadrature.
    """
    schedule = tuple(map(float, information)), tuple(map(float, cumulative))
    return np.array(
        [_carried(schedule[0][:look], schedule[1][:look]).boundary for look in range(1, len(schedule[0]) + 1)]
    )


class _Paths(NamedTuple):
    """Paths after a look: the boundary there, sums not crossed so far and the probability at each."""

    boundary: float
    points: FloatArray
    mass: FloatArray
    seen: float
    done: float


@lru_cache(maxsize=1024)
def _carried(information: tuple[float, ...], cumulative: tuple[float, ...]) -> _Paths:
    """Paths after the last of some looks; kept, because the next look continues from there."""
    if not information:
        return _Paths(math.inf, np.zeros(0), np.zeros(0), 0.0, 0.0)
    before = _carried(information[:-1], cumulative[:-1])
    points, mass = before.points, before.mass
    amount, growth, due = information[-1], information[-1] - before.seen, cumulative[-1] - before.done
    if growth <= amount * _LEAST_GROWTH:
        return before._replace(boundary=math.inf)
    scale, step = math.sqrt(amount), math.sqrt(growth)
    boundary, spent_so_far = math.inf, before.done
    if due > _NOTHING:
        boundary = _crossed_with(due, points, mass, scale, step) if len(points) else float(-ndtri(due))
        spent_so_far = cumulative[-1]
    nodes, weights = _quadrature()
    low, high = -_FAR * scale, min(boundary, _FAR) * scale
    reached = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    if len(points):
        density = np.exp(-0.5 * ((reached[:, None] - points[None, :]) / step) ** 2) @ mass
    else:
        density = np.exp(-0.5 * (reached / step) ** 2)
    spread = density * weights * (0.5 * (high - low)) / (step * math.sqrt(2.0 * math.pi))
    return _Paths(boundary, reached, spread, amount, spent_so_far)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _crossed_with(due: float, points: FloatArray, mass: FloatArray, scale: float, step: float) -> float:
    """The boundary that the sums reach from ``points`` with probability ``due``, by bisection."""
    low, high = -_FAR, 4.0 * _FAR
    for _ in range(60):
        middle = 0.5 * (low + high)
        if float(ndtr((points - middle * scale) / step) @ mass) > due:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def mixture_boundary(information: float, level: float, tuned_at: float) -> float:
    """Standardised boundary that a mean of zero crosses upwards at any length ever with probability ``level``.

    Parameters
    ----------
    information, tuned_at : float
        What was seen, and at how much of it the boundary is to be lowest; in one unit.

    Notes
    -----
    The likelihood ratio against a half-normal mixture of positive means, 2 sqrt(r / (n + r)) exp(s^2 / (2 (n + r)))
    Phi(s / sqrt(n + r)), is a martingale of mean 1 under a mean of zero, so that it ever exceeds 1 / level with
    at most that probability: Robbins (1970), Annals of Mathematical Statistics 41; Howard, Ramdas, McAuliffe and
    Sekhon (2021), Annals of Statistics 49, proposition 6, with r by their section 3.5.
    """
    wide = 2.0 * math.log(1.0 / (2.0 * level))
    prior = tuned_at / (wide + math.log1p(wide))
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        reached = middle * math.sqrt(information / (information + prior))
        ratio = math.log(2.0) + 0.5 * math.log(prior / (information + prior)) + 0.5 * reached * reached
        if ratio + float(log_ndtr(reached)) < -math.log(level):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def look_levels(
    months: Sequence[int], sessions: Sequence[int], trials: int, sessions_per_month: float
) -> tuple[float, ...]:
    """One-sided level at which one trial is tested at each look.

    Parameters
    ----------
    months : sequence of int
        Months since the first look: ascending, the first one 0. Looks left out spend nothing; the first one past
        the plan spends all that the plan has left, and those after it belong to the sequence.
    sessions : sequence of int
        In the record at each look.
    trials : int
        Configurations ever evaluated on the data, this one included; each has its share of every level. One that
        comes later counts at earlier looks too.
    sessions_per_month : float
        Of the calendar; says how long the record will be when the plan ends.

    Returns
    -------
    tuple of float
        An earlier look's level does not depend on later looks. 0 where nothing may be found.
    """
    within = next((index + 1 for index, month in enumerate(months) if month >= PLANNED_LOOKS), len(months))
    first, planned = per_trial_level(FIRST_LOOK, trials), per_trial_level(PLANNED, trials)
    cumulative = [first + spent(month / PLANNED_LOOKS, planned) for month in months[:within]]
    levels = [float(level) for level in ndtr(-boundaries(sessions[:within], cumulative))]
    ends = sessions[0] + PLANNED_LOOKS * sessions_per_month if sessions else 0.0
    afterwards = per_trial_level(AFTERWARDS, trials)
    levels += [float(ndtr(-mixture_boundary(count, afterwards, ends))) for count in sessions[within:]]
    return tuple(levels)
