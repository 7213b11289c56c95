"""Kept results: found again by what the panel is, whole or not at all, whatever was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof import __main__ as command
from tests.proof.results import address, keep, kept, missing

PANEL = {"seed": 1, "names": 40, "planted": 0.0}


def test_a_panel_is_found_again_by_what_it_is_and_by_nothing_else(tmp_path: Path) -> None:
    keep("some", PANEL, {"found": True}, 1.0, tmp_path)
    have = kept("some", tmp_path)
    assert have[address("some", dict(reversed(PANEL.items())))].figures == {"found": True}
    assert address("some", PANEL | {"seed": 2}) not in have
    assert address("other", PANEL) not in have


def test_a_line_that_a_kill_cut_short_is_measured_again_and_costs_no_other(tmp_path: Path) -> None:
    keep("some", PANEL, {"x": 1}, 1.0, tmp_path)
    keep("some", PANEL | {"seed": 2}, {"x": 2}, 1.0, tmp_path)
    file = tmp_path / "some.jsonl"
    whole = file.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole) - 1, 7):
        file.write_bytes(whole[:cut])
        assert [
            panel["seed"] for panel in missing("some", [PANEL, PANEL | {"seed": 2}], stale=False, folder=tmp_path)
        ] == [2]
        keep("some", PANEL | {"seed": 3}, {"x": 3}, 1.0, tmp_path)
        assert sorted(result.panel["seed"] for result in kept("some", tmp_path).values()) == [1, 3]


def test_panels_of_other_code_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.proof.results.code_of", lambda *_: "before")
    keep("some", PANEL, {"x": 1}, 1.0, tmp_path)
    monkeypatch.setattr("tests.proof.results.code_of", lambda *_: "after")
    assert missing("some", [PANEL], stale=False, folder=tmp_path) == []
    assert missing("some", [PANEL], stale=True, folder=tmp_path) == [PANEL]


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        keep("some", PANEL, {"x": float("nan")}, 1.0, tmp_path)
    assert missing("some", [PANEL], stale=False, folder=tmp_path) == [PANEL]


def test_what_measures_is_found_by_a_process_that_is_spawned() -> None:
    # Started by -m, the command's own functions belong to __main__, which a spawned process has not.
    assert command.measure.__module__ == "tests.proof.measuring"
