"""Features of the series beside the bars: implied over realised volatility, funding rates."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import ratio, rolling_volatility
from nn_assets.features.rolling import lagged
from nn_assets.market.panel import Panel

_MINUTES_OF_A_DAY = 1440.0


def _implied_over_realised(panel: Panel, context: Context) -> FloatArray:
    per_session = context.known.values / 100.0 / np.sqrt(context.sessions_per_year)
    return ratio(per_session, rolling_volatility(panel, 20))


def _funding_per_day(_panel: Panel, context: Context) -> FloatArray:
    return ratio(context.known.values * _MINUTES_OF_A_DAY, context.known.interval_minutes)


def _funding_change(panel: Panel, context: Context) -> FloatArray:
    rate = _funding_per_day(panel, context)
    return rate - lagged(rate, 1)


BESIDE_BARS = (
    Feature(
        name="implied_over_realised",
        group="volatility",
        role="implied_volatility",
        reach_sessions=20,
        compute=_implied_over_realised,
        formula="(index / 100 / sqrt(sessions per year)) / sigma_20; no value where sigma_20 is zero",
        source="Bollerslev, Tauchen and Zhou (2009), the variance risk premium, as a ratio",
    ),
    Feature(
        name="funding_rate_per_day",
        group="crypto",
        role="funding_rate",
        reach_sessions=0,
        compute=_funding_per_day,
        formula="rate x 1440 / minutes since the payment before, so that 8 h, 4 h and 1 h compare",
    ),
    Feature(
        name="funding_rate_change",
        group="crypto",
        role="funding_rate",
        reach_sessions=1,
        compute=_funding_change,
        formula="funding rate per day less that of the session before",
    ),
)
