"""Which session an intraday bar belongs to, and which bars a session should have.

Every bar that should exist has a *slot*, numbered through all sessions without a hole, so that a gap
is a jump in slots whatever lies between: a night, a weekend, a lunch break.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, IntArray, nanoseconds
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.settings import IntradaySettings

_MINUTE = 60_000_000_000


@dataclass(frozen=True)
class Placed:
    """Where bars lie; arrays of shape (bars,)."""

    session: IntArray  # place of the session among the hours'; -1 outside every session
    slot: IntArray  # number of the bar among all that should exist; -1 where it lies in none
    inside: BoolArray  # within its session's trading hours, its end too
    on_grid: BoolArray  # begins a whole number of bars after its session


@dataclass(frozen=True)
class TradingHours:
    """When each session trades, in UTC nanoseconds; arrays of shape (sessions,)."""

    sessions: pd.DatetimeIndex
    starts: IntArray
    break_starts: IntArray  # the session's end where it has no break
    break_ends: IntArray  # the session's end where it has no break
    ends: IntArray
    bar: int  # nanoseconds

    @property
    def bars_due(self) -> IntArray:
        """How many bars each session should have."""
        due: IntArray = (self.break_starts - self.starts) // self.bar + (self.ends - self.break_ends) // self.bar
        return due

    def locate(self, bar_at: IntArray) -> Placed:
        """Find session and slot of bars by their starts, UTC nanoseconds."""
        if len(self.sessions) == 0:
            nowhere = np.full(len(bar_at), -1, dtype=np.int64)
            return Placed(nowhere, nowhere, np.zeros(len(bar_at), bool), np.ones(len(bar_at), bool))
        session_index = np.searchsorted(self.starts, bar_at, side="right").astype(np.int64) - 1
        row = np.maximum(session_index, 0)
        within = (session_index >= 0) & (bar_at < self.ends[row])
        after_break = bar_at >= self.break_ends[row]
        in_break = (bar_at + self.bar > self.break_starts[row]) & ~after_break
        inside = within & (bar_at + self.bar <= self.ends[row]) & ~in_break
        since = np.where(after_break, bar_at - self.break_ends[row], bar_at - self.starts[row])
        morning = (self.break_starts[row] - self.starts[row]) // self.bar
        on_grid = ~within | (since % self.bar == 0)
        first_slot = np.concatenate([[0], np.cumsum(self.bars_due)])[row]
        slot = first_slot + since // self.bar + np.where(after_break, morning, 0)
        return Placed(
            session=np.where(within, session_index, -1),
            slot=np.where(inside & on_grid, slot, -1).astype(np.int64),
            inside=inside,
            on_grid=on_grid,
        )


def trading_hours(calendar: str, settings: IntradaySettings, first: pd.Timestamp, last: pd.Timestamp) -> TradingHours:
    """Trading hours of every session that a span of moments can touch.

    Parameters
    ----------
    calendar : str
        Name of the exchange's calendar.
    settings : IntradaySettings
        With ``rolls_at``, a session runs from that time of the day before to that time of its own
        day, in ``timezone``, daylight saving included; else it runs as the calendar says.
    first, last : Timestamp
        UTC moments.

    Raises
    ------
    SettingsError
        A session that rolls would end after the calendar closes it: its bars would not be known at
        its decision.
    """
    low, high = (moment.tz_localize(None).normalize() for moment in (first, last))
    hours = session_hours(calendar, low - pd.Timedelta(days=4), high + pd.Timedelta(days=4))
    ends = hours["closes"]
    starts, rests, resumes = hours["opens"], hours["break_starts"].fillna(ends), hours["break_ends"].fillna(ends)
    if settings.rolls_at is not None:
        roll_time = pd.Timedelta(f"{settings.rolls_at}:00")
        starts = _local(hours["session"] - pd.Timedelta(days=1) + roll_time, settings.timezone)
        ends = rests = resumes = _local(hours["session"] + roll_time, settings.timezone)
        late = ends > hours["closes"]
        if late.any():
            raise SettingsError(
                expected=f"sessions that roll no later than {calendar} closes them",
                found=f"{settings.rolls_at} {settings.timezone}, {ends[late].iloc[0]}, "
                f"after the close of {hours['session'][late].iloc[0].date()}",
                remedy="choose an earlier intraday.rolls_at, or a calendar whose sessions close later",
                key="intraday.rolls_at",
            )
    return TradingHours(
        sessions=pd.DatetimeIndex(hours["session"]),
        starts=nanoseconds(starts),
        break_starts=nanoseconds(rests),
        break_ends=nanoseconds(resumes),
        ends=nanoseconds(ends),
        bar=settings.bar_minutes * _MINUTE,
    )


def _local(wall: pd.Series, timezone: str) -> pd.Series:
    moments: pd.Series = wall.dt.tz_localize(timezone, nonexistent="shift_forward", ambiguous=True).dt.tz_convert("UTC")
    return moments
