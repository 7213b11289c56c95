"""The programme as a cone programme for Clarabel, written down by hand; and solved outright for one name.

Goulart and Chen (2024), "Clarabel: an interior-point solver for conic programs with quadratic objectives". Impact
of size^1.5 is a three-dimensional power cone, |d| <= s^(2/3) 1^(1/3). One thread and no start from an earlier
answer: the same problem gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["ONE_NAME", "SOLVED", "Answer", "Net", "Problem", "many_names", "one_name"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SOLVED = "solved"
ONE_NAME = "one name"

_TOLERANCE = 1e-11  # of feasibility and gap, in the problem's own scale
_ACCEPTED = 1e-8  # where no further digit can be had
_IMPACT_POWER = 2.0 / 3.0
_UNITS = ((1.0, 1.0), (10.0, 1.0), (10.0, 10.0))  # of weights, and of the objective in usual sizes of mu and cost
_BISECTIONS = 200
_SMALL = 200  # names up to which all are handed over at once
_UNNOTICED = 1e-6  # usual sizes of mu and cost
_NEARLY = 100.0  # largest slopes of the objective that an excess which must be costs


@dataclass(frozen=True, eq=False)
class Net:
    """low <= coefficient'w <= high; where ``excess`` is 1 (-1) the upper (lower) end is kept as nearly as can be."""

    coefficient: FloatArray
    low: float
    high: float
    excess: float = 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Maximise over the names left; arrays (names,), every number finite.

    mean'w - risk_weight |loadings'w + exposure|^2 / 2 - risk_weight sum(specific w^2) / 2
    - sum(linear |d| + temporary |d|^1.5 + permanent d^2) - sum(short_fee max(-w, 0))
    - margin_fee max(sum(w) - margin_from, 0), d = w - start,
    with lower <= w <= upper, coefficient'|w| <= limit for ``sizes``, and ``nets``.
    """

    mean: FloatArray
    loadings: FloatArray  # (names, factors)
    exposure: FloatArray  # (factors,), of weights that are given
    specific: FloatArray
    risk_weight: float
    start: FloatArray
    linear: FloatArray
    temporary: FloatArray
    permanent: FloatArray
    short_fee: FloatArray
    margin_fee: float
    margin_from: float
    lower: FloatArray
    upper: FloatArray
    sizes: tuple[tuple[FloatArray, float], ...]
    nets: tuple[Net, ...]


@dataclass(frozen=True, eq=False)
class Answer:
    """Weights (names,), NaN where there is no answer; the status in words; the solver's iterations."""

    weights: FloatArray
    status: str
    iterations: int


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
    inside[ranked[: _SMALL // 4]] = inside[ranked[-(_SMALL // 4) :]] = True
    iterations = 0
    while 2 * inside.sum() < len(inside):
        answer, prices = _attempt(_part(problem, inside), *_UNITS[0])
        iterations += answer.iterations
        if answer.status != SOLVED:
            return None
        weights = np.zeros(len(inside))
        weights[inside] = answer.weights
        called = np.where(inside, 0.0, _called_for(problem, weights, prices))
        if not called.any():
            return Answer(weights, SOLVED, iterations)
        most = np.argsort(-called, kind="stable")[: int(inside.sum())]
        inside[most[called[most] > 0.0]] = True
    return None


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
    for place, net in enumerate(problem.nets):
        slope -= (prices.get(("high", place), 0.0) - prices.get(("low", place), 0.0)) * net.coefficient
    cost = problem.linear.copy()
    for place, (coefficient, _) in enumerate(problem.sizes):
        cost += prices.get(("size", place), 0.0) * coefficient
    cost += _UNNOTICED * _usual(problem)
    up = np.where(problem.upper > 0.0, slope - cost, 0.0)
    down = np.where(problem.lower < 0.0, -slope - cost - problem.short_fee, 0.0)
    return np.maximum(np.maximum(up, down), 0.0)


def _usual(problem: Problem) -> float:
    return float(np.median(np.abs(problem.mean) + problem.linear)) or 1.0


def _attempt(problem: Problem, unit: float, money_in_usual: float) -> tuple[Answer, dict[tuple[str, int], float]]:
    """Ask the solver once; also the prices of the shared limits, slope of the objective per unit of each."""
    import clarabel  # here and below: whoever solves nothing waits for no import

    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads, settings.direct_solve_method = False, 1, "qdldl"
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = settings.reduced_tol_feas = _ACCEPTED
    at, money = _columns(problem), money_in_usual * _usual(problem)
    quadratic, linear = _objective(problem, at, unit, money)
    matrix, rows, cones = _constraints(problem, at, unit)
    found = clarabel.DefaultSolver(quadratic, linear, matrix, np.concatenate(rows.right), cones, settings).solve()
    status = str(found.status)
    if status not in ("Solved", "AlmostSolved"):
        return Answer(np.full(at.names, np.nan), f"the solver says {status}", int(found.iterations)), {}
    prices = {name: float(found.z[row]) * money / unit for name, row in rows.marks.items()}
    return Answer(np.asarray(found.x[: at.names]) * unit, SOLVED, int(found.iterations)), prices


@dataclass(frozen=True, eq=False)
class _Columns:
    """Variables: w, factor exposures, then only where they are needed |w|, |d|, s >= |d|^1.5, what is borrowed.

    A name that keeps to one side needs no |w| of its own, and one that starts from 0 has |d| = |w|.
    """

    names: int
    factors: int
    sized: IntArray  # names with a column for |w|
    changed: IntArray  # names with a column for |d|
    priced: IntArray  # names with a column for s
    margin: bool
    size_of: IntArray  # (names,), the column that holds |w|, by sign
    sign_of: FloatArray
    change_of: IntArray  # (names,), the column that holds |d|, by sign; that of |w| where d = w
    sizes: tuple[int, ...]  # limits on sizes that can bind
    excesses: int  # net sums in excess, each with a column for by how much

    @property
    def first_priced(self) -> int:
        return self.names + self.factors + len(self.sized) + len(self.changed)

    @property
    def total(self) -> int:
        return self.first_excess + self.excesses

    @property
    def first_excess(self) -> int:
        return self.first_priced + len(self.priced) + int(self.margin)


def _columns(problem: Problem) -> _Columns:
    names, factors = problem.loadings.shape
    largest = np.maximum(-problem.lower, problem.upper)
    binding = tuple(
        place for place, (each, limit) in enumerate(problem.sizes) if each.any() and float(each @ largest) > limit
    )
    side = np.where(problem.lower >= 0.0, 1.0, np.where(problem.upper <= 0.0, -1.0, 0.0))
    sized = np.flatnonzero(side == 0.0)
    changed = np.flatnonzero((problem.linear > 0.0) & (problem.start != 0.0))
    size_of = np.arange(names)
    size_of[sized] = names + factors + np.arange(len(sized))
    change_of = size_of.copy()
    change_of[changed] = names + factors + len(sized) + np.arange(len(changed))
    return _Columns(
        names=names,
        factors=factors,
        sized=sized,
        changed=changed,
        priced=np.flatnonzero(problem.temporary > 0.0),
        margin=problem.margin_fee > 0.0 and float(problem.upper.sum()) > problem.margin_from,
        size_of=size_of,
        sign_of=np.where(side != 0.0, side, 1.0),
        change_of=change_of,
        sizes=binding,
        excesses=sum(net.excess != 0.0 for net in problem.nets),
    )


def _objective(problem: Problem, at: _Columns, unit: float, money: float) -> tuple[sparse.csc_matrix, FloatArray]:
    from scipy import sparse

    diagonal, linear = np.zeros(at.total), np.zeros(at.total)
    diagonal[: at.names] = problem.risk_weight * problem.specific + 2.0 * problem.permanent
    diagonal[at.names : at.names + at.factors] = problem.risk_weight
    # A short fee is half of fee x (|w| - w).
    linear[: at.names] = -problem.mean - 2.0 * problem.permanent * problem.start - 0.5 * problem.short_fee
    linear[at.size_of] += 0.5 * problem.short_fee * at.sign_of
    own = at.change_of != at.size_of
    linear[at.change_of] += problem.linear * np.where(own, 1.0, at.sign_of)
    linear[at.first_priced + np.arange(len(at.priced))] = problem.temporary[at.priced] * math.sqrt(unit)
    if at.margin:
        linear[at.first_excess - 1] = problem.margin_fee
    linear[at.first_excess :] = _NEARLY * _steepest(problem)
    places = np.arange(at.total)
    quadratic = sparse.csc_matrix((diagonal * (unit * unit / money), (places, places)), shape=(at.total, at.total))
    return quadratic, linear * (unit / money)


class _Rows:
    """Rows of A x + s = b under way, gathered as triplets."""

    def __init__(self) -> None:
        self.row: list[IntArray] = []
        self.column: list[IntArray] = []
        self.value: list[FloatArray] = []
        self.right: list[FloatArray] = []
        self.count = 0
        self.marks: dict[tuple[str, int], int] = {}  # rows of the shared limits

    def each(self, right: FloatArray, *terms: tuple[IntArray, float]) -> None:
        """One row for each place of ``right``: the sum of the terms' variables there, at most ``right``."""
        for column, value in terms:
            self._put(self.count + np.arange(len(right)), column, np.full(len(right), value))
        self.right.append(right)
        self.count += len(right)

    def total(self, right: float, column: IntArray, value: FloatArray) -> None:
        """One row: value x variable over all columns given, at most ``right``."""
        self._put(np.full(len(column), self.count), column, value)
        self.right.append(np.array([right]))
        self.count += 1

    def cones(self, right: FloatArray, first: IntArray, third: IntArray) -> None:
        """Three rows for each place: s = (variable first, 1, variable third - right)."""
        place = 3 * np.arange(len(right))
        self._put(self.count + place, first, np.full(len(right), -1.0))
        self._put(self.count + place + 2, third, np.full(len(right), -1.0))
        self.right.append(np.stack([np.zeros(len(right)), np.ones(len(right)), -right], axis=1).ravel())
        self.count += 3 * len(right)

    def _put(self, row: IntArray, column: IntArray, value: FloatArray) -> None:
        self.row.append(row)
        self.column.append(column)
        self.value.append(value)


def _constraints(problem: Problem, at: _Columns, unit: float) -> tuple[sparse.csc_matrix, _Rows, list[object]]:
    import clarabel
    from scipy import sparse

    rows, weights = _Rows(), np.arange(at.names)
    for factor in range(at.factors):
        column = np.append(weights, at.names + factor)
        value = np.append(problem.loadings[:, factor], -1.0)
        rows.total(-float(problem.exposure[factor]) / unit, column, value)
    start = problem.start / unit
    largest = np.maximum(-problem.lower, problem.upper)
    above = np.flatnonzero((at.size_of == weights) | (problem.upper < largest))
    below = np.flatnonzero((at.size_of == weights) | (-problem.lower < largest))
    rows.each(problem.upper[above] / unit, (above, 1.0))
    rows.each(-problem.lower[below] / unit, (below, -1.0))
    none, sizes = np.zeros(len(at.sized)), at.size_of[at.sized]
    rows.each(largest[at.sized] / unit, (sizes, 1.0))
    rows.each(none, (at.sized, 1.0), (sizes, -1.0))
    rows.each(none, (at.sized, -1.0), (sizes, -1.0))
    changes = at.change_of[at.changed]
    rows.each(start[at.changed], (at.changed, 1.0), (changes, -1.0))
    rows.each(-start[at.changed], (at.changed, -1.0), (changes, -1.0))
    for place in at.sizes:
        coefficient, limit = problem.sizes[place]
        rows.marks["size", place] = rows.count
        rows.total(limit / unit, at.size_of, coefficient * at.sign_of)
    _net_rows(problem, at, unit, rows)
    if at.margin:
        rows.total(0.0, np.array([at.first_excess - 1]), -np.ones(1))
        column = np.append(weights, at.first_excess - 1)
        rows.marks["margin", 0] = rows.count
        rows.total(problem.margin_from / unit, column, np.append(np.ones(at.names), -1.0))
    inequalities = rows.count - at.factors
    rows.cones(start[at.priced], at.first_priced + np.arange(len(at.priced)), at.priced)
    matrix = sparse.csc_matrix(
        (np.concatenate(rows.value), (np.concatenate(rows.row), np.concatenate(rows.column))),
        shape=(rows.count, at.total),
    )
    matrix.eliminate_zeros()
    cones = [clarabel.ZeroConeT(at.factors)] if at.factors else []
    cones += [clarabel.NonnegativeConeT(inequalities)]
    cones += [clarabel.PowerConeT(_IMPACT_POWER)] * len(at.priced)
    return matrix, rows, cones


def _net_rows(problem: Problem, at: _Columns, unit: float, rows: _Rows) -> None:
    weights, column = np.arange(at.names), at.first_excess
    for place, net in enumerate(problem.nets):
        for sign, bound in ((1.0, net.high), (-1.0, -net.low)):
            signed = sign * net.coefficient
            rows.marks["high" if sign > 0.0 else "low", place] = rows.count
            if net.excess == sign:
                rows.total(bound / unit, np.append(weights, column), np.append(signed, -1.0))
                rows.total(0.0, np.array([column]), -np.ones(1))
                column += 1
            elif signed.any() and float(np.maximum(signed * problem.upper, signed * problem.lower).sum()) > bound:
                rows.total(bound / unit, weights, signed)
            else:
                del rows.marks["high" if sign > 0.0 else "low", place]


def _steepest(problem: Problem) -> float:
    """The largest slope that the objective can have in one weight."""
    largest = np.maximum(-problem.lower, problem.upper)
    change = largest + np.abs(problem.start)
    common = np.abs(problem.loadings).T @ largest + np.abs(problem.exposure)
    risk = problem.risk_weight * (np.abs(problem.loadings) @ common + problem.specific * largest)
    cost = problem.linear + 1.5 * problem.temporary * np.sqrt(change) + 2.0 * problem.permanent * change
    return float((np.abs(problem.mean) + risk + cost + problem.short_fee).max()) + problem.margin_fee
