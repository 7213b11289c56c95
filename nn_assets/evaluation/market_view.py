"""What a session shows of its market: prices, and the sizes that costs and limits are measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.features.catalogue.prices import average_true_range, log_return, ratio
from nn_assets.features.rolling import lagged, rolling_mean
from nn_assets.market.panel import Panel
from nn_assets.settings import PortfolioSettings
from nn_assets.signals.signals import ewma_volatility

__all__ = ["MarketView", "SessionMarket", "market_view"]

FloatArray = npt.NDArray[np.float64]

_ATR_SESSIONS = 14
_ADV_SESSIONS = 20


@dataclass(frozen=True)
class SessionMarket:
    """One row of a :class:`MarketView`; arrays of shape (symbols,) unless said otherwise."""

    session: pd.Timestamp
    open: FloatArray  # price
    high: FloatArray  # price
    low: FloatArray  # price
    close: FloatArray  # price
    volume: FloatArray  # shares or contracts
    previous_close: FloatArray  # price
    average_true_range: FloatArray  # price
    volatility: FloatArray  # fraction per session
    adv_usd: FloatArray  # dollars a session
    previous_adv_usd: FloatArray  # as known when the order was decided
    previous_volatility: FloatArray
    trailing_returns: FloatArray  # (correlation sessions, symbols), fraction


@dataclass(frozen=True)
class MarketView:
    """Sizes of every session, computed once; row t reads bars up to t, to the bit."""

    panel: Panel
    returns: FloatArray  # (bars, symbols), simple return of the session, fraction
    average_true_range: FloatArray
    volatility: FloatArray
    adv_usd: FloatArray
    correlation_sessions: int

    def at(self, row: int) -> SessionMarket:
        """What session ``row`` shows."""
        panel = self.panel
        before = max(row - 1, 0)
        first = max(0, row + 1 - self.correlation_sessions)
        return SessionMarket(
            session=panel.sessions[row],
            open=panel.open[row],
            high=panel.high[row],
            low=panel.low[row],
            close=panel.close[row],
            volume=panel.volume[row],
            previous_close=panel.close[before],
            average_true_range=self.average_true_range[row],
            volatility=self.volatility[row],
            adv_usd=self.adv_usd[row],
            previous_adv_usd=self.adv_usd[before],
            previous_volatility=self.volatility[before],
            trailing_returns=self.returns[first : row + 1],
        )


def market_view(panel: Panel, settings: PortfolioSettings) -> MarketView:
    """Compute the sizes of every session.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
    settings : PortfolioSettings
        ``proxy_adv_usd`` replaces the measured average daily volume (of an index, say, whose volume
        is that of its members).

    Returns
    -------
    MarketView
        Volatility is the EWMA of :func:`nn_assets.signals.signals.ewma_volatility`; average daily
        volume the 20-session mean of close x volume. NaN where bars are missing.
    """
    if settings.proxy_adv_usd is None:
        adv = rolling_mean(panel.close * panel.volume, _ADV_SESSIONS)
    else:
        adv = np.full(panel.close.shape, settings.proxy_adv_usd)
    return MarketView(
        panel=panel,
        returns=ratio(panel.close, lagged(panel.close, 1)) - 1.0,
        average_true_range=average_true_range(panel, _ATR_SESSIONS),
        volatility=ewma_volatility(log_return(panel)),
        adv_usd=adv,
        correlation_sessions=settings.correlation_sessions,
    )
