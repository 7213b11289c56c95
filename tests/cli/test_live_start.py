"""Where a strategy goes live: nowhere, before any model, or with sessions left undecided."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import LIVE, STRATEGY, call

STATED = f"  live_starts: {LIVE[0]}\n"


def home_with(folder: Path, live_starts: str | None) -> Path:
    """A home with the strategy and no data: whoever asks for data finds none."""
    home = folder / "home"
    (home / "strategies").mkdir(parents=True)
    stated = "" if live_starts is None else f"  live_starts: {live_starts}\n"
    (home / "strategies" / "mine.yaml").write_text(STRATEGY.replace(STATED, stated), encoding="utf-8")
    return home


def status_of(home: Path) -> dict:
    return call(home, "status", "-s", "mine", "--json").document["strategies"]["mine"]


def test_without_a_live_start_no_session_is_undecided(tmp_path) -> None:
    assert status_of(home_with(tmp_path / "none", None))["undecided_sessions"] == 0
    assert status_of(home_with(tmp_path / "stated", LIVE[0]))["undecided_sessions"] == len(LIVE)
