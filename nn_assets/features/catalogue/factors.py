"""Factor returns: a symbol's betas to a set of factors, and what of its return is left after all of them.

The set is ``features.factors``, whose series hold simple or log returns of a session each. A factor's return that is
published later than its session is set beside the symbol's return of that same session: what is known at t of
session t - 1 explains the return of t - 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_return, ratio
from nn_assets.features.rolling import lagged, rolling_covariance, rolling_std
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel

WINDOW = 60
OLDEST = 5
"""Sessions that a factor's newest return may lie back; an older one has no value."""
BETA_REACH = WINDOW + OLDEST
_SAME = 1e-10
"""Share of a factor's variance that the other factors must leave, or there is no telling them apart."""


def factor_beta(panel: Panel, context: Context) -> FloatArray:
    """Slope on the first of the context's factors, (bars, symbols); NaN where factors cannot be told apart."""
    own, factors = _side_by_side(panel, context.factors)
    return _slopes(own, factors)[0]


def _factor_residual(panel: Panel, context: Context) -> FloatArray:
    own, factors = _side_by_side(panel, context.factors)
    explained = np.zeros(own.shape)
    for slope, factor in zip(_slopes(own, factors), factors, strict=True):
        explained = explained + lagged(slope, 1) * factor  # yesterday's: a return must not explain itself
    return own - explained


def _side_by_side(panel: Panel, factors: Sequence[KnownSeries]) -> tuple[FloatArray, list[FloatArray]]:
    """Log returns of the session that the newest factor returns are of, and these, (bars, symbols) or (bars, 1)."""
    age = factors[0].age_sessions
    together = np.isfinite(age) & (age <= OLDEST)
    for other in factors[1:]:
        together = together & (other.age_sessions == age)  # of one session, all of them
    rows = np.arange(len(age))[:, None] - np.where(together, age, 0.0).astype(np.int64)
    returns = np.take_along_axis(log_return(panel), np.maximum(rows, 0), axis=0)
    own: FloatArray = np.where(together & (rows >= 0), returns, np.nan)
    known = [np.where(together, factor.values, np.nan) for factor in factors]
    if all(_of_the_market(values) for values in known):
        known = [values[:, :1] for values in known]
    return own, known


def _of_the_market(values: FloatArray) -> bool:
    """Whether all symbols read the same, (bars, symbols)."""
    first = values[:, :1]
    return bool(((values == first) | (np.isnan(values) & np.isnan(first))).all())


def _slopes(own: FloatArray, factors: Sequence[FloatArray]) -> list[FloatArray]:
    """Least squares of each row's last 60 returns on the factors' and a constant, one (bars, symbols) a factor.

    By elimination on the factors' correlations, which are positive definite unless one of them follows from the others:
    then there is no value.
    """
    spreads = [rolling_std(factor, WINDOW) for factor in factors]
    count = len(factors)
    left = [
        [
            ratio(rolling_covariance(factors[row], factors[column], WINDOW), spreads[row] * spreads[column])
            for column in range(count)
        ]
        for row in range(count)
    ]
    right = [ratio(rolling_covariance(own, factors[row], WINDOW), spreads[row]) for row in range(count)]
    for pivot in range(count):
        left[pivot][pivot] = np.where(left[pivot][pivot] > _SAME, left[pivot][pivot], np.nan)
        for row in range(pivot + 1, count):
            share = left[row][pivot] / left[pivot][pivot]
            for column in range(pivot + 1, count):
                left[row][column] = left[row][column] - share * left[pivot][column]
            right[row] = right[row] - share * right[pivot]
    for row in reversed(range(count)):
        for column in range(row + 1, count):
            right[row] = right[row] - left[row][column] * right[column]
        right[row] = right[row] / left[row][row]
    return [ratio(slope, spread) for slope, spread in zip(right, spreads, strict=True)]


FACTORS = (
    Feature(
        name="factor_residual_return",
        group="cross_market",
        reach_sessions=BETA_REACH + 1,
        compute=_factor_residual,
        formula=(
            "r - sum of beta_k f_k over all of features.factors, r and f_k of the newest session whose factor returns "
            "are known, beta_k their slopes in the least squares, with a constant, of the 60 sessions before it"
        ),
        source="Blitz, Huij and Martens (2011), residual momentum, daily",
        factors=True,
    ),
)
