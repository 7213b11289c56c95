"""A strategy whose calendar cannot be built halts by name; the others of the home go on."""

from __future__ import annotations

import logging
from pathlib import Path

import exchange_calendars
import pytest

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.timetable import timetable
from nn_assets.operations import catalog
from nn_assets.operations.catalog import find_strategy, load_strategies
from nn_assets.orchestration import build
from tests.cli.conftest import call
from tests.first_lines import in_one_sentence

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
        names = {entry.strategy.name for entry in load_strategies()}
    assert "good" in names
    assert "bad" not in names
    assert "left out" in caplog.text
    assert caplog.text.count("ASEX") == 1
    load_strategies()
    assert caplog.text.count("ASEX") == 1  # once in a process
    assert find_strategy("good").strategy.name == "good"
    with pytest.raises(SettingsError, match="ASEX") as refused:
        find_strategy("bad")
    assert refused.value.where["file"] == str(folder / "bad.yaml")


def test_a_calendar_that_its_library_refuses_is_one_whole_sentence_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As XTAE is refused: by a list of a thousand moments."""
    days = [f"Timestamp('2006-12-{day:02} 13:40:00+0000', tz='UTC')" for day in range(1, 31)]
    refusal = f"Special dates [{', '.join(days * 30)}] are not sessions."

    def refused(*_: object, **__: object) -> None:
        raise ValueError(refusal)

    file = tmp_path / "strategies" / "bad.yaml"
    file.parent.mkdir()
    file.write_text(SAID.format(name="bad", calendar="XTAE"), encoding="utf-8")
    timetable.cache_clear()
    monkeypatch.setattr(exchange_calendars, "get_calendar", refused)
    for words in (("check",), ("status",), ("run",)):
        with caplog.at_level(logging.ERROR):
            answer = call(tmp_path, *words, "-s", "bad")
        assert answer.status == 1
        assert caplog.text == answer.out == ""
        assert answer.err == (
            f"SettingsError: [file {file}, line 2, key market.calendar] expected a calendar that exchange_calendars "
            "can build; found 'XTAE', of which this release makes no days (ValueError: Special dates 2006-12-01 and "
            "899 more are not sessions). Remedy: name another exchange of the same days, or the nearest one with what "
            "differs listed in market.calendar_overrides\n"
        )
    monkeypatch.undo()
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    (file.parent / "days").mkdir()
    (file.parent / "days" / "off.yaml").write_text("extra_sessions: [2018-01-06]\n", encoding="utf-8")
    nearest = SAID.format(name="bad", calendar="XNYS, calendar_overrides: days/off.yaml")
    file.write_text(nearest, encoding="utf-8")
    assert find_strategy("bad").strategy.market.calendar == "XNYS +2018-01-06"


def test_status_of_all_tells_of_a_calendar_that_cannot_be_built_once(tmp_path: Path) -> None:
    file = tmp_path / "strategies" / "bad.yaml"
    file.parent.mkdir()
    file.write_text(SAID.format(name="bad", calendar="ASEX"), encoding="utf-8")
    answer = call(tmp_path, "status")
    assert answer.status == 1
    first = in_one_sentence(answer.out)
    assert first.count("NotImplementedError") == 1
    assert first.startswith("bad HALTED: 'ASEX', of which this release makes no days (NotImpl")
    assert f"(file {file}, line 2, key market.calendar)" in first
    assert "A person is needed: name another exchange" in first


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
