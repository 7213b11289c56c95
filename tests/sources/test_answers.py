"""What vendors' answers have in common: days on the exchange's clock, rows in order."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.sources.answers import Scope, action_table, bar_table

KEYS = {name: name for name in ("moment", "open", "high", "low", "close", "volume")}


def rows(*moments: object) -> list[dict[str, Any]]:
    return [{"moment": moment, **dict.fromkeys(list(KEYS)[1:], 1.0)} for moment in moments]


@pytest.mark.parametrize(
    ("calendar", "moment", "day"),
    [
        ("XTKS", "2021-01-04T15:00:00Z", "2021-01-05"),  # midnight in Tokyo is the day before in UTC
        ("XTKS", "2021-01-05T00:00:00+09:00", "2021-01-05"),
        ("XNYS", "2021-07-01T03:59:00Z", "2021-06-30"),
        ("XNYS", 1_625_112_000_000, "2021-07-01"),
        ("24/7", 1_625_112_000_000, "2021-07-01"),
        ("XNYS", "2021-07-01", "2021-07-01"),  # no midnight of UTC, which is the day before in New York
        ("XTKS", "2021-07-01", "2021-07-01"),
    ],
)
def test_a_moment_belongs_to_the_day_on_the_calendars_clock(calendar, moment, day) -> None:
    timezone = Scope(calendar, (), date(2021, 1, 1)).timezone
    assert bar_table("v", "A", rows(moment), KEYS, timezone)["session"].tolist() == [pd.Timestamp(day)]


@pytest.mark.parametrize("moment", ["2021-07-01T00:00:00", "2021-07-01 16:00", "20210701", "2021-07-32", "soon"])
def test_a_time_without_an_offset_is_no_moment(moment) -> None:
    with pytest.raises(SourceError, match="a moment that is none") as caught:
        bar_table("v", "A", rows("2021-06-30", moment), KEYS, "America/New_York")
    assert caught.value.where["value"] == repr(moment)


@pytest.mark.parametrize("moments", [("2021-01-05T00:00Z", "2021-01-04T00:00Z"), (1_625_112_000_000,) * 2])
def test_rows_out_of_order_or_twice_are_refused(moments) -> None:
    with pytest.raises(SourceError, match="rows that come twice or out of order"):
        bar_table("v", "A", rows(*moments), KEYS, "UTC")


def test_a_null_is_a_missing_value_for_cleaning_to_judge() -> None:
    (row,) = rows("2021-01-05T00:00Z")
    assert bar_table("v", "A", [{**row, "close": None}], KEYS, "UTC")["close"].isna().all()


def test_details_come_where_any_row_has_them_and_a_text_in_one_is_no_number() -> None:
    first, second = rows("2021-01-05T00:00Z", "2021-01-06T00:00Z")
    details = {"vwap": "vw", "trades": "n"}
    bars = bar_table("v", "A", [{**first, "vw": 1.25}, second], KEYS, "UTC", details)
    assert bars["vwap"].tolist()[0] == 1.25
    assert bars["vwap"].isna().tolist() == [False, True]
    assert "trades" not in bars.columns
    with pytest.raises(SourceError, match="no number in vwap"):
        bar_table("v", "A", [{**first, "vw": "dear"}], KEYS, "UTC", details)


@pytest.mark.parametrize("value", [None, 0, -1.0, float("nan"), float("inf"), "2", True])
def test_an_action_needs_a_size(value) -> None:
    with pytest.raises(SourceError, match="a split of no size") as caught:
        action_table("v", [("A", "2021-01-05", "split", value)], pd.Timestamp("2021-01-01"), None)
    assert caught.value.where["symbol"] == "A"


@pytest.mark.parametrize("day", [None, "", "soon", "2021-02-30"])
def test_an_action_needs_a_day(day) -> None:
    with pytest.raises(SourceError, match="a split without a day"):
        action_table("v", [("A", day, "split", 2.0)], pd.Timestamp("2021-01-01"), None)


def test_dividends_of_one_day_add_up_and_splits_multiply() -> None:
    day = "2021-01-05"
    rows = [
        ("B", day, "split", 2.0),
        ("A", day, "dividend", 0.5),
        ("B", day, "split", 3.0),
        ("A", day, "dividend", 4.0),
    ]
    one = action_table("v", [*rows, ("A", "2021-01-06", "dividend", 1.0)], pd.Timestamp("2021-01-01"), None)
    assert one[["symbol", "kind", "value"]].values.tolist() == [
        ["A", "dividend", 4.5],
        ["A", "dividend", 1.0],
        ["B", "split", 6.0],
    ]
    assert action_table("v", [], pd.Timestamp("2021-01-01"), None).empty


def test_a_vendor_is_asked_for_symbols_or_not_at_all() -> None:
    scope = Scope("XNYS", (), date(2021, 1, 1))
    with pytest.raises(SourceError, match=r"market\.symbols"):
        scope.asked("v", (), None)
    assert scope.asked("v", ("B", "A", "B"), None) == (("B", "A"), pd.Timestamp("2021-01-01"))
    with pytest.raises(SourceError, match="legal_symbol"):
        scope.asked("v", ("../x",), None)
