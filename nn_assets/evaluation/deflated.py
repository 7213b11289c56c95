"""How far a Sharpe ratio can be believed: its own error, the trials behind it, the splits it overfits.

Sharpe ratios here are *per period* (session), never annualised; ``kurtosis`` is the plain fourth
standardised moment, 3 for a normal.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError, SettingsError

_EULER_MASCHERONI = 0.5772156649015329


def _error_factor(sharpe: float, skew: float, kurtosis: float) -> float:
    """Asymptotic variance of a Sharpe ratio times n - 1 (Mertens 2002; NaN where it is not positive)."""
    factor = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    return factor if factor > 0.0 else math.nan


def probabilistic_sharpe(
    sharpe: float, benchmark: float, observations: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark.

    Parameters
    ----------
    sharpe, benchmark : float
        Per period, not annualised.
    observations : int
        Number of returns.
    skew, kurtosis : float
        Standardised moments of the returns; 0 and 3 for a normal.

    Returns
    -------
    float
        In [0, 1]; NaN with fewer than 2 observations, a NaN input, or moments that contradict the
        Sharpe ratio.

    Notes
    -----
    Bailey and López de Prado (2012), "The Sharpe Ratio Efficient Frontier", eq. 12.
    """
    if observations < 2:
        return math.nan
    spread = math.sqrt(_error_factor(sharpe, skew, kurtosis) / (observations - 1))
    return float(ndtr((sharpe - benchmark) / spread))


def expected_maximum_of_normals(count: float) -> float:
    """Approximate expectation of the largest of ``count`` independent standard normals.

    Zero for a single one. Bailey and López de Prado (2014), "The Deflated Sharpe Ratio", eq. 6.
    For ten it gives 1.5746, where the exact value is 1.5388.
    """
    if count <= 1.0:
        return 0.0
    first = float(ndtri(1.0 - 1.0 / count))
    second = float(ndtri(1.0 - 1.0 / (count * math.e)))
    return (1.0 - _EULER_MASCHERONI) * first + _EULER_MASCHERONI * second


def null_sharpe_variance(observations: int) -> float:
    """Variance over trials of per-period Sharpe ratios when none has an edge: 1 / (n - 1).

    Stands in where too few trials are on record to measure it. Mertens (2002) at a Sharpe ratio of 0.
    """
    return 1.0 / (observations - 1) if observations > 1 else math.nan


def deflated_threshold(trials: int, variance_of_sharpes: float) -> float:
    """Per-period Sharpe ratio that the best of ``trials`` worthless ones is expected to show."""
    return math.sqrt(variance_of_sharpes) * expected_maximum_of_normals(trials)


def deflated_sharpe(
    sharpe: float,
    observations: int,
    trials: int,
    variance_of_sharpes: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the true Sharpe ratio is positive, given that it is the best of several trials.

    Parameters
    ----------
    sharpe : float
        Of the chosen trial, per period.
    observations : int
        Number of its returns.
    trials : int
        Configurations ever evaluated on these data, this one included.
    variance_of_sharpes : float
        Of the trials' per-period Sharpe ratios.
    skew, kurtosis : float
        Of the chosen trial's returns.

    Returns
    -------
    float
        In [0, 1]; NaN as `probabilistic_sharpe`.

    Notes
    -----
    Bailey and López de Prado (2014), "The Deflated Sharpe Ratio", eq. 9. With a single trial it is the
    probabilistic Sharpe ratio against zero.
    """
    threshold = deflated_threshold(trials, variance_of_sharpes)
    return probabilistic_sharpe(sharpe, threshold, observations, skew, kurtosis)


def minimum_track_record(
    sharpe: float, benchmark: float, confidence: float = 0.95, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Count the returns needed before a Sharpe ratio is shown to exceed a benchmark.

    Parameters
    ----------
    sharpe, benchmark : float
        Per period.
    confidence : float
        In (0.5, 1).

    Returns
    -------
    float
        Periods; infinite where the Sharpe ratio does not exceed the benchmark.

    Notes
    -----
    Bailey and López de Prado (2012), "The Sharpe Ratio Efficient Frontier", eq. 13.
    """
    if not sharpe > benchmark:
        return math.nan if math.isnan(sharpe) or math.isnan(benchmark) else math.inf
    normals = float(ndtri(confidence)) / (sharpe - benchmark)
    return 1.0 + _error_factor(sharpe, skew, kurtosis) * normals * normals


@dataclass(frozen=True)
class OverfittingEstimate:
    """What combinatorially symmetric cross-validation found.

    ``probability`` is the share of splits in which the configuration that was best in sample ended in
    the lower half out of sample. ``logits`` has shape (splits,): log odds of its relative rank.
    """

    splits: int
    probability: float
    logits: FloatArray


def backtest_overfitting(returns: FloatArray, blocks: int = 16) -> OverfittingEstimate:
    """Probability of backtest overfitting by CSCV.

    Parameters
    ----------
    returns : ndarray, shape (sessions, configurations)
        Net returns per session of every configuration tried, at least two of them. The oldest
        sessions that do not fill a block are left out. No NaN.
    blocks : int
        Even. 16 gives 12,870 splits.

    Returns
    -------
    OverfittingEstimate
        A configuration of constant returns has a Sharpe ratio of 0.

    Raises
    ------
    SchemaError
        ``blocks`` is odd, fewer than two sessions a block, fewer than two configurations, or NaN.

    Notes
    -----
    Bailey, Borwein, López de Prado and Zhu (2017), "The Probability of Backtest Overfitting", section 3.
    Sums per block make a split's Sharpe ratio, so no split goes back to the returns.
    """
    sessions, configurations = returns.shape
    length = sessions // blocks if blocks > 0 and blocks % 2 == 0 else 0
    if length < 2 or configurations < 2 or not np.isfinite(returns).all():
        raise SchemaError(
            expected="an even number of blocks, two sessions a block, two configurations and no NaN",
            found=f"{blocks} blocks, {sessions} sessions, {configurations} configurations, "
            f"{int((~np.isfinite(returns)).sum())} values not finite",
            remedy="give net returns of every configuration on the sessions all of them share",
        )
    cut = returns[sessions - length * blocks :].reshape(blocks, length, configurations)
    sums, squares = cut.sum(axis=1), (cut * cut).sum(axis=1)  # (blocks, configurations)
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for split, inside in enumerate(itertools.combinations(range(blocks), blocks // 2)):
        chosen[split, list(inside)] = 1.0
    half = length * blocks // 2
    best = _sharpes(chosen @ sums, chosen @ squares, half).argmax(axis=1)
    outside = _sharpes((1.0 - chosen) @ sums, (1.0 - chosen) @ squares, half)
    picked = np.take_along_axis(outside, best[:, None], axis=1)
    below, tied = (outside < picked).sum(axis=1), (outside == picked).sum(axis=1)
    relative = (below + (tied + 1) / 2.0) / (configurations + 1)
    logits = np.log(relative / (1.0 - relative))
    return OverfittingEstimate(splits=len(chosen), probability=float((logits <= 0.0).mean()), logits=logits)


def _sharpes(sums: FloatArray, squares: FloatArray, count: int) -> FloatArray:
    mean = sums / count
    variance = np.maximum(squares / count - mean * mean, 0.0)
    spread = np.sqrt(variance)
    still = spread <= 1e-12 * np.sqrt(squares / count)
    return np.where(still, 0.0, mean / np.where(still, 1.0, spread))


@dataclass(frozen=True)
class CombinatorialSplits:
    """Sizes of a combinatorial purged cross-validation: how many splits, how many whole paths."""

    splits: int
    paths: int


def combinatorial_splits(groups: int, tested: int) -> CombinatorialSplits:
    """Count splits and backtest paths when ``tested`` of ``groups`` groups are tested at a time.

    López de Prado (2018), "Advances in Financial Machine Learning", section 12.3: 6 groups, 2 tested
    give 15 splits and 5 paths.

    Raises
    ------
    SettingsError
        ``tested`` is not between 1 and ``groups - 1``.
    """
    if not 1 <= tested < groups:
        raise SettingsError(
            expected=f"between 1 and {groups - 1} tested groups of {groups}",
            found=str(tested),
            remedy="test fewer groups than there are, and at least one",
        )
    splits = math.comb(groups, tested)
    return CombinatorialSplits(splits=splits, paths=splits * tested // groups)
