"""A horizon stated in hours, as a count of decision bars or of sessions, and a horizon as it is told."""

from __future__ import annotations

import math
from typing import Any

_HOURS_OF_A_DAY, _MINUTES_OF_AN_HOUR = 24, 60
MINUTES_OF_A_DAY = _HOURS_OF_A_DAY * _MINUTES_OF_AN_HOUR
_ROUND_THE_CLOCK = "24/7"
_LONGEST_HOURS = 24 * 366
_NEARLY = 1e-9  # of a bar: what binary fractions of an hour leave


def positive_hours(hours: Any) -> Any:
    """The hours where they are a number above zero, or none; to be called by pydantic.

    Raises
    ------
    ValueError
        It is no number (text and true among them), not finite, zero or less, or beyond a year.
    """
    if hours is None:
        return None
    number = isinstance(hours, int | float) and not isinstance(hours, bool)
    if not number or not 0.0 < hours <= _LONGEST_HOURS:  # NaN among them
        raise ValueError(
            f"hours above 0 and up to {_LONGEST_HOURS:,} (a year) were expected, as a number: 4, or 0.5 for thirty "
            "minutes"
        )
    return float(hours)


def sessions_of_hours(hours: float, *, decision_minutes: int, calendar: str) -> int:
    """Decision bars, or sessions, that so many hours of trading are.

    Parameters
    ----------
    hours : float
        As :func:`positive_hours` lets them through.
    decision_minutes : int
        From one decision within the session to the next; 0 where it decides once a session.
    calendar : str
        The market's; days are 24 hours each on ``24/7`` without amendments alone.

    Returns
    -------
    int
        What ``label.horizon_sessions`` is for the same horizon.

    Raises
    ------
    ValueError
        A day of the calendar is no whole number of hours, or the hours are no whole number of bars.
    """
    if not decision_minutes and calendar != _ROUND_THE_CLOCK:
        raise ValueError(
            f"label.horizon_hours {hours:g} on market.calendar {calendar}, whose sessions are decided once each and "
            "are not 24 hours long: state label.horizon_sessions in sessions, or decide within them, intraday.decisions"
        )
    minutes = decision_minutes or MINUTES_OF_A_DAY
    bars = hours * _MINUTES_OF_AN_HOUR / minutes
    count = round(bars)
    if count < 1 or abs(bars - count) > _NEARLY * count:
        below, above = max(1, math.floor(bars)), max(1, math.floor(bars)) + 1
        unit = "decision bar" if decision_minutes else "session"
        near = " or ".join(
            f"{number * minutes / _MINUTES_OF_AN_HOUR:.10g} ({_counted(number, unit)})" for number in (below, above)
        )
        raise ValueError(
            f"label.horizon_hours {hours:g} is {bars:.6g} {unit}s of {_duration(minutes)}, and a whole number of them "
            f"was expected: {near}, or label.horizon_sessions, which counts them"
        )
    return count


def horizon_told(sessions: int, *, decision_minutes: int, in_hours: bool, calendar: str) -> str:
    """A horizon for people: ``5 sessions``, or of bars and hours both, ``4 hours: 48 bars``.

    Parameters
    ----------
    sessions : int
        The label's horizon, in decision bars where there are such.
    decision_minutes : int
        As of :func:`sessions_of_hours`; with decisions once a session the hours are told where they are stated.
    in_hours : bool
        Whether it is stated in hours.
    calendar : str
        The market's: on one with closes the hours are those of trading.
    """
    if not decision_minutes:
        days = _counted(sessions, "session")
        return f"{sessions * _HOURS_OF_A_DAY} hours: {days}" if in_hours else days
    traded = "" if calendar.split(" ", maxsplit=1)[0] == _ROUND_THE_CLOCK else " of trading"
    return f"{_duration(sessions * decision_minutes)}{traded}: {_counted(sessions, 'bar')}"


def _duration(minutes: int) -> str:
    hours, left = divmod(minutes, _MINUTES_OF_AN_HOUR)
    parts = [_counted(number, unit) for number, unit in ((hours, "hour"), (left, "minute")) if number]
    return " ".join(parts)


def _counted(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'s' * (number != 1)}"
