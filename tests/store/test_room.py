"""A disk that is full: it has a name, the ledger can be read all the same, and the kill switch can be set."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nn_assets.cli import app, check
from nn_assets.cli.ledger import verify_audit
from nn_assets.errors import LedgerError, NoRoomError
from nn_assets.operations import kill_switch
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.room import keep_reserve, no_room, spend_reserve
from tests.forks import ended

NAME = "index_daily"
SMALL_KILOBYTES = 8 << 10


@pytest.fixture
def home(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a ledger in which a switch was set."""
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    shutil.copyfile(migrated_file, tmp_path / "ledger.sqlite")
    kill_switch.set_kill_switch(NAME, "REDUCING", "someone", "before")
    return tmp_path


def wrapped(error: Exception) -> Exception:
    """The error as the cause of another, whose words say nothing of it."""
    outer = RuntimeError("Error during execution")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        wrapped(OSError(errno.ENOSPC, "x")),
        wrapped(OSError(errno.EDQUOT, "x")),
        RuntimeError("step failed: OSError: [Errno 122] Disk quota exceeded: '/x'"),
        RuntimeError("(sqlite3.OperationalError) database or disk is full"),
        RuntimeError("step failed: OSError: [Errno 28] No space left on device: '/x'"),
    ],
)
def test_a_full_disk_is_named_wherever_it_is_told(error: Exception, home: Path) -> None:
    named = no_room(error)
    assert isinstance(named, NoRoomError)
    assert named.where["file"] == str(home)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), RuntimeError("disk I/O error"), KeyError("x")])
def test_other_errors_keep_their_own_name(error: Exception, home: Path) -> None:
    assert no_room(error) is None


def test_json_stays_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> dict[str, object]:
        raise wrapped(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    monkeypatch.setattr(check, "check_data", full)
    result = CliRunner().invoke(app, ["check", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "NoRoomError"
    assert "Traceback" not in result.stderr


def test_the_ledger_is_read_where_nothing_can_be_written(home: Path, tmp_path: Path) -> None:
    def reads() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with pytest.raises(OSError, match="too large"), (home / "more").open("wb", buffering=0) as stream:
            stream.write(b"x")
        with Ledger() as ledger:
            assert kill_switch_now(ledger, NAME) == "REDUCING"
            with pytest.raises(LedgerError):
                kill_switch._record_switch(NAME, "HALTED", "someone", "now")
        assert verify_audit()["ok"]

    log = tmp_path / "told.txt"
    log.touch()  # what is written to it would be lost: its being asked for is told by the exit status
    assert ended(reads, log) == 0


def test_the_switch_takes_the_room_that_is_kept_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = home / ".reserve"
    assert reserve.stat().st_size == 1 << 20
    record = kill_switch._record_switch

    def needs_room(*arguments: str) -> None:
        if reserve.exists():
            raise LedgerError(expected="x", found="OperationalError: database or disk is full", remedy="y")
        record(*arguments)

    monkeypatch.setattr(kill_switch, "_record_switch", needs_room)
    kill_switch.set_kill_switch(NAME, "HALTED", "someone", "it is full")
    with Ledger() as ledger:
        assert kill_switch_now(ledger, NAME) == "HALTED"
    assert reserve.exists()  # kept back again, once there was room


def test_no_home_is_made_for_a_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "nowhere"))
    keep_reserve()
    spend_reserve()
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes; it takes the right to mount one."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_KILOBYTES}k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.full
def test_on_a_disk_that_is_full_to_the_last_byte(
    small_disk: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = small_disk / "home"
    home.mkdir()
    monkeypatch.setenv("NN_ASSETS_HOME", str(home))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    shutil.copyfile(migrated_file, home / "ledger.sqlite")
    keep_reserve()
    with (small_disk / "filler").open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(1 << 12))
    assert shutil.disk_usage(home).free == 0
    call: Callable[..., object] = partial(CliRunner().invoke, app)
    for words, status in (
        (["status", "--json"], 0),
        (["audit", "verify"], 0),
        (["control", "kill-switch", "HALTED", "--reason", "it is full", "--who", "me"], 0),
        (["status", "--json"], 1),  # halted: a person is needed
        (["audit", "verify", "--json"], 0),
    ):
        result = call(words)
        assert result.exit_code == status, (words, result.output)  # type: ignore[attr-defined]
    with Ledger() as ledger:
        assert kill_switch_now(ledger, NAME) == "HALTED"
    result = call(["check", "--json"])
    assert json.loads(result.stdout)["error"] == "NoRoomError"  # type: ignore[attr-defined]
