"""A session's signals: its row of the forecasts, and the outcomes known at it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import Symbol
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.signals.signals import OutcomeStatistics, SessionSignals, make_signals

__all__ = ["session_signals"]

FloatArray = npt.NDArray[np.float64]


def session_signals(
    row: int,
    symbols: tuple[Symbol, ...],
    forecasts: ForecastArrays,
    outcomes: OutcomeStatistics,
    volatility: FloatArray,
    horizon_sessions: int,
) -> SessionSignals:
    """Signals of one row, from the forecasts of that row and the outcomes known at it.

    Parameters
    ----------
    row : int
        Of the session, on the session axis of what follows.
    forecasts, outcomes
        Arrays of shape (bars, symbols); row t was known at session t.
    volatility : ndarray, shape (bars, symbols)
        Forecast volatility, fraction per session.

    Returns
    -------
    SessionSignals
        Arrays of shape (symbols,).
    """
    return make_signals(symbols, forecasts.at(row), outcomes.at(row), volatility[row], horizon_sessions)
