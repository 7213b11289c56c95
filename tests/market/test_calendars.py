"""Every calendar is built or refused by name, and none ends in silence."""

from __future__ import annotations

import exchange_calendars
import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import calendar_end_warning, next_session, previous_session, sessions_between
from nn_assets.market.calendar.timetable import require_calendar, timetable
from nn_assets.operations.clock import round_cron
from nn_assets.settings import MarketSettings

CHEAP = ("XNYS", "XLON", "24/7", "XSHG", "XSAU", "XBEL", "ASEX")


def refusal(name: str) -> SettingsError | None:
    try:
        timetable(name)
    except SettingsError as error:
        return error
    return None


def built_or_refused(name: str) -> None:
    fault = refusal(name)
    if fault is None:
        calendar = timetable(name)
        assert len(calendar.sessions) > 1000
        assert calendar.closes.notna().all()
        require_calendar(name)
        minute, hour, *days = round_cron(MarketSettings(calendar=name, history_starts="2023-01-02")).split()
        assert (int(minute) < 60, int(hour) < 24, days) == (True, True, ["*"] * 3)
        return
    assert repr(name) in fault.found
    assert fault.where["key"] == "market.calendar"
    assert fault.remedy
    with pytest.raises(SettingsError):
        require_calendar(name)


@pytest.mark.parametrize("name", CHEAP)
def test_a_calendar_is_built_or_refused_by_name(name: str) -> None:
    built_or_refused(name)


@pytest.mark.full
@pytest.mark.parametrize("name", exchange_calendars.get_calendar_names())
def test_every_calendar_is_built_or_refused_by_name(name: str) -> None:
    built_or_refused(name)


def test_a_calendar_that_ends_says_so_and_an_override_carries_it_on() -> None:
    with pytest.raises(SettingsError, match="after 2026-12-31") as refused:
        next_session("XSHG", "2026-12-31")
    assert "extra_sessions" in refused.value.remedy
    assert next_session("XSHG", "2026-12-30") == pd.Timestamp("2026-12-31")
    carried = "XSHG +2027-01-04 +2027-01-05"  # what the file's extra_sessions make of the name
    assert next_session(carried, "2026-12-31") == pd.Timestamp("2027-01-04")
    assert len(sessions_between(carried, "2027-01-01", "2027-12-31")) == 2
    assert timetable(carried).closes.loc["2027-01-05"] == pd.Timestamp("2027-01-05 07:00", tz="UTC")


def test_before_its_first_session_a_calendar_names_no_session_of_its_end() -> None:
    with pytest.raises(SettingsError, match="before 2021-01-01"):
        previous_session("XSAU", "2021-01-01")


@pytest.mark.parametrize(("day", "says"), [("2026-10-31", False), ("2026-11-01", True), ("2027-03-01", True)])
def test_the_end_is_told_sixty_days_before(day: str, says: bool) -> None:
    message = calendar_end_warning("XSHG", day)
    assert (message is not None) is says
    assert message is None or "2026-12-31" in message
    assert calendar_end_warning("XNYS", day) is None


def test_a_round_is_due_after_the_usual_close_in_a_calendar_that_begins_late_too() -> None:
    """Riyadh closes at 15:00; the round waits for the lag stated and for a quarter of an hour."""
    market = MarketSettings(calendar="XSAU", history_starts="2023-01-02", known_at_lag_minutes=30)
    assert round_cron(market) == "45 15 * * *"


def test_of_a_day_before_a_calendars_start_its_start_is_told_and_the_remedy_begins_it_earlier() -> None:
    with pytest.raises(SettingsError) as refused:
        previous_session("XSAU", "2021-01-03")
    assert refused.value.found.startswith("a calendar from 2021-01-03 to ")
    assert "list the sessions before its start under extra_sessions" in refused.value.remedy
    assert "after its end" not in refused.value.remedy
    assert previous_session("XSAU +2020-12-31", "2021-01-03") == pd.Timestamp("2020-12-31")
    with pytest.raises(SettingsError) as ended:
        next_session("XSAU", "2040-01-02")
    assert "after its end" in ended.value.remedy
