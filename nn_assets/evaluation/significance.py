"""Whether a mean over sessions differs from chance, given that overlapping labels are not independent.

Rank correlation and AUC are both written as the mean of one number per session, so that one test with
autocorrelation-robust errors serves both and symbols of one session never count as independent. Neither ranks
forecasts of two models against each other: panels are measured within sessions, single instruments within folds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from nn_assets.arrays import BoolArray, FloatArray, IntArray, read_only
from nn_assets.measures import hac_mean, rank_ic

Names = npt.NDArray[np.str_]

CROSS_SECTION = 5
"""Symbols from which a rank correlation is taken across a session; narrower panels use time series."""


_NEVER_VARIES = "it is the same in every session: nothing varies"


@dataclass(frozen=True)
class MeanTest:
    """A mean over sessions and how sure it is. ``None`` where it cannot be had; then ``reason`` says why.

    ``degrees`` are those of the Student-t that the statistic is referred to; ``p_value`` is one-sided, the chance of
    a mean as high as this one if there is nothing to find.
    """

    estimate: float | None
    standard_error: float | None
    t_statistic: float | None
    p_value: float | None
    degrees: float | None
    sessions: int
    reason: str = ""

    @property
    def never_varies(self) -> bool:
        """Whether every session of a record long enough for a test says the same: no error is needed to be sure."""
        return self.reason == _NEVER_VARIES

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


def degrees_of_freedom(sessions: int, horizon: int) -> float:
    """Degrees of the Student-t that a mean of so many sessions is referred to; see `robust_mean_test`."""
    return 1.5 * sessions / (truncation_lag(sessions, horizon) + 1.0)


def kept_variance(sessions: int, horizon: int) -> float:
    """Share of the long-run variance that Bartlett's weights keep on average: below 1, more so in short records.

    Two factors. With b = lag / sessions, 1 - b + b^2 / 3: the mean is estimated from the same sessions; Kiefer and
    Vogelsang (2005), Econometric Theory 21, theorem 1, in expectation. And 1 - (h^2 - 1) / (3 h (lag + 1)): what the
    weights 1 - j / (lag + 1) take from the autocorrelations 1 - j / h of labels that overlap for h - 1 sessions.
    Without them a test at 3% rejects in 4 to 7%.
    """
    lag = truncation_lag(sessions, horizon)
    share = lag / sessions
    overlap = (horizon * horizon - 1.0) / (3.0 * horizon * (lag + 1.0))
    return (1.0 - share + share * share / 3.0) * max(1.0 - overlap, 0.5)


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
    Newey and West (1987), eq. 5, with Bartlett weights, over the share of the variance that it keeps on
    average (`kept_variance`); referred to a Student-t with 3 n / (2 (lag + 1)) degrees of freedom, the
    equivalent degrees of freedom of the Bartlett kernel, because at long truncation lags the normal rejects
    too often (Lazarus et al. 2018, section 2).
    """
    kept = values[np.isfinite(values)]
    count = len(kept)
    if count == 0:
        return MeanTest(None, None, None, None, None, 0, "no session has both a forecast and a realised label")
    mean = float(kept.mean())
    if count < minimum:
        return MeanTest(mean, None, None, None, None, count, f"{count} sessions; a test needs {minimum}")
    return _tested(kept, mean, null, count, horizon)


def _tested(kept: FloatArray, mean: float, null: float, count: int, horizon: int) -> MeanTest:
    """Refer a mean to its error; ``count`` is how many sessions' worth it knows."""
    lag = truncation_lag(count, horizon)
    _, error, statistic, _ = hac_mean(kept - null, lag)
    if not math.isfinite(statistic) or error <= 1e-12:
        return MeanTest(mean, None, None, None, None, count, _NEVER_VARIES)
    kept_part = math.sqrt(kept_variance(count, horizon))
    error, statistic = error / kept_part, statistic * kept_part
    degrees = degrees_of_freedom(count, horizon)
    p_value = float(stdtr(degrees, -statistic))
    return MeanTest(mean, error, statistic, p_value, degrees, count)


def paired_test(first: FloatArray, second: FloatArray, horizon: int) -> MeanTest:
    """Test the mean of the differences of two series of contributions, over the sessions that have both.

    Parameters
    ----------
    first, second : ndarray, shape (sessions,)
        NaN where there is none.
    horizon : int
        As `robust_mean_test`.

    Notes
    -----
    Diebold and Mariano (1995), "Comparing predictive accuracy", with the errors of `robust_mean_test`.
    """
    return robust_mean_test(first - second, horizon)


def difference_test(values: FloatArray, chosen: BoolArray, horizon: int, *, minimum: int = 20) -> MeanTest:
    """Test the mean over the other sessions less that over some chosen ones, of one series of contributions.

    Parameters
    ----------
    values : ndarray, shape (sessions,)
        NaN sessions are left out.
    chosen : ndarray of bool, shape (sessions,)
    horizon : int
        As `robust_mean_test`.
    minimum : int
        Sessions of each kind below which no test is made.

    Returns
    -------
    MeanTest
        Its p-value is the chance of the chosen sessions' mean lying as far below the others' if there is no
        difference; ``sessions`` are the chosen ones.

    Notes
    -----
    The mean of each session's influence on the difference, (x - mean of its kind) over the share of its kind, has the
    variance of the difference, with autocorrelation within and between the kinds: the regression of x on the kind with
    the errors of Newey and West (1987), in the form of `robust_mean_test`. Lag, share of the variance kept and degrees
    are those of 1 / (1 / n + 1 / m) sessions, n and m those of each kind: what is rare decides the error, and comes in
    few spells. By those of n + m, a test at 5% rejected in 9%.
    """
    kept = np.isfinite(values)
    kinds = [kept & ~chosen, kept & chosen]
    counts = [int(kind.sum()) for kind in kinds]
    if min(counts) == 0:
        reason = "no session of the one kind" if counts[1] else "no session of the other kind"
        return MeanTest(None, None, None, None, None, counts[1], reason)
    other, own = (float(values[kind].mean()) for kind in kinds)
    if min(counts) < minimum:
        reason = f"{min(counts)} sessions of one kind; a test needs {minimum}"
        return MeanTest(other - own, None, None, None, None, counts[1], reason)
    influence = np.full(len(values), np.nan)
    for kind, mean, sign in zip(kinds, (other, own), (1.0, -1.0), strict=True):
        influence[kind] = sign * (values[kind] - mean) * sum(counts) / int(kind.sum()) + other - own
    worth = round(1.0 / sum(1.0 / count for count in counts))
    return replace(_tested(influence[kept], other - own, 0.0, worth, horizon), sessions=counts[1])


def rank_ic_contributions(forecasts: FloatArray, returns: FloatArray, folds: Names | None = None) -> FloatArray:
    """Rank information coefficient of every session; its mean over sessions is the rank IC.

    Panels of at least `CROSS_SECTION` symbols: Spearman's correlation across the session's symbols.
    Narrower panels: the session's share of Spearman's correlation over time within each symbol and fold,
    so that the mean over sessions is the average of the symbols' correlations, each that of its folds
    weighted by their rows.

    Parameters
    ----------
    forecasts, returns : ndarray, shape (sessions, symbols)
        Pairs with a NaN are left out. Ties share their mean rank.
    folds : ndarray of str, shape (sessions,), optional
        Which model made the session's forecasts: narrow panels are never ranked across models. One when
        left out.

    Returns
    -------
    ndarray, shape (sessions,)
        NaN where fewer than `CROSS_SECTION` pairs (narrow panels: none) are complete, or all tie.
    """
    if forecasts.shape[1] >= CROSS_SECTION:
        return rank_ic(forecasts, returns, CROSS_SECTION)
    shares = np.full(forecasts.shape, np.nan)
    for rows, column in _strata(np.isfinite(forecasts) & np.isfinite(returns), folds):
        shares[rows, column] = _spearman_shares(forecasts[rows, column], returns[rows, column])
    counted = np.isfinite(shares)
    # Weighted so that the mean over sessions is the mean over symbols of their own correlations.
    weight = counted.any(axis=1).sum() / np.maximum(counted.sum(axis=0) * max(counted.any(axis=0).sum(), 1), 1)
    total = np.where(counted, shares * weight, 0.0).sum(axis=1)
    return np.where(counted.any(axis=1), total, np.nan)


def _strata(complete: npt.NDArray[np.bool_], folds: Names | None) -> Iterator[tuple[IntArray, int]]:
    """Rows and column of each symbol within each fold, of complete pairs."""
    names = np.zeros(len(complete), dtype=np.int64) if folds is None else np.unique(folds, return_inverse=True)[1]
    for column in range(complete.shape[1]):
        for name in np.unique(names[complete[:, column]]):
            yield np.flatnonzero(complete[:, column] & (names == name)), column


# A study is judged at every month's end, each time on all folds so far. What a fold that is over comes to is kept by
# its own numbers: this many symbols' folds, of some kilobytes each.
_KEPT = 4096


def _spearman_shares(left: FloatArray, right: FloatArray) -> FloatArray:
    if len(left) < 3:
        return np.full(len(left), np.nan)
    return _shares_of(_bytes(left), _bytes(right))


@lru_cache(_KEPT)
def _shares_of(left: bytes, right: bytes) -> FloatArray:
    left_values, right_values = np.frombuffer(left), np.frombuffer(right)
    return read_only(_unit_ranks(left_values) * _unit_ranks(right_values) * len(left_values))


def _bytes(values: FloatArray) -> bytes:
    return np.asarray(values, dtype=np.float64).tobytes()


def _unit_ranks(values: FloatArray) -> FloatArray:
    """Mid-ranks, centred and of length one; NaN throughout when all tie."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    ranks = ranks - ranks.mean()
    norm = math.sqrt(float((ranks * ranks).sum()))
    return ranks / norm if norm > 0.0 else np.full(len(ranks), np.nan)


def auc_contributions(forecasts: FloatArray, targets: FloatArray, folds: Names | None = None) -> FloatArray:
    """Contributions per session whose mean is the AUC within sessions, or within folds in narrow panels.

    Panels of at least `CROSS_SECTION` symbols: the AUC across the session's symbols. Narrower panels: the
    average of the AUC within each symbol and fold, in its linear expansion. Rows of two models are never
    ranked against each other.

    Parameters
    ----------
    forecasts, targets : ndarray, shape (sessions, symbols)
        Probabilities, and 1, 0 or NaN. Pairs with a NaN are left out.
    folds : ndarray of str, shape (sessions,), optional
        Which model made the session's forecasts. One when left out.

    Returns
    -------
    ndarray, shape (sessions,)
        NaN where a session (narrow panels: a symbol's fold) holds one class only, or too few pairs.

    Notes
    -----
    Folds are weighted by ups x downs / (rows + 1), the weights of a stratified rank sum: van Elteren (1960),
    Bulletin of the International Statistical Institute 37. A row's influence on its fold's AUC is its placement value
    among the other class less the AUC, over its class's share: DeLong, DeLong and Clarke-Pearson (1988), eqs. 4-5.
    Rows of one session are added up, so their dependence is inside the session's number.
    """
    complete = np.isfinite(forecasts) & np.isfinite(targets)
    if forecasts.shape[1] >= CROSS_SECTION:
        return _auc_across_symbols(forecasts, targets, complete)
    strata = [
        (rows, _stratum(forecasts[rows, column], targets[rows, column] > 0.5))
        for rows, column in _strata(complete, folds)
    ]
    counted = [(rows, *stratum) for rows, stratum in strata if stratum is not None]
    whole = sum(weight for _, weight, _, _ in counted)
    auc = sum(weight * own for _, weight, own, _ in counted) / whole if counted else math.nan
    added = np.zeros(len(forecasts))
    present = np.zeros(len(forecasts), dtype=np.bool_)
    for rows, weight, own, influence in counted:
        added[rows] += weight / whole * ((own - auc) / len(rows) + influence)
        present[rows] = True
    return np.where(present, auc + added * present.sum(), np.nan)


def _stratum(scores: FloatArray, up: npt.NDArray[np.bool_]) -> tuple[float, float, FloatArray] | None:
    """Weight and AUC of a symbol's fold, and each row's influence on that AUC; None with one class only."""
    return _stratum_of(_bytes(scores), up.tobytes())


@lru_cache(_KEPT)
def _stratum_of(score_bytes: bytes, up_bytes: bytes) -> tuple[float, float, FloatArray] | None:
    from scipy.stats import rankdata

    scores, up = np.frombuffer(score_bytes), np.frombuffer(up_bytes, dtype=np.bool_)
    ups, downs = int(up.sum()), int((~up).sum())
    if ups == 0 or downs == 0:
        return None
    ranks = rankdata(scores)
    placement = np.empty(len(scores))
    placement[up] = (ranks[up] - rankdata(scores[up])) / downs
    placement[~up] = 1.0 - (ranks[~up] - rankdata(scores[~up])) / ups
    auc = float(placement[up].mean())
    return ups * downs / (len(scores) + 1.0), auc, read_only((placement - auc) / np.where(up, ups, downs))


def _auc_across_symbols(forecasts: FloatArray, targets: FloatArray, complete: npt.NDArray[np.bool_]) -> FloatArray:
    from scipy.stats import rankdata

    # Missing pairs are sent to the end, where they do not touch the ranks of the others.
    ranks = rankdata(np.where(complete, forecasts, np.inf), axis=1)
    up = complete & (targets > 0.5)
    ups, pairs = up.sum(axis=1), complete.sum(axis=1)
    enough = (pairs >= CROSS_SECTION) & (ups > 0) & (ups < pairs)
    above = np.where(up, ranks, 0.0).sum(axis=1) - ups * (ups + 1) / 2.0
    return np.where(enough, above / np.maximum(ups * (pairs - ups), 1), np.nan)
