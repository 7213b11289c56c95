"""What was measured, panel by panel: one JSON line each, kept in the repository, found again by what the panel is.

A panel's address is the hash of its table and of every number that makes it (seed, names, sessions, what is planted).
A run that stops loses the panel under way and nothing else. Each line says which code made it, so that a table can say
how many of its panels are of the code at hand.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.proof.behind import code_of

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """One panel: what it is, its figures, the code that made them and the processor seconds it took."""

    panel: Mapping[str, Any]
    figures: Mapping[str, Any]
    code: str
    seconds: float


def address(table: str, panel: Mapping[str, Any]) -> str:
    """Where a panel's figures are kept, 16 hex digits."""
    return hashlib.sha256(json.dumps([table, panel], sort_keys=True).encode()).hexdigest()[:16]


def kept(table: str, folder: Path = FOLDER) -> dict[str, Result]:
    """Every panel of a table that was measured, by its address; the newest where one was measured again.

    A last line that a kill cut short is no result.
    """
    return {address(table, result.panel): result for result in _lines(folder / f"{table}.jsonl")}


def keep(
    table: str, panel: Mapping[str, Any], figures: Mapping[str, Any], seconds: float, folder: Path = FOLDER
) -> None:
    """Add a panel's figures, whole or not at all, whoever else writes at the same time."""
    folder.mkdir(exist_ok=True)
    line = {"panel": panel, "figures": figures, "code": code_of(table), "seconds": round(seconds, 1)}
    with (folder / f"{table}.jsonl").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that a kill cut short stands alone
                file.write(b"\n")
        file.write(json.dumps(line, sort_keys=True, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def missing(
    table: str, panels: Sequence[Mapping[str, Any]], *, stale: bool, folder: Path = FOLDER
) -> list[Mapping[str, Any]]:
    """Panels not measured yet; with ``stale`` those of other code as well."""
    have, code = kept(table, folder), code_of(table)
    return [
        panel
        for panel in panels
        if (result := have.get(address(table, panel))) is None or (stale and result.code != code)
    ]


def _lines(file: Path) -> Iterator[Result]:
    if not file.exists():
        return
    for line in file.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        yield Result(record["panel"], record["figures"], record["code"], record["seconds"])
