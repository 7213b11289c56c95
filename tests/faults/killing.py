"""A step of the day killed at a write point; what status says then; and the step given again, to the same bytes."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.watched import AFTER, BEFORE, DURING, MOMENTS, Watch
from tests.faults.world import Step, first_line, live
from tests.forks import ended
from tests.orchestration.conftest import NAME
from tests.store.test_killed import dump

TWICE = "twice"
KILLS = (DURING, AFTER, TWICE, BEFORE)


@dataclass(frozen=True)
class Whole:
    """A step that was never killed: what there was before it and after it, and what it passed."""

    step: Step
    before: Path
    after: Path
    passed: tuple[str, ...]
    sites: Mapping[str, str]

    @property
    def points(self) -> list[str]:
        """Its write points, in the order in which they are first passed."""
        return [name.removeprefix(f"{BEFORE} ") for name in self.passed if name.startswith(BEFORE)]

    def moments(self, point: str) -> list[str]:
        """When a process may be killed at a point; one with no write of its own is passed ``before`` alone."""
        moments = [moment for moment in MOMENTS if f"{moment} {point}" in self.passed]
        return [*moments, TWICE]


def rows(root: Path) -> list[str]:
    """Every row of the ledger, as SQL."""
    return dump(root / "home" / "ledger.sqlite")


def tree(root: Path) -> dict[str, bytes]:
    """Every file of home, anchor and desk but the ledger, locks and what a killed writer left staged."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not path.name.startswith((".staged-", "ledger.sqlite"))
        and path.name != ".lock"
        and "locks" not in path.parts
    }


def again(kept: Path, root: Path) -> None:
    """Have a root as it was kept."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(kept, root)


def lived(root: Path, step: Step, killed_at: str = "") -> tuple[int, dict[str, Any]]:
    """Do a step in a process of its own; its exit code, and what it passed, and imported, if it came to its end."""
    errors, answer = root.parent / "error.txt", root.parent / "lived.json"

    def act() -> None:
        passing = Watch(killed_at)
        live(root, step, passing)
        summary = {"passed": list(dict.fromkeys(passing.passed)), "sites": passing.sites, "modules": list(sys.modules)}
        answer.write_text(json.dumps(summary), "utf-8")

    errors.unlink(missing_ok=True)
    answer.unlink(missing_ok=True)
    code = ended(act, errors)
    assert code in (0, -signal.SIGKILL), errors.read_text("utf-8")
    return code, json.loads(answer.read_text("utf-8")) if code == 0 else {}


def said(root: Path, step: Step) -> str:
    """The first line of status, as a process of its own says it."""
    answer, errors = root.parent / "said.txt", root.parent / "error.txt"
    assert ended(lambda: answer.write_text(first_line(root, step), "utf-8"), errors) == 0, errors.read_text("utf-8")
    return answer.read_text("utf-8").replace(str(root), "ROOT")


def whole_step(root: Path, step: Step, folder: Path) -> Whole:
    """Do a step that nothing kills, and keep what there was before and after it."""
    step.prepare(root)
    before, after = folder / f"{step.name}-before", folder / f"{step.name}-after"
    shutil.copytree(root, before)
    code, answer = lived(root, step)
    assert code == 0
    shutil.copytree(root, after)
    for name in answer["modules"]:
        with suppress(ImportError):
            importlib.import_module(name)  # what it imported late the next ones have from here
    return Whole(step, before, after, tuple(answer["passed"]), answer["sites"])


def kill(root: Path, whole: Whole, point: str, moment: str) -> dict[str, Any]:
    """Kill a step at a point, then do what comes next, and hold the end against the step never killed.

    Returns
    ------
    dict
        ``says``: status's first line after the kill. ``kills``: how many there were. ``next``: the command given.

    Raises
    ------
    AssertionError
        Something that was there is gone, something is there that the step never killed has not, or the end differs.
    """
    again(whole.before, root)
    at = next(one for one in (DURING, BEFORE) if one in whole.moments(point)) if moment == TWICE else moment
    kills = 0
    for _ in range(2 if moment == TWICE else 1):
        code, _ = lived(root, whole.step, f"{at} {point}")
        kills += code == -signal.SIGKILL
    assert kills, "it was never reached"
    assert not set(rows(whole.before)) - set(rows(root)), "rows are lost"
    now, end = tables(root), tables(whole.after)
    invented = {table for table in now if set(now[table]) - set(end[table])}
    assert invented <= ASKED, invented
    files, left, last = tree(whole.before), tree(root), tree(whole.after)
    assert not set(files) - set(left), "files are lost"
    changed = {name for name, content in left.items() if content not in (files.get(name), last.get(name))}
    assert changed <= LINES, changed  # one cut short is not there
    says = said(root, whole.step)
    code, _ = lived(root, whole.step)
    assert code == 0
    same = rows(root) == rows(whole.after)
    apart = apart_of(root, whole.after)
    assert apart <= ASKED | LINES | LISTS, apart
    result = "rows and files, to the byte" if same and not apart else sorted(apart) or "rows, in another order"
    return {"says": says, "kills": kills, "next": whole.step.command, "same": result}


def tables(root: Path) -> dict[str, list[str]]:
    """The rows of every table but the chain, without where they stand in it and when they were stored, sorted."""
    rows_of = {}
    with closing(sqlite3.connect(root / "home" / "ledger.sqlite")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for name in names:
            cursor = connection.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in cursor.description]
            chosen = [number for number, column in enumerate(columns) if column not in CHAIN_COLUMNS]
            rows_of[name] = sorted(_IN_CHAIN.sub("", repr([row[number] for number in chosen])) for row in cursor)
    rows_of.pop("audit_chain")
    return rows_of


def apart_of(root: Path, other: Path) -> set[str]:
    """Tables whose rows differ, and files that do; a file that grows by lines must hold those of the other."""
    mine, theirs = tables(root), tables(other)
    left, right = tree(root), tree(other)
    files = {name for name in {*left, *right} if left.get(name) != right.get(name)}
    for name in files & LINES:
        assert name not in right or name not in left or lines(right[name]) <= lines(left[name]), name
    return files | {table for table in mine.keys() | theirs.keys() if mine.get(table) != theirs.get(table)}


def lines(content: bytes) -> set[bytes]:
    """The lines of a file without the head that an anchor's line ends in: it counts what came between."""
    return {line.rpartition(b" ")[0] if b":" in line[-70:-60] else line for line in content.splitlines()}


_IN_CHAIN = re.compile(r'"account_until": ?\d+')
CHAIN_COLUMNS = ("sequence", "run_id", "recorded_at")
"""Columns, and of a decision's details what it took of its account, that say where in the chain a row stands."""
ASKED = {"order_events", "reconciliations"}
"""Tables that tell of a kill themselves: what was in doubt is asked about once more, and that is on record."""
LINES = {"home/alerts.jsonl", "elsewhere/anchor.txt"}
"""Files that grow by a line, which a kill may cut: the whole one follows on a line of its own."""
LISTS = {f"home/lake/{NAME}/raw_bars/additions.json"}
"""Lists of what a folder holds, which the next addition completes; what one lacks is read all the same."""
