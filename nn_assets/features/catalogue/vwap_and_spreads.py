"""Features of what a source says of a bar beyond its prices and volume: VWAP, closing quotes, trades."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import ratio
from nn_assets.features.rolling import lagged, rolling_mean
from nn_assets.market.panel import Panel

_WINDOW = 20


def _vwap_deviation(panel: Panel, _: Context) -> FloatArray:
    assert panel.vwap is not None, "stated"
    return ratio(panel.close, panel.vwap) - 1.0


def _quoted_spread(panel: Panel, _: Context) -> FloatArray:
    assert panel.bid is not None, "stated"
    assert panel.ask is not None, "stated"
    spread = ratio(2.0 * (panel.ask - panel.bid), panel.ask + panel.bid)
    return ratio(spread, lagged(_rolling_median(spread, _WINDOW), 1))


def _effective_spread(panel: Panel, _: Context) -> FloatArray:
    assert panel.effective_spread is not None, "stated"
    return rolling_mean(panel.effective_spread, _WINDOW)


def _rolling_median(values: FloatArray, window: int) -> FloatArray:
    """Median of the last ``window`` rows, (bars, symbols); NaN where one of them is missing."""
    median = np.full(values.shape, np.nan)
    if len(values) >= window:
        median[window - 1 :] = np.median(sliding_window_view(values, window, axis=0), axis=-1)
    return median


OF_DETAILS = (
    Feature(
        name="vwap_deviation",
        group="price_location",
        reach_sessions=0,
        fields=("close", "vwap"),
        compute=_vwap_deviation,
        formula="close / vwap - 1",
    ),
    Feature(
        name="quoted_spread_20",
        group="spread",
        reach_sessions=20,
        fields=("bid", "ask"),
        compute=_quoted_spread,
        formula="s / median(s of the 20 sessions before), s = 2 (ask - bid) / (ask + bid) at the close",
    ),
    Feature(
        name="effective_spread_20",
        group="spread",
        reach_sessions=19,
        fields=("effective_spread",),
        compute=_effective_spread,
        formula="mean_20(2 |price - mid| / mid of a session's trades, weighed by size)",
        source="Lee and Ready (1991), as Hasbrouck (2009) averages it",
    ),
)
