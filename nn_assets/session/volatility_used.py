"""Which volatility sizes are made of: a session's forecasts of it, and the one that the record allows."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.labels import Labels
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy
from nn_assets.signals.volatility import ForecastVolatility, choose_volatility, har_volatility


def volatility_used(
    strategy: Strategy, market: MarketView, labels: Labels, network: ForecastArrays | None = None
) -> ForecastVolatility:
    """The volatility that sizes are made of at each session of the labels, and what it was chosen by.

    It is the unit of wins, losses and expected returns, and what sizes are divided by. Costs go on by the name's own
    recent volatility (``market.volatility``), which their coefficients are estimated in units of, stops by its range,
    and the label by its own scale. Nor does it replace that of a return relative to other names.

    Parameters
    ----------
    market : MarketView
        On the session axis, at least as long as the labels.
    labels : Labels
        With realised variances where ``portfolio.volatility`` asks for more than the EWMA; row t uses those realised
        at or before t.
    network : ForecastArrays, optional
        Out-of-sample forecasts of the volatility ensemble, as they are stored; none counts as no forecast.
    """
    bars = len(labels.returns)
    ewma, asked = market.volatility[:bars], strategy.portfolio.volatility
    forecasts = {"ewma": ewma}
    variance = labels.variance
    if asked == "ewma":
        return ForecastVolatility(ewma, np.zeros(bars, dtype=np.int64), ("ewma",), ())
    assert variance is not None, "labels are made with them where the settings ask"
    with np.errstate(divide="ignore", invalid="ignore"):
        log_returns = np.log1p(market.returns[:bars])
    forecasts["har"] = har_volatility(log_returns, variance, labels.realised_row)
    if asked == "network":
        forecasts["network"] = _of_network(network, labels)
    return choose_volatility(forecasts, variance, labels.realised_row, strategy.label.horizon_sessions)


def _of_network(network: ForecastArrays | None, labels: Labels) -> FloatArray:
    """The network's forecasts, fraction per session, (bars, symbols)."""
    assert labels.recent_volatility is not None, "beside the variances"
    if network is None:
        return np.full(labels.returns.shape, np.nan)
    share = network.probability[: len(labels.returns)]
    return np.sqrt(share / (1.0 - share)) * labels.recent_volatility
