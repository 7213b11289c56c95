"""Requests for a refresh: one at a time, a cooldown after each, and REDUCE_SIZE while one stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import pandas as pd
import pytest

from nn_assets.oversight.drift import DriftReport, DriftStatistic
from nn_assets.oversight.refreshes import RefreshWatch, next_refresh_watch, stricter_state
from nn_assets.settings import OversightSettings

SETTINGS = OversightSettings()
DAYS = pd.bdate_range("2015-01-01", periods=673)


def report(day: int, model_id: str, *, asks: bool) -> DriftReport:
    forecast = DriftStatistic("prediction", "forecast", 0.2, 0.3, 0.0, drifted=False, asks_retraining=asks)
    return DriftReport(DAYS[day], (forecast,), nan, 1.0, (), "", model_id)


def watched(asks: Sequence[bool], models: Sequence[str]) -> list[RefreshWatch]:
    watches, watch = [], RefreshWatch()
    for day, (asking, model) in enumerate(zip(asks, models, strict=True)):
        watch = next_refresh_watch(watch, report(day, model, asks=asking), SETTINGS)
        watches.append(watch)
    return watches


def requests(watches: Sequence[RefreshWatch]) -> list[int]:
    return [day for day, watch in enumerate(watches) if watch.asked == DAYS[day]]


def test_an_episode_of_208_sessions_asks_once_in_a_cooldown_and_not_every_session() -> None:
    watches = watched([100 <= day < 308 for day in range(673)], ["m"] * 673)
    assert requests(watches) == [100, 160, 220, 280]
    assert all(watch.asked is not None for watch in watches[100:308])  # one of them stands throughout


def test_a_request_stands_until_another_model_decides() -> None:
    models = ["old"] * 12 + ["new"] * 8
    watches = watched([3 <= day < 15 for day in range(20)], models)
    assert requests(watches) == [3]
    states = [watch.state_under(model) for watch, model in zip(watches, models, strict=True)]
    assert states == ["CONTINUE"] * 3 + ["REDUCE_SIZE"] * 9 + ["CONTINUE"] * 8


def test_the_session_that_the_new_model_decides_is_not_reduced_any_more() -> None:
    (watch,) = watched([True], ["old"])
    assert watch.state_under("old") == "REDUCE_SIZE"
    assert watch.state_under(None) == "REDUCE_SIZE"
    assert watch.state_under("new") == "CONTINUE"


def test_a_request_lapses_when_its_drift_is_over_and_the_cooldown_still_runs() -> None:
    watches = watched([day in (0, 1, 30) for day in range(80)], ["m"] * 80)
    pending = [watch.asked is not None for watch in watches]
    last = 1 + SETTINGS.cooldown_sessions
    assert pending[:last] == [True] * last
    assert not any(pending[last:])  # session 30 asks in the cooldown, and gets nothing
    assert requests(watches) == [0]
    assert watches[-1].idle
    assert not watches[30].idle


def test_a_single_quiet_session_within_an_episode_ends_nothing() -> None:
    watches = watched([day % 4 != 0 for day in range(1, 60)], ["m"] * 59)
    assert all(watch.asked == DAYS[0] for watch in watches)


@pytest.mark.parametrize("days", [1, 3, 70])
def test_the_record_gives_the_same_watch_back(days: int) -> None:
    watch = watched([True] + [False] * (days - 1), ["m"] * days)[-1]
    assert RefreshWatch.from_record(watch.to_record()) == watch


def test_the_stricter_state_wins() -> None:
    assert stricter_state("REDUCE_SIZE", "CONTINUE") == "REDUCE_SIZE"
    assert stricter_state("REDUCE_SIZE", "PAUSE_STRATEGY") == "PAUSE_STRATEGY"


def test_a_session_that_was_not_examined_is_not_quiet_and_shortens_no_cooldown() -> None:
    blind = DriftReport(DAYS[0], (), nan, 1.0, (), "not enough sessions", "m")
    (watch,) = watched([True], ["m"])
    for _ in range(SETTINGS.refresh_cooldown_sessions + 1):
        watch = next_refresh_watch(watch, blind, SETTINGS)
    assert (watch.asked, watch.quiet, watch.cooldown_left) == (DAYS[0], 0, SETTINGS.refresh_cooldown_sessions)
    assert watch.state_under("m") == "REDUCE_SIZE"
    assert next_refresh_watch(watch, replace(blind, model_id="new"), SETTINGS).asked is None
