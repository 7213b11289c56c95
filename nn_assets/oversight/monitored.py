"""The series that drift is looked for in: summaries of a panel, their memory, their innovations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError
from nn_assets.measures import mean_over_symbols
from nn_assets.oversight.simulation import CUSUM_ALLOWANCE

# A standard deviation across fewer symbols says more of chance than of the market.
SPREAD_SYMBOLS = 5
# A memory measured on few sessions is raised by as much as Student's t exceeds the normal at this level.
_CAUTION = 0.99
_LONGEST_MEMORY = 0.999


def rank_within(values: FloatArray, validation: FloatArray) -> FloatArray:
    """Mid-ranks of forecasts within their own model's validation forecasts.

    A refreshed model forecasts on a scale of its own; ranks within its own validation are
    comparable across refreshes, so that a refresh alone does not ring.

    Parameters
    ----------
    values : array, any shape
        Forecasts of one model. NaN stays NaN.
    validation : array, shape (forecasts,)
        Validation forecasts of the same model, in any order. NaN is dropped.

    Returns
    -------
    array, shape of ``values``
        In [0, 1]: the share of validation forecasts below, ties counted half.

    Raises
    ------
    SchemaError
        No finite validation forecast.
    """
    ordered = np.sort(validation[np.isfinite(validation)], axis=None)
    if ordered.size == 0:
        raise SchemaError(
            expected="at least one finite validation forecast",
            found=f"{validation.size} forecasts, none finite",
            remedy="hand in the forecasts of the model's validation rows",
        )
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    ranks: FloatArray = (below + upto) / (2.0 * ordered.size)
    return np.where(np.isfinite(values), ranks, np.nan)


def monitored_names(names: Sequence[str], symbols: int) -> tuple[str, ...]:
    """Names of the columns that :func:`cross_section` gives: the features, then their spreads."""
    spreads = [f"{name}:spread" for name in names] if symbols >= SPREAD_SYMBOLS else []
    return (*names, *spreads)


def cross_section(cube: FloatArray) -> FloatArray:
    """One row per session: the mean over symbols, and from five symbols on the spread around it.

    The mean is the common factor, tested apart: hundreds of symbols that move together are not
    hundreds of observations. The spread sees what the mean averages away. Sums run symbol by
    symbol, so that a row's bits do not depend on how many rows there are.

    Parameters
    ----------
    cube : array, shape (bars, symbols, features)
        NaN is left out of a session's mean.

    Returns
    -------
    array, shape (bars, features) or (bars, 2 x features)
        NaN where no symbol (for the spread, fewer than five) has a value.
    """
    bars, symbols, width = cube.shape
    mean = mean_over_symbols(cube)
    if symbols < SPREAD_SYMBOLS:
        return mean
    squares, count = np.zeros((2, bars, width))
    for symbol in range(symbols):
        deviation = cube[:, symbol] - mean
        finite = np.isfinite(deviation)
        squares += np.where(finite, deviation * deviation, 0.0)
        count += finite
    spread = np.full((bars, width), np.nan)
    np.divide(squares, count, out=spread, where=count >= SPREAD_SYMBOLS)
    return np.concatenate([mean, np.sqrt(spread)], axis=1)


def autocorrelation(values: FloatArray) -> float:
    """Lag-one sample autocorrelation (the standard estimator, one mean and one variance).

    Parameters
    ----------
    values : array, shape (sessions,)
        A pair with a NaN in it is left out of the numerator.

    Returns
    -------
    float
        In [-1, 1]; NaN for fewer than three values, 0 for a constant series.
    """
    finite = values[np.isfinite(values)]
    if finite.size < 3:
        return float("nan")
    centred = values - finite.mean()
    variance = float(np.nansum(centred * centred))
    # A constant's deviations are rounding noise of its mean: it has no memory to measure.
    if finite.min() == finite.max() or variance == 0.0:
        return 0.0
    return float(np.nansum(centred[1:] * centred[:-1])) / variance


def bias_corrected(coefficient: float, sessions: int) -> float:
    """Free a lag-one autocorrelation of its small-sample bias of -(1 + 4 rho) / n; at most 1.

    Without it a persistent series over a short reference looks tamer than it is, and rings too often.
    Source: Marriott and Pope (1954), "Bias in the estimation of autocorrelations", Biometrika 41,
    first order, solved for rho: (r + 1 / n) / (1 - 4 / n).

    Parameters
    ----------
    coefficient : float
        From :func:`autocorrelation`; NaN stays NaN.
    sessions : int
        Above 4; with fewer the coefficient is handed back.
    """
    if sessions <= 4 or np.isnan(coefficient):
        return coefficient
    return min((coefficient + 1.0 / sessions) / (1.0 - 4.0 / sessions), 1.0)


def window_memory(values: FloatArray, window: int) -> float:
    """AR(1) coefficient of the series whose window means vary as widely as those of this one.

    A fast and a slow component together (forecasts that follow volatility, say) have a modest lag-one
    autocorrelation and windows that wander like those of a far more persistent series: it is the
    windows that drift is looked for in. The variance of a window's mean is that of independent draws
    times V = 1 + 2 sum over k < w of (1 - k / w) rho(k) (Bartlett 1946; the estimator of Newey and
    West 1987 with the window for its bandwidth). The mean taken out lowers each rho(k) by V / n, which
    is given back. V of n sessions is about as certain as a variance with 1.5 n / w degrees of freedom
    (Priestley 1981, table 6.1), and is raised by the squared ratio of Student's t to the normal.

    Parameters
    ----------
    values : array, shape (sessions,)
        A pair with a NaN in it is left out, and so is a lag without any pair.
    window : int
        Sessions of the sliding window; at most a third of the known sessions are used.

    Returns
    -------
    float
        In [-1, 1], never below the bias-corrected lag-one autocorrelation; that alone for fewer than
        nine known sessions or a constant series.
    """
    finite = values[np.isfinite(values)]
    lag_one = bias_corrected(autocorrelation(values), finite.size)
    width = min(window, finite.size // 3)
    if width < 3 or finite.min() == finite.max():
        return lag_one
    from scipy.optimize import brentq
    from scipy.special import ndtri, stdtrit

    lags = np.arange(1, width)
    weights = 2.0 * (1.0 - lags / width)
    centred = values - finite.mean()
    variance = float(np.nanmean(centred * centred))
    rho = np.array([_mean_of_known(centred[lag:] * centred[:-lag]) for lag in lags]) / variance
    raw, share = 1.0 + float(weights @ rho), float(weights @ (1.0 - rho)) / finite.size
    # V = raw + share V: the sum of rho + (1 - rho) V / n over lags.
    inflation = raw / max(1.0 - share, 1.0 / width)
    freedom = 1.5 * finite.size / width
    inflation *= float(stdtrit(freedom, _CAUTION) / ndtri(_CAUTION)) ** 2

    def excess(coefficient: float) -> float:
        return 1.0 + float(weights @ coefficient**lags) - inflation

    if excess(0.0) >= 0.0:
        return lag_one
    if excess(_LONGEST_MEMORY) <= 0.0:
        return max(lag_one, _LONGEST_MEMORY)
    return max(lag_one, float(brentq(excess, 0.0, _LONGEST_MEMORY, xtol=1e-9)))


def _mean_of_known(products: FloatArray) -> float:
    """Mean of the pairs that are known (NumPy's nanmean, to the bit, at a third of its time).

    A lag at which no pair is known says nothing, and counts as no memory at it: 0.
    """
    if not np.isfinite(products).any():
        return 0.0
    missing = np.isnan(products)
    if not missing.any():
        return float(products.sum()) / products.size
    return float(np.where(missing, 0.0, products).sum()) / float(np.count_nonzero(~missing))


def innovations(values: FloatArray, coefficient: FloatArray | float) -> FloatArray:
    """Take out what an AR(1) foresees: x[t] - coefficient x[t - 1], less the constant, which ranks ignore.

    Parameters
    ----------
    values : array, shape (sessions, ...)
    coefficient : float, or array, shape (...)
        Zero gives the series itself.

    Returns
    -------
    array, shape (sessions - 1, ...)
        NaN where either session is NaN.
    """
    unforeseen: FloatArray = values[1:] - coefficient * values[:-1]
    return unforeseen


def window_cusum(ranks: npt.NDArray[np.integer] | FloatArray, reference: int) -> float:
    """Two-sided CUSUM at the end of a window of innovations, as normal scores of their ranks.

    S[t] = max(0, S[t-1] + z[t] - CUSUM_ALLOWANCE), from 0 at the window's head (Page 1954, Biometrika 41);
    the larger of the upward and the downward sum. Normal scores make it free of the marginal, and
    the restart free of how long the history is.

    Parameters
    ----------
    ranks : array, shape (window,)
        Mid-rank counts: reference values below each innovation, ties counted half.
    reference : int
        Length of the reference, in sessions.

    Returns
    -------
    float
        In standard deviations, at least 0.
    """
    from scipy.special import ndtri

    scores = ndtri((ranks + 0.5) / (reference + 1))
    heights = []
    for side in (1.0, -1.0):
        walk = np.concatenate([[0.0], np.cumsum(side * scores - CUSUM_ALLOWANCE)])
        heights.append(float(walk[-1] - walk.min()))
    return max(heights)
