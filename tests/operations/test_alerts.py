"""The file of alerts: whatever is wrong with it, nobody who tells of something fails by it, and it is said."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nn_assets.operations import alerts
from nn_assets.operations.alerts import append_alert, fault_of_alerts
from tests.forks import ended
from tests.store.test_read_only import as_anybody


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the alerts of a home are, which has none yet."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("NN_ASSETS_HOME", str(home))
    return home / "alerts.jsonl"


def appended(alert_id: str) -> str | None:
    return append_alert(alert_id, lambda: "tiny HALTED: why.", cause="broken", remedy="mend it", strategy="tiny")


def ids(file: Path) -> list[str]:
    """The ids of the lines that can be read, in order."""
    alert_ids = []
    for line in file.read_bytes().splitlines():
        try:
            alert_ids.append(json.loads(line)["alert_id"])
        except ValueError:
            continue
    return alert_ids


@pytest.mark.parametrize("damage", [b"\xff\n", b"\xff", b'{"headline": "cut', "é\n".encode("latin-1"), b"\0" * 9])
def test_bytes_that_are_no_text_lose_no_alert_before_or_after_them(file: Path, damage: bytes) -> None:
    assert appended("a") is None
    with file.open("ab") as stream:
        stream.write(damage)
    for alert_id in ("b", "a", "b"):
        assert appended(alert_id) is None
    assert ids(file) == ["a", "b"]
    assert fault_of_alerts() is None


def test_an_alert_cut_short_anywhere_is_there_once_whole_after_it_was_appended_again(file: Path) -> None:
    appended("a")
    whole = file.read_bytes()
    for left in range(len(whole)):
        file.write_bytes(whole[:left])
        for _ in range(2):
            assert appended("a") is None
        assert ids(file) == ["a"], whole[:left]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_its_place_is_said_and_fails_nobody_and_the_remedy_works(
    file: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    make(file)
    why = appended("a")
    assert why is not None
    assert str(file) in why
    assert "an alert could not be written" in caplog.text
    assert "broken" in caplog.text
    assert "mend it" in caplog.text
    fault = fault_of_alerts()
    assert fault is not None
    assert fault.found == f"alerts cannot be written: {file} is no file"
    assert fault.remedy == f"move {file} away: it is made anew"
    shutil.move(file, file.with_name("away"))
    assert fault_of_alerts() is None
    assert appended("a") is None
    assert ids(file) == ["a"]


@pytest.mark.parametrize("which", ["the file", "the home"])
def test_no_right_to_write_it_is_said_and_fails_nobody(file: Path, tmp_path: Path, which: str) -> None:
    denied = file if which == "the file" else file.parent
    if which == "the file":
        file.touch()
    mode = denied.stat().st_mode
    denied.chmod(mode & ~0o222)

    def act() -> None:
        as_anybody()
        assert appended("a") is not None
        fault = fault_of_alerts()
        assert fault is not None
        assert fault.found == f"alerts cannot be written: this user may not write to {denied}"
        assert fault.remedy == f"give this user the right to write to {denied}"

    try:
        error_file = tmp_path / "told.txt"
        assert ended(act, error_file) == 0, error_file.read_text(encoding="utf-8")
    finally:
        denied.chmod(mode)
    assert fault_of_alerts() is None
    assert appended("a") is None


def test_a_full_disk_and_a_headline_that_cannot_be_told_fail_nobody(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "_append", full)
        assert "No space left" in str(appended("a"))
    assert "No space left" in caplog.text

    def untold() -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert append_alert("b", untold, cause="broken", remedy="mend it") is None
    (line,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert line["headline"].startswith("how it stands cannot be told: UnicodeDecodeError")
    assert line["cause"] == "broken"
