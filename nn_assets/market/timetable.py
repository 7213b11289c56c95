"""When a calendar's sessions close: what exchange_calendars knows, amended by what it does not."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import lru_cache

import exchange_calendars
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.settings.calendar_file import Amendments, amendments_of

__all__ = ["Timetable", "timetable"]

_EARLIEST, _LATEST = pd.Timestamp("1990-01-01"), pd.Timestamp("2035-12-31")


@dataclass(frozen=True)
class Timetable:
    """Sessions of a calendar and the moments they close.

    Attributes
    ----------
    closes : Series, shape (sessions,)
        UTC moment of each close, by session (a tz-naive midnight), in order.
    timezone : str
        IANA name of the exchange's timezone.
    """

    closes: pd.Series
    timezone: str

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """Every session, in order; tz-naive midnights."""
        return pd.DatetimeIndex(self.closes.index)


@lru_cache(maxsize=16)
def timetable(calendar: str) -> Timetable:
    """The timetable of a calendar's name, amendments included.

    Raises
    ------
    SettingsError
        exchange_calendars knows no such calendar, or an amendment contradicts it: an early close
        on a day that is no session, or not before the regular close.
    """
    name, amendments = amendments_of(calendar)
    known = _known(name)
    closes = pd.Series(
        pd.DatetimeIndex(known.closes).as_unit("ns"), index=pd.DatetimeIndex(known.sessions).as_unit("ns")
    )
    timezone = str(known.tz)
    if amendments != Amendments():
        closes = _amended(closes, known, amendments, name)
    return Timetable(closes, timezone)


def _known(name: str) -> exchange_calendars.ExchangeCalendar:
    try:
        with warnings.catch_warnings():
            # exchange_calendars reads tz-aware columns by a way that pandas 3.1 announces to change.
            warnings.filterwarnings("ignore", message="Series.values returning an ndarray")
            # Some calendars are not known as far back, or ahead, as the others.
            kind = type(exchange_calendars.get_calendar(name))
            low, high = kind.bound_min(), kind.bound_max()
            start = _EARLIEST if low is None else max(_EARLIEST, low)
            end = _LATEST if high is None else min(_LATEST, high)
            return exchange_calendars.get_calendar(name, start=start, end=end)
    except exchange_calendars.errors.InvalidCalendarName as error:
        raise SettingsError(
            expected="a calendar that exchange_calendars knows",
            found=repr(name),
            remedy="use an ISO 10383 code such as XNYS or CMES, or 24/7",
            key="market.calendar",
        ) from error


def _amended(
    closes: pd.Series, known: exchange_calendars.ExchangeCalendar, amendments: Amendments, name: str
) -> pd.Series:
    closes = closes.drop(pd.DatetimeIndex(sorted(amendments.extra_holidays)), errors="ignore")
    added = [day for day in sorted(amendments.extra_sessions) if pd.Timestamp(day) not in closes.index]
    for day in added:
        closes.loc[pd.Timestamp(day)] = _regular_close(known, day)
    for day, close in sorted(amendments.early_closes.items()):
        session, moment = pd.Timestamp(day), _local(day, close, known)
        if session not in closes.index:
            _refuse(name, f"{day} {close:%H:%M}", "an early close on a session", "is no session")
        if moment > _regular_close(known, day):
            _refuse(name, f"{day} {close:%H:%M}", "a close no later than the regular one", "is later")
        closes.loc[session] = moment
    return closes.sort_index()


def _regular_close(known: exchange_calendars.ExchangeCalendar, day: date) -> pd.Timestamp:
    """A full session's close on a day, whether or not the calendar has it."""
    in_force = [close for since, close in known.close_times if since is None or since <= pd.Timestamp(day)]
    return _local(day, in_force[-1], known, known.close_offset)


def _local(day: date, clock: time, known: exchange_calendars.ExchangeCalendar, days_later: int = 0) -> pd.Timestamp:
    moment = pd.Timestamp.combine(day + timedelta(days=days_later), clock)
    return moment.tz_localize(known.tz).tz_convert("UTC").as_unit("ns")


def _refuse(calendar: str, value: str, expected: str, found: str) -> None:
    raise SettingsError(
        expected=f"{expected} of {calendar}",
        found=f"{value} {found}",
        remedy="correct the day or the time in the overrides file; times are the exchange's own",
        key="market.calendar_overrides",
        value=value,
    )
