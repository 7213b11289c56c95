"""Which volatility sizes are made of: a session's forecasts of it, and the one that the record allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.labels import Labels, label_kind
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy
from nn_assets.signals.volatility import ForecastVolatility, choose_volatility, har_volatility


def of_relative_returns(strategy: Strategy) -> bool:
    """Whether sizes are made of the volatility of returns less their session's median, not of the names' own.

    As the programme's are where the label is relative: what it expects of a name is in units of the volatility of the
    return that the label is made of. A name sized by itself wins and loses in units of its own.
    """
    return label_kind(strategy.label).relative and strategy.portfolio.construction == "programme"


def volatility_used(
    strategy: Strategy, market: MarketView, labels: Labels, network: ForecastArrays | None = None
) -> ForecastVolatility:
    """The volatility that sizes are made of at each session of the labels, and what it was chosen by.

    It is that of the return which the label is made of (:func:`of_relative_returns`), and the unit of the returns
    expected; of a name's own return it is that of wins and losses as well, and what a name sized by itself is divided
    by (:func:`own_volatility`). Costs go on by the name's own recent volatility (``market.volatility``), which their
    coefficients are estimated in units of, stops by its range, the covariance by returns, and the label by its own
    scale.

    Parameters
    ----------
    market : MarketView
        On the session axis, at least as long as the labels.
    labels : Labels
        With realised variances of that return where ``portfolio.volatility`` asks for more than the EWMA; row t uses
        those realised at or before t.
    network : ForecastArrays, optional
        Out-of-sample forecasts of the volatility ensemble, as they are stored; none counts as no forecast.
    """
    bars, relative, asked = len(labels.returns), of_relative_returns(strategy), strategy.portfolio.volatility
    ewma = (market.relative_volatility if relative else market.volatility)[:bars]
    forecasts = {"ewma": ewma}
    variance = labels.variance
    if asked == "ewma":
        return ForecastVolatility(ewma, np.zeros(bars, dtype=np.int64), ("ewma",), (), relative)
    assert variance is not None, "labels are made with them where the settings ask"
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = market.relative_returns[:bars] if relative else np.log1p(market.returns[:bars])
    forecasts["har"] = har_volatility(returns, variance, labels.realised_row)
    if asked == "network":
        forecasts["network"] = _of_network(network, labels)
    chosen = choose_volatility(forecasts, variance, labels.realised_row, strategy.label.horizon_sessions)
    return replace(chosen, relative=relative)


def own_volatility(market: MarketView, used: ForecastVolatility) -> FloatArray:
    """The volatility of the names' own returns, (bars, symbols), that goes with the one used: of signals and outcomes.

    The EWMA where sizes are made of that of returns less their session's median.
    """
    return market.volatility[: len(used.sigma)] if used.relative else used.sigma


def _of_network(network: ForecastArrays | None, labels: Labels) -> FloatArray:
    """The network's forecasts, fraction per session, (bars, symbols)."""
    assert labels.recent_volatility is not None, "beside the variances"
    if network is None:
        return np.full(labels.returns.shape, np.nan)
    share = network.probability[: len(labels.returns)]
    return np.sqrt(share / (1.0 - share)) * labels.recent_volatility
