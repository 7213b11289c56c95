"""``make proof``: measure what is missing of every table, then write the tables down.

It goes on where it stopped. ``PROOF_FLAGS="--table power --minutes 60 --jobs 1"`` does part of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

from tests.proof import tables
from tests.proof.measuring import measure
from tests.proof.results import keep, missing


def run(names: list[str], *, jobs: int, minutes: float, stale: bool) -> None:
    """Measure what is missing, table by table; begin no panel after the time is up."""
    ends = time.monotonic() + 60 * minutes
    waiting = [(name, panel) for name in names for panel in missing(name, tables.panels_of(name), stale=stale)]
    print(f"{len(waiting)} panels to measure", flush=True)
    at_work: dict[Future[tuple[dict[str, Any], float]], tuple[str, Mapping[str, Any]]] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=20) as pool:
        while at_work or (waiting and time.monotonic() < ends):
            while waiting and len(at_work) < jobs and time.monotonic() < ends:
                name, panel = waiting.pop(0)
                at_work[pool.submit(measure, name, panel)] = name, panel
            for done in wait(at_work, return_when=FIRST_COMPLETED).done:
                name, panel = at_work.pop(done)
                figures, seconds = done.result()
                keep(name, panel, figures, seconds)
                print(f"{name} {dict(panel)}: {seconds:.0f} s, {len(waiting)} left", flush=True)


def main(arguments: list[str]) -> int:
    """Measure, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--table", choices=(*tables.NAMES, "replayed"), action="append", help="only this one (may be given again)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=480.0, help="begin no panel after this time")
    parser.add_argument("--stale", action="store_true", help="measure again what other code has measured")
    asked = parser.parse_args(arguments)
    run(asked.table or ["replayed", *tables.NAMES], jobs=asked.jobs, minutes=asked.minutes, stale=asked.stale)
    tables.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
