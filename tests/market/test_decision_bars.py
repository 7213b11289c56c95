"""Sessions divided into decision bars: their hours, their ends, what can be earned within one, and what is late."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import stamps_of
from nn_assets.market.calendar.decision_bars import closing_decisions, earned_within, late_decisions
from nn_assets.market.calendar.sessions import (
    ends_of_sessions,
    is_session,
    next_session,
    session_close,
    session_hours,
    sessions_between,
    sessions_per_year,
)
from nn_assets.settings.calendar_file import Amendments, amended, amendments_of

HOURLY = "XNYS every60min@2017-10-01"
CLOCK = "24/7 every120min@2020-01-01"


def bars_of(calendar: str, first: str, last: str) -> pd.DatetimeIndex:
    return sessions_between(calendar, first, f"{last} 23:59")


def test_a_session_is_divided_from_its_open_and_its_last_bar_ends_with_it() -> None:
    bars = bars_of(HOURLY, "2017-11-22", "2017-11-24")  # Thanksgiving, then a half day that ends at 13:00
    assert [f"{bar:%d %H:%M}" for bar in bars] == [
        *(f"22 {hour}:30" for hour in range(14, 21)),
        *(f"24 {hour}:30" for hour in range(14, 18)),
    ]
    assert [str(session_close(HOURLY, bar).time()) for bar in bars[[0, 6, 10]]] == ["15:30:00", "21:00:00", "18:00:00"]
    assert list(np.flatnonzero(ends_of_sessions(HOURLY, bars))) == [6, 10]
    assert next_session(HOURLY, bars[6]) == bars[7]
    assert not is_session(HOURLY, pd.Timestamp("2017-11-22"))


def test_no_decision_bar_spans_a_lunch_break() -> None:
    hours = session_hours("XHKG every60min@2018-01-01", "2018-03-07", "2018-03-08")
    spans = [f"{row.opens:%H:%M}-{row.closes:%H:%M}" for row in hours.itertuples()]
    assert spans == ["01:30-02:30", "02:30-03:30", "03:30-04:00", "05:00-06:00", "06:00-07:00", "07:00-08:00"]


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [(HOURLY, 252 * 7), (CLOCK, 365 * 12), ("XNYS", 252), ("24/7", 365), ("24/7 every5min@2034-01-01", 365 * 288)],
)
def test_a_year_has_so_many_decisions(calendar, expected) -> None:
    assert sessions_per_year(calendar) == expected


def test_a_divided_calendar_is_named_in_full_and_read_back() -> None:
    name, amendments = amendments_of(HOURLY)
    assert amended(name, amendments) == HOURLY
    assert amendments == Amendments(decision_minutes=60, decided_from=pd.Timestamp("2017-10-01").date())


def test_a_flat_book_is_closed_by_the_last_fill_of_a_session() -> None:
    bars = bars_of(HOURLY, "2017-11-22", "2017-11-24")
    closing = closing_decisions(HOURLY, bars)
    day = bars.normalize()
    for row in range(len(bars)):
        following = next_session(HOURLY, bars[row])
        fills_last = session_close(HOURLY, following) == session_close("XNYS", following.normalize())
        assert closing[row] == (fills_last or following.normalize() != day[row])
    assert list(np.flatnonzero(closing_decisions(HOURLY, bars, 2))) == [4, 5, 6, 8, 9, 10]
    # An axis that ends within a session is told by the calendar, not by where it ends.
    assert list(closing_decisions(HOURLY, bars[:5])) == list(closing[:5])


@pytest.mark.parametrize("span", [1, 2, 6, 7, 9])
def test_a_label_counts_where_its_span_ends_within_its_session(span) -> None:
    bars = bars_of(HOURLY, "2017-11-22", "2017-11-24")
    within = earned_within(HOURLY, bars, span)
    for row, bar in enumerate(bars):
        realised = bar
        for _ in range(span):
            realised = next_session(HOURLY, realised)
        assert within[row] == (realised.normalize() == bar.normalize())
    assert list(earned_within(HOURLY, bars[:5], span)) == list(within[:5])


def test_an_order_is_late_by_what_was_known_last_and_by_computing() -> None:
    bars = bars_of(CLOCK, "2020-01-02", "2020-01-02")[:6]
    closes = np.array([session_close(CLOCK, bar).value for bar in bars])
    second = 1_000_000_000
    lags = np.array([5, 56, 55, 3 * 3600, 5, 5])  # the fourth bar is known an hour after the next one has closed

    def late(known: np.ndarray, computing: int = 5) -> list[bool]:
        return list(late_decisions(CLOCK, bars, known, budget_seconds=60, computing_seconds=computing))

    assert late(closes + lags * second) == [False, True, False, True, True, False]
    assert late(closes + 5 * second, computing=55) == [False] * 6
    assert late(closes + 5 * second, computing=56) == [True] * 6
    never = np.full(6, np.iinfo(np.int64).min)  # no bar came: nothing is waited for
    assert late(never, computing=60) == [False] * 6
    changed = closes + lags * second
    changed[5] += 10 * 3600 * second
    assert late(changed)[:5] == late(closes + lags * second)[:5]


def test_stamps_are_days_unless_they_lie_within_one() -> None:
    days = pd.DatetimeIndex(["2020-01-01", "2020-01-02"])
    assert stamps_of(days).dtype == "datetime64[D]"
    within = stamps_of(days.append(pd.DatetimeIndex(["2020-01-02 00:05"])))
    assert list(within.astype(str)) == ["2020-01-01T00:00", "2020-01-02T00:00", "2020-01-02T00:05"]
