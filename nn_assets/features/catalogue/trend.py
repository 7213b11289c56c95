"""The trend group. Every smoothing has a fixed finite window."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import ratio
from nn_assets.features.rolling import (
    lagged,
    rolling_ema,
    rolling_maximum,
    rolling_mean,
    rolling_minimum,
    rolling_std,
)
from nn_assets.market.panel import Panel

EMA_WINDOW_SPANS = 3
"""Rows of an exponential mean's window per row of its span. What is cut weighs exp(-6), a quarter of a
per cent; each further span would make a missing bar blind the MACD for 35 more sessions."""

_FAST, _SLOW, _SIGNAL = 12, 26, 9


def _average_gap(panel: Panel, _: Context) -> FloatArray:
    return ratio(rolling_mean(panel.close, 5) - rolling_mean(panel.close, 20), panel.close)


def _average_ratio(panel: Panel, _: Context) -> FloatArray:
    return ratio(rolling_mean(panel.close, 5), rolling_mean(panel.close, 20)) - 1.0


def _distance_from_high(panel: Panel, _: Context) -> FloatArray:
    return ratio(panel.close, rolling_maximum(panel.high, 20)) - 1.0


def _distance_from_low(panel: Panel, _: Context) -> FloatArray:
    return ratio(panel.close, rolling_minimum(panel.low, 20)) - 1.0


def _macd_histogram(panel: Panel, _: Context) -> FloatArray:
    fast = rolling_ema(panel.close, _FAST, EMA_WINDOW_SPANS * _FAST)
    line = fast - rolling_ema(panel.close, _SLOW, EMA_WINDOW_SPANS * _SLOW)
    return ratio(line - rolling_ema(line, _SIGNAL, EMA_WINDOW_SPANS * _SIGNAL), panel.close)


def _relative_strength(panel: Panel, _: Context) -> FloatArray:
    change = panel.close - lagged(panel.close, 1)
    gain = rolling_mean(np.maximum(change, 0.0), 14)
    moved = gain + rolling_mean(np.maximum(-change, 0.0), 14)
    strength = ratio(gain, moved)
    strength[moved == 0.0] = 0.5
    return strength


def _bollinger(panel: Panel, _: Context) -> FloatArray:
    deviation = rolling_std(panel.close, 20, ddof=0)
    percent_b = ratio(panel.close - rolling_mean(panel.close, 20), 4.0 * deviation) + 0.5
    percent_b[deviation == 0.0] = 0.5
    return percent_b


_CLOSES = ("close",)

TREND = (
    Feature(
        name="sma_gap_5_20",
        group="trend",
        reach_sessions=19,
        fields=_CLOSES,
        compute=_average_gap,
        formula="(SMA_5 - SMA_20) / C",
    ),
    Feature(
        name="sma_ratio_5_20",
        group="trend",
        reach_sessions=19,
        fields=_CLOSES,
        compute=_average_ratio,
        formula="SMA_5 / SMA_20 - 1 (nearly collinear with sma_gap_5_20; selection keeps one)",
    ),
    Feature(
        name="distance_from_high_20",
        group="trend",
        reach_sessions=19,
        fields=("high", "close"),
        compute=_distance_from_high,
        formula="C / max_20(H) - 1, at most 0",
        source="George and Hwang (2004), over 20 sessions",
    ),
    Feature(
        name="distance_from_low_20",
        group="trend",
        reach_sessions=19,
        fields=("low", "close"),
        compute=_distance_from_low,
        formula="C / min_20(L) - 1, at least 0",
        source="George and Hwang (2004), over 20 sessions",
    ),
    Feature(
        name="macd_histogram",
        group="trend",
        reach_sessions=EMA_WINDOW_SPANS * (_SLOW + _SIGNAL) - 2,
        fields=_CLOSES,
        compute=_macd_histogram,
        formula=(
            "(M - EMA_9(M)) / C, M = EMA_12(C) - EMA_26(C), each EMA cut after three spans and its weights renormalised"
        ),
        source="Appel (1979), finite windows",
    ),
    Feature(
        name="rsi_14",
        group="trend",
        reach_sessions=14,
        fields=_CLOSES,
        compute=_relative_strength,
        formula="mean_14(gains) / (mean_14(gains) + mean_14(losses)), in [0, 1]; 0.5 where nothing moved",
        source="Wilder (1978) with Cutler's simple means",
    ),
    Feature(
        name="bollinger_b_20",
        group="trend",
        reach_sessions=19,
        fields=_CLOSES,
        compute=_bollinger,
        formula=("(C - (SMA_20 - 2 s)) / (4 s), s the population deviation of 20 closes; 0.5 where s is zero"),
        source="Bollinger (2001)",
    ),
)
