"""The return group, and where the close lies in its session's range."""

from __future__ import annotations

from functools import partial

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import close_location_value, log_return, ratio, rolling_volatility
from nn_assets.features.rolling import rolling_mean
from nn_assets.market.panel import Panel


def _log_return(panel: Panel, _: Context, *, bars: int) -> FloatArray:
    moved = log_return(panel, bars)
    # A longer return needs two closes only; a missing bar between them still makes it NaN, so that
    # every feature treats a gap in its window alike.
    moved[~np.isfinite(rolling_mean(panel.close, bars + 1))] = np.nan
    return moved


def _momentum(panel: Panel, _: Context) -> FloatArray:
    return ratio(log_return(panel), rolling_volatility(panel, 20))


def _close_location(panel: Panel, _: Context) -> FloatArray:
    return close_location_value(panel)


_CLOSES = ("close",)

RETURNS = (
    *(
        Feature(
            name=f"log_return_{bars}",
            group="return",
            reach_sessions=bars,
            fields=_CLOSES,
            compute=partial(_log_return, bars=bars),
            formula=f"log(C[t] / C[t-{bars}])",
        )
        for bars in (1, 5, 20)
    ),
    Feature(
        name="momentum_1",
        group="return",
        reach_sessions=20,
        fields=_CLOSES,
        compute=_momentum,
        formula="log(C[t] / C[t-1]) / sigma_20[t]; no value where sigma_20 is zero",
        source="Barroso and Santa-Clara (2015), momentum scaled by its volatility, over one session",
    ),
    Feature(
        name="close_location",
        group="price_location",
        reach_sessions=0,
        fields=("high", "low", "close"),
        compute=_close_location,
        formula="((C - L) - (H - C)) / (H - L); 0 where H = L",
        source="Chaikin's close location value",
    ),
)
