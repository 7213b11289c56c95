"""A leak alarm stops every settings' decisions on its data until it is released: a market with a planted rank IC."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.controls import release_leak_alarm
from nn_assets.cli.status import report
from nn_assets.store.ledger.ledger import Ledger
from tests.operations import around_the_clock as daily
from tests.operations import homes
from tests.orchestration.conftest import living_in, strategy_of
from tests.shared_homes import nothing_drawn

pytestmark = pytest.mark.full

NAME = daily.NAME
ALARM = "boosting rank IC"


def _held(day: str) -> bool:
    (decided,) = homes.decide(strategy_of(NAME), [pd.Timestamp(day)])
    return bool(decided.frames["target_positions"]["target_quantity"].any())


def _first_line() -> str:
    return str(report(NAME)["strategies"][NAME]["headline"])


def test_an_alarm_survives_other_settings_and_the_loss_of_its_estimator(tmp_path: Path) -> None:
    with living_in(tmp_path), nothing_drawn():
        daily.write(tmp_path)
        homes.take_in(strategy_of(NAME))
        first = homes.study(strategy_of(NAME), daily.MONTHS)
        assert list(first.last.verdict.unreleased_alarms) == [ALARM]
        assert not _held("2021-08-28")

        daily.write(tmp_path, portfolio={"sector_limit": 0.31})  # other settings, before any study of them
        assert "look for the leak" in _first_line()
        assert not _held("2021-08-29")
        assert "flat by a leak alarm of other settings" in _first_line()

        without_boosting = {"maximum_epochs": 12, "learning_rate": 0.01, "baselines": ["linear"]}
        daily.write(tmp_path, learning=without_boosting)  # the same trial: baselines choose nothing
        again = homes.study_stored(strategy_of(NAME), daily.MONTHS)
        assert [month.verdict.kind for month in again.months if month.look is not None] == ["leak alarm"] * 2
        assert "(since the look of 2021-07)" in again.last.verdict.reason
        assert not _held("2021-08-30")

        said = release_leak_alarm(NAME, "ann", "the edge is planted")
        assert f"{ALARM} (0.163)" in said["text"]
        daily.write(tmp_path)
        released = homes.study_stored(strategy_of(NAME), daily.MONTHS)
        assert {month.verdict.kind for month in released.months} == {"cannot tell"}
        assert " at 0.167 by ann: the edge is planted" in released.last.verdict.released[0]
        assert _held("2021-08-31")
        with Ledger() as ledger:
            (details,) = ledger.read("controls", NAME)["details"]
        assert {said["alarm"] for said in details["figures"]} == {ALARM}

        daily.write(tmp_path, portfolio={"sector_limit": 0.31})  # whose own look rings after the release
        assert homes.study_stored(strategy_of(NAME), daily.MONTHS).last.verdict.kind == "leak alarm"
