"""Sessions: dates and closes as the exchange published them."""

from __future__ import annotations

import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market.calendar import sessions
from tests.market.builders import moment


def test_holidays_and_weekends_are_no_sessions() -> None:
    # The week of Good Friday 2018, and the day of mourning for President Bush.
    days = sessions.sessions_between("XNYS", "2018-03-26", "2018-04-02")
    assert list(days.strftime("%F")) == [
        "2018-03-26",
        "2018-03-27",
        "2018-03-28",
        "2018-03-29",
        "2018-04-02",
    ]
    assert not sessions.is_session("XNYS", "2018-12-05")
    assert days.dtype == "datetime64[ns]"


def test_the_days_between_sessions_are_their_exclusions() -> None:
    days = sessions.exclusions_between("XNYS", "2018-03-26", "2018-04-02")
    assert days == [pd.Timestamp("2018-03-30"), pd.Timestamp("2018-03-31"), pd.Timestamp("2018-04-01")]


@pytest.mark.parametrize(
    ("session", "close"),
    [
        ("2018-01-02", "2018-01-02 21:00"),
        ("2018-07-02", "2018-07-02 20:00"),
        ("2018-11-23", "2018-11-23 18:00"),
    ],
)
def test_closes_follow_summer_time_and_half_days(session, close) -> None:
    assert sessions.session_close("XNYS", session) == moment(close)
    lagged = sessions.assumed_known_at("XNYS", [pd.Timestamp(session)], 30)
    assert lagged[0] == moment(close) + pd.Timedelta(minutes=30)


# Closes that the exchanges publish, around both changes of the clock and on half days, in UTC.
PUBLISHED = {
    # New York: 16:00, 13:00 on half days; clocks change on 2024-03-10 and 2024-11-03.
    "XNYS": {
        "2024-03-08": "21:00",
        "2024-03-11": "20:00",
        "2024-07-03": "17:00",
        "2024-11-01": "20:00",
        "2024-11-04": "21:00",
        "2024-11-29": "18:00",
        "2024-12-24": "18:00",
    },
    # London: 16:30, 12:30 on half days; clocks change on 2024-03-31 and 2024-10-27.
    "XLON": {
        "2024-03-28": "16:30",
        "2024-04-02": "15:30",
        "2024-10-25": "15:30",
        "2024-10-28": "16:30",
        "2024-12-24": "12:30",
        "2024-12-31": "12:30",
    },
    # Tokyo: no summer time; 15:00 until 2024-11-01, 15:30 from 2024-11-05 on.
    "XTKS": {"2024-03-11": "06:00", "2024-11-01": "06:00", "2024-11-05": "06:30"},
    # Chicago's index futures: 17:00 of the session's own day.
    "CMES": {
        "2024-03-08": "23:00",
        "2024-03-11": "22:00",
        "2024-11-01": "22:00",
        "2024-11-04": "23:00",
    },
}


@pytest.mark.full
@pytest.mark.parametrize(
    ("calendar", "session", "close"),
    [(calendar, session, close) for calendar, closes in PUBLISHED.items() for session, close in closes.items()],
)
def test_closes_and_known_at_are_the_published_ones_across_clock_changes_and_half_days(
    calendar, session, close
) -> None:
    published = moment(f"{session} {close}")
    assert sessions.session_close(calendar, session) == published
    assert sessions.assumed_known_at(calendar, [session], 45)[0] == published + pd.Timedelta(minutes=45)


@pytest.mark.parametrize("session", ["2024-03-09", "2024-03-10", "2024-03-31", "2024-10-27", "2024-11-03"])
def test_a_market_that_never_closes_ends_its_session_at_midnight_utc_whatever_clocks_do(session) -> None:
    assert sessions.is_session("24/7", session)
    following = pd.Timestamp(session, tz="UTC") + pd.Timedelta(hours=24)
    assert sessions.session_close("24/7", session) == following
    assert sessions.assumed_known_at("24/7", [session], 30)[0] == following + pd.Timedelta(minutes=30)


def test_next_and_previous_are_strict() -> None:
    assert sessions.next_session("XNYS", "2018-03-29") == pd.Timestamp("2018-04-02")
    assert sessions.next_session("XNYS", "2018-03-31") == pd.Timestamp("2018-04-02")
    assert sessions.previous_session("XNYS", "2018-04-02") == pd.Timestamp("2018-03-29")


def test_a_market_that_never_closes_has_365_sessions_a_year() -> None:
    assert len(sessions.sessions_between("24/7", "2018-01-01", "2018-12-31")) == 365
    assert sessions.sessions_per_year("24/7") == 365
    assert sessions.sessions_per_year("XNYS") == 252


def test_timezones_are_the_exchanges_own() -> None:
    assert sessions.timezone_of("XNYS") == "America/New_York"


def test_an_unknown_calendar_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="'MOON'"):
        sessions.sessions_between("MOON", "2018-01-01", "2018-02-01")
