"""A step of the day with something broken under it: what is said, what mends it, and the same rows after it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nn_assets.errors import NnAssetsError
from nn_assets.store.ledger import engine
from tests.faults.ends import ALERT, CANCEL, COMPARED, VERIFIED, End, causes_of_alerts, words_of
from tests.faults.killing import Whole, again, lived
from tests.faults.watched import Watch
from tests.faults.world import DAY, Step, first_line, live
from tests.forks import exit_code, forked
from tests.orchestration.conftest import NAME
from tests.store.test_read_only import as_anybody

Broken = Callable[[Path], AbstractContextManager[object]]
RERUN = "the same command again"


@dataclass(frozen=True)
class Fault:
    """What is broken, while a step runs; what mends it; and what it may leave.

    Attributes
    ----------
    broken : callable
        Given the root, breaks it until the block ends, which is what mends it.
    inside : callable
        Called in the process of the step, before it.
    more : collection of str
        Words of :data:`tests.faults.ends.MORE`: in which ways the end may differ.
    """

    name: str
    step: str
    broken: Broken
    remedy: str
    inside: Callable[[], object] = lambda: None
    more: Collection[str] = ()


@contextmanager
def _nothing(_: Path) -> Iterator[None]:
    yield


def _away(where: str) -> Broken:
    """Files or a folder moved away, and back; what was made in their place meanwhile is dropped."""

    @contextmanager
    def broken(root: Path) -> Iterator[None]:
        kept = root.parent / "away"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        for path in list(root.glob(where)):
            shutil.move(path, kept / path.name)
        folder = (root / where).parent
        try:
            yield
        finally:
            for path in list(root.glob(where)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path in kept.iterdir():
                shutil.move(path, folder / path.name)

    return broken


def _changed(where: str, change: Callable[[bytes], bytes | None]) -> Broken:
    """The newest file of a pattern changed, and restored from a copy."""

    @contextmanager
    def broken(root: Path) -> Iterator[None]:
        every = sorted(root.glob(where), key=lambda path: (path.stat().st_mtime_ns, path.name))
        kept = {path: path.read_bytes() for path in every}
        for path, content in kept.items():
            new = change(content)
            path.unlink() if new is None else path.write_bytes(new)
        try:
            yield
        finally:
            for path, content in kept.items():
                path.write_bytes(content)

    return broken


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def _gone(_: bytes) -> None:
    return None


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Another program writes to the ledger, and does not end."""

    def holds() -> None:
        with closing(sqlite3.connect(root / "home" / "ledger.sqlite", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            (root.parent / "held").touch()
            time.sleep(600)

    child = forked(holds, root.parent / "error.txt")
    while not (root.parent / "held").exists():
        time.sleep(0.02)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        exit_code(child)
        (root.parent / "held").unlink()


@contextmanager
def _read_only(root: Path) -> Iterator[None]:
    """Nobody may write into the home."""
    modes = {path: path.stat().st_mode for path in [root / "home", *(root / "home").rglob("*")]}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def _waits_a_second() -> None:
    engine._BUSY_TIMEOUT_SECONDS = 1  # type: ignore[misc]  # of 30: what is said is the same


def _no_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


_LAKE = f"home/lake/{NAME}"
_RESTORE = "restore the file from the backup, then the same command again"
_BROKEN = {"cut": _cut, "flipped": _flipped, "gone": _gone}
_FILES = {
    "bars as taken in": ("intake", f"{_LAKE}/raw_bars/*.parquet"),
    "the list of bars taken in": ("intake", f"{_LAKE}/raw_bars/additions.json"),
    "published bars": ("round", f"{_LAKE}/validated_bars/*.parquet"),
    "the pointer to the publication": ("round", f"{_LAKE}/publication/current.json"),
    "features": ("round", f"{_LAKE}/features/*.npy"),
    "forecasts": ("round", f"{_LAKE}/forecasts/*.parquet"),
    "model weights": ("round", "home/models/*/*/weights.safetensors"),
}
_OF_UNREAD_FACTS = {"the pointer to the publication": {ALERT, COMPARED}}
FAULTS = (
    Fault("the database is locked", "round", _locked, "end the other writer, then " + RERUN, _waits_a_second),
    Fault("the database is gone", "round", _away("home/ledger.sqlite*"), "put it back (restore), then " + RERUN),
    Fault("the disk is full, as bars come", "intake", _nothing, "free some room, then " + RERUN, _no_room),
    Fault("the disk is full, as it decides", "round", _nothing, "free some room, then " + RERUN, _no_room),
    Fault("the disk is full, as orders go out", "account", _nothing, "free some room, then " + RERUN, _no_room),
    Fault("two rounds at once", "round", _nothing, "none: the second waits, then agrees with the first"),
    Fault("two looks after one account at once", "account", _nothing, "none: the second waits, and sends nothing"),
    Fault("the clock is set back 40 days", "round", _nothing, "set the clock right, then " + RERUN, more={VERIFIED}),
    Fault("the home is read-only", "round", _read_only, "give the right to write back, then " + RERUN, as_anybody),
    Fault("the anchor is gone", "round", _away("elsewhere"), "mount its disk, then " + RERUN, more={ALERT}),
    Fault(
        "the venue is down",
        "account",
        _away(f"desk/{NAME}/in"),
        "have the desk's system run again, then " + RERUN,
        more={ALERT, COMPARED, CANCEL},
    ),
    Fault(
        "a file of the venue is cut",
        "account",
        _changed(f"desk/{NAME}/in/fills-{DAY}.csv", _cut),
        "have the desk's system write it again, then " + RERUN,
        more={ALERT, COMPARED, CANCEL},
    ),
    *(
        Fault(f"{what}: {how}", step, _changed(where, change), _RESTORE, more=_OF_UNREAD_FACTS.get(what, ()))
        for what, (step, where) in _FILES.items()
        for how, change in _BROKEN.items()
    ),
)


def play(root: Path, whole: Whole, fault: Fault) -> dict[str, Any]:
    """Do a step with a fault, then mend it and do the step again; hold the end against the step without the fault.

    Returns
    ------
    dict
        ``raises``: the error's first line, '' where the step came to its end. ``says``: status's first line while
        the fault lasts. ``alerts``: what the alerts name that it left. ``next``: what mends it. ``same``: the words of
        the end, see :data:`tests.faults.ends.WORDS`.

    Raises
    ------
    AssertionError
        Rows or files are lost, or the end differs in more than the fault may tell of.
    """
    again(whole.before, root)
    before = Counter(End.of(root).dumped)
    if fault.name.startswith("two "):
        raised, says = _twice(root, whole.step), ""
    else:
        with fault.broken(root):
            raised = _attempt(root, _moved_back(whole.step, fault), fault.inside)
            says = _said_meanwhile(root, _moved_back(whole.step, fault), fault.inside)
        assert not before - Counter(End.of(root).dumped), "rows are lost"
        code, _ = lived(root, whole.step)
        assert code == 0
    mine, theirs = End.of(root), End.of(whole.after)
    return {
        "raises": raised,
        "says": says,
        "alerts": [cause.replace(str(root), "ROOT") for cause in causes_of_alerts(mine, theirs)],
        "next": fault.remedy,
        "step": fault.step,
        "same": sorted(words_of(mine, theirs, fault.more)),
    }


def _moved_back(step: Step, fault: Fault) -> Step:
    if "clock" not in fault.name:
        return step
    return replace(step, moment=str(step.now.tz_localize(None) - (step.now - step.now.replace(month=5, day=20))))


def _attempt(root: Path, step: Step, inside: Callable[[], object]) -> str:
    """Do a step in a process of its own; the first line of what it raised by name, '' where it raised nothing."""
    read_end, write_end = os.pipe()

    def act() -> None:
        said = ""
        try:
            inside()
            live(root, step, Watch())
        except NnAssetsError as error:
            said = f"{error.kind}: {error}".splitlines()[0]
        except OSError as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write_end, said.encode())

    child = forked(act, root.parent / "error.txt")
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as stream:
        said = stream.read()
    code = exit_code(child)
    assert code == 0, (root.parent / "error.txt").read_text("utf-8")
    return said.replace(str(root), "ROOT")


def _said_meanwhile(root: Path, step: Step, inside: Callable[[], object]) -> str:
    """Status's first line; where there is none, the error that status gives."""
    read_end, write_end = os.pipe()

    def act() -> None:
        try:
            inside()
            line = first_line(root, step)
        except NnAssetsError as error:
            line = f"{error.kind}: {error}".splitlines()[0]
        os.write(write_end, line.encode())

    child = forked(act, root.parent / "error.txt")
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as stream:
        line = stream.read()
    code = exit_code(child)
    assert code == 0, (root.parent / "error.txt").read_text("utf-8")
    return line.replace(str(root), "ROOT")


def _twice(root: Path, step: Step) -> str:
    """Do a step in two processes at once."""
    children = [forked(lambda: live(root, step, Watch()), root.parent / f"error{number}.txt") for number in range(2)]
    codes = [exit_code(child) for child in children]
    assert codes == [0, 0], [(root.parent / f"error{number}.txt").read_text() for number in range(2) if codes[number]]
    return ""
