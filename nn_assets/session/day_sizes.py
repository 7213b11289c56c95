"""What costs and limits are measured by where bars within the session are decided: daily volume, daily volatility.

A cost is a multiple of daily volatility at a share of average *daily* volume, whatever the bar. Row t reads the days
that ended before its own, and nothing of its own day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, DayArray, FloatArray, IntArray, read_only_fields
from nn_assets.market.calendar.sessions import bars_of_session, days_of_bars

_DAYS = 20
_FEWEST_DAYS = 5  # of those, with at least half of their bars; a history of days has no more at its start
_ENOUGH_BARS = 0.5


@dataclass(frozen=True, eq=False)
class Days:
    """The days of an axis of bars within the session."""

    of_bar: DayArray  # (bars,), ascending
    bars_of_session: int  # of a usual one

    def __post_init__(self) -> None:
        read_only_fields(self)

    @property
    def begins(self) -> BoolArray:
        """Which bars are the first of their day, (bars,)."""
        first = np.ones(len(self.of_bar), dtype=np.bool_)
        first[1:] = self.of_bar[1:] != self.of_bar[:-1]
        return first

    @property
    def starts(self) -> IntArray:
        """Row of each day's first bar, (days,)."""
        return np.flatnonzero(self.begins)

    @property
    def number(self) -> IntArray:
        """The day of each bar, counted from 0, (bars,)."""
        return np.cumsum(self.begins) - 1

    def until(self, stop: int) -> Days:
        """The bars before a row alone."""
        return Days(self.of_bar[:stop], self.bars_of_session)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of what there is of each day, (days, symbols); NaN with fewer than half of its bars."""
        finite, starts = np.isfinite(values), self.starts
        total = np.add.reduceat(np.where(finite, values, 0.0), starts, axis=0)
        share = np.add.reduceat(finite.astype(np.float64), starts, axis=0)
        share /= np.diff(starts, append=len(values))[:, None]
        return np.where(share >= _ENOUGH_BARS, total, np.nan)

    def after(self, of_days: FloatArray, before_the_first: float = np.nan) -> FloatArray:
        """Give each bar what is known of the day before its own, (bars, ...), of values by day, (days, ...)."""
        shifted = np.full_like(of_days, before_the_first)
        shifted[1:] = of_days[:-1]
        return np.asarray(shifted[self.number])


@dataclass(frozen=True, eq=False)
class DaySizes:
    """Sizes by the day, each bar's as known when its day began; (bars, symbols)."""

    days: Days
    volatility: FloatArray  # fraction per day; NaN where unknown
    traded_usd: FloatArray  # dollars a bar, of the last bars: what an order of one bar can be a share of

    def __post_init__(self) -> None:
        read_only_fields(self)

    def until(self, stop: int) -> DaySizes:
        """The bars before a row alone."""
        return DaySizes(self.days.until(stop), self.volatility[:stop], self.traded_usd[:stop])


def average_daily_volume(days: Days, traded_usd: FloatArray) -> FloatArray:
    """Mean dollars traded a day over the 20 days before each bar's own, (bars, symbols).

    Of a younger history, over as many as there are; NaN with fewer than 5. A day with fewer than half of its bars is
    left out; of others the bars that are missing count as no volume, which makes limits tighter and costs greater.

    Parameters
    ----------
    traded_usd : ndarray, shape (bars, symbols)
        Close x volume of each bar.
    """
    return days.after(_mean_of_days(days.sums(traded_usd)))


def daily_volatility(days: Days, close: FloatArray) -> FloatArray:
    """Volatility of a day as known when each bar's own began, fraction, (bars, symbols).

    The root of the mean realised variance of the same days as in :func:`average_daily_volume`. A day's realised
    variance is the sum of the squared log returns of its bars, the return over the night before its first among them
    (Andersen and Bollerslev 1998, "Answering the skeptics", International Economic Review 39, equation 10). A return
    across missing bars counts once, on the bar that ends it.

    Parameters
    ----------
    close : ndarray, shape (bars, symbols)
        Total-return closes.
    """
    finite = np.isfinite(close) & (close > 0.0)
    rows = np.maximum.accumulate(np.where(finite, np.arange(len(close))[:, None], -1), axis=0)
    before = np.full_like(rows, -1)
    before[1:] = rows[:-1]
    known = finite & (before >= 0)
    last = np.take_along_axis(close, np.maximum(before, 0), axis=0)
    moves = np.full(close.shape, np.nan)
    moves[known] = np.log(close[known] / last[known])
    return days.after(np.sqrt(_mean_of_days(days.sums(moves**2))))


def _mean_of_days(of_days: FloatArray) -> FloatArray:
    """Mean of what there is of the last 20 days, that of the row included, (days, symbols); NaN with fewer than 5."""
    total, count = np.zeros(of_days.shape), np.zeros(of_days.shape)
    values, there = np.nan_to_num(of_days), np.isfinite(of_days)
    for back in range(min(_DAYS, len(of_days))):
        total[back:] += values[: len(values) - back]
        count[back:] += there[: len(there) - back]
    return np.where(count >= _FEWEST_DAYS, total / np.maximum(count, 1.0), np.nan)


def days_of(calendar: str, sessions: pd.DatetimeIndex) -> Days | None:
    """The days of an axis, by the calendar's sessions; None where each session is a day."""
    of_bar = days_of_bars(calendar, sessions)
    return None if of_bar is None else Days(of_bar, bars_of_session(calendar))
