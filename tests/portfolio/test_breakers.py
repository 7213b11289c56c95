"""Controls: which fires at what loss, what each allows, and that the unreadable allows nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nn_assets.portfolio.breakers import (
    Breaker,
    BreakerReset,
    Control,
    KillSwitch,
    breaker_control,
    fired_breakers,
    halved_by_drawdown,
    kill_switch_control,
    latched,
    named_kinds,
    never_alone,
    read_kill_switch,
    strictest,
    trading_state_control,
)
from nn_assets.settings import PortfolioSettings

SETTINGS = PortfolioSettings()  # drawdown 8%, week 4%, session 3%
LOST = "drawdown weekly_loss session_loss"
FIGURES = {
    "equity_usd": 100.0,
    "previous_equity_usd": 100.0,
    "week_peak_usd": 100.0,
    "high_water_mark_usd": 100.0,
}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, ""),
        ({"previous_equity_usd": 103.0}, ""),  # 2.91%
        ({"previous_equity_usd": 103.2}, "session_loss"),  # 3.10%
        ({"week_peak_usd": 104.1}, ""),  # 3.94%
        ({"week_peak_usd": 104.3}, "weekly_loss"),  # 4.12%
        ({"high_water_mark_usd": 108.6}, ""),  # 7.92%
        ({"high_water_mark_usd": 108.8}, "drawdown"),  # 8.09%
        ({"high_water_mark_usd": 110.0, "previous_equity_usd": 110.0, "week_peak_usd": 110.0}, LOST),
        ({"stale_share": 0.5}, ""),
        ({"stale_share": 0.51, "high_water_mark_usd": 110.0}, "stale_data drawdown"),
        ({"stale_share": math.nan}, "stale_data"),
        ({"unfinished_run": "sent late", "stale_share": 1.0}, "unfinished_run stale_data"),
        ({"unfinished_run": "sent late", "week_peak_usd": 104.3}, "unfinished_run weekly_loss"),
        ({"equity_usd": math.nan}, f"no_equity {LOST}"),
        ({"previous_equity_usd": 0.0}, "drawdown session_loss"),
        ({"previous_equity_usd": -5.0, "week_peak_usd": 0.0, "high_water_mark_usd": 0.0}, LOST),
        ({"equity_usd": 0.0, "previous_equity_usd": 0.0}, f"no_equity {LOST}"),
        ({"equity_usd": -5.0, "unfinished_run": "sent late"}, f"no_equity unfinished_run {LOST}"),
    ],
)
def test_every_breaker_fires_just_over_its_limit_strictest_first(changes: dict[str, Any], kind: str) -> None:
    fired = fired_breakers(**{**FIGURES, **changes}, settings=SETTINGS)
    assert [breaker.kind for breaker in fired] == kind.split()


@pytest.mark.parametrize("money", [1.0, 7.0, 1_000_000.0, 123_456.78])
@pytest.mark.parametrize(
    ("kind", "peak", "percent"),
    [("session_loss", "previous_equity_usd", 3), ("weekly_loss", "week_peak_usd", 4),
     ("drawdown", "high_water_mark_usd", 8)],
)  # fmt: skip
def test_a_loss_of_exactly_its_limit_is_not_over_it_whatever_its_last_bit(
    kind: str, peak: str, percent: int, money: float
) -> None:
    """The quotient of 92 and 100 is a digit below 8%, that of 97 and 100 a digit above 3%."""
    peak_usd = 100.0 * money
    for equity_usd, fires in (
        ((100.0 - percent) * money, False),
        ((100.0 - percent + 1e-6) * money, False),
        ((100.0 - percent - 1e-6) * money, True),
    ):
        figures = dict.fromkeys(FIGURES, equity_usd) | {peak: peak_usd}
        fired = fired_breakers(**figures, settings=SETTINGS)
        assert [breaker.kind for breaker in fired] == ([kind] if fires else [])


def test_sizes_are_halved_above_sixty_percent_of_the_limit_and_restored_below_forty_five() -> None:
    for limit in (0.08, 0.20, 0.5):
        chosen = PortfolioSettings(
            drawdown_limit_fraction=limit, weekly_loss_limit_fraction=0.04, session_loss_limit_fraction=0.03
        )
        for was_halved, share in ((False, 0.60), (True, 0.45)):
            for drawdown, halved in (
                (share * limit, was_halved),
                (1.0 - (1.0 - share * limit), was_halved),
                (share * limit * (1.0 - 1e-7), False),
                (share * limit * (1.0 + 1e-7), True),
            ):
                assert halved_by_drawdown(drawdown, chosen, was_halved=was_halved) is halved
    assert halved_by_drawdown(math.nan, SETTINGS, was_halved=False)


def test_a_latched_breaker_never_loosens_by_itself() -> None:
    week, draw = Breaker("weekly_loss", "a"), Breaker("drawdown", "b")
    assert latched((draw,), ()) == (draw,)
    assert latched((draw,), (week,)) == latched((week,), (draw,)) == (draw, week)
    assert latched((week,), (Breaker("weekly_loss", "later"),)) == (week,)
    assert latched((), ()) == ()


@pytest.mark.parametrize(
    ("kind", "paused", "control"),
    [
        ("", "flat", Control.NORMAL),
        ("no_answer", "flat", Control.NORMAL),
        ("weekly_loss", "flat", Control.FLAT),
        ("weekly_loss", "hold", Control.REDUCING),
        ("session_loss", "hold", Control.REDUCING),
        ("drawdown", "hold", Control.FLAT),
        ("stale_data", "flat", Control.HALTED),
        ("unfinished_run", "flat", Control.HALTED),
        ("no_equity", "hold", Control.HALTED),
        ("nobody_knows_it", "flat", Control.HALTED),
        ("drawdown weekly_loss no_answer", "hold", Control.FLAT),
        ("weekly_loss stale_data", "hold", Control.HALTED),
    ],
)
def test_the_strictest_of_the_latched_breakers_acts(kind: str, paused: str, control: Control) -> None:
    assert breaker_control(kind.split(), PortfolioSettings(when_paused=paused)) is control


def test_what_each_drift_state_allows_and_an_unknown_one_allows_nothing() -> None:
    states = ("CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY", "")
    controls = [trading_state_control(state, SETTINGS) for state in states]
    assert controls == [Control.NORMAL, Control.REDUCED, Control.FLAT, Control.HALTED]
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
    assert latched((alarm,), (loss,)) == latched((loss,), (alarm,)) == (loss, alarm)


def test_a_reset_survives_its_record_and_one_of_version_0_1_means_whatever_is_latched() -> None:
    named = BreakerReset("ann", "the feed is back", ("stale_data",))
    assert named.to_record() == ["ann", "the feed is back", ["stale_data"]]
    assert BreakerReset.from_record(named.to_record()) == named
    assert named.among(("stale_data", "drawdown")) == ("stale_data",)
    old = BreakerReset.from_record(["ann", "reviewed"])
    assert old.to_record() == ["ann", "reviewed"]
    assert old.among(("stale_data", "drawdown")) == ("stale_data", "drawdown")
    assert named_kinds(b"\xff") == ("b'\\xff'",)  # nobody knows it: HALTED
    assert breaker_control(named_kinds(5), SETTINGS) is Control.HALTED
    assert [named_kinds(text) for text in ("drawdown", "stale_data, drawdown", None, math.nan)] == [
        ("drawdown",), ("stale_data", "drawdown"), (), (),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("session", "week", "expected"),
    [
        (0.03, 0.04, []),
        (0.04, 0.04, [("session_loss_limit_fraction 0.04", "weekly_loss_limit_fraction")]),
        (0.03, 0.08, [("weekly_loss_limit_fraction 0.08", "drawdown_limit_fraction")]),
        (
            0.08,
            0.08,
            [
                ("session_loss_limit_fraction 0.08", "weekly_loss_limit_fraction"),
                ("weekly_loss_limit_fraction 0.08", "drawdown_limit_fraction"),
            ],
        ),
    ],
)
def test_limits_that_are_equal_pass_and_are_told(session: float, week: float, expected: list[tuple[str, str]]) -> None:
    settings = PortfolioSettings(session_loss_limit_fraction=session, weekly_loss_limit_fraction=week)
    lines = never_alone(settings)
    assert len(lines) == len(expected)
    for line, (narrow, wide) in zip(lines, expected, strict=True):
        assert line.startswith(f"portfolio.{narrow} equals portfolio.{wide}: ")
