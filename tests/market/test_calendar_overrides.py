"""Days that a calendar does not know: read with their lines, folded into the name, in force everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market.calendar import sessions
from nn_assets.market.calendar.timetable import timetable
from nn_assets.market.quality.cleaning import clean
from nn_assets.settings import CleaningSettings, load_strategy
from nn_assets.settings.calendar_file import amendments_of, read_overrides
from tests.market.builders import moment, sound_bars

# A day of mourning, a Saturday session, and a storm.
WHOLE = """\
extra_holidays: [2018-02-05]
extra_sessions:
  - 2018-02-10
early_closes:
  2018-02-07: "12:30"
  2018-02-10: 11:00
"""
AMENDED = "XNYS -2018-02-05 +2018-02-10 2018-02-07@12:30 2018-02-10@11:00"


def strategy_file(folder: Path, overrides: str | None, calendar: str = "XNYS") -> Path:
    file = folder / "mine.yaml"
    named = "" if overrides is None else "  calendar_overrides: days/off.yaml\n"
    file.write_text(f"name: mine\nmarket:\n  calendar: {calendar}\n  history_starts: 2017-01-03\n{named}")
    if overrides is not None:
        (folder / "days").mkdir()
        (folder / "days" / "off.yaml").write_text(overrides)
    return file


def test_a_strategys_overrides_are_read_beside_it_and_folded_into_its_calendar(tmp_path) -> None:
    assert load_strategy(strategy_file(tmp_path, WHOLE)).market.calendar == AMENDED


def test_overrides_change_the_hash_of_a_strategy_and_where_they_lie_does_not(tmp_path) -> None:
    for name in ("plain", "amended", "moved"):
        (tmp_path / name).mkdir()
    plain = load_strategy(strategy_file(tmp_path / "plain", None))
    amended = load_strategy(strategy_file(tmp_path / "amended", WHOLE))
    file = strategy_file(tmp_path / "moved", WHOLE)
    (tmp_path / "moved" / "days").rename(tmp_path / "moved" / "weeks")
    file.write_text(file.read_text().replace("days/", "weeks/"))
    assert load_strategy(file).content_hash() == amended.content_hash() != plain.content_hash()
    (tmp_path / "none").mkdir()
    assert load_strategy(strategy_file(tmp_path / "none", "{}")).content_hash() == plain.content_hash()


def test_amendments_are_in_force_wherever_sessions_and_closes_are_asked() -> None:
    days = sessions.sessions_between(AMENDED, "2018-02-02", "2018-02-12")
    assert list(days.strftime("%F")) == [
        *("2018-02-02", "2018-02-06", "2018-02-07", "2018-02-08", "2018-02-09", "2018-02-10", "2018-02-12"),
    ]
    assert sessions.previous_session(AMENDED, "2018-02-06") == pd.Timestamp("2018-02-02")
    assert sessions.next_session(AMENDED, "2018-02-09") == pd.Timestamp("2018-02-10")
    assert not sessions.is_session(AMENDED, "2018-02-05")
    assert sessions.exclusions_between(AMENDED, "2018-02-03", "2018-02-11") == [
        pd.Timestamp(day) for day in ("2018-02-03", "2018-02-04", "2018-02-05", "2018-02-11")
    ]
    assert sessions.session_close(AMENDED, "2018-02-07") == moment("2018-02-07 17:30")
    assert sessions.assumed_known_at(AMENDED, ["2018-02-08", "2018-02-10"], 30).tolist() == [
        moment("2018-02-08 21:30"),
        moment("2018-02-10 16:30"),
    ]
    assert sessions.timezone_of(AMENDED) == "America/New_York"
    # The plain calendar is what it was.
    assert sessions.is_session("XNYS", "2018-02-05")
    assert sessions.session_close("XNYS", "2018-02-07") == moment("2018-02-07 21:00")


def test_an_extra_session_closes_when_a_full_one_does_in_summer_and_in_winter() -> None:
    calendar = "XNYS +2024-03-09 +2024-03-10 +2024-11-02 +2024-11-03"
    closes = [sessions.session_close(calendar, day) for day in ("2024-03-09", "2024-03-10", "2024-11-02", "2024-11-03")]
    assert closes == [
        *(moment("2024-03-09 21:00"), moment("2024-03-10 20:00")),
        *(moment("2024-11-02 20:00"), moment("2024-11-03 21:00")),
    ]
    # Tokyo closes at 15:00 until 2024-11-01 and at 15:30 from 2024-11-05 on.
    tokyo = "XTKS +2024-10-26 +2024-11-09"
    assert sessions.session_close(tokyo, "2024-10-26") == moment("2024-10-26 06:00")
    assert sessions.session_close(tokyo, "2024-11-09") == moment("2024-11-09 06:30")


@pytest.mark.full
def test_opens_and_breaks_follow_the_amendments_too() -> None:
    # Hong Kong trades 09:30 to 16:00 and rests from 12:00 to 13:00, eight hours ahead of UTC.
    hours = timetable("XHKG +2024-03-09 2024-03-11@14:00 2024-03-12@12:30").hours
    assert hours.loc["2024-03-09"].tolist() == [
        moment(f"2024-03-09 {clock}") for clock in ("01:30", "04:00", "05:00", "08:00")
    ]
    assert hours.loc["2024-03-11"].tolist() == [
        moment(f"2024-03-11 {clock}") for clock in ("01:30", "04:00", "05:00", "06:00")
    ]
    assert hours.loc["2024-03-12", ["open", "close"]].tolist() == [
        moment("2024-03-12 01:30"),
        moment("2024-03-12 04:30"),
    ]
    assert hours.loc["2024-03-12", ["break_start", "break_end"]].isna().all()
    assert hours["open"].dtype == hours["break_end"].dtype == "datetime64[ns, UTC]"
    # Chicago's futures open on the evening before.
    assert timetable("CMES +2024-03-09").hours.loc["2024-03-09", "open"] == moment("2024-03-08 23:00")


def test_a_market_that_never_closes_may_rest() -> None:
    calendar = "24/7 -2024-03-10 2024-03-12@12:00"
    assert len(sessions.sessions_between(calendar, "2024-03-09", "2024-03-12")) == 3
    assert sessions.session_close(calendar, "2024-03-12") == moment("2024-03-12 12:00")
    assert sessions.session_close("24/7 -2024-03-10 +2024-03-11", "2024-03-11") == moment("2024-03-12")
    assert sessions.sessions_per_year(calendar) == 365


def test_a_day_that_the_calendar_already_has_needs_no_override_and_harms_nothing() -> None:
    same = "XNYS -2018-12-05 +2018-12-06 2018-11-23@13:00"
    for day in ("2018-11-23", "2018-12-06"):
        assert sessions.session_close(same, day) == sessions.session_close("XNYS", day)
    assert not sessions.is_session(same, "2018-12-05")


def test_a_row_on_an_extra_holiday_is_told_so_and_one_on_another_day_off_is_not() -> None:
    bars = sound_bars(count=40)
    (listed,) = clean(bars, "XNYS -2018-02-05", CleaningSettings()).quarantine["message"]
    assert "listed under extra_holidays" in listed
    assert "extra_sessions" not in listed
    saturday = bars.assign(session=bars["session"].replace(pd.Timestamp("2018-02-02"), pd.Timestamp("2018-02-03")))
    (unlisted,) = clean(saturday, "XNYS -2018-12-05", CleaningSettings()).quarantine["message"]
    assert "extra_sessions" in unlisted
    assert "extra_holidays" not in unlisted


def test_cleaning_judges_by_the_amended_calendar() -> None:
    bars = sound_bars(count=40)
    quarantine = clean(bars, "XNYS -2018-02-05", CleaningSettings()).quarantine
    assert list(zip(quarantine["rule"], quarantine["value"], strict=True)) == [("off_calendar", "2018-02-05")]
    saturday = bars.assign(session=bars["session"].replace(pd.Timestamp("2018-02-05"), pd.Timestamp("2018-02-03")))
    assert clean(saturday, "XNYS", CleaningSettings()).counts()["off_calendar"] == 1
    assert clean(saturday, "XNYS +2018-02-03", CleaningSettings()).counts()["off_calendar"] == 0


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("extra_holidays: [2018-02-05]\nextra_hollidays: []\n", 2, "'extra_hollidays'"),
        ("extra_holidays: []\n\nextra_holidays: []\n", 3, "'extra_holidays'"),
        ("extra_holidays:\n  - 2018-02-05\n  - 2018-02-30\n", 3, "'2018-02-30'"),
        ("extra_sessions:\n  - 05/02/2018\n", 2, "'05/02/2018'"),
        ("extra_sessions:\n  - 2018-02-10\n  - 2018-02-10\n", 3, "2018-02-10 again"),
        ("extra_holidays: 2018-02-05\n", 1, "none"),
        ("extra_holidays:\n  - 1980-02-05\n", 2, "1980-02-05"),
        ("early_closes:\n  2018-02-07: 25:00\n", 2, "'25:00'"),
        ("early_closes:\n  2018-02-07: noon\n", 2, "'noon'"),
        ("early_closes:\n  2018-02-07: [1]\n", 2, "time of day"),
        ("early_closes:\n  - 2018-02-07\n", 2, "none"),
        ("early_closes:\n  [1, 2]: 12:00\n", 2, "a day as YYYY-MM-DD"),
        ("extra_sessions: [2018-02-10]\nextra_holidays:\n  - 2018-02-10\n", 3, "2018-02-10, which is also open"),
        ("early_closes: {2018-02-07: 12:00}\nextra_holidays: [2018-02-07]\n", 2, "2018-02-07, which is also open"),
        ("- 2018-02-10\n", 1, "no mapping"),
        ("", 1, "no mapping"),
        ("extra_holidays: [2018-02-05\nearly_closes: {}\n", 2, "ParserError"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_value(tmp_path, text, line, expected) -> None:
    file = strategy_file(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_strategy(file)
    assert caught.value.where["line"] == line
    assert expected in str(caught.value)
    assert caught.value.where["file"].endswith("days/off.yaml")


def test_a_file_that_is_absent_or_no_text_is_refused_by_name(tmp_path) -> None:
    file = strategy_file(tmp_path, "{}")
    (tmp_path / "days" / "off.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"days/off\.yaml.*UnicodeDecodeError"):
        load_strategy(file)
    (tmp_path / "days" / "off.yaml").unlink()
    with pytest.raises(SettingsError, match=r"days/off\.yaml.*FileNotFoundError"):
        load_strategy(file)


def test_a_file_beyond_the_limit_or_that_is_no_plain_file_is_refused_unread_and_one_at_the_limit_is_taken(
    tmp_path,
) -> None:
    file, days = strategy_file(tmp_path, WHOLE), tmp_path / "days" / "off.yaml"
    limit = 256 * 1024
    days.write_text(WHOLE + "#" * (limit - len(WHOLE)))
    assert load_strategy(file).market.calendar == AMENDED
    days.write_text(WHOLE + "#" * (limit - len(WHOLE) + 1))
    with pytest.raises(SettingsError) as refused:
        load_strategy(file)
    assert refused.value.where == {"file": str(days), "key": "market.calendar_overrides"}
    assert f"at most {limit:,} bytes; found {limit + 1:,}" in str(refused.value)
    days.unlink()
    os.mkfifo(days)  # nobody writes to it: whoever opened it would wait for ever
    with pytest.raises(SettingsError, match=r"days/off\.yaml.*no plain file"):
        load_strategy(file)


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        ("XNYS 2018-02-10@12:00", "2018-02-10 12:00 is no session"),
        ("XNYS 2018-02-07@16:30", "2018-02-07 16:30 is not"),
        ("XNYS 2018-02-07@09:30", "2018-02-07 09:30 is not"),
        ("XNYS -2018-02-30", "'-2018-02-30'"),
        ("XNYS holidays", "'holidays'"),
        ("MOON -2018-02-05", "'MOON'"),
        ("", "''"),
    ],
)
def test_what_the_calendar_cannot_follow_is_refused_by_its_value(calendar, expected) -> None:
    with pytest.raises(SettingsError) as caught:
        sessions.is_session(calendar, "2018-02-06")
    assert expected in str(caught.value)


def test_an_amended_name_gives_back_what_the_file_said(tmp_path) -> None:
    file = tmp_path / "off.yaml"
    file.write_text(WHOLE)
    assert amendments_of(AMENDED) == ("XNYS", read_overrides(file))
