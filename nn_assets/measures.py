"""Arrays in, numbers out: returns, drawdowns, rank correlations, turnover, quality of probabilities.

Returns are fractions per period, not logarithms. A figure that cannot be had (nothing finite, no
variation, one class only) is NaN, never an invented zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError

_NAN = float("nan")
NORMAL_MAD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


class HacMean(NamedTuple):
    """A mean with its autocorrelation-robust standard error and t-statistic."""

    mean: float
    standard_error: float
    t: float
    observations: int


def _finite(values: FloatArray) -> FloatArray:
    kept: FloatArray = values[np.isfinite(values)]
    return kept


def _pairs(left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Keep the elements that are finite in both, flattened."""
    if left.shape != right.shape:
        raise SchemaError(
            expected="two arrays of one shape",
            found=f"shapes {left.shape} and {right.shape}",
            remedy="align the arrays by symbol and session first",
        )
    finite = np.isfinite(left) & np.isfinite(right)
    return left[finite], right[finite]


def sharpe(returns: FloatArray, per_year: float, cash: FloatArray | float = 0.0) -> float:
    """Annualised Sharpe ratio in excess of cash.

    Mean over standard deviation (n - 1) of excess returns, times the root of the periods in a year.
    Source: Sharpe (1994), "The Sharpe ratio", Journal of Portfolio Management 21, ex post.

    Parameters
    ----------
    returns : array, shape (periods,)
        Fractions per period. NaN is dropped.
    per_year : float
        Periods in a year, of the calendar (252 sessions at an exchange, 365 without closing).
    cash : float, or array, shape (periods,)
        Cash return per period, as a fraction.

    Returns
    -------
    float
        NaN for fewer than two returns or returns without variation.
    """
    excess = _finite(np.asarray(returns - cash, dtype=np.float64))
    if excess.size < 2 or excess.min() == excess.max():
        return _NAN
    return float(excess.mean() / excess.std(ddof=1) * np.sqrt(per_year))


def compounded(returns: FloatArray) -> FloatArray:
    """Growth of one unit after each period, shape (periods,); NaN counts as 0: nothing was held.

    What lost everything, or more, stays where it fell: no later return multiplies it, which would turn gains into
    losses.
    """
    wealth = np.cumprod(1.0 + np.where(np.isfinite(returns), returns, 0.0), dtype=np.float64)
    lost = np.flatnonzero(wealth <= 0.0)
    if lost.size:
        wealth[lost[0] :] = wealth[lost[0]]
    return wealth


def drawdowns(returns: FloatArray) -> FloatArray:
    """Loss from the highest wealth so far, after each period; the start counts as a peak.

    ``returns``, shape (periods,), are fractions, compounded as by :func:`compounded`. The result has the same shape
    and is positive for a loss; above 1 more than everything was lost.
    """
    wealth = compounded(returns)
    peak = np.maximum(np.maximum.accumulate(wealth), 1.0) if wealth.size else wealth
    lost: FloatArray = 1.0 - wealth / peak
    return lost


def maximum_drawdown(returns: FloatArray) -> float:
    """Deepest of :func:`drawdowns`, a positive fraction; 0 for no returns."""
    lost = drawdowns(returns)
    return float(lost.max()) if lost.size else 0.0


def rank_ic(forecast: FloatArray, outcome: FloatArray, minimum_symbols: int = 3) -> FloatArray:
    """Spearman correlation of forecast and outcome across symbols, session by session.

    Parameters
    ----------
    forecast, outcome : array, shape (sessions, symbols)
        A symbol with a NaN in either is left out of that session.
    minimum_symbols : int
        Sessions with fewer complete symbols give NaN.

    Returns
    -------
    array, shape (sessions,)
        In [-1, 1]; NaN also where all forecasts or all outcomes tie.
    """
    if forecast.shape != outcome.shape or forecast.ndim != 2:
        raise SchemaError(
            expected="forecast and outcome of one shape (sessions, symbols)",
            found=f"shapes {forecast.shape} and {outcome.shape}",
            remedy="align the arrays by symbol and session first",
        )
    finite = np.isfinite(forecast) & np.isfinite(outcome)
    count = finite.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = _centred_ranks(forecast, finite)
        right = _centred_ranks(outcome, finite)
        covariance = np.sum(left * right, axis=1)
        scale = np.sqrt(np.sum(left * left, axis=1) * np.sum(right * right, axis=1))
        enough = (count >= max(minimum_symbols, 2)) & (scale > 0.0)
        correlation: FloatArray = np.where(enough, covariance / scale, np.nan)
    return correlation


def _centred_ranks(values: FloatArray, finite: npt.NDArray[np.bool_]) -> FloatArray:
    """Mid-ranks within each session less their mean, 0 where not known: (sessions, symbols)."""
    from scipy.stats import rankdata

    # Unknown symbols are sent to the end, where they do not touch the ranks of the known ones.
    ranks = rankdata(np.where(finite, values, np.inf), axis=1)
    middle = (finite.sum(axis=1, keepdims=True) + 1) / 2.0
    centred: FloatArray = np.where(finite, ranks - middle, 0.0)
    return centred


def hac_mean(values: FloatArray, lag: int) -> HacMean:
    """Mean with a heteroscedasticity- and autocorrelation-consistent standard error.

    Long-run variance with Bartlett weights 1 - j / (lag + 1), without small-sample correction.
    Source: Newey and West (1987), Econometrica 55, equation 5.

    Parameters
    ----------
    values : array, shape (periods,)
        NaN is dropped, and its neighbours then count as adjacent.
    lag : int
        Autocovariances counted; at least h - 1 for labels that look h sessions ahead.

    Returns
    -------
    HacMean
        NaN for fewer than two values; t is NaN without variation.

    Raises
    ------
    SchemaError
        A negative lag.
    """
    if lag < 0:
        raise SchemaError(expected="a lag of at least 0", found=str(lag), remedy="use horizon - 1 or more", value=lag)
    finite = _finite(values)
    count = int(finite.size)
    if count < 2:
        return HacMean(float(finite.mean()) if count else _NAN, _NAN, _NAN, count)
    mean = float(finite.mean())
    deviation = finite - mean
    variance = float(deviation @ deviation) / count
    for step in range(1, min(lag, count - 1) + 1):
        covariance = float(deviation[step:] @ deviation[:-step]) / count
        variance += 2.0 * (1.0 - step / (lag + 1.0)) * covariance
    if finite.min() == finite.max() or variance <= 0.0:
        return HacMean(mean, 0.0, _NAN, count)
    error = float(np.sqrt(variance / count))
    return HacMean(mean, error, mean / error, count)


def mean_over_symbols(values: FloatArray, counted: npt.NDArray[np.bool_] | None = None) -> FloatArray:
    """Mean over the symbols of each session, symbol by symbol, so that no bit depends on the memory layout.

    Parameters
    ----------
    values : array, shape (bars, symbols) or (bars, symbols, features)
        What is not finite is left out.
    counted : bool array, shape (bars, symbols), optional
        Symbols that count on a session, of two-dimensional values; all when left out.

    Returns
    -------
    array, shape (bars,) or (bars, features)
        NaN where no symbol counts.
    """
    total, count = np.zeros((2, values.shape[0], *values.shape[2:]))
    for symbol in range(values.shape[1]):
        present = np.isfinite(values[:, symbol])
        if counted is not None:
            present &= counted[:, symbol]
        total += np.where(present, values[:, symbol], 0.0)
        count += present
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def turnover(weights: FloatArray, initial: FloatArray | None = None) -> FloatArray:
    """Weight traded in each period: the sum over symbols of absolute changes (both sides counted).

    Parameters
    ----------
    weights : array, shape (periods, symbols)
        Fractions of capital held after each period's trades. NaN counts as 0.
    initial : array, shape (symbols,), optional
        Held before the first period; nothing by default.

    Returns
    -------
    array, shape (periods,)
        Fractions of capital per period.
    """
    held = np.where(np.isfinite(weights), weights, 0.0)
    before = np.zeros(held.shape[1]) if initial is None else np.where(np.isfinite(initial), initial, 0.0)
    changes = np.diff(held, axis=0, prepend=before[None, :])
    traded: FloatArray = np.abs(changes).sum(axis=1)
    return traded


def hit_ratio(returns: FloatArray) -> float:
    """Share of gains among the returns that are not zero; NaN is dropped, NaN where none is left."""
    moved = _finite(returns)
    moved = moved[moved != 0.0]
    return float(np.mean(moved > 0.0)) if moved.size else _NAN


def win_loss_ratio(returns: FloatArray) -> float:
    """Mean gain over mean loss, both positive; NaN is dropped, NaN without a gain or without a loss."""
    finite = _finite(returns)
    gains, losses = finite[finite > 0.0], finite[finite < 0.0]
    return float(gains.mean() / -losses.mean()) if gains.size and losses.size else _NAN


def accuracy(probability: FloatArray, outcome: FloatArray, threshold: float = 0.5) -> float:
    """Share of outcomes (0 or 1) on the side of the threshold that the probability is on.

    A probability equal to the threshold forecasts 0. Arrays of one shape; pairs with a NaN are
    dropped, NaN without a pair.
    """
    forecast, actual = _pairs(probability, outcome)
    return float(np.mean((forecast > threshold) == (actual > 0.5))) if forecast.size else _NAN


def brier(probability: FloatArray, outcome: FloatArray) -> float:
    """Mean squared difference of probability and outcome (0 or 1); pairs with a NaN are dropped.

    Source: Brier (1950), Monthly Weather Review 78, for one class: in [0, 1]; NaN without a pair.
    """
    forecast, actual = _pairs(probability, outcome)
    return float(np.mean((forecast - actual) ** 2)) if forecast.size else _NAN


def auc(score: FloatArray, outcome: FloatArray) -> float:
    """Area under the receiver operating curve: P(score of a 1 > score of a 0), ties counted half.

    Source: Mann and Whitney (1947); U / (n1 n0) from mid-ranks. Arrays of one shape, outcomes 0 or 1;
    pairs with a NaN are dropped, NaN with one class only.
    """
    from scipy.stats import rankdata

    forecast, actual = _pairs(score, outcome)
    positive = actual > 0.5
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if ones == 0 or zeros == 0:
        return _NAN
    ranks = rankdata(forecast)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2.0) / (ones * zeros))


def expected_calibration_error(probability: FloatArray, outcome: FloatArray, bins: int = 10) -> float:
    """Mean distance of forecast and observed frequency over equal-width bins, weighted by count.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI, with the bins (k/B, (k+1)/B], 0 in the first.
    Arrays of one shape, outcomes 0 or 1; pairs with a NaN are dropped, NaN without a pair.
    """
    forecast, actual = _pairs(probability, outcome)
    if not forecast.size:
        return _NAN
    inner = np.arange(1, bins) / bins
    bin_index = np.searchsorted(inner, forecast, side="left")
    gap = np.bincount(bin_index, weights=forecast - actual, minlength=bins)
    return float(np.abs(gap).sum() / forecast.size)
