"""Figures of a panel that several features, the labels and the sizing of positions are made of."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.rolling import lagged, rolling_mean, rolling_std
from nn_assets.market.panel import Panel


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient of two arrays that broadcast; NaN where the denominator is zero or either is NaN.

    An overflow gives NaN as well, never an infinity.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result: FloatArray = numerator / denominator
    result[~np.isfinite(result)] = np.nan
    return result


def log_positive(values: FloatArray) -> FloatArray:
    """Natural logarithm; NaN where the value is missing, zero or negative. Same shape."""
    result = np.full(values.shape, np.nan)
    return np.log(values, out=result, where=values > 0.0)


def log_change(values: FloatArray, bars: int = 1) -> FloatArray:
    """log(x[t] / x[t - bars]), same shape.

    NaN where either value is missing or not positive, and on the first ``bars`` rows; what is missing
    between the two does not matter.
    """
    return log_positive(ratio(values, lagged(values, bars)))


def log_return(panel: Panel, bars: int = 1) -> FloatArray:
    """log(C[t] / C[t - bars]), shape (bars, symbols), fraction; NaN as in `log_change`."""
    return log_change(panel.close, bars)


def rolling_volatility(panel: Panel, window: int = 20) -> FloatArray:
    """Sample standard deviation of the last ``window`` one-session log returns (sigma_k).

    Returns
    -------
    array, shape (bars, symbols), fraction per session
        NaN unless the last ``window`` + 1 closes are all there. Exactly zero for an unmoved price.
    """
    return rolling_std(log_return(panel), window)


def true_range(panel: Panel) -> FloatArray:
    """max(H - L, |H - C[t-1]|, |L - C[t-1]|) (Wilder 1978), shape (bars, symbols), price.

    NaN where one of the four is missing.
    """
    previous = lagged(panel.close, 1)
    result: FloatArray = np.maximum(panel.high - panel.low, np.abs(panel.high - previous))
    return np.maximum(result, np.abs(panel.low - previous), out=result)


def average_true_range(panel: Panel, window: int = 14) -> FloatArray:
    """Mean, a simple one, of the last ``window`` true ranges (ATR), shape (bars, symbols), price.

    Wilder (1978) starts his recursion with this simple mean and then smooths for ever; the fixed
    window is kept instead, so that no value depends on where the history starts. NaN unless all of
    the last ``window`` bars and the close before them are there.
    """
    return rolling_mean(true_range(panel), window)


def close_location_value(panel: Panel) -> FloatArray:
    """((C - L) - (H - C)) / (H - L), in [-1, 1], shape (bars, symbols).

    1 at the high, -1 at the low, 0 in the middle and, as a stated limit, where high equals low. NaN
    where one of the three is missing.
    """
    height: FloatArray = panel.high - panel.low
    result = ratio((panel.close - panel.low) - (panel.high - panel.close), height)
    result[(height == 0.0) & np.isfinite(panel.close)] = 0.0
    return result
