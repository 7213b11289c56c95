"""``python -m tests.benchmarks``: run every benchmark once, and say what the fast versions are worth.

A version and its plain reference are timed in the same run, so their ratio holds whatever the machine;
rates are of this machine. Writes ``benchmarks.json`` into the home and the table into ``RESULTS.md``
beside this file.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from nn_assets.store.home import home
from nn_assets.store.lake.files import write_record
from tests.proof import tables

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parent.parent
RESULTS = FOLDER / "RESULTS.md"

_NAMED_PACKAGES = ("numpy", "pandas", "torch", "scikit-learn", "statsmodels", "sqlalchemy")


@dataclass(frozen=True)
class Timing:
    """One benchmark: the median of its rounds, and the work that a round does."""

    group: str
    version: str
    is_reference: bool
    median_seconds: float
    rounds: int
    work: float | None  # units in a round
    unit: str

    @property
    def rate(self) -> float | None:
        """Units of work per second."""
        return None if self.work is None else self.work / self.median_seconds


@dataclass(frozen=True)
class Row:
    """A timing beside the plain reference of its group, where there is one."""

    timing: Timing
    times_as_fast: float | None


def read_timings(report: dict[str, Any]) -> list[Timing]:
    """Read pytest-benchmark's report.

    A benchmark says in ``extra_info`` which ``version`` it is, whether it is the ``reference`` of its
    group, and how much ``work`` of which ``unit`` a round does.
    """
    return [
        Timing(
            group=benchmark["group"] or benchmark["name"],
            version=benchmark["extra_info"].get("version", "package"),
            is_reference=bool(benchmark["extra_info"].get("reference", False)),
            median_seconds=float(benchmark["stats"]["median"]),
            rounds=int(benchmark["stats"]["rounds"]),
            work=benchmark["extra_info"].get("work"),
            unit=benchmark["extra_info"].get("unit", ""),
        )
        for benchmark in report["benchmarks"]
    ]


def compare(timings: Iterable[Timing]) -> list[Row]:
    """Put each timing beside its group's reference; groups by name, the fastest of a group first."""
    rows = []
    ordered = sorted(timings, key=lambda timing: (timing.group, timing.median_seconds))
    for _, members in groupby(ordered, key=lambda timing: timing.group):
        group = list(members)
        reference = next((timing for timing in group if timing.is_reference), None)
        for timing in group:
            beside = (
                None if reference is None or timing.is_reference else reference.median_seconds / timing.median_seconds
            )
            rows.append(Row(timing, beside))
    return rows


def _duration(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _rate(timing: Timing) -> str:
    if timing.rate is None:
        return ""
    digits = 0 if timing.rate >= 100.0 else 1
    return f"{timing.rate:,.{digits}f} {timing.unit}/s"


def _ratio(row: Row) -> str:
    if row.timing.is_reference:
        return "1 (reference)"
    if row.times_as_fast is None:
        return ""
    return f"{row.times_as_fast:,.{0 if row.times_as_fast >= 100.0 else 1}f} x"


def markdown(rows: Iterable[Row], machine: dict[str, str]) -> str:
    """The table that ``docs/code.md`` quotes, under a line on the machine."""
    lines = [
        "# Benchmarks",
        "",
        "Medians of one run of `make bench`; one thread. The last column is measured against the plain reference",
        "that `tests/` keeps and compares values with. Machine: "
        + ", ".join(f"{what} {value}" for what, value in machine.items())
        + ".",
        "",
        "| what | version | median | rate | times as fast |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    previous_group = None
    for row in rows:
        timing = row.timing
        group = "" if timing.group == previous_group else timing.group
        previous_group = timing.group
        cells = (group, timing.version, _duration(timing.median_seconds), _rate(timing), _ratio(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def describe_machine() -> dict[str, str]:
    """Cores, Python, and the packages whose speed is measured along."""
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "architecture": platform.machine(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _NAMED_PACKAGES},
    }


def run_benchmarks(report: Path) -> int:
    """Run pytest-benchmark over ``bench_*.py`` in a process of its own; the exit status."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(FOLDER),
        "-o",
        "python_files=bench_*.py",
        "-p",
        "no:randomly",  # one order, so that two runs compare
        "-p",
        "no:xdist",
        "--benchmark-only",
        "--benchmark-disable-gc",
        "--benchmark-columns=median,iqr,rounds",
        f"--benchmark-json={report}",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, stdout=subprocess.DEVNULL).returncode


def main() -> int:
    """Run, compare, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        status = run_benchmarks(report)
        if status != 0:
            print(f"the benchmarks failed (pytest status {status}); see: pytest tests/benchmarks/bench_*.py")
            return status
        timings = read_timings(json.loads(report.read_text(encoding="utf-8")))
    rows, machine = compare(timings), describe_machine()
    text = markdown(rows, machine)
    RESULTS.write_text(text, encoding="utf-8")
    kept = [{**asdict(row.timing), "rate": row.timing.rate, "times_as_fast": row.times_as_fast} for row in rows]
    file = home() / "benchmarks.json"
    write_record(file, {"machine": machine, "benchmarks": kept})
    print(text)
    print(tables.text())  # as far as `make proof` has measured them
    print(f"{file} and {RESULTS.relative_to(CHECKOUT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
