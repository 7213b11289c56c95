"""A strategy whose calendar cannot be built halts by name; the others of the home go on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.catalog import find_strategy, load_strategies

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
