"""Refits every so many days, against counting days one by one; and folds whose parts are in days."""

from __future__ import annotations

from bisect import bisect
from datetime import date, timedelta

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import SettingsError, ShortFoldError
from nn_assets.learning.first_month import first_model_month, first_month_from
from nn_assets.learning.folds import make_fold, require_rows
from nn_assets.learning.refits import refits_of, used_rows
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.due import Due, retraining_due
from nn_assets.settings import LabelSettings, Strategy, WalkForwardSettings, parse_strategy

SESSIONS = sessions_between("24/7", "2021-01-01", "2023-12-31")
DAYS = WalkForwardSettings(refit_every_days=30)


def strategy(starts: str = "2021-01-01", calendar: str = "24/7", **walk: object) -> Strategy:
    return Strategy.model_validate(
        {"name": "x", "market": {"calendar": calendar, "history_starts": starts}, "walk_forward": walk}
    )


def counted(starts: date, every: int, first: date, last: date) -> list[date]:
    """Grid points between two days, day by day."""
    days = [starts + timedelta(days=number) for number in range((last - starts).days + 1)]
    return [day for number, day in enumerate(days) if number % every == 0 and day >= first]


@pytest.mark.parametrize("every", [30, 7, 45])
def test_a_month_holds_the_refits_that_begin_in_it_and_begins_with_the_newest_before_it(every: int) -> None:
    refits = refits_of(strategy(refit_every_days=every))
    # 60 sessions of warm-up, 90 of training, 30 of validation, 30 of calibration
    grid = counted(date(2021, 1, 1), every, date(2021, 1, 1) + timedelta(days=210), date(2023, 12, 31))
    first = pd.Period(grid[0], "M") + (1 if grid[0].day > 1 else 0)
    for month in map(str, pd.period_range(first, "2023-12", freq="M")):
        starts, ends = pd.Period(month).start_time.date(), pd.Period(month).end_time.date()
        before = [day for day in grid if day <= starts][-1:]
        within = [day for day in grid if starts < day <= ends]
        assert refits.in_force(month) == [str(day) for day in (*before, *within)]
        assert refits.begin_in([month]) == [str(day) for day in grid if starts <= day <= ends]
        assert {refits.partition(refit) for refit in refits.begin_in([month])} <= {month}
    assert first_model_month(strategy(refit_every_days=every)) == str(first)


def test_each_session_has_the_newest_refit_by_then_and_none_before_the_first_month() -> None:
    exchange = sessions_between("XNYS", "2021-01-04", "2023-12-29")
    for every in (30, 7, 45):
        grid = counted(date(2021, 1, 1), every, date(2021, 1, 1) + timedelta(days=210), date(2023, 12, 31))
        first = (pd.Period(grid[0], "M") + int(grid[0].day > 1)).start_time.date()
        for sessions in (SESSIONS, exchange):
            due = refits_of(strategy(refit_every_days=every)).by_session(sessions)
            newest = [str(grid[bisect(grid, one.date()) - 1]) for one in sessions if one.date() >= first]
            assert due.tolist() == [""] * (len(sessions) - len(newest)) + newest
    walk = {"training_months": 6, "refit_every_months": 5}
    due = refits_of(strategy("2021-01-04", "XNYS", **walk)).by_session(exchange)  # 4 + 6 + 3 + 3 months
    named = ["2022-05"] * 5 + ["2022-10"] * 5 + ["2023-03"] * 5 + ["2023-08"] * 5
    months = dict(zip(pd.period_range("2022-05", "2023-12", freq="M").astype(str), named, strict=True))
    assert due.tolist() == [months.get(f"{one:%Y-%m}", "") for one in exchange]


def test_of_thirty_days_a_month_holds_none_one_or_two() -> None:
    """40 steps after 2019-10-18 lies 2023-01-30, and 30 days later the first of March."""
    refits = refits_of(strategy("2019-10-18", refit_every_days=30))
    counts = {
        str(month): len(refits.begin_in([str(month)])) for month in pd.period_range("2020-09", "2030-12", freq="M")
    }
    assert set(counts.values()) == {0, 1, 2}
    empty = next(month for month, count in counts.items() if count == 0)
    assert empty.endswith("-02"), "February alone is shorter than the step"
    (reused,) = refits.in_force(empty)
    assert refits.partition(reused) < empty


def test_the_first_refit_waits_for_data_that_begin_later_and_stays_on_the_grid() -> None:
    asked = strategy(refit_every_days=30)
    assert first_month_from(asked, date(2021, 1, 1)) == "2021-08"  # 2021-07-30 is day 210
    assert first_month_from(asked, date(2021, 1, 2)) == "2021-09"  # 2021-08-29, day 240


def test_the_very_first_refit_is_fitted_with_the_first_month_that_can_have_a_model() -> None:
    refits = refits_of(strategy(refit_every_days=30))
    first, *_ = refits.in_force("2021-08")
    assert first == "2021-07-30"
    assert refits.partition(first) == "2021-08"
    assert {refits.partition(refit) for refit in refits.of_months(["2021-08", "2021-09"])} == {"2021-08", "2021-09"}


def test_an_exchange_s_warm_up_counts_its_sessions() -> None:
    refits = refits_of(strategy("2021-01-04", "XNYS", refit_every_days=30))
    warm = sessions_between("XNYS", "2021-01-04", "2021-12-31")[60]
    grid = counted(date(2021, 1, 4), 30, (warm + pd.Timedelta(days=150)).date(), date(2021, 12, 31))
    assert refits.of_months(["2021-10"])[0] in map(str, grid)
    assert first_model_month(strategy("2021-01-04", "XNYS", refit_every_days=30)) == str(
        pd.Period(grid[0], "M") + (1 if grid[0].day > 1 else 0)
    )


@given(
    horizon=st.integers(1, 10),
    number=st.integers(8, 30),
    parts=st.tuples(st.integers(20, 120), st.integers(15, 40), st.integers(15, 40)),
)
@settings(max_examples=30, deadline=None)
def test_parts_in_days_are_purged_as_those_in_months(horizon: int, number: int, parts: tuple[int, int, int]) -> None:
    """No label's span, from fill to fill + horizon, reaches a later part; the parts are as long as they are stated."""
    names = ("training_days", "validation_days", "calibration_days")
    walk = WalkForwardSettings.model_validate({"refit_every_days": 30, **dict(zip(names, parts, strict=True))})
    day = pd.Timestamp("2021-01-01") + pd.Timedelta(days=30 * number)
    fold = make_fold(SESSIONS, str(day.date()), walk, LabelSettings(horizon_sessions=horizon))
    assert SESSIONS[fold.used_from] == day
    boundaries = (fold.validation.start, fold.calibration.start, fold.used_from)
    for (name, rows), length, boundary in zip(fold.parts().items(), parts, boundaries, strict=True):
        assert rows.stop - 1 + 1 + horizon == boundary - 1, name  # the last span ends on the row before the next part
        assert boundary - rows.start == length, name
    assert fold == make_fold(
        SESSIONS[: fold.used_from], str(day.date()), walk, LabelSettings(horizon_sessions=horizon)
    ), "whatever comes after"


def test_ninety_days_need_a_panel() -> None:
    fold = make_fold(SESSIONS, "2022-01-26", DAYS, LabelSettings(horizon_sessions=3))
    rows = fold.training.stop - fold.training.start
    assert rows == 86
    require_rows(fold, rows * 12, 1000)
    with pytest.raises(ShortFoldError, match="at least 1000 usable training rows"):
        require_rows(fold, rows * 1, 1000)


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        ("{refit_every_days: 30, refit_every_months: 2}", "refit_every_months beside walk_forward.refit_every_days"),
        ("{refit_every_days: 30, training_months: 12}", "training_months beside walk_forward.refit_every_days"),
        ("{training_days: 60}", "walk_forward.training_days need walk_forward.refit_every_days"),
        ("{refit_every_days: 0}", "walk_forward.refit_every_days"),
    ],
)
def test_months_and_days_exclude_each_other(walk: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_strategy(f"name: x\nmarket: {{history_starts: 2021-01-01}}\nwalk_forward: {walk}")


def test_a_strategy_in_months_keeps_its_hash() -> None:
    counted_settings = strategy().behaviour("walk_forward")
    assert not any("days" in key for key in counted_settings["walk_forward"])
    assert strategy(refit_every_days=30).content_hash() != strategy(refit_every_days=31).content_hash()


def within_the_session(**walk: object) -> Strategy:
    decisions = {"every_bars": 1, "latency_budget_seconds": 60}
    settings = {
        "name": "x",
        "market": {
            "calendar": "24/7",
            "symbols": ["A"],
            "history_starts": date(2018, 1, 11),
            "known_at_lag_minutes": 0,
        },
        "intraday": {"path": "bars", "bar_minutes": 60, "decisions": decisions},
        "walk_forward": {"training_days": 5, "validation_days": 2, "calibration_days": 2, **walk},
    }
    return parse_strategy(yaml.safe_dump(settings))


def test_a_month_may_begin_with_the_first_refit_where_that_is_asked_for() -> None:
    """Sixty bars of an hour and nine days are twelve days from the 11th on, and every three days one is a refit."""
    partial = within_the_session(refit_every_days=3, partial_months=True)
    assert first_model_month(partial) == "2018-01"
    refits = refits_of(partial)
    assert refits.in_force("2018-01") == ["2018-01-23", "2018-01-26", "2018-01-29"]
    assert refits.in_force("2018-02")[:2] == ["2018-02-01", "2018-02-04"]
    assert refits.partition("2018-01-23") == "2018-01"
    hours = pd.date_range("2018-01-11", "2018-02-28 23:00", freq="h")
    days = pd.DataFrame(index=hours)
    assert str(hours[used_rows(partial, hours, "2018-01")][0]) == "2018-01-23 00:00:00"
    assert len(hours[used_rows(partial, hours, "2018-01")]) == len(days["2018-01-23":"2018-01-31"])
    assert used_rows(partial, hours[:100], "2018-01") == slice(100, 100)  # none yet
    assert list(hours[used_rows(partial, hours, "2018-02")]) == list(days.loc["2018-02"].index)
    due = pd.Series(refits.by_session(hours), hours)
    assert (due[:"2018-01-22"] == "").all()
    assert (due["2018-01-23":"2018-01-25"] == "2018-01-23").all()
    asked = [retraining_due(partial, pd.Timestamp(f"2018-01-{day} 06:00", tz="UTC")) for day in ("01", "22", "23")]
    assert [isinstance(due, Due) for due in asked] == [False, False, True]  # not before there is a model to fit
    whole = within_the_session(refit_every_days=3)
    assert first_model_month(whole) == "2018-02"
    assert refits_of(whole).in_force("2018-02")[0] == "2018-02-01"
    assert used_rows(whole, hours, "2018-01") == slice(0, 21 * 24)


def test_parts_of_months_are_for_decisions_within_the_session_and_change_no_other_hash() -> None:
    with pytest.raises(ValueError, match=r"walk_forward\.partial_months needs intraday\.decisions"):
        strategy(refit_every_days=30, partial_months=True)
    with pytest.raises(SettingsError, match=r"needs intraday\.decisions and walk_forward\.refit_every_days"):
        parse_strategy("name: x\nmarket: {history_starts: 2018-01-11}\nwalk_forward: {partial_months: true}\n")
    left_out, said = (
        within_the_session(refit_every_days=3),
        within_the_session(refit_every_days=3, partial_months=False),
    )
    assert left_out.content_hash() == said.content_hash()
    assert "partial_months" not in left_out.walk_forward.model_dump()
