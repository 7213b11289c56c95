"""Sessions: dates and closes as the exchange published them."""

from __future__ import annotations

import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market import sessions
from tests.market.builders import moment


def test_holidays_and_weekends_are_no_sessions() -> None:
    # The week of Good Friday 2018, and the day of mourning for President Bush.
    found = sessions.sessions_between("XNYS", "2018-03-26", "2018-04-02")
    assert list(found.strftime("%F")) == [
        "2018-03-26",
        "2018-03-27",
        "2018-03-28",
        "2018-03-29",
        "2018-04-02",
    ]
    assert not sessions.is_session("XNYS", "2018-12-05")
    assert found.dtype == "datetime64[ns]"


def test_the_days_between_sessions_are_their_exclusions() -> None:
    found = sessions.exclusions_between("XNYS", "2018-03-26", "2018-04-02")
    assert found == [pd.Timestamp("2018-03-30"), pd.Timestamp("2018-03-31"), pd.Timestamp("2018-04-01")]


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


def test_sessions_as_days_keep_their_dates() -> None:
    found = sessions.session_days(sessions.sessions_between("XNYS", "2018-01-02", "2018-01-03"))
    assert [str(day) for day in found] == ["2018-01-02", "2018-01-03"]
