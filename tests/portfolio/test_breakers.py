"""Controls: which fires at what loss, what each allows, and that the unreadable allows nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nn_assets.portfolio.breakers import (
    Breaker,
    Control,
    KillSwitch,
    breaker_control,
    fired_breaker,
    halved_by_drawdown,
    kill_switch_control,
    latched,
    read_kill_switch,
    strictest,
    trading_state_control,
)
from nn_assets.settings import PortfolioSettings

SETTINGS = PortfolioSettings()  # drawdown 8%, week 4%, session 3%
FIGURES = {
    "equity_usd": 100.0,
    "previous_equity_usd": 100.0,
    "week_peak_usd": 100.0,
    "high_water_mark_usd": 100.0,
}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, None),
        ({"previous_equity_usd": 103.0}, None),  # 2.91%
        ({"previous_equity_usd": 103.2}, "session_loss"),  # 3.10%
        ({"week_peak_usd": 104.1}, None),  # 3.94%
        ({"week_peak_usd": 104.3}, "weekly_loss"),  # 4.12%
        ({"high_water_mark_usd": 108.6}, None),  # 7.92%
        ({"high_water_mark_usd": 108.8}, "drawdown"),  # 8.09%
        ({"high_water_mark_usd": 110.0, "previous_equity_usd": 110.0, "week_peak_usd": 110.0}, "drawdown"),
        ({"stale_share": 0.5}, None),
        ({"stale_share": 0.51, "high_water_mark_usd": 110.0}, "stale_data"),
        ({"stale_share": math.nan}, "stale_data"),
        ({"unfinished_run": "sent late", "stale_share": 1.0}, "unfinished_run"),
        ({"equity_usd": math.nan}, "unfinished_run"),
    ],
)
def test_the_strictest_breaker_fires_just_over_its_limit(changes: dict[str, Any], kind: str | None) -> None:
    fired = fired_breaker(**{**FIGURES, **changes}, settings=SETTINGS)
    assert (fired.kind if fired else None) == kind


LEVELS = PortfolioSettings(  # numbers that a computer holds exactly
    session_loss_limit_fraction=0.03125, weekly_loss_limit_fraction=0.0625, drawdown_limit_fraction=0.125
)


@pytest.mark.parametrize(
    ("peak", "level", "kind"),
    [
        ("previous_equity_usd", 0.03125, "session_loss"),
        ("week_peak_usd", 0.0625, "weekly_loss"),
        ("high_water_mark_usd", 0.125, "drawdown"),
    ],
)
def test_a_loss_of_exactly_the_limit_fires_nothing_and_the_least_more_does(peak: str, level: float, kind: str) -> None:
    at, over = (fired_breaker(**{**FIGURES, **changes}, settings=LEVELS) for changes in (
        {"equity_usd": 128.0 * (1.0 - level), **dict.fromkeys(_PEAKS, 128.0 * (1.0 - level)), peak: 128.0},
        {"equity_usd": 128.0 * (1.0 - level) - 1e-6, **dict.fromkeys(_PEAKS, 128.0 * (1.0 - level)), peak: 128.0},
    ))  # fmt: skip
    assert at is None
    assert over is not None
    assert over.kind == kind


_PEAKS = ("previous_equity_usd", "week_peak_usd", "high_water_mark_usd")


@pytest.mark.parametrize(
    ("share", "was_halved", "halved"),
    [(0.6, False, False), (0.6001, False, True), (0.4501, True, True), (0.4499, True, False), (0.5, False, False)],
)
def test_sizes_are_halved_beyond_60_percent_of_the_limit_until_45(share: float, was_halved: bool, halved: bool) -> None:
    assert halved_by_drawdown(share * 0.125, LEVELS, was_halved=was_halved) is halved
    assert halved_by_drawdown(math.nan, LEVELS, was_halved=was_halved)


def test_a_latched_breaker_never_loosens_by_itself() -> None:
    week, draw = Breaker("weekly_loss", "a"), Breaker("drawdown", "b")
    assert latched(draw, None) is draw
    assert latched(draw, week) is draw
    assert latched(week, draw) is draw
    assert latched(None, None) is None


@pytest.mark.parametrize(
    ("kind", "paused", "control"),
    [
        (None, "flat", Control.NORMAL),
        ("no_answer", "flat", Control.NORMAL),
        ("weekly_loss", "flat", Control.FLAT),
        ("weekly_loss", "hold", Control.REDUCING),
        ("session_loss", "hold", Control.REDUCING),
        ("drawdown", "hold", Control.FLAT),
        ("stale_data", "flat", Control.HALTED),
        ("unfinished_run", "flat", Control.HALTED),
        ("no such breaker", "flat", Control.HALTED),
    ],
)
def test_what_each_breaker_allows(kind: str | None, paused: str, control: Control) -> None:
    assert breaker_control(kind, PortfolioSettings(when_paused=paused)) is control


def test_what_each_drift_state_allows_and_an_unknown_one_allows_nothing() -> None:
    states = ("CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY", "")
    found = [trading_state_control(state, SETTINGS) for state in states]
    assert found == [Control.NORMAL, Control.REDUCED, Control.FLAT, Control.HALTED]
    assert trading_state_control("PAUSE_STRATEGY", PortfolioSettings(when_paused="hold")) is Control.REDUCING


@pytest.mark.parametrize("stored", ["", None, "active", "{", 0, float("nan")])
def test_an_unreadable_kill_switch_means_halted(stored: object) -> None:
    assert read_kill_switch(stored) is KillSwitch.HALTED
    assert kill_switch_control(stored) is Control.HALTED


def test_the_strictest_control_wins() -> None:
    assert kill_switch_control("ACTIVE") is Control.NORMAL
    assert strictest(Control.REDUCED, Control.FLAT, Control.NORMAL) is Control.FLAT
    assert strictest(Control.FLAT, kill_switch_control("HALTED")) is Control.HALTED
    assert strictest() is Control.NORMAL


def test_every_loss_is_stricter_than_a_programme_without_an_answer() -> None:
    alarm, loss = Breaker("no_answer", "said"), Breaker("session_loss", "lost")
    assert latched(alarm, loss) is loss
    assert latched(loss, alarm) is loss
    assert latched(alarm, None) is alarm
