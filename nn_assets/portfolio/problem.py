"""The programme over the names that have a choice, every number finite; and what a solver answers."""

from __future__ import annotations

from dataclasses import dataclass

from nn_assets.arrays import FloatArray

SOLVED = "solved"
ONE_NAME = "one name"


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
