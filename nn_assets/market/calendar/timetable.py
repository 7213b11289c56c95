"""When a calendar's sessions trade: what exchange_calendars knows, amended by what it does not."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import date, time, timedelta
from difflib import get_close_matches
from functools import cached_property, lru_cache

import exchange_calendars
import numpy as np
import pandas as pd
from pandas.api.typing import NaTType

from nn_assets.errors import SettingsError, shortened
from nn_assets.settings.calendar_file import Amendments, amendments_of

_HOURS = ("open", "break_start", "break_end", "close")
# What exchange_calendars raises where its rules, or pandas beneath them, give no days.
_NOT_BUILT = (ValueError, NotImplementedError, LookupError, TypeError, AttributeError)
_LONGEST_CAUSE = 200
_MOMENT = re.compile(r"Timestamp\('(\d{4}-\d{2}-\d{2})[^)]*\)")
_MOMENTS = re.compile(r"\[Timestamp\(.*Timestamp\([^)]*\)\]", re.DOTALL)
_EARLIEST, _LATEST = pd.Timestamp("1990-01-01"), pd.Timestamp("2035-12-31")


@dataclass(frozen=True)
class Timetable:
    """Sessions of a calendar and their hours.

    Attributes
    ----------
    hours : DataFrame, shape (sessions, 4)
        UTC moments by session (a tz-naive midnight), in order: open, break_start, break_end and
        close; breaks are NaT where there is none.
    timezone : str
        IANA name of the exchange's timezone.
    """

    hours: pd.DataFrame
    timezone: str

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        """Every session, in order; tz-naive midnights."""
        return pd.DatetimeIndex(self.hours.index)

    @cached_property
    def closes(self) -> pd.Series:
        """UTC moment of each session's close, by session."""
        return self.hours["close"]


@lru_cache(maxsize=16)
def timetable(calendar: str) -> Timetable:
    """The timetable of a calendar's name, amendments included.

    Raises
    ------
    SettingsError
        exchange_calendars knows no such calendar or cannot build it, or an amendment contradicts it: an early close
        on a day that is no session, before the open, or after the regular close.
    """
    name, amendments = amendments_of(calendar)
    exchange = _known(name)
    hours = exchange.schedule[list(_HOURS)].set_axis(pd.DatetimeIndex(exchange.sessions).as_unit("ns"))
    hours = hours.apply(lambda moments: moments.dt.as_unit("ns"))
    if amendments != Amendments():
        hours = _amended(hours, exchange, amendments, name)
    if amendments.decided_from is not None:
        hours = divided(hours[hours.index >= pd.Timestamp(amendments.decided_from)], amendments.decision_minutes)
    return Timetable(hours, str(exchange.tz))


def divided(hours: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """The hours of sessions divided into bars of so many minutes, each a row like a session's.

    A bar is named by its start, UTC and tz-naive. No bar spans a break: morning and afternoon are divided each by
    itself, and the last bar of either is shorter where it is no whole number of them.

    Parameters
    ----------
    hours : DataFrame, shape (sessions, 4)
        As of :class:`Timetable`.
    minutes : int
    """
    step = np.timedelta64(minutes, "m")
    rests, resumes = hours["break_start"].fillna(hours["close"]), hours["break_end"].fillna(hours["close"])
    parts = [(hours["open"], rests), (resumes, hours["close"])]
    begins = [np.asarray(begin.dt.tz_localize(None), dtype="datetime64[ns]") for begin, _ in parts]
    ends = [np.asarray(end.dt.tz_localize(None), dtype="datetime64[ns]") for _, end in parts]
    first, last = np.stack(begins, axis=1).ravel(), np.stack(ends, axis=1).ravel()
    count = -((first - last) // step)  # rounded up
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    opens = np.repeat(first, count) + offset * step
    closes = np.minimum(opens + step, np.repeat(last, count))
    moments = {name: pd.DatetimeIndex(values, tz="UTC") for name, values in (("open", opens), ("close", closes))}
    none = pd.DatetimeIndex([pd.NaT] * len(opens), tz="UTC").as_unit("ns")
    rows = pd.DataFrame({"open": moments["open"], "break_start": none, "break_end": none, "close": moments["close"]})
    return rows.set_axis(pd.DatetimeIndex(opens))


def _known(name: str) -> exchange_calendars.ExchangeCalendar:
    try:
        with warnings.catch_warnings():
            # exchange_calendars uses what pandas 3.1 announces to change or to drop.
            warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
            try:
                return exchange_calendars.get_calendar(name, start=_EARLIEST, end=_LATEST)
            except ValueError:
                # Some calendars are not known as far back, or ahead, as the others: the bounds of this one,
                # which only a calendar made says, cost as much again.
                kind = type(exchange_calendars.get_calendar(name))
                low, high = kind.bound_min(), kind.bound_max()
                start = _EARLIEST if low is None else max(_EARLIEST, low)
                end = _LATEST if high is None else min(_LATEST, high)
                return exchange_calendars.get_calendar(name, start=start, end=end)
    except exchange_calendars.errors.InvalidCalendarName as error:
        raise _unknown(name) from error
    except _NOT_BUILT as error:
        raise SettingsError(
            expected="a calendar that exchange_calendars can build",
            found=f"{name!r}, of which this release makes no days ({_cause(error)})",
            remedy="name another exchange of the same days, or the nearest one with what differs listed in "
            "market.calendar_overrides",
            key="market.calendar",
        ) from error


def _cause(error: Exception) -> str:
    """What exchange_calendars says, in one sentence: of a list of moments the first, and how many there are."""
    moments = _MOMENT.findall(str(error))
    message = _MOMENTS.sub(f"{moments[0]} and {len(moments) - 1:,} more" if moments else "", str(error))
    return shortened(" ".join(f"{type(error).__name__}: {message}".split()).rstrip(" .:"), _LONGEST_CAUSE)


def is_same_calendar(first: str, second: str) -> bool:
    """Whether two names are of the same calendar of exchange_calendars, as NYSE and XNYS are; without amendments.

    True as well where a release no longer knows one of them: nothing is known of it then.
    """
    try:
        same: bool = exchange_calendars.resolve_alias(first) == exchange_calendars.resolve_alias(second)
        return same
    except exchange_calendars.errors.InvalidCalendarName:
        return True


def require_calendar(calendar: str) -> None:
    """Refuse a calendar's name that nobody knows, or whose days cannot be made.

    Raises
    ------
    SettingsError
        With the names that come near, or the cause.
    """
    name, _ = amendments_of(calendar)
    if name not in exchange_calendars.get_calendar_names():
        raise _unknown(name)
    timetable(name)


def _unknown(name: str) -> SettingsError:
    near = get_close_matches(name.upper(), exchange_calendars.get_calendar_names(), n=3, cutoff=0.5)
    return SettingsError(
        expected="a calendar that exchange_calendars knows",
        found=repr(name),
        remedy=(f"did you mean {' or '.join(near)}? " if near else "")
        + "use an ISO 10383 code such as XNYS or CMES, or 24/7",
        key="market.calendar",
    )


def _amended(
    hours: pd.DataFrame, exchange: exchange_calendars.ExchangeCalendar, amendments: Amendments, name: str
) -> pd.DataFrame:
    hours = hours.drop(pd.DatetimeIndex(sorted(amendments.extra_holidays)), errors="ignore")
    for day in sorted(amendments.extra_sessions):
        if pd.Timestamp(day) not in hours.index:
            hours.loc[pd.Timestamp(day)] = [_regular(exchange, day, which) for which in _HOURS]
    for day, close in sorted(amendments.early_closes.items()):
        session, moment = pd.Timestamp(day), _local(day, close, exchange)
        if session not in hours.index:
            _refuse(name, f"{day} {close:%H:%M}", "an early close on a session", "is no session")
        if not hours["open"].loc[session] < moment <= _regular(exchange, day, "close"):
            _refuse(name, f"{day} {close:%H:%M}", "a close after the open, no later than the regular one", "is not")
        hours.loc[session, "close"] = moment
        if not hours["break_end"].loc[session] < moment:
            hours.loc[session, ["break_start", "break_end"]] = pd.NaT
    return hours.sort_index()


def _regular(exchange: exchange_calendars.ExchangeCalendar, day: date, which: str) -> pd.Timestamp | NaTType:
    """A full session's open, break or close on a day, whether or not the calendar has it; NaT for no break."""
    in_force = [
        clock
        for since, clock in getattr(exchange, f"{which}_times") or ()
        if clock is not None and (since is None or since <= pd.Timestamp(day))
    ]
    offset = getattr(exchange, f"{which}_offset", 0)
    return _local(day, in_force[-1], exchange, offset) if in_force else pd.NaT


def _local(day: date, clock: time, exchange: exchange_calendars.ExchangeCalendar, days_later: int = 0) -> pd.Timestamp:
    moment = pd.Timestamp.combine(day + timedelta(days=days_later), clock)
    return moment.tz_localize(exchange.tz).tz_convert("UTC").as_unit("ns")


def _refuse(calendar: str, value: str, expected: str, found: str) -> None:
    raise SettingsError(
        expected=f"{expected} of {calendar}",
        found=f"{value} {found}",
        remedy="correct the day or the time in the overrides file; times are the exchange's own",
        key="market.calendar_overrides",
        value=value,
    )
