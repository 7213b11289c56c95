"""A strategy whose calendar cannot be built halts by name; the others of the home go on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations import catalog
from nn_assets.operations.catalog import find_strategy, load_strategies
from nn_assets.orchestration import build

SAID = "name: {name}\nmarket: {{calendar: {calendar}, history_starts: 2017-01-03}}\n"


def test_one_calendar_that_cannot_be_built_stops_its_own_strategy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    for name, calendar in (("bad", "ASEX"), ("good", "XNYS")):
        (folder / f"{name}.yaml").write_text(SAID.format(name=name, calendar=calendar), encoding="utf-8")
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    with caplog.at_level(logging.ERROR):
        names = {each.strategy.name for each in load_strategies()}
    assert "good" in names
    assert "bad" not in names
    assert "left out" in caplog.text
    assert "ASEX" in caplog.text
    assert find_strategy("good").strategy.name == "good"
    with pytest.raises(SettingsError, match="ASEX") as refused:
        find_strategy("bad")
    assert refused.value.where["file"] == str(folder / "bad.yaml")


@pytest.mark.parametrize("ends", ["2020-06-30", "2023-06-30"])
def test_a_strategy_without_definitions_is_left_out_by_name_and_the_others_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ends: str
) -> None:
    """Riyadh's calendar begins on 2021-01-03: a history that ended before has no session at all."""
    (tmp_path / "strategies").mkdir()
    early = f"name: early\nmarket: {{calendar: XSAU, history_starts: 2018-01-03, history_ends: {ends}}}\n"
    (tmp_path / "strategies" / "early.yaml").write_text(early, encoding="utf-8")
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    both = [find_strategy("early"), find_strategy("index_daily")]
    monkeypatch.setattr(catalog, "load_strategies", lambda: both)
    with caplog.at_level(logging.ERROR):
        jobs = {job.name for job in build.all_definitions().jobs or ()}
    assert "index_daily__daily" in jobs
    assert ("early__daily" in jobs) is (ends > "2021")
    assert ("left out: early: [key market.calendar] expected a session of XSAU" in caplog.text) is (ends < "2021")
