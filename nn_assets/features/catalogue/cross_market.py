"""The cross-market group: a symbol compared with the instrument that represents its market."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_return, ratio
from nn_assets.features.rolling import lagged, rolling_covariance, rolling_std
from nn_assets.market.panel import Panel

_WINDOW = 60


def _market_correlation(panel: Panel, context: Context) -> FloatArray:
    own = log_return(panel)
    spread = rolling_std(own, _WINDOW) * rolling_std(context.market, _WINDOW)
    return np.clip(ratio(rolling_covariance(own, context.market, _WINDOW), spread), -1.0, 1.0)


def _market_residual(panel: Panel, context: Context) -> FloatArray:
    own, market = log_return(panel), context.market
    beta = ratio(rolling_covariance(own, market, _WINDOW), rolling_std(market, _WINDOW) ** 2)
    # Yesterday's beta: today's return must not explain itself.
    return own - lagged(beta, 1) * market


CROSS_MARKET = (
    Feature(
        name="market_correlation_60",
        group="cross_market",
        reach_sessions=_WINDOW,
        compute=_market_correlation,
        formula="correlation of 60 log returns with the market's; no value where either did not move",
        needs_market=True,
    ),
    Feature(
        name="market_residual_return",
        group="cross_market",
        reach_sessions=_WINDOW + 1,
        compute=_market_residual,
        formula="r[t] - beta[t-1] r_market[t], beta over the 60 sessions up to t-1",
        source="Blitz, Huij and Martens (2011), one factor, daily",
        needs_market=True,
    ),
)
