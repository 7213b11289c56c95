"""The volatility group, and a spread estimated from daily bars."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import average_true_range, log_positive, ratio, rolling_volatility
from nn_assets.features.rolling import lagged, rolling_mean
from nn_assets.market.panel import Panel


def _volatility_ratio(panel: Panel, _: Context) -> FloatArray:
    return ratio(rolling_volatility(panel, 5), rolling_volatility(panel, 20))


def _range_over_close(panel: Panel, _: Context) -> FloatArray:
    return ratio(panel.high - panel.low, panel.close)


def _range_over_mean(panel: Panel, context: Context) -> FloatArray:
    relative = _range_over_close(panel, context)
    return ratio(relative, rolling_mean(relative, 20))


def _average_true_range(panel: Panel, _: Context) -> FloatArray:
    return ratio(average_true_range(panel, 14), panel.close)


def _spread_estimate(panel: Panel, _: Context) -> FloatArray:
    # Abdi and Ranaldo pair the close of a day with the mid-ranges of that day and the next; read from
    # the next day backwards, so that row t holds the pair (t-1, t) and nothing later.
    middle = (log_positive(panel.high) + log_positive(panel.low)) / 2.0
    close, before = lagged(log_positive(panel.close), 1), lagged(middle, 1)
    product = (close - before) * (close - middle)
    return np.sqrt(np.maximum(4.0 * rolling_mean(product, 20), 0.0))


_BAR = ("high", "low", "close")

VOLATILITY = (
    Feature(
        name="sigma_5_over_sigma_20",
        group="volatility",
        reach_sessions=20,
        compute=_volatility_ratio,
        formula="sigma_5 / sigma_20; no value where sigma_20 is zero",
    ),
    Feature(
        name="range_over_close",
        group="volatility",
        reach_sessions=0,
        fields=_BAR,
        compute=_range_over_close,
        formula="(H - L) / C",
        source="Parkinson (1980), the range as a measure of volatility",
    ),
    Feature(
        name="range_over_mean_20",
        group="volatility",
        reach_sessions=19,
        fields=_BAR,
        compute=_range_over_mean,
        formula="((H - L) / C) / mean_20((H - L) / C); no value where the mean is zero",
        source="Parkinson (1980)",
    ),
    Feature(
        name="atr_14_over_close",
        group="volatility",
        reach_sessions=14,
        fields=_BAR,
        compute=_average_true_range,
        formula="mean_14(true range) / C, the simple mean over a fixed window",
        source="Wilder (1978)",
    ),
    Feature(
        name="spread_estimate_20",
        group="spread",
        reach_sessions=20,
        fields=_BAR,
        compute=_spread_estimate,
        formula=("sqrt(max(0, 4 mean_20((c[t-1] - m[t-1]) (c[t-1] - m[t])))), c = log C, m = (log H + log L) / 2"),
        source="Abdi and Ranaldo (2017), equation 11, over 20 pairs of sessions",
    ),
)
