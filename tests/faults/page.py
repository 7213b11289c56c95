"""docs/faults.md, from what was measured: a row for each write point and each fault, a cell for each kill."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.ends import MORE, WORDS
from tests.faults.faulted import FAULTS
from tests.faults.results import FOLDER, kept

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
KILLS = ("before", "during", "after", "twice")
NOT_YET = "not measured"
STEPS = {
    "account": "the look after the account within the session (schedule, or `nn-assets account sync`)",
    "intake": "bars in, cleaned, published, features made (the first part of `nn-assets run`)",
    "round": "the session decided, anchored, on its page, its orders sent (the second part of `nn-assets run`)",
    "cancel": "the end of every order asked for (`nn-assets account cancel`)",
    "accept": "the desk holds what the books do not: named, then accepted (`nn-assets account accept`)",
    "halt": "the kill switch (`nn-assets control kill-switch`)",
}
HEAD = """# Kills and faults

Written by `make faults` from `tests/faults/results`; not to be edited. What a process does to a home, a ledger, an
account and their anchor in a day of a strategy that trades at a desk's files, killed at each write, and with things
broken under it.

A kill is SIGKILL: nothing of the process runs after it. `before` is at the write, nothing of it done; `during` is
within it (the file half written, the line cut, the database's transaction open); `after` is once it is done (the file
under its name, the transaction committed), before anything else. `twice` is the process killed, started again, and
killed again at the same place where it comes there again. A power cut, which may lose what the disk has not flushed,
was not tried.

In every cell measured: **nothing is lost** (each row and file that was there is there, and the rows of a transaction
are all there or none), the next step is to give the same command again, and the end is that of a day never killed: the
same fills, positions, decisions, orders at the desk and alerts, each once. The clock stands still in these days, so
that the ends can be compared. How far they are the same is in the cell; any other difference fails:
"""
FAULTS_HEAD = """What a command says first where it stops, what status says first while the fault lasts, what the alerts
of it name, and what was done, after which rows and files were those of a day without the fault, as far as the last
column says: as above, or

{more}

`ROOT` is the folder of home, desk and anchor, `HASH` a hash. A full disk is a process that may write no more: what
SQLite says of a disk that is truly full is "database or disk is full". That orders, fills and books are right where a
venue drops, doubles and delays what it says is measured in `tests/brokers/kills.py`.
"""
NO_WRITE, NO_WRITE_TEXT = "-", "the point has no write of its own before the next one."
_HASH = re.compile(r"[0-9a-f]{12,}")


def text() -> str:
    """The page."""
    points, killed, faults = kept("points"), kept("killed"), kept("faulted")
    cells = [f"{point} | {moment}" for point, about in points.items() for moment in about["kills"]]
    done = sum(cell in killed for cell in cells)
    mended = sum(fault.name in faults for fault in FAULTS)
    measured = (
        f"Measured: {done} of {len(cells)} kills at {len(points)} write points, {mended} of {len(FAULTS)} faults.\n"
    )
    parts = [HEAD, _legend(WORDS | {NO_WRITE: NO_WRITE_TEXT}), "", measured]
    parts.append("## Write points\n")
    for step, words in STEPS.items():
        chosen = {name: about for name, about in points.items() if name.split(" | ")[0] == step}
        rows = [
            _point_row(name, about, killed) for name, about in sorted(chosen.items(), key=lambda at: at[1]["order"])
        ]
        parts += [f"### {step}: {words}\n", *_said_after(chosen, killed), _table(("write point", *KILLS), rows)]
    parts += [
        "## Faults\n",
        FAULTS_HEAD.format(more=_legend(MORE)),
    ]
    parts.append(
        _table(
            ("fault", "step", "what the operator sees", "next step", "at the end"),
            [_fault_row(fault.name, fault.step, faults.get(fault.name)) for fault in FAULTS],
        )
    )
    return "\n".join(parts)


def _point_row(name: str, about: Mapping[str, Any], killed: Mapping[str, Any]) -> tuple[str, ...]:
    cells = []
    for moment in KILLS:
        cell = killed.get(f"{name} | {moment}")
        cells.append(NO_WRITE if moment not in about["kills"] else NOT_YET if cell is None else ", ".join(cell["same"]))
    return (f"`{name.split(' | ')[1]}`", *cells)


def _legend(words: Mapping[str, str]) -> str:
    """What each word means, a line of the list for each."""
    return "\n".join(
        textwrap.fill(f"- **{word}**: {text}", 120, subsequent_indent="  ", break_on_hyphens=False)
        for word, text in words.items()
    )


def _said_after(points: Mapping[str, Any], killed: Mapping[str, Any]) -> Iterable[str]:
    """What status says first after a kill of a step, each sentence once with where it was said."""
    said: dict[str, list[str]] = {}
    for name, about in sorted(points.items(), key=lambda at: at[1]["order"]):
        for moment in about["kills"]:
            if (cell := killed.get(f"{name} | {moment}")) is not None:
                said.setdefault(cell["says"], []).append(f"{moment} `{name.split(' | ')[1]}`")
    commands = sorted({cell["next"] for name, cell in killed.items() if name.rpartition(" | ")[0] in points})
    yield from (f"Next step: `{command}`.\n" for command in commands)
    for sentence, places in said.items():
        where = f"{len(places)} kills" if len(places) > 2 else " and ".join(places)
        yield f"Status says first, after {where}:\n\n> {sentence}\n"


def plain(text: str) -> str:
    """A sentence without what is another one in each home."""
    return _HASH.sub("HASH", text)


def _fault_row(name: str, step: str, cell: Mapping[str, Any] | None) -> tuple[str, ...]:
    if cell is None:
        return name, step, NOT_YET, NOT_YET, NOT_YET
    stops = f"stops: {cell['raises']}" if cell["raises"] else "goes on"
    status = [f"status: {cell['says']}"] if cell["says"] else []
    sees = "<br>".join([stops, *status, *(f"alert: {cause}" for cause in cell["alerts"])])
    return name, step, plain(sees).replace("|", "\\|"), cell["next"], ", ".join(cell["same"])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write() -> None:
    """Write the page."""
    PAGE.write_text(text(), "utf-8")


__all__ = ["FOLDER", "NOT_YET", "PAGE", "text", "write"]
