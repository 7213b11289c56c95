"""``python -m tests.faults``: measure what is missing of the matrix, then write docs/faults.md.

It goes on where it stopped. ``--minutes 0`` writes the page alone; ``--again`` measures what is there too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.faulted import FAULTS, play
from tests.faults.killing import KILLS, Whole, kill, whole_step
from tests.faults.page import write
from tests.faults.results import keep, kept
from tests.faults.world import STEP, STEPS, build, warm
from tests.forks import ended

FAULTED = "faults"


@contextmanager
def built() -> Iterator[tuple[Path, list[Whole]]]:
    """A world, and each of its steps never killed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "world"
        root.mkdir()
        assert ended(lambda: build(root), folder / "error.txt") == 0, (folder / "error.txt").read_text()
        wholes = [whole_step(root, step, folder) for step in STEPS]
        warm(root)
        yield root, wholes


def run(*, minutes: float, anew: bool, moments: Sequence[str], steps: Sequence[str]) -> int:
    """Measure cell by cell; begin none after the time is up. How many are not as they should be."""
    ends, bad = time.monotonic() + 60 * minutes, 0
    with built() as (root, wholes):
        keep(
            "points",
            {
                f"{whole.step.name} | {point}": {"order": number, "kills": whole.moments(point)}
                for whole in wholes
                for number, point in enumerate(whole.points)
            },
        )
        have = {} if anew else kept("killed")
        by_name = {whole.step.name: whole for whole in wholes}
        for fault in FAULTS if FAULTED in steps else ():
            if time.monotonic() > ends or (fault.name in kept("faulted") and not anew):
                continue
            try:
                keep("faulted", {fault.name: play(root, by_name[fault.step], fault)})
            except AssertionError:
                bad += 1
                print(fault.name, traceback.format_exc(), flush=True)
        for moment in moments:
            for whole in [whole for whole in wholes if whole.step.name in steps]:
                for point in whole.points:
                    cell = f"{whole.step.name} | {point} | {moment}"
                    if moment not in whole.moments(point) or cell in have or time.monotonic() > ends:
                        continue
                    try:
                        keep("killed", {cell: kill(root, whole, point, moment)})
                    except AssertionError:
                        bad += 1
                        print(cell, traceback.format_exc(), flush=True)
    return bad


def main(arguments: list[str]) -> int:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no cell after this time")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    parser.add_argument("--moment", choices=KILLS, action="append", help="only this one (may be given again)")
    parser.add_argument("--step", choices=(*STEP, FAULTED), action="append", help="only this one (may be given again)")
    asked = parser.parse_args(arguments)
    if asked.minutes <= 0.0:
        write()
        return 0
    try:
        return run(
            minutes=asked.minutes, anew=asked.again, moments=asked.moment or KILLS, steps=asked.step or [*STEP, FAULTED]
        )
    finally:
        write()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
