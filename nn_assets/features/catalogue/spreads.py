"""The spread group: what it costs to trade, estimated from daily bars alone."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_positive
from nn_assets.features.rolling import lagged, rolling_mean
from nn_assets.market.panel import Panel

_ROOT = 3.0 - 2.0 * np.sqrt(2.0)


def _high_low_spread(panel: Panel, _: Context) -> FloatArray:
    high, low = log_positive(panel.high), log_positive(panel.low)
    before = lagged(log_positive(panel.close), 1)
    # a session that opens away from the close before is moved back to it: an overnight move is no range of a session
    moved = np.maximum(low - before, 0.0) + np.minimum(high - before, 0.0)
    high_now, low_now, high_before, low_before = high - moved, low - moved, lagged(high, 1), lagged(low, 1)
    each_range = (high_before - low_before) ** 2 + (high_now - low_now) ** 2
    both_range = (np.maximum(high_before, high_now) - np.minimum(low_before, low_now)) ** 2
    alpha = (np.sqrt(2.0 * each_range) - np.sqrt(each_range)) / _ROOT - np.sqrt(both_range / _ROOT)
    pair = 2.0 * np.expm1(alpha) / (1.0 + np.exp(alpha))
    return rolling_mean(np.maximum(pair, 0.0), 20)


SPREADS = (
    Feature(
        name="high_low_spread_20",
        group="spread",
        reach_sessions=20,
        fields=("high", "low", "close"),
        compute=_high_low_spread,
        formula=(
            "mean_20(max(0, 2 (e^a - 1) / (1 + e^a))), a = (sqrt(2 b) - sqrt(b)) / (3 - 2 sqrt 2) - "
            "sqrt(g / (3 - 2 sqrt 2)), b the two sessions' squared log ranges, g that of both together, "
            "a session that opens beyond the close before moved back to it"
        ),
        source="Corwin and Schultz (2012), equations 14 and 18, negative pairs as zero",
    ),
)
