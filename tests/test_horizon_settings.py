"""A horizon stated in hours: what it is in bars, what is refused, and that nothing else tells the two apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import SettingsError
from nn_assets.features.labels import make_labels
from nn_assets.market.calendar.decision_bars import earned_within
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.session.horizon_in_session import horizon_fault
from nn_assets.settings import Strategy
from nn_assets.settings.reading import parse_strategy
from tests.features.panels import panel_of


def strategy(label: dict[str, Any], *, calendar: str = "24/7", bars: int | None = 5, every: int = 1, **more: Any):
    """A strategy that decides on bars of ``bars`` minutes, or once a session where there are none."""
    within = {} if bars is None and "intraday" not in more else {"known_at_lag_minutes": 0}
    settings = {
        "name": "hours",
        "market": {"calendar": calendar, "symbols": ["A", "B"], "history_starts": "2024-01-15", **within},
        "label": {"execution": "next_close", **label},
        "portfolio": {"net_limit": 0.0},
        **more,
    }
    if bars is not None:
        decisions = {"every_bars": every, "latency_budget_seconds": 30}
        settings["intraday"] = {"path": "bars", "bar_minutes": bars, "decisions": decisions}
    return parse_strategy(yaml.safe_dump(settings))


@pytest.mark.parametrize(
    ("hours", "bars", "every", "calendar", "count", "text"),
    [
        (4, 5, 1, "24/7", 48, "4 hours: 48 bars"),
        (4.0, 5, 1, "XNYS", 48, "4 hours of trading: 48 bars"),
        (0.5, 5, 2, "24/7", 3, "30 minutes: 3 bars"),
        (1.5, 30, 1, "24/7", 3, "1 hour 30 minutes: 3 bars"),
        (0.35, 1, 1, "24/7", 21, "21 minutes: 21 bars"),  # 0.35 * 60 is no whole number in binary
        (1, 60, 1, "24/7", 1, "1 hour: 1 bar"),
        (48, None, 1, "24/7", 2, "48 hours: 2 sessions"),
    ],
)
def test_hours_are_whole_bars_and_both_are_told(hours, bars, every, calendar, count, text) -> None:
    read = strategy({"horizon_hours": hours}, bars=bars, every=every, calendar=calendar)
    assert read.label.horizon_sessions == count
    assert read.horizon_text == text


def test_a_horizon_in_sessions_is_told_as_before() -> None:
    assert strategy({"horizon_sessions": 5}, bars=None).horizon_text == "5 sessions"
    assert strategy({"horizon_sessions": 5}, bars=None, calendar="XNYS").horizon_text == "5 sessions"


KINDS: dict[str, dict[str, Any]] = {
    "direction": {},
    "direction_relative": {},
    "return_zscored": {},
    "return_zscored_relative": {},
    "threshold_move": {"settings": {"threshold": 1.0, "unit": "sigma"}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bars", "hours", "count"), [(5, 4, 48), (None, 72, 3)])
def test_the_same_horizon_in_bars_and_in_hours_is_one_strategy(kind: str, bars, hours, count) -> None:
    label = {"kind": kind, **KINDS[kind]}
    said = strategy({"horizon_hours": hours, **label}, bars=bars)
    counted = strategy({"horizon_sessions": count, **label}, bars=bars)
    assert said.content_hash() == counted.content_hash()
    assert said.behaviour() == counted.behaviour()
    assert said.label.model_dump(mode="json") == counted.label.model_dump(mode="json")  # of a model's address
    assert said.content_hash("label") != strategy({"horizon_sessions": count + 1, **label}, bars=bars).content_hash(
        "label"
    )


@pytest.mark.parametrize(
    ("label", "where", "words"),
    [
        ({"horizon_hours": 0.1}, {}, "label.horizon_hours 0.1 is 1.2 decision bars of 5 minutes"),
        ({"horizon_hours": 4.01}, {}, r"4 \(48 decision bars\) or 4.083333333 \(49 decision bars\)"),
        ({"horizon_hours": 0.01}, {}, r"0.08333333333 \(1 decision bar\) or 0.1666666667 \(2 decision bars\)"),
        ({"horizon_hours": 36}, {"bars": None}, r"1.5 sessions of 24 hours.* 24 \(1 session\) or 48 \(2 sessions\)"),
        ({"horizon_hours": 4}, {"bars": None, "calendar": "XNYS"}, "state label.horizon_sessions in sessions"),
        ({"horizon_hours": 24}, {"bars": None, "calendar": "24/5"}, "state label.horizon_sessions in sessions"),
        ({"horizon_hours": 4, "horizon_sessions": 48}, {}, "label.horizon_sessions 48: state one of the two"),
        *(
            ({"horizon_hours": value}, {}, r"hours above 0 and up to 8,784 \(a year\) were expected, as a number")
            for value in (0, -4, float("nan"), float("inf"), 1e300, "4h", "4", True, [4], {"bars": 4})
        ),
    ],
)
def test_what_is_no_horizon_is_refused_by_name(label, where, words) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        strategy(label, **where)
    assert "label.horizon_hours" in str(refused.value)
    assert re.search(r"line \d+", str(refused.value))


def test_a_strategy_read_once_is_read_again() -> None:
    read = strategy({"horizon_hours": 4})
    fields = {name: getattr(read, name) for name in read.model_fields_set}
    assert Strategy.model_validate(fields).label.horizon_sessions == 48


def exchange_bars() -> pd.DatetimeIndex:
    """Bars of five minutes of five sessions of New York in winter, 14:30 to 21:00 UTC, by counting."""
    days = ["2024-01-16", "2024-01-17", "2024-01-18", "2024-01-19", "2024-01-22"]
    return pd.DatetimeIndex([bar for day in days for bar in pd.date_range(f"{day} 14:30", periods=78, freq="5min")])


@pytest.mark.parametrize("kind", KINDS)
def test_hours_on_an_exchange_are_hours_of_trading(kind: str) -> None:
    """Decided at 20:00 and filled at 20:05, four hours of trading end three hours and five minutes into the next day.

    A night, and a weekend, has no hours; the move over it is the label's all the same.
    """
    read = strategy({"horizon_hours": 4, "kind": kind, **KINDS[kind]}, calendar="XNYS")
    bars = exchange_bars()
    known = sessions_between(read.market.calendar, bars[0].normalize(), bars[-1])
    assert list(known) == list(bars)
    close = pd.Series(np.exp(np.random.default_rng(3).normal(0.0, 0.001, len(bars)).cumsum()), bars)
    others = 50.0 + np.sin(np.arange(len(bars))[:, None] * np.arange(1, 5))
    closes = np.column_stack([close, others])
    panel = panel_of(
        ("A", "B", "C", "D", "E"), open=closes, high=closes, low=closes, close=closes, volume=np.ones_like(closes)
    )
    labels = make_labels(panel, read.label)
    for decided, ends in (
        ("2024-01-17 19:55", "2024-01-18 17:30"),  # the bar that closes at 20:00; fills 20:05, 55 minutes that day
        ("2024-01-19 20:55", "2024-01-22 18:30"),  # at the last close of Friday: fills at 14:35 on Monday
    ):
        row, leave = bars.get_loc(pd.Timestamp(decided)), bars.get_loc(pd.Timestamp(ends))
        assert labels.realised_row[row] == leave
        if kind == "direction":
            assert labels.returns[row, 0] == pytest.approx(close.iloc[leave] / close.iloc[row + 1] - 1.0, rel=1e-9)
    # Of a flat book those labels count alone that end by 21:00: filled by 17:00, decided by 16:55.
    within = earned_within(read.market.calendar, bars, read.label.horizon_sessions + 1)
    closes_at = bars + pd.Timedelta(minutes=5)
    by_clock = (closes_at - closes_at.normalize()) <= pd.Timedelta(hours=16, minutes=55)
    assert list(within) == list(by_clock)


def test_a_horizon_that_no_session_is_long_enough_for_is_refused_where_the_book_is_flat() -> None:
    def flat(hours: float, overnight: str = "flat") -> str:
        decisions = {"every_bars": 1, "latency_budget_seconds": 30, "overnight": overnight}
        section = {"path": "bars", "bar_minutes": 5, "decisions": decisions}
        read = strategy({"horizon_hours": hours}, calendar="XNYS", bars=None, intraday=section)
        fault = horizon_fault(read)
        return "" if fault is None else str(fault)

    assert "at most 76 bars" in flat(6.5)
    assert "label.horizon_hours of 6 hours 30 minutes of trading: 78 bars" in flat(6.5)
    assert flat(76 / 12) == ""
    assert flat(6.5, "held") == ""


def test_groups_by_behaviour_count_the_decision_bars_of_days_of_training() -> None:
    """Five days of training hold 1,440 bars of five minutes, and ten of twelve hours: 120 returns are needed."""
    walk = {"refit_every_days": 2, "training_days": 5, "validation_days": 2, "calibration_days": 2}
    sections = {"walk_forward": walk, "portfolio": {"groups": "behaviour"}}
    assert strategy({"horizon_hours": 2}, **sections).portfolio.groups == "behaviour"
    with pytest.raises(SettingsError, match="never holds more than 8 "):
        strategy({"horizon_hours": 12}, bars=60, every=12, **sections)
