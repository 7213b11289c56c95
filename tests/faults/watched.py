"""The write points of a day, by name, and a process that kills itself at one of them.

A write point is a file put under its name, a line appended to a file, a table's rows inserted, or a named point of the
accounts' driver. Each is passed ``before`` the write, ``during`` it (the file torn in half, the transaction open, the
line cut) and ``after`` it (the file under its name, the transaction committed).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd
from sqlalchemy import event

import nn_assets.store.ledger.ledger as ledgers
from nn_assets.operations import alerts
from nn_assets.operations.accounts import points
from nn_assets.store.lake import files
from nn_assets.store.ledger import anchor
from nn_assets.store.ledger.engine import open_engine
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.account_books import speaking
from tests.store.killed import Countdown

BEFORE, DURING, AFTER = "before", "during", "after"
MOMENTS = (BEFORE, DURING, AFTER)
_INSERT = re.compile(r"INSERT (?:OR \w+ )?INTO (\w+)")
_CHANGING = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "DAY"),
    (re.compile(r"\d{4}-\d{2}(?=\.)"), "MONTH"),
    (re.compile(r"\d+-[0-9a-f]{8,}|[0-9a-f]{16,}"), "HASH"),
)


class Watch(Countdown):
    """Notes each step passed; kills the process at the first of a name."""

    def __init__(self, killed_at: str = "") -> None:
        super().__init__(0)
        self.killed_at = killed_at
        self.sites: dict[str, str] = {}  # what wrote, by the place in the package

    def __call__(self, name: str) -> None:
        """Pass a step."""
        if name == self.killed_at:
            self.step = len(self.passed) + 1
        if not self.killed_at:
            self._note_sites(name.partition(" ")[2])
        super().__call__(name)

    def _note_sites(self, point: str) -> None:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            module = str(frame.f_globals.get("__name__"))
            if module.startswith("nn_assets."):
                self.sites.setdefault(f"{module.removeprefix('nn_assets.')}:{frame.f_code.co_name}", point)
            frame = frame.f_back


def watch(step: Watch, folders: dict[Path, str]) -> None:
    """Pass every write point of this process from here on; never undone: call it in a process of its own.

    Parameters
    ----------
    folders : dict of Path to str
        What a file is called that lies under one of them.
    """
    pending: list[str] = []

    def passed(moment: str, point: str) -> None:
        if pending and moment != BEFORE:  # the first write after a point of the driver is that point's
            step(f"{moment} {pending[0]}")
            if moment == AFTER:
                pending.clear()
        step(f"{moment} {point}")

    def reached(point: str) -> None:
        assert point in points.POINTS
        pending[:] = [f"driver: {point}"]
        step(f"{BEFORE} driver: {point}")

    for module in speaking():
        module.reached = reached  # type: ignore[attr-defined]
    _watch_files(step, passed, folders)
    _watch_lines(step, passed)
    _watch_ledger(passed)


def _named(path: Path, folders: dict[Path, str]) -> str:
    for folder, called in folders.items():
        if path.is_relative_to(folder):
            name = str(path.relative_to(folder))
            for pattern, word in _CHANGING:
                name = pattern.sub(word, name)
            return f"file: {called}{name}"
    raise AssertionError(f"a file outside of the home and the desk: {path}")


def _watch_files(step: Watch, passed: Callable[[str, str], None], folders: dict[Path, str]) -> None:
    def watched(move: Callable[..., None]) -> Callable[..., None]:
        def moved(staged: Any, path: Any) -> None:
            point = _named(Path(path), folders)
            passed(BEFORE, point)
            if step.killed_at.startswith(DURING) and Path(staged).is_file():
                whole = Path(staged).read_bytes()
                Path(staged).write_bytes(whole[: len(whole) // 2])
                passed(DURING, point)
                Path(staged).write_bytes(whole)
            else:
                passed(DURING, point)
            move(staged, path)
            passed(AFTER, point)

        return moved

    files.os.replace, files.os.rename = watched(os.replace), watched(os.rename)  # type: ignore[assignment]
    files.os.fsync = lambda _: None  # type: ignore[assignment]  # a power cut is not tried here


def _watch_lines(step: Watch, passed: Callable[[str, str], None]) -> None:
    def watched(append: Callable[..., None], point: str) -> Callable[..., None]:
        def appended(file: Path, *rest: Any) -> None:
            passed(BEFORE, point)
            old = file.stat().st_size if file.exists() else 0
            append(file, *rest)
            if step.killed_at.startswith(DURING) and file.stat().st_size > old:
                whole = file.read_bytes()
                os.truncate(file, old + (len(whole) - old) // 2)
                passed(DURING, point)
                file.write_bytes(whole)
            else:
                passed(DURING, point)
            passed(AFTER, point)

        return appended

    anchor._append = watched(anchor._append, "line: the anchor")  # type: ignore[assignment]
    alerts._append = watched(alerts._append, "line: alerts.jsonl")  # type: ignore[assignment]


def _watch_ledger(passed: Callable[[str, str], None]) -> None:
    def opened(address: str) -> Any:
        engine, inserted = open_engine(address), list[str]()

        def begins(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if match := _INSERT.match(statement):
                passed(BEFORE, f"rows: {match[1]}")

        def ends(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if match := _INSERT.match(statement):
                inserted.append(match[1])
                passed(DURING, f"rows: {match[1]}")

        commit = engine.dialect.do_commit

        def committed(connection: Any) -> None:
            commit(connection)
            for table in dict.fromkeys(inserted):
                passed(AFTER, f"rows: {table}")
            inserted.clear()

        event.listen(engine, "before_cursor_execute", begins)
        event.listen(engine, "after_cursor_execute", ends)
        engine.dialect.do_commit = committed  # type: ignore[method-assign]
        return engine

    ledgers.open_engine = opened  # type: ignore[attr-defined]


def set_clock(moment: pd.Timestamp) -> None:
    """Let every clock of this process stand at a moment; never undone."""
    for name, module in list(sys.modules.items()):
        if name.startswith("nn_assets") and hasattr(module, "now_utc"):
            module.now_utc = lambda: moment  # type: ignore[attr-defined]
    Ledger.__init__.__kwdefaults__["clock"] = moment.to_pydatetime
