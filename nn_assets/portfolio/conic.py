"""The programme handed to Clarabel: whole, or over the names that matter.

Goulart and Chen (2024), "Clarabel: an interior-point solver for conic programs with quadratic objectives". One
thread and no start from an earlier answer: the same problem gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.portfolio.cone_form import columns, constraints, objective
from nn_assets.portfolio.problem import SOLVED, Answer, Problem

__all__ = ["SOLVED", "Answer", "Problem", "many_names"]


_TOLERANCE = 1e-11  # of feasibility and gap, in the problem's own scale
_ACCEPTED = 1e-8  # where no further digit can be had
_UNITS = ((1.0, 1.0), (10.0, 1.0), (10.0, 10.0))  # of weights, and of the objective in usual sizes of mu and cost
_SMALL = 200  # names up to which all are handed over at once
_UNNOTICED = 1e-6  # usual sizes of mu and cost


def many_names(problem: Problem) -> Iterator[Answer]:
    """Hand the problem to Clarabel, again for as long as no answer is taken.

    Weights and objective are put in units of their own: the answer does not depend on them, but its last digits and
    the number of iterations do, and now and then whether there is one.
    """
    if len(problem.mean) > _SMALL:
        answer = _growing(problem)
        if answer is not None:
            yield answer
    for unit, money in _UNITS:
        yield _attempt(problem, unit, money)[0]


def _growing(problem: Problem) -> Answer | None:
    """Solve over the names that matter, and add those that the prices of the shared limits call for.

    A name that starts from 0 stays there when its slope at 0 is within its own cost and its share of those prices:
    the optimality conditions of the whole problem, which the answer over the names inside then meets. None where
    most names come inside, or where the solver has no answer.
    """
    inside = problem.start != 0.0
    ranked = np.argsort(problem.mean, kind="stable")  # both ends: a neutral book needs the best of either side
    held = int(inside.sum())
    ranked, ends = ranked[~inside[ranked]], max(_SMALL // 2, 3 * _filling(problem) // 2 - held, held // 2) // 2
    inside[ranked[:ends]] = inside[ranked[-ends:]] = True
    iterations = 0
    while 3 * inside.sum() < 2 * len(inside):
        answer, prices = _attempt(_part(problem, inside), *_UNITS[0])
        iterations += answer.iterations
        if answer.status != SOLVED:
            return None
        weights = np.zeros(len(inside))
        weights[inside] = answer.weights
        called = np.where(inside, 0.0, _called_for(problem, weights, prices))
        if not called.any():
            return Answer(weights, SOLVED, iterations)
        most = np.argsort(-called, kind="stable")[: 2 * int(inside.sum())]
        inside[most[called[most] > 0.0]] = True
    return None


def _filling(problem: Problem) -> int:
    """How many of the names, largest mean first, use up one of the limits on sizes when each is as large as it may be.

    All of them where none is used up.
    """
    first = np.argsort(-np.abs(problem.mean), kind="stable")
    largest = np.maximum(-problem.lower, problem.upper)[first]
    used_up = [np.cumsum(coefficient[first] * largest) >= limit for coefficient, limit in problem.sizes]
    return min((int(exhausted.argmax()) + 1 for exhausted in used_up if exhausted.any()), default=len(first))


def _part(problem: Problem, inside: npt.NDArray[np.bool_]) -> Problem:
    """The problem over some of its names; the others stay at 0."""
    names = ("mean", "loadings", "specific", "start", "linear", "temporary", "permanent", "short_fee", "lower", "upper")
    return replace(
        problem,
        **{name: getattr(problem, name)[inside] for name in names},
        sizes=tuple((coefficient[inside], limit) for coefficient, limit in problem.sizes),
        nets=tuple(replace(net, coefficient=net.coefficient[inside]) for net in problem.nets),
    )


def _called_for(problem: Problem, weights: FloatArray, prices: dict[tuple[str, int], float]) -> FloatArray:
    """By how much the slope of each name at 0 is beyond what holding it costs; 0 where it is not."""
    common = problem.loadings.T @ weights + problem.exposure
    slope = problem.mean - problem.risk_weight * (problem.loadings @ common) - prices.get(("margin", 0), 0.0)
    for index, net in enumerate(problem.nets):
        slope -= (prices.get(("high", index), 0.0) - prices.get(("low", index), 0.0)) * net.coefficient
    cost = problem.linear.copy()
    for index, (coefficient, _) in enumerate(problem.sizes):
        cost += prices.get(("size", index), 0.0) * coefficient
    cost += _UNNOTICED * _usual(problem)
    up = np.where(problem.upper > 0.0, slope - cost, 0.0)
    down = np.where(problem.lower < 0.0, -slope - cost - problem.short_fee, 0.0)
    return np.maximum(np.maximum(up, down), 0.0)


def _usual(problem: Problem) -> float:
    return float(np.median(np.abs(problem.mean) + problem.linear)) or 1.0


def _attempt(problem: Problem, unit: float, money_in_usual: float) -> tuple[Answer, dict[tuple[str, int], float]]:
    """Ask the solver once; also the prices of the shared limits, slope of the objective per unit of each."""
    import clarabel  # here and below: what solves nothing need not wait for the import

    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads, settings.direct_solve_method = False, 1, "qdldl"
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = settings.reduced_tol_feas = _ACCEPTED
    layout, money = columns(problem), money_in_usual * _usual(problem)
    quadratic, linear = objective(problem, layout, unit, money)
    matrix, rows, cones = constraints(problem, layout, unit)
    solution = clarabel.DefaultSolver(quadratic, linear, matrix, np.concatenate(rows.right), cones, settings).solve()
    status = str(solution.status)
    if status not in ("Solved", "AlmostSolved"):
        return Answer(np.full(layout.names, np.nan), f"the solver says {status}", int(solution.iterations)), {}
    prices = {name: float(solution.z[row]) * money / unit for name, row in rows.marks.items()}
    return Answer(np.asarray(solution.x[: layout.names]) * unit, SOLVED, int(solution.iterations)), prices
