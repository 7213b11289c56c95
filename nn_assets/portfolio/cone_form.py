"""The programme as a cone programme, written down by hand: columns, objective, rows, cones.

Impact of size^1.5 is a three-dimensional power cone, |d| <= s^(2/3) 1^(1/3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.portfolio.problem import Problem

if TYPE_CHECKING:
    from scipy import sparse


_IMPACT_POWER = 2.0 / 3.0
_NEARLY = 100.0  # largest slopes of the objective that an excess which must be costs


@dataclass(frozen=True, eq=False)
class Columns:
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
        """First column of s."""
        return self.names + self.factors + len(self.sized) + len(self.changed)

    @property
    def total(self) -> int:
        """Columns of all kinds."""
        return self.first_excess + self.excesses

    @property
    def first_excess(self) -> int:
        """First column of the net sums in excess; the one before is what is borrowed, where there is one."""
        return self.first_priced + len(self.priced) + int(self.margin)


def columns(problem: Problem) -> Columns:
    """Lay the variables out, leaving out those that a problem does not need."""
    names, factors = problem.loadings.shape
    largest = np.maximum(-problem.lower, problem.upper)
    binding = tuple(
        index
        for index, (coefficient, limit) in enumerate(problem.sizes)
        if coefficient.any() and float(coefficient @ largest) > limit
    )
    side = np.where(problem.lower >= 0.0, 1.0, np.where(problem.upper <= 0.0, -1.0, 0.0))
    sized = np.flatnonzero(side == 0.0)
    changed = np.flatnonzero((problem.linear > 0.0) & (problem.start != 0.0))
    size_of = np.arange(names)
    size_of[sized] = names + factors + np.arange(len(sized))
    change_of = size_of.copy()
    change_of[changed] = names + factors + len(sized) + np.arange(len(changed))
    return Columns(
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


class Rows:
    """Rows of A x + s = b under way, gathered as triplets."""

    def __init__(self) -> None:
        self.row: list[IntArray] = []
        self.column: list[IntArray] = []
        self.value: list[FloatArray] = []
        self.right: list[FloatArray] = []
        self.count = 0
        self.marks: dict[tuple[str, int], int] = {}  # rows of the shared limits

    def elementwise(self, right: FloatArray, *terms: tuple[IntArray, float]) -> None:
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
        offsets = 3 * np.arange(len(right))
        self._put(self.count + offsets, first, np.full(len(right), -1.0))
        self._put(self.count + offsets + 2, third, np.full(len(right), -1.0))
        self.right.append(np.stack([np.zeros(len(right)), np.ones(len(right)), -right], axis=1).ravel())
        self.count += 3 * len(right)

    def matrix(self, columns: int) -> sparse.csc_matrix:
        """A, sorted here, since no place has two values: scipy would spend most of its time on looking for such."""
        from scipy import sparse

        row, column, value = (np.concatenate(parts) for parts in (self.row, self.column, self.value))
        inside = np.flatnonzero(value)
        order = inside[np.lexsort((row[inside], column[inside]))]
        first = np.append(0, np.cumsum(np.bincount(column[inside], minlength=columns)))
        matrix = sparse.csc_matrix((value[order], row[order], first), shape=(self.count, columns))
        matrix.has_canonical_format = True
        return matrix

    def _put(self, row: IntArray, column: IntArray, value: FloatArray) -> None:
        self.row.append(row)
        self.column.append(column)
        self.value.append(value)


def objective(problem: Problem, layout: Columns, unit: float, money: float) -> tuple[sparse.csc_matrix, FloatArray]:
    """Write the quadratic and the linear part of what is minimised, weights over ``unit``, worth over ``money``."""
    from scipy import sparse

    diagonal, linear = np.zeros(layout.total), np.zeros(layout.total)
    diagonal[: layout.names] = problem.risk_weight * problem.specific + 2.0 * problem.permanent
    diagonal[layout.names : layout.names + layout.factors] = problem.risk_weight
    # A short fee is half of fee x (|w| - w).
    linear[: layout.names] = -problem.mean - 2.0 * problem.permanent * problem.start - 0.5 * problem.short_fee
    linear[layout.size_of] += 0.5 * problem.short_fee * layout.sign_of
    own = layout.change_of != layout.size_of
    linear[layout.change_of] += problem.linear * np.where(own, 1.0, layout.sign_of)
    linear[layout.first_priced + np.arange(len(layout.priced))] = problem.temporary[layout.priced] * math.sqrt(unit)
    if layout.margin:
        linear[layout.first_excess - 1] = problem.margin_fee
    linear[layout.first_excess :] = _NEARLY * _steepest(problem)
    indices = np.arange(layout.total + 1)
    shape = (layout.total, layout.total)
    quadratic = sparse.csc_matrix((diagonal * (unit * unit / money), indices[:-1], indices), shape=shape)
    return quadratic, linear * (unit / money)


def constraints(problem: Problem, layout: Columns, unit: float) -> tuple[sparse.csc_matrix, Rows, list[object]]:
    """Write A, the rows with their right sides, and the cones: factor exposures, inequalities, impact.

    Parameters
    ----------
    unit : float
        Of weights: variables are weights over it.
    """
    import clarabel

    rows = Rows()
    _factor_rows(problem, layout, unit, rows)
    _bound_rows(problem, layout, unit, rows)
    _change_rows(problem, layout, unit, rows)
    for index in layout.sizes:
        coefficient, limit = problem.sizes[index]
        rows.marks["size", index] = rows.count
        rows.total(limit / unit, layout.size_of, coefficient * layout.sign_of)
    _net_rows(problem, layout, unit, rows)
    _margin_rows(problem, layout, unit, rows)
    inequalities = rows.count - layout.factors
    rows.cones(problem.start[layout.priced] / unit, layout.first_priced + np.arange(len(layout.priced)), layout.priced)
    cones = [clarabel.ZeroConeT(layout.factors)] if layout.factors else []
    cones += [clarabel.NonnegativeConeT(inequalities)]
    cones += [clarabel.PowerConeT(_IMPACT_POWER)] * len(layout.priced)
    return rows.matrix(layout.total), rows, cones


def _factor_rows(problem: Problem, layout: Columns, unit: float, rows: Rows) -> None:
    """Factor exposures are what the weights make of them."""
    for factor in range(layout.factors):
        column = np.append(np.arange(layout.names), layout.names + factor)
        value = np.append(problem.loadings[:, factor], -1.0)
        rows.total(-float(problem.exposure[factor]) / unit, column, value)


def _bound_rows(problem: Problem, layout: Columns, unit: float, rows: Rows) -> None:
    """Bounds of w, and |w| >= w, |w| >= -w, where a name may lie on either side."""
    weights, largest = np.arange(layout.names), np.maximum(-problem.lower, problem.upper)
    above = np.flatnonzero((layout.size_of == weights) | (problem.upper < largest))
    below = np.flatnonzero((layout.size_of == weights) | (-problem.lower < largest))
    rows.elementwise(problem.upper[above] / unit, (above, 1.0))
    rows.elementwise(-problem.lower[below] / unit, (below, -1.0))
    none, sizes = np.zeros(len(layout.sized)), layout.size_of[layout.sized]
    rows.elementwise(largest[layout.sized] / unit, (sizes, 1.0))
    rows.elementwise(none, (layout.sized, 1.0), (sizes, -1.0))
    rows.elementwise(none, (layout.sized, -1.0), (sizes, -1.0))


def _change_rows(problem: Problem, layout: Columns, unit: float, rows: Rows) -> None:
    """|d| >= d and |d| >= -d for the names that start from elsewhere than 0."""
    start, changes = problem.start[layout.changed] / unit, layout.change_of[layout.changed]
    rows.elementwise(start, (layout.changed, 1.0), (changes, -1.0))
    rows.elementwise(-start, (layout.changed, -1.0), (changes, -1.0))


def _margin_rows(problem: Problem, layout: Columns, unit: float, rows: Rows) -> None:
    """What is borrowed is at least 0, and at least the net sum above the capital."""
    if not layout.margin:
        return
    rows.total(0.0, np.array([layout.first_excess - 1]), -np.ones(1))
    column = np.append(np.arange(layout.names), layout.first_excess - 1)
    rows.marks["margin", 0] = rows.count
    rows.total(problem.margin_from / unit, column, np.append(np.ones(layout.names), -1.0))


def _net_rows(problem: Problem, layout: Columns, unit: float, rows: Rows) -> None:
    weights, column = np.arange(layout.names), layout.first_excess
    for index, net in enumerate(problem.nets):
        for sign, bound in ((1.0, net.high), (-1.0, -net.low)):
            signed = sign * net.coefficient
            rows.marks["high" if sign > 0.0 else "low", index] = rows.count
            if net.excess == sign:
                rows.total(bound / unit, np.append(weights, column), np.append(signed, -1.0))
                rows.total(0.0, np.array([column]), -np.ones(1))
                column += 1
            elif signed.any() and float(np.maximum(signed * problem.upper, signed * problem.lower).sum()) > bound:
                rows.total(bound / unit, weights, signed)
            else:
                del rows.marks["high" if sign > 0.0 else "low", index]


def _steepest(problem: Problem) -> float:
    """The largest slope that the objective can have in one weight."""
    largest = np.maximum(-problem.lower, problem.upper)
    change = largest + np.abs(problem.start)
    common = np.abs(problem.loadings).T @ largest + np.abs(problem.exposure)
    risk = problem.risk_weight * (np.abs(problem.loadings) @ common + problem.specific * largest)
    cost = problem.linear + 1.5 * problem.temporary * np.sqrt(change) + 2.0 * problem.permanent * change
    return float((np.abs(problem.mean) + risk + cost + problem.short_fee).max()) + problem.margin_fee
