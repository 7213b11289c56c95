"""Rule-based regimes of a market: trend, volatility tercile, drawdown state. Trailing data only.

Every figure comes from a fixed window that ends at its own session, so that neither the start nor
the end of the history changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray, IntArray, read_only_fields
from nn_assets.signals.signals import ewma_volatility

_TERCILES = 3
_SESSIONS_IN_STATE = 3
_UNKNOWN = -1


@dataclass(frozen=True)
class RegimeParameters:
    """Windows and thresholds; the scale is what a falling, volatile market leaves of a size."""

    trend_sessions: int = 200
    tercile_sessions: int = 504
    drawdown_sessions: int = 252
    drawdown_fraction: float = 0.10
    stressed_scale: float = 0.5


@dataclass(frozen=True, eq=False)
class Regimes:
    """One state per session, arrays of shape (bars,); -1 where the window is not full."""

    rising: IntArray  # 1: close above its mean
    tercile: IntArray  # 0 quiet, 1 ordinary, 2 volatile, within the trailing window
    in_drawdown: IntArray  # 1: that far below the window's highest close

    def __post_init__(self) -> None:
        read_only_fields(self)

    def label(self, row: int) -> str:
        """Return the session's regime in words, for reports by regime."""
        if min(self.rising[row], self.tercile[row], self.in_drawdown[row]) == _UNKNOWN:
            return "unknown"
        trend = "rising" if self.rising[row] else "falling"
        pace = ("quiet", "ordinary", "volatile")[self.tercile[row]]
        return f"{trend}, {pace}{', in drawdown' if self.in_drawdown[row] else ''}"


def _windows(values: FloatArray, sessions: int) -> FloatArray:
    """Trailing windows, newest last, shape (bars, sessions); NaN before the first value."""
    padded = np.concatenate((np.full(sessions - 1, np.nan), values))
    return np.lib.stride_tricks.sliding_window_view(padded, sessions)


def classify_regimes(close: FloatArray, parameters: RegimeParameters | None = None) -> Regimes:
    """Classify every session of one market series.

    Parameters
    ----------
    close : ndarray, shape (bars,)
        Closes of the market. A window that holds a NaN gives -1.
    parameters : RegimeParameters
        Defaults when none are given.
    """
    chosen = parameters or RegimeParameters()
    prices = np.asarray(close, dtype=np.float64)
    returns = np.full_like(prices, np.nan)
    returns[1:] = np.diff(np.log(prices))
    volatility = ewma_volatility(returns[:, None])[:, 0]
    # Each row of a window is summed on its own, always over the same number of values.
    mean = np.ascontiguousarray(_windows(prices, chosen.trend_sessions)).mean(axis=1)
    past = _windows(volatility, chosen.tercile_sessions)
    full = np.isfinite(past).all(axis=1)
    rank = (past < volatility[:, None]).sum(axis=1)
    tercile = np.minimum(rank * _TERCILES // chosen.tercile_sessions, _TERCILES - 1)
    highest = _windows(prices, chosen.drawdown_sessions).max(axis=1)
    fallen = prices <= highest * (1.0 - chosen.drawdown_fraction)
    return Regimes(
        rising=np.where(np.isfinite(mean), prices > mean, _UNKNOWN).astype(np.int64),
        tercile=np.where(full, tercile, _UNKNOWN).astype(np.int64),
        in_drawdown=np.where(np.isfinite(highest), fallen, _UNKNOWN).astype(np.int64),
    )


def regime_scales(regimes: Regimes, parameters: RegimeParameters | None = None) -> FloatArray:
    """What the regime leaves of a size, (bars,): ``stressed_scale`` when falling and volatile, else 1.

    It changes after three sessions in the other state, so that a market on the border costs no turnover. An unknown
    regime, at the start of a history, scales nothing.
    """
    stressed = (regimes.rising == 0) & (regimes.tercile == _TERCILES - 1)
    wanted = np.where(stressed, (parameters or RegimeParameters()).stressed_scale, 1.0)
    settled = np.arange(len(wanted)) >= _SESSIONS_IN_STATE - 1
    for back in range(1, _SESSIONS_IN_STATE):
        settled[back:] &= wanted[back:] == wanted[:-back]
    last = np.maximum.accumulate(np.where(settled, np.arange(len(wanted)), -1))
    return np.where(last >= 0, wanted[last], 1.0)
