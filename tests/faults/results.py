"""What was measured, cell by cell: one JSON line each in ``results``, in order, the newest of each.

A run that stops loses the cell under way and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def kept(table: str, folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Every cell of a table by what it is: its words joined by `` | ``."""
    file = folder / f"{table}.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return {cell.pop("cell"): cell for cell in map(json.loads, lines)}


def keep(table: str, cells: Mapping[str, Mapping[str, Any]], folder: Path = FOLDER) -> None:
    """Add cells, or put them in the place of those before, whoever else does so at the same time."""
    folder.mkdir(exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        every = kept(table, folder) | cells
        lines = [json.dumps({"cell": name, **every[name]}, ensure_ascii=False) + "\n" for name in sorted(every)]
        beside = folder / f".{table}.staged"
        beside.write_text("".join(lines), "utf-8")
        beside.replace(folder / f"{table}.jsonl")
    finally:
        os.close(lock)
