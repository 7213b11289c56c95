"""A step of the day killed at a write point; what status says then; and the step given again, to the same end."""

from __future__ import annotations

import importlib
import json
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.ends import End, kept_so_far, words_of
from tests.faults.watched import AFTER, BEFORE, DURING, MOMENTS, Watch
from tests.faults.world import Step, first_line, live
from tests.forks import ended

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
        ``same``: the words of the end, see :data:`tests.faults.ends.WORDS`.

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
    end = End.of(whole.after)
    kept_so_far(End.of(root), before=End.of(whole.before), end=end)
    says = said(root, whole.step)
    code, _ = lived(root, whole.step)
    assert code == 0
    return {"says": says, "kills": kills, "next": whole.step.command, "same": sorted(words_of(End.of(root), end))}
