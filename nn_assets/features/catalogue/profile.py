"""The volume profile: at which prices the volume of 60 sessions was traded."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_positive, ratio
from nn_assets.features.rolling import lagged, rolling_maximum, rolling_minimum, rolling_sum
from nn_assets.market.panel import Panel

_WINDOW = 60
_BINS = 24


def _volume_below(panel: Panel, prices: FloatArray) -> FloatArray:
    """Volume of 60 sessions traded below some prices, each session's spread evenly over its range.

    Parameters
    ----------
    prices : array, shape (prices, bars, symbols)

    Returns
    -------
    array of the same shape
        Of a session of one price half lies below that price.
    """
    below = np.zeros(prices.shape)
    height = panel.high - panel.low
    half = np.where(height == 0.0, 0.5, 0.0)
    pace = 1.0 / np.maximum(height, np.finfo(np.float64).tiny)
    for sessions in range(_WINDOW):
        low, per_price, start, volume = (lagged(values, sessions) for values in (panel.low, pace, half, panel.volume))
        share = prices - low
        share *= per_price
        share += start
        np.clip(share, 0.0, 1.0, out=share)
        share *= volume
        below += share
    return below


def _volume_above_close(panel: Panel, _: Context) -> FloatArray:
    below: FloatArray = _volume_below(panel, panel.close[None])[0]
    return 1.0 - ratio(below, rolling_sum(panel.volume, _WINDOW))


def _point_of_control(panel: Panel, _: Context) -> FloatArray:
    lowest, highest = rolling_minimum(panel.low, _WINDOW), rolling_maximum(panel.high, _WINDOW)
    width, total = (highest - lowest) / _BINS, rolling_sum(panel.volume, _WINDOW)
    inner = lowest + np.arange(1.0, _BINS)[:, None, None] * width
    below = np.concatenate([np.zeros((1, *total.shape)), _volume_below(panel, inner), total[None]])
    traded = np.diff(below, axis=0)  # (bins, bars, symbols)
    # of bins equally full the lowest, whatever the rounding of their sums
    fullest = np.argmax(traded >= traded.max(axis=0) * (1.0 - 1e-9), axis=0)
    price = lowest + (fullest + 0.5) * width
    price[~(total > 0.0)] = np.nan
    return log_positive(ratio(panel.close, price))


PROFILE = (
    Feature(
        name="point_of_control_distance_60",
        group="volume",
        reach_sessions=_WINDOW - 1,
        fields=("high", "low", "close", "volume"),
        compute=_point_of_control,
        formula=(
            "log(C / P), P the middle of the fullest of 24 equal bins between the lowest low and the highest high "
            "of 60 sessions, each session's volume spread evenly over its range"
        ),
        source="Steidlmayer (1986), the market profile, on daily bars",
    ),
    Feature(
        name="volume_above_close_60",
        group="volume",
        reach_sessions=_WINDOW - 1,
        fields=("high", "low", "close", "volume"),
        compute=_volume_above_close,
        formula="share of the volume of 60 sessions traded above C, each session's spread evenly over its range",
        source="Steidlmayer (1986), the market profile, on daily bars",
    ),
)
