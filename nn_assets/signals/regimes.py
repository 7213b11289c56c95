"""Regimes of a market: trend, volatility tercile, drawdown state by rule, and the states of a Markov model. Past alone.

Every figure of a rule comes from a fixed window that ends at its own session, so that neither the start nor
the end of the history changes it. The states are filtered: see :mod:`nn_assets.signals.markov`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nn_assets.arrays import FloatArray, IntArray, read_only, read_only_fields
from nn_assets.signals.filtered_states import UNKNOWN, MarkovStates
from nn_assets.signals.markov import STATE_NAMES
from nn_assets.signals.signals import ewma_volatility

RARE_SHARE = 0.10
"""Share of what a model was fitted on below which a regime counts as hardly seen by it."""

_TERCILES = 3
_SESSIONS_IN_STATE = 3


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
    """One state per session, arrays of shape (bars,); -1 where the window is not full.

    Of bars within the session the rules name the state of the day before, all day long.
    """

    rising: IntArray  # 1: close above its mean
    tercile: IntArray  # 0 quiet, 1 ordinary, 2 volatile, within the trailing window
    in_drawdown: IntArray  # 1: that far below the window's highest close
    markov: MarkovStates | None = None  # where the settings ask for it; where it has no state the rules name the regime

    def __post_init__(self) -> None:
        read_only_fields(self)

    def until(self, stop: int) -> Regimes:
        """The sessions before a row alone."""
        markov = None if self.markov is None else self.markov.until(stop)
        return Regimes(self.rising[:stop], self.tercile[:stop], self.in_drawdown[:stop], markov)

    def no_markov(self, row: int) -> str:
        """Why the rules name a session's regime though a Markov model was asked for; empty where they do not."""
        return "" if self.markov is None else self.markov.reason(row)

    def share_of(self, row: int, *parts: range) -> float:
        """Share of some earlier sessions that were in the regime of a session, 0 to 1.

        What names the session's regime names theirs: the rules, or the Markov model in force on it, whose parameters
        stand for all of them. Sessions that it does not know are left out; NaN where it knows none, or not the
        session itself.
        """
        model = None if self.markov is None else self.markov.in_force(row)
        codes, start = (self._codes, 0) if model is None else (model.state, model.start)
        own = int(codes[row - start])
        known = np.concatenate([codes[max(0, rows.start - start) : max(0, rows.stop - start)] for rows in parts])
        known = known[known != UNKNOWN]
        return float((known == own).mean()) if own != UNKNOWN and len(known) else np.nan

    def names(self, row: int, rows: range) -> list[str]:
        """Name some earlier sessions' regimes by what names a session's, as :meth:`share_of` does; else 'unknown'."""
        model = None if self.markov is None else self.markov.in_force(row)
        if model is None:
            return [self._by_rule(earlier) for earlier in rows]
        called, states = STATE_NAMES[model.probability.shape[1]], model.state
        return [called[states[back - model.start]] if back >= model.start else "unknown" for back in rows]

    @cached_property
    def _codes(self) -> IntArray:
        """A number for each regime by rule, (bars,); -1 unknown."""
        known = np.minimum(np.minimum(self.rising, self.tercile), self.in_drawdown) != UNKNOWN
        return read_only(np.where(known, 2 * (_TERCILES * self.rising + self.tercile) + self.in_drawdown, UNKNOWN))

    def label(self, row: int) -> str:
        """Return the session's regime in words, for reports by regime."""
        model = None if self.markov is None else self.markov.in_force(row)
        if model is not None:
            chances = model.probability[row - model.start]
            return STATE_NAMES[len(chances)][int(chances.argmax())]
        return self._by_rule(row)

    def _by_rule(self, row: int) -> str:
        if min(self.rising[row], self.tercile[row], self.in_drawdown[row]) == UNKNOWN:
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
        rising=np.where(np.isfinite(mean), prices > mean, UNKNOWN).astype(np.int64),
        tercile=np.where(full, tercile, UNKNOWN).astype(np.int64),
        in_drawdown=np.where(np.isfinite(highest), fallen, UNKNOWN).astype(np.int64),
    )


def regimes_of_days(close: FloatArray, starts: IntArray) -> Regimes:
    """Classify every day of one market series of bars within the session; each bar has the state of the day before.

    Parameters
    ----------
    close : ndarray, shape (bars,)
        Of the market at each bar. A day's close is that of its last bar, and no bar reads the close of its own day.
    starts : int array, shape (days,)
        Row of each day's first bar.
    """
    ends = np.append(starts[1:], len(close)) - 1
    by_day = classify_regimes(np.asarray(close, dtype=np.float64)[ends])
    bars = np.diff(starts, append=len(close))

    def spread(states: IntArray) -> IntArray:
        return np.repeat(np.concatenate([np.full(1, UNKNOWN), states[:-1]]), bars)

    return Regimes(spread(by_day.rising), spread(by_day.tercile), spread(by_day.in_drawdown))


def regime_scales(
    regimes: Regimes, parameters: RegimeParameters | None = None, starts: IntArray | None = None
) -> FloatArray:
    """What the regime leaves of a size, (bars,): ``stressed_scale`` when falling and volatile, else 1.

    Where a Markov model names the regime: ``stressed_scale`` in the state of its greatest variance, else 1.

    It changes after three sessions in the other state, so that a market on the border costs no turnover. An unknown
    regime, at the start of a history, scales nothing.

    ``starts`` are the rows of each day's first bar where bars within the session are decided: the three sessions are
    days then, each told by its first bar, and the scale stays all day.
    """
    stressed = (regimes.rising == 0) & (regimes.tercile == _TERCILES - 1)
    if regimes.markov is not None:
        state = regimes.markov.state
        stressed = np.where(state == UNKNOWN, stressed, regimes.markov.is_highest)
    wanted = np.where(stressed, (parameters or RegimeParameters()).stressed_scale, 1.0)
    bars = None if starts is None else np.diff(starts, append=len(wanted))
    wanted = wanted if starts is None else wanted[starts]
    settled = np.arange(len(wanted)) >= _SESSIONS_IN_STATE - 1
    for back in range(1, _SESSIONS_IN_STATE):
        settled[back:] &= wanted[back:] == wanted[:-back]
    last = np.maximum.accumulate(np.where(settled, np.arange(len(wanted)), -1))
    scales = np.where(last >= 0, wanted[last], 1.0)
    return scales if bars is None else np.repeat(scales, bars)
