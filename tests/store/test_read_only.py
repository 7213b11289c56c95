"""A ledger that this user cannot write to: it can be read, nothing is written, and what writes says what it lacks."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nn_assets.cli import status
from nn_assets.cli.ledger import verify_audit
from nn_assets.errors import LedgerError
from nn_assets.operations import kill_switch
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.store.ledger.ledger import Ledger
from tests.forks import ended

NAME = "index_daily"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Rights(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def as_anybody() -> None:
    """Give up, in this process, root's right to write where the permissions say that nobody writes."""
    if os.geteuid() != 0:
        return
    system, header, rights = ctypes.CDLL(None), _Header(0x20080522, 0), (_Rights * 2)()
    assert system.capget(ctypes.byref(header), rights) == 0
    rights[0].effective &= ~(1 << 1)
    rights[0].permitted &= ~(1 << 1)
    assert system.capset(ctypes.byref(header), rights) == 0


@pytest.fixture
def home(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a ledger in which a switch was set, and whose log was folded into it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("NN_ASSETS_HOME", str(home))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    shutil.copyfile(migrated_file, home / "ledger.sqlite")
    kill_switch._record_switch(NAME, "REDUCING", "someone", "before")
    return home


def in_child(act: Callable[[], None], tmp_path: Path) -> None:
    log = tmp_path / "told.txt"
    code = ended(act, log)
    assert code == 0, log.read_text(encoding="utf-8")


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o444), (0o755, 0o444), (0o555, 0o644)])
def test_the_ledger_is_read_and_told_where_nothing_can_be_written(
    home: Path, tmp_path: Path, folder: int, file: int
) -> None:
    ledger = home / "ledger.sqlite"
    before = ledger.read_bytes()
    assert [path.name for path in home.iterdir()] == ["ledger.sqlite"]

    def reads() -> None:
        as_anybody()
        with Ledger() as opened:
            assert opened.read_only
            assert kill_switch_now(opened, NAME) == "REDUCING"
        assert verify_audit()["ok"]
        answer = status.report(NAME)
        assert answer["ok"]
        assert answer["read_only"]
        assert answer["text"].splitlines()[-1].startswith("read-only")
        with pytest.raises(LedgerError, match="give this user the right to read and write the file"):
            kill_switch._record_switch(NAME, "HALTED", "someone", "now")

    ledger.chmod(file)
    home.chmod(folder)
    try:
        in_child(reads, tmp_path)
    finally:
        home.chmod(0o755)
    assert ledger.read_bytes() == before


def test_what_is_in_the_log_of_a_writer_is_read_too(home: Path, tmp_path: Path) -> None:
    def reads() -> None:
        as_anybody()
        with Ledger() as opened:
            assert kill_switch_now(opened, NAME) == "HALTED"

    with Ledger() as writer, writer.engine.connect() as kept:
        kept.exec_driver_sql("SELECT 1 FROM audit_chain").fetchall()  # a reader holds the log
        kill_switch._record_switch(NAME, "HALTED", "someone", "now")
        assert (home / "ledger.sqlite-wal").stat().st_size > 0
        home.chmod(0o555)
        try:
            in_child(reads, tmp_path)
        finally:
            home.chmod(0o755)


def test_a_log_without_its_index_is_no_reason_to_tell_less(home: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    with Ledger() as writer, writer.engine.connect() as kept:
        kept.exec_driver_sql("SELECT 1 FROM audit_chain").fetchall()
        kill_switch._record_switch(NAME, "HALTED", "someone", "now")
        left.mkdir()
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            shutil.copyfile(home / name, left / name)
    copied = shutil.copytree(left, tmp_path / "copied")

    def reads() -> None:
        as_anybody()
        with pytest.raises(LedgerError, match="copy them all, where you may write"):
            Ledger(f"sqlite:///{left}/ledger.sqlite")
        with Ledger(f"sqlite:///{copied}/ledger.sqlite") as opened:  # what the remedy says
            assert kill_switch_now(opened, NAME) == "HALTED"

    left.chmod(0o555)
    try:
        in_child(reads, tmp_path)
    finally:
        left.chmod(0o755)


def test_a_ledger_that_can_be_written_to_is_not_read_only(home: Path) -> None:
    with Ledger() as opened:
        assert not opened.read_only
    assert "read-only" not in status.report(NAME)["text"]
