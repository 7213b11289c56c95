"""The programme of a single name, solved outright."""

from __future__ import annotations

import math

import numpy as np

from nn_assets.portfolio.problem import ONE_NAME, Answer, Problem

_BISECTIONS = 200


def one_name(problem: Problem) -> Answer:
    """Solve for a single name: the root of the slope of a concave function of one number.

    The slope falls, with jumps at the weight before, at 0 and where margin begins; halving the interval to the
    last bit finds where it changes sign.
    """
    lower, upper = _interval(problem)
    if lower > upper:
        return Answer(np.full(1, np.nan), "no weight keeps to every limit", 0)
    for kink in (float(problem.start[0]), 0.0, problem.margin_from):  # slopes on both sides decide: exactly there
        if lower <= kink <= upper and _slope(problem, kink, 1.0) <= 0.0 <= _slope(problem, kink, -1.0):
            return Answer(np.array([kink]), ONE_NAME, 0)
    if _slope(problem, lower, 1.0) <= 0.0:
        return Answer(np.array([lower]), ONE_NAME, 0)
    if _slope(problem, upper, -1.0) >= 0.0:
        return Answer(np.array([upper]), ONE_NAME, 0)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (lower + upper)
        if middle in (lower, upper):
            break
        if _slope(problem, middle, 1.0) > 0.0:
            lower = middle
        else:
            upper = middle
    return Answer(np.array([lower if abs(lower) < abs(upper) else upper]), ONE_NAME, 0)


def _interval(problem: Problem) -> tuple[float, float]:
    """The weights of a single name that keep to every limit."""
    lower, upper = float(problem.lower[0]), float(problem.upper[0])
    for coefficient, limit in problem.sizes:
        if coefficient[0] > 0.0:
            lower, upper = max(lower, -limit / coefficient[0]), min(upper, limit / coefficient[0])
    for nearly in (False, True):  # an end that is kept as nearly as can be gives way to all others
        for net in problem.nets:
            for way, bound in ((1.0, net.high), (-1.0, -net.low)):
                slope = way * float(net.coefficient[0])  # slope x weight <= bound
                if slope == 0.0 or (net.excess == way) is not nearly:
                    continue
                end = bound / slope
                if nearly:
                    end = min(max(end, lower), upper)
                lower, upper = (lower, min(upper, end)) if slope > 0.0 else (max(lower, end), upper)
    return lower, upper


def _slope(problem: Problem, weight: float, towards: float) -> float:
    """Derivative of the objective at ``weight``, from the side that ``towards`` points to."""
    change = weight - float(problem.start[0])
    way = math.copysign(1.0, change) if change != 0.0 else towards
    size = abs(change)
    loadings = problem.loadings[0]
    variance = float(loadings @ loadings) + float(problem.specific[0])
    slope = float(problem.mean[0]) - problem.risk_weight * (variance * weight + float(loadings @ problem.exposure))
    slope -= way * (
        float(problem.linear[0])
        + 1.5 * float(problem.temporary[0]) * math.sqrt(size)
        + 2.0 * float(problem.permanent[0]) * size
    )
    if weight < 0.0 or (weight == 0.0 and towards < 0.0):
        slope += float(problem.short_fee[0])
    if weight > problem.margin_from or (weight == problem.margin_from and towards > 0.0):
        slope -= problem.margin_fee
    return slope
