"""Sessions of a calendar: which days trade, when they close, how many make a year.

A session is a day, carried as a tz-naive midnight ``pandas.Timestamp`` (or ``datetime64[D]`` in
arrays). Moments (``known_at``, ``as_of``) are tz-aware UTC timestamps. A calendar is named as
exchange_calendars names it, with its amendments where a strategy has any.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, DayArray, Session, Sessions, nanoseconds
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.timetable import timetable
from nn_assets.settings.calendar_file import amended, amendments_of

_ALWAYS_OPEN = "24/7"
_NEVER_CLOSING = (_ALWAYS_OPEN, "24/5")
_END_WARNING = pd.Timedelta(days=60)
_LISTED = "under extra_sessions in the file that market.calendar_overrides names"
_CARRY_ON = f"list the sessions after its end {_LISTED}, or install a version of exchange_calendars that knows them"
_BEGIN_EARLIER = f"list the sessions before its start {_LISTED}"


def sessions_between(calendar: str, first: Session, last: Session) -> pd.DatetimeIndex:
    """All sessions of a calendar from ``first`` to ``last``, both included; tz-naive midnights."""
    sessions = timetable(calendar).sessions
    low = sessions.searchsorted(pd.Timestamp(first), side="left")
    high = sessions.searchsorted(pd.Timestamp(last), side="right")
    return sessions[low:high]


def is_session(calendar: str, day: Session) -> bool:
    """Whether ``day`` is a session."""
    return len(sessions_between(calendar, day, day)) == 1


def next_session(calendar: str, day: Session) -> pd.Timestamp:
    """Find the first session strictly after ``day``.

    Raises
    ------
    SettingsError
        The calendar ends before it.
    """
    sessions = timetable(calendar).sessions
    index = int(sessions.searchsorted(pd.Timestamp(day), side="right"))
    if index == len(sessions):
        raise _outside(calendar, f"after {pd.Timestamp(day).date()}", _CARRY_ON)
    return sessions[index]


def previous_session(calendar: str, day: Session) -> pd.Timestamp:
    """Find the last session strictly before ``day``.

    Raises
    ------
    SettingsError
        The calendar begins after it.
    """
    sessions = timetable(calendar).sessions
    index = int(sessions.searchsorted(pd.Timestamp(day), side="left"))
    if index == 0:
        raise _outside(calendar, f"before {pd.Timestamp(day).date()}", _BEGIN_EARLIER)
    return sessions[index - 1]


def last_known_session(calendar: str) -> pd.Timestamp:
    """The last session that the calendar knows, amendments included."""
    return timetable(calendar).sessions[-1]


def calendar_end_warning(calendar: str, day: Session) -> str | None:
    """Say that a calendar ends within 60 days of a day, or has ended, and what to do; None where it goes on."""
    end = last_known_session(calendar)
    if pd.Timestamp(day) + _END_WARNING < end:
        return None
    return f"the calendar {calendar.split(' ', maxsplit=1)[0]} knows no session after {end.date()}: {_CARRY_ON}"


def _outside(calendar: str, side: str, remedy: str) -> SettingsError:
    sessions = timetable(calendar).sessions
    return SettingsError(
        expected=f"a session of {calendar.split(' ', maxsplit=1)[0]} {side}",
        found=f"a calendar from {sessions[0].date()} to {sessions[-1].date()}",
        remedy=f"{remedy}; or choose days within it",
        key="market.calendar",
    )


def session_close(calendar: str, session: Session) -> pd.Timestamp:
    """UTC moment of a session's close; half days and daylight saving included."""
    close: pd.Timestamp = timetable(calendar).closes.loc[pd.Timestamp(session)]
    return close


def assumed_known_at(calendar: str, sessions: Sessions, lag_minutes: int) -> pd.DatetimeIndex:
    """Close of each session plus a stated lag: when a bar of a bulk history is taken to be known.

    Parameters
    ----------
    sessions : sequence of timestamps, shape (n,)
        Must be sessions of the calendar.

    Returns
    -------
    DatetimeIndex, shape (n,), UTC
    """
    days = pd.DatetimeIndex(sessions)
    closes = timetable(calendar).closes.reindex(days)
    moments = pd.DatetimeIndex(closes).as_unit("ns")
    return moments + pd.Timedelta(minutes=lag_minutes)


def exclusions_between(calendar: str, first: Session, last: Session) -> list[pd.Timestamp]:
    """Days from ``first`` to ``last`` that are no sessions."""
    days = pd.date_range(pd.Timestamp(first), pd.Timestamp(last), freq="D")
    return list(days.difference(sessions_between(calendar, first, last)))


def timezone_of(calendar: str) -> str:
    """IANA name of the exchange's timezone."""
    return timetable(calendar).timezone


def sessions_per_year(calendar: str) -> int:
    """Sessions that annualise a figure: 252 for an exchange, 365 for a market that never closes.

    Where they are divided into decision bars, that many times the bars of a usual session.
    """
    name, amendments = amendments_of(calendar)
    per_year = 365 if name == _ALWAYS_OPEN else 252
    return per_year * bars_of_session(calendar) if amendments.decision_minutes else per_year


def decides_within(calendar: str) -> bool:
    """Whether each session is divided into bars that are decided one by one."""
    return amendments_of(calendar)[1].decision_minutes > 0


@lru_cache(maxsize=16)
def bars_of_session(calendar: str) -> int:
    """Decision bars of a usual session: the median of all; 1 where sessions are not divided."""
    if not decides_within(calendar):
        return 1
    ends = ends_of_sessions(calendar, timetable(calendar).sessions)
    return int(np.median(np.diff(np.flatnonzero(ends))))


def ends_of_sessions(calendar: str, sessions: pd.DatetimeIndex) -> BoolArray:
    """Which bars of an axis are the last of their session, (bars,); all where sessions are not divided.

    It is read off the calendar, which is known beforehand: not off the axis, which may end within a session.
    """
    name, amendments = amendments_of(calendar)
    if not amendments.decision_minutes:
        return np.ones(len(sessions), dtype=np.bool_)
    whole = timetable(amended(name, replace(amendments, decision_minutes=0, decided_from=None)))
    closes = assumed_known_at(calendar, sessions, 0)
    return np.isin(closes.asi8, pd.DatetimeIndex(whole.closes).as_unit("ns").asi8)


def days_of_bars(calendar: str, sessions: pd.DatetimeIndex) -> DayArray | None:
    """The session, by its day, that each bar of an axis belongs to, (bars,); None where sessions are not divided.

    Of an exchange that opens on the evening before, that is the day of the session and not the date of the bar.
    """
    name, amendments = amendments_of(calendar)
    if not amendments.decision_minutes:
        return None
    whole = timetable(amended(name, replace(amendments, decision_minutes=0, decided_from=None)))
    closes = assumed_known_at(calendar, sessions, 0).asi8
    index = np.searchsorted(pd.DatetimeIndex(whole.closes).as_unit("ns").asi8, closes, side="left")
    return whole.sessions[index].to_numpy().astype("datetime64[D]")


def never_closes(calendar: str) -> bool:
    """Whether each session opens as the one before closes, weekends apart: an open then repeats the close before."""
    return amendments_of(calendar)[0] in _NEVER_CLOSING


def session_ends(calendar: str, days: pd.Series) -> pd.Series:
    """Close of each day's session, UTC; the day's own end where it has none."""
    closes = assumed_known_at(calendar, pd.DatetimeIndex(days), 0)
    return pd.Series(closes, index=days.index).fillna(days.dt.tz_localize("UTC") + pd.Timedelta(days=1))


def sessions_of_moments(calendar: str, moments: pd.Series) -> pd.Series:
    """Give the session at whose close each UTC moment could first be looked back on.

    That is the first one that closes at or after the moment; NaT outside what the calendar covers.
    """
    axis = timetable(calendar).sessions
    closes = assumed_known_at(calendar, axis, 0).asi8
    index = np.searchsorted(closes, nanoseconds(moments), side="left")
    sessions = axis.to_numpy()[np.minimum(index, len(axis) - 1)]
    inside = (index < len(axis)) & (moments >= pd.Timestamp(axis[0]).tz_localize("UTC")).to_numpy()
    return pd.Series(np.where(inside, sessions, np.datetime64("NaT", "ns")), index=moments.index)


def session_hours(calendar: str, first: Session, last: Session) -> pd.DataFrame:
    """When the sessions from ``first`` to ``last`` trade; half days and daylight saving included.

    Returns
    -------
    DataFrame
        session (tz-naive midnight), opens, break_starts, break_ends, closes (UTC moments; breaks NaT
        where there is none), ascending.
    """
    sessions = sessions_between(calendar, first, last)
    schedule = timetable(calendar).hours.reindex(sessions)
    hours = {"opens": "open", "break_starts": "break_start", "break_ends": "break_end", "closes": "close"}
    columns = {name: pd.DatetimeIndex(schedule[column]).as_unit("ns") for name, column in hours.items()}
    return pd.DataFrame({"session": sessions, **columns})
