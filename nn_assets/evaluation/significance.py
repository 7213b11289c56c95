"""Whether a mean over sessions differs from chance, given that overlapping labels are not independent.

Rank correlation and AUC are both written as the mean of one number per session, so that one test with
autocorrelation-robust errors serves both and symbols of one session never count as independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from nn_assets.measures import hac_mean, rank_ic

__all__ = [
    "CROSS_SECTION",
    "MeanTest",
    "auc_contributions",
    "rank_ic_contributions",
    "robust_mean_test",
    "truncation_lag",
]

FloatArray = npt.NDArray[np.float64]

CROSS_SECTION = 5
"""Symbols from which a rank correlation is taken across a session; narrower panels use time series."""


@dataclass(frozen=True)
class MeanTest:
    """A mean over sessions and how sure it is. ``None`` where it cannot be had; then ``reason`` says why.

    ``degrees`` are those of the Student-t that the statistic is referred to; ``p_value`` is two-sided.
    """

    estimate: float | None
    standard_error: float | None
    t_statistic: float | None
    p_value: float | None
    degrees: float | None
    sessions: int
    reason: str = ""

    def quantile(self, probability: float) -> float:
        """Quantile of the reference distribution, in standard errors; NaN without degrees."""
        return math.nan if self.degrees is None else float(stdtrit(self.degrees, probability))


def truncation_lag(sessions: int, horizon: int) -> int:
    """Lags of the autocovariance that enter the standard error, in sessions.

    Never below 3 x horizon: labels overlap for horizon - 1 sessions, and Bartlett's weights at that
    very lag would see only two thirds of the variance. For long records 1.3 sqrt(n), the rule of
    Lazarus, Lewis, Stock and Watson (2018), section 3. At most half of the record.
    """
    wanted = max(3 * horizon, math.ceil(1.3 * math.sqrt(sessions)))
    return max(0, min(wanted, sessions // 2 - 1))


def robust_mean_test(values: FloatArray, horizon: int, *, null: float = 0.0, minimum: int = 20) -> MeanTest:
    """Test the mean of a series against ``null`` with heteroskedasticity- and autocorrelation-robust errors.

    Parameters
    ----------
    values : ndarray, shape (sessions,)
        NaN sessions are left out; those around one count as neighbours.
    horizon : int
        Sessions that a label looks ahead; sets the smallest truncation lag.
    null : float
        The mean if there is nothing to find.
    minimum : int
        Sessions below which no test is made.

    Notes
    -----
    Newey and West (1987), eq. 5, with Bartlett weights; referred to a Student-t with 3 n / (2 (lag + 1))
    degrees of freedom, the equivalent degrees of freedom of the Bartlett kernel, because at long
    truncation lags the normal rejects too often (Lazarus et al. 2018, section 2).
    """
    kept = values[np.isfinite(values)]
    count = len(kept)
    if count == 0:
        return MeanTest(None, None, None, None, None, 0, "no session has both a forecast and a realised label")
    mean = float(kept.mean())
    if count < minimum:
        return MeanTest(mean, None, None, None, None, count, f"{count} sessions; a test needs {minimum}")
    lag = truncation_lag(count, horizon)
    _, error, statistic, _ = hac_mean(kept - null, lag)
    if not math.isfinite(statistic) or error <= 1e-12:
        return MeanTest(mean, None, None, None, None, count, "it is the same in every session: nothing varies")
    degrees = 1.5 * count / (lag + 1.0)
    p_value = float(2.0 * stdtr(degrees, -abs(statistic)))
    return MeanTest(mean, error, statistic, p_value, degrees, count)


def rank_ic_contributions(forecasts: FloatArray, returns: FloatArray) -> FloatArray:
    """Rank information coefficient of every session; its mean over sessions is the rank IC.

    Panels of at least `CROSS_SECTION` symbols: Spearman's correlation across the session's symbols.
    Narrower panels: the session's share of Spearman's correlation over time within each symbol, so
    that the mean over sessions is the average of the symbols' time-series rank correlations.

    Parameters
    ----------
    forecasts, returns : ndarray, shape (sessions, symbols)
        Pairs with a NaN are left out. Ties share their mean rank.

    Returns
    -------
    ndarray, shape (sessions,)
        NaN where fewer than `CROSS_SECTION` pairs (narrow panels: none) are complete, or all tie.
    """
    if forecasts.shape[1] >= CROSS_SECTION:
        return rank_ic(forecasts, returns, CROSS_SECTION)
    complete = np.isfinite(forecasts) & np.isfinite(returns)
    shares = np.full(forecasts.shape, np.nan)
    for column in range(forecasts.shape[1]):
        rows = np.flatnonzero(complete[:, column])
        shares[rows, column] = _spearman_shares(forecasts[rows, column], returns[rows, column])
    counted = np.isfinite(shares)
    # Weighted so that the mean over sessions is the mean over symbols of their own correlations.
    weight = counted.any(axis=1).sum() / np.maximum(counted.sum(axis=0) * max(counted.any(axis=0).sum(), 1), 1)
    total = np.where(counted, shares * weight, 0.0).sum(axis=1)
    return np.where(counted.any(axis=1), total, np.nan)


def _spearman_shares(left: FloatArray, right: FloatArray) -> FloatArray:
    if len(left) < 3:
        return np.full(len(left), np.nan)
    return _unit_ranks(left) * _unit_ranks(right) * len(left)


def _unit_ranks(values: FloatArray) -> FloatArray:
    """Mid-ranks, centred and of length one; NaN throughout when all tie."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    ranks = ranks - ranks.mean()
    norm = math.sqrt(float((ranks * ranks).sum()))
    return ranks / norm if norm > 0.0 else np.full(len(ranks), np.nan)


def auc_contributions(forecasts: FloatArray, targets: FloatArray) -> FloatArray:
    """Contributions per session whose mean is the pooled AUC, in its linear expansion.

    Parameters
    ----------
    forecasts, targets : ndarray, shape (sessions, symbols)
        Probabilities, and 1, 0 or NaN. Pairs with a NaN are left out.

    Returns
    -------
    ndarray, shape (sessions,)
        AUC plus the session's influence on it; NaN where no pair is complete, and throughout when
        only one class occurs.

    Notes
    -----
    The influence of a row is its placement value among the other class less the AUC, over its class's
    share: DeLong, DeLong and Clarke-Pearson (1988), eqs. 4-5, in the form of an influence function.
    Rows of one session are added up, so their dependence is inside the session's number.
    """
    from scipy.stats import rankdata

    complete = np.isfinite(forecasts) & np.isfinite(targets)
    session = np.nonzero(complete)[0]
    scores, classes = forecasts[complete], targets[complete] > 0.5
    ups, downs = int(classes.sum()), int((~classes).sum())
    result = np.full(len(forecasts), np.nan)
    if ups == 0 or downs == 0:
        return result
    ranks = rankdata(scores)
    placement = np.empty(len(scores))
    placement[classes] = (ranks[classes] - rankdata(scores[classes])) / downs
    placement[~classes] = 1.0 - (ranks[~classes] - rankdata(scores[~classes])) / ups
    auc = placement[classes].mean()
    influence = (placement - auc) / np.where(classes, ups, downs)
    present = np.unique(session)
    summed = np.bincount(session, weights=influence, minlength=len(forecasts))
    result[present] = auc + summed[present] * len(present)
    return result
