"""What a live session adds to the ledger of a home of many symbols, table by table, and how large its page is.

``python -m tests.benchmarks.ledger_at_size FOLDER [SYMBOLS]`` makes the home of :mod:`tests.benchmarks.round_at_size`
in FOLDER where there is none, decides its live sessions with ``nn-assets run``, and tells for each what came: bytes and
rows by table and index, free pages left out, the file not vacuumed; and the bytes of the lake and of the page.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tests.benchmarks.round_at_size import NAME, command, live_sessions, make_home

SYMBOLS = 500


def sizes(file: Path) -> dict[str, tuple[int, int]]:
    """Bytes of the pages in use and rows, by table or index (which has no rows of its own)."""
    with closing(sqlite3.connect(file)) as connection:
        used = dict(connection.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"))
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in tables}
    return {name: (size, rows.get(name, 0)) for name, size in used.items()}


def growth(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """What came, the largest first."""
    came = {
        name: (size - before.get(name, (0, 0))[0], rows - before.get(name, (0, 0))[1])
        for name, (size, rows) in after.items()
    }
    return {name: came[name] for name in sorted(came, key=lambda name: -came[name][0]) if came[name] != (0, 0)}


def main() -> None:
    """Make the home, decide its sessions, tell what each added."""
    home, words = Path(sys.argv[1]), sys.argv[2:]
    make_home(home, int(words[0]) if words else SYMBOLS)
    before = sizes(home / "ledger.sqlite")
    for session in live_sessions():
        in_lake = bytes_in(home / "lake")
        spent = command(home, "run", "--strategy", NAME, "--session", session)
        after = sizes(home / "ledger.sqlite")
        came = growth(before, after)
        page = (home / "reports" / f"{NAME}-{session}.html").stat().st_size
        size, rows = (sum(column) for column in zip(*came.values(), strict=True))
        stored = bytes_in(home / "lake") - in_lake
        print(f"{session}: ledger {size:,} bytes, {rows:,} rows; page {page:,} bytes; lake {stored:,} bytes")
        print(f"  {spent:.1f} s of processor time", flush=True)
        print("\n".join(f"  {name:40} {size:>10,} {rows:>6,}" for name, (size, rows) in came.items()), flush=True)
        before = after


def bytes_in(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
