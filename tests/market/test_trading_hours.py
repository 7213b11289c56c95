"""Which session a bar belongs to: half days, lunch, daylight saving, markets that never close, days that roll."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.hours import TradingHours, trading_hours
from nn_assets.settings import IntradaySettings


def hours(calendar: str, first: str, last: str, **changes) -> TradingHours:
    settings = IntradaySettings(**{"path": "-", **changes})
    return trading_hours(calendar, settings, pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))


def due(calendar: str, session: str, **changes) -> int:
    schedule = hours(calendar, session, session, **changes)
    return int(schedule.bars_due[schedule.sessions.get_loc(session)])


def session_of(schedule: TradingHours, moment: str) -> str | None:
    placed = schedule.locate(np.array([pd.Timestamp(moment, tz="UTC").as_unit("ns").value]))
    if not placed.inside[0]:
        return None
    return str(schedule.sessions[placed.session[0]].date())


@pytest.mark.full
@pytest.mark.parametrize(
    ("calendar", "session", "minutes", "bars"),
    [
        ("XNYS", "2024-03-08", 5, 78),  # winter time
        ("XNYS", "2024-03-11", 5, 78),  # summer time, from an hour earlier
        ("XNYS", "2024-11-29", 5, 42),  # a half day
        ("XTKS", "2024-03-08", 5, 60),  # with lunch
        ("24/7", "2024-03-10", 5, 288),
        ("24/5", "2024-03-08", 1, 1440),
    ],
)
def test_a_session_has_as_many_bars_as_it_trades(calendar, session, minutes, bars) -> None:
    assert due(calendar, session, bar_minutes=minutes) == bars


def test_daylight_saving_moves_the_open_and_not_the_session() -> None:
    schedule = hours("XNYS", "2024-03-08", "2024-03-12")
    assert session_of(schedule, "2024-03-08T14:30") == "2024-03-08"
    assert session_of(schedule, "2024-03-08T13:30") is None
    assert session_of(schedule, "2024-03-11T13:30") == "2024-03-11"
    assert session_of(schedule, "2024-03-11T19:55") == "2024-03-11"
    assert session_of(schedule, "2024-03-11T20:00") is None


@pytest.mark.full
def test_lunch_belongs_to_no_session_and_leaves_no_gap_in_the_slots() -> None:
    schedule = hours("XTKS", "2024-03-08", "2024-03-08")
    moments = ["02:25", "02:30", "03:25", "03:30"]  # the morning ends at 11:30 in Tokyo
    placed = schedule.locate(pd.DatetimeIndex([f"2024-03-08T{at}Z" for at in moments]).as_unit("ns").asi8)
    assert list(placed.inside) == [True, False, False, True]
    assert placed.slot[3] - placed.slot[0] == 1
    assert list(placed.slot[1:3]) == [-1, -1]


def test_nights_and_weekends_leave_no_gap_in_the_slots() -> None:
    schedule = hours("XNYS", "2024-03-08", "2024-03-11")
    ends = pd.DatetimeIndex(["2024-03-08T20:55Z", "2024-03-11T13:30Z"]).as_unit("ns").asi8
    friday, monday = schedule.locate(ends).slot
    assert monday - friday == 1


def test_currencies_roll_at_five_in_new_york_and_sunday_evening_is_monday() -> None:
    schedule = hours("24/5", "2024-03-05", "2024-03-15", rolls_at="17:00", timezone="America/New_York", bar_minutes=1)
    assert session_of(schedule, "2024-03-08T21:59") == "2024-03-08"
    assert session_of(schedule, "2024-03-08T22:00") is None  # Friday evening is Saturday's
    assert session_of(schedule, "2024-03-10T20:59") is None
    assert session_of(schedule, "2024-03-10T21:00") == "2024-03-11"  # the clocks went forward that morning
    assert session_of(schedule, "2024-03-11T21:00") == "2024-03-12"
    assert set(schedule.bars_due[2:-2]) == {1440}


def test_a_market_that_never_closes_loses_an_hour_when_its_clocks_go_forward() -> None:
    changes = {"rolls_at": "17:00", "timezone": "America/New_York", "bar_minutes": 60}
    assert [due("24/7", f"2024-03-{day:02d}", **changes) for day in (9, 10, 11)] == [24, 23, 24]
    assert due("24/7", "2024-11-03", **changes) == 25


def test_a_session_that_would_end_after_its_decision_is_refused() -> None:
    with pytest.raises(SettingsError, match="rolls_at"):
        hours("XNYS", "2024-03-08", "2024-03-12", rolls_at="17:00", timezone="America/New_York")


def test_a_bar_between_two_of_the_grid_has_no_slot() -> None:
    schedule = hours("24/7", "2024-03-08", "2024-03-08")
    placed = schedule.locate(pd.DatetimeIndex(["2024-03-08T00:05Z", "2024-03-08T00:07Z"]).as_unit("ns").asi8)
    assert list(placed.on_grid) == [True, False]
    assert placed.slot[1] == -1
