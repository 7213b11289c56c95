"""Where a strategy goes live: nowhere, before any model, or with sessions left undecided."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import LIVE, STRATEGY, call

LIVE_START = f"  live_starts: {LIVE[0]}\n"
EARLY = "2015-06-01"


def home_with(folder: Path, live_starts: str | None) -> Path:
    """A home with the strategy and no data: whoever asks for data finds none."""
    home = folder / "home"
    (home / "strategies").mkdir(parents=True)
    setting = "" if live_starts is None else f"  live_starts: {live_starts}\n"
    (home / "strategies" / "mine.yaml").write_text(STRATEGY.replace(LIVE_START, setting), encoding="utf-8")
    return home


def status_of(home: Path) -> dict:
    return call(home, "status", "-s", "mine", "--json").document["strategies"]["mine"]


def test_without_a_live_start_no_session_is_undecided(tmp_path) -> None:
    assert status_of(home_with(tmp_path / "none", None))["undecided_sessions"] == 0
    assert status_of(home_with(tmp_path / "stated", LIVE[0]))["undecided_sessions"] == len(LIVE)


def test_without_a_live_start_a_run_is_refused_by_the_key(tmp_path) -> None:
    answer = call(home_with(tmp_path, None), "run", "-s", "mine", "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SettingsError"
    assert "key market.live_starts" in answer.document["message"]
    assert "2016-01" in answer.document["message"]


@pytest.mark.parametrize("words", [("run",), ("check",), ("study",)])
def test_a_live_start_taken_out_after_decisions_is_told_as_that_and_put_back_it_goes_on(own_home, words) -> None:
    file = own_home / "strategies" / "mine.yaml"
    file.write_text(STRATEGY.replace(LIVE_START, ""), encoding="utf-8")
    answer = call(own_home, *words, "-s", "mine", "--json")
    assert (answer.status, answer.document["error"]) == (1, "SettingsError")
    text = f"expected market.live_starts {LIVE[0]}, the first session that was decided; found no market.live_starts: it"
    assert text in answer.document["message"]
    assert f"set it back to {LIVE[0]}" in answer.document["message"]
    assert "2016-01 or later" not in answer.document["message"]
    assert status_of(own_home)["headline"].startswith("mine HALTED: no market.live_starts: it was taken out after")
    if words == ("run",):  # the remedy
        file.write_text(STRATEGY, encoding="utf-8")
        assert call(own_home, "run", "-s", "mine", "--session", LIVE[2]).status == 0


@pytest.mark.parametrize("words", [("check",), ("run",), ("run", "--session", EARLY)])
def test_a_live_start_before_any_model_is_refused_before_data_are_taken_in(tmp_path, words) -> None:
    home = home_with(tmp_path, EARLY)
    answer = call(home, words[0], "-s", "mine", *words[1:], "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SettingsError"
    message = answer.document["message"]
    file = home / "strategies" / "mine.yaml"
    line = STRATEGY[: STRATEGY.index(LIVE_START)].count("\n") + 1
    assert f"[file {file}, line {line}, key market.live_starts, value {EARLY}]" in message
    assert "2016-01" in message
    assert not (home / "lake").exists()


@pytest.mark.full
def test_status_tells_of_a_live_start_before_any_model(tmp_path) -> None:
    home = home_with(tmp_path, EARLY)
    (fault,) = status_of(home)["faults"]
    assert all(part in fault for part in ("market.live_starts", EARLY, "2016-01"))
    assert fault in call(home, "status", "-s", "mine").out
    possible = home_with(tmp_path / "possible", "2016-01-04")
    assert status_of(possible)["faults"] == []


@pytest.mark.parametrize("words", [(), ("--session", LIVE[2])])
def test_the_oldest_undecided_session_and_the_study_it_needs_are_named_before_an_intake(tmp_path, words) -> None:
    home = home_with(tmp_path, LIVE[0])
    answer = call(home, "run", "-s", "mine", *words, "--json")
    assert answer.status == 1
    assert answer.document["error"] == "ModelError"
    month = LIVE[0][:7]
    assert f"session {LIVE[0]}] expected a model used from {month}; found none" in answer.document["message"]
    assert answer.document["message"].endswith(f"nn-assets study --strategy mine --from {month} --to {month}")
    assert not (home / "lake").exists()
