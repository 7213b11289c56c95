"""What was asked of a table, what it found, and whether that is enough; the page begins with these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WORDS = {True: "met", False: "**missed**", None: "under way"}


@dataclass(frozen=True)
class Target:
    """One demand; ``met`` is None as long as panels that could decide it are missing."""

    asked: str
    measured: str
    met: bool | None


def of_count(
    asked: str, measured: str, count: int, of: int, asked_of: int, *, at_least: int = 0, at_most: int = -1
) -> Target:
    """A count of panels against its bound; decided early where the panels still missing cannot change it.

    What lies exactly at its bound once all is measured says so, unless the bound is none or all of them.
    """
    left = asked_of - of
    if at_most >= 0:
        met = False if count > at_most else True if count + left <= at_most else None
    else:
        met = True if count >= at_least else False if count + left < at_least else None
    at_bound = left == 0 and count == (at_most if at_most >= 0 else at_least) and 0 < count < asked_of
    return Target(asked, f"{measured}, no margin" if at_bound else measured, met)


def table(by_title: Sequence[tuple[str, Sequence[Target]]]) -> str:
    """All targets, those missed first."""
    rows = [(title, target) for title, targets in by_title for target in targets]
    rows.sort(key=lambda row: (row[1].met is not False, row[1].met is not None))
    lines = [f"| {WORDS[target.met]} | {title} | {target.asked} | {target.measured} |" for title, target in rows]
    missed = sum(target.met is False for _, target in rows)
    waiting = sum(target.met is None for _, target in rows)
    head = f"{len(rows) - missed - waiting} of {len(rows)} targets are met, {missed} missed"
    head += f", {waiting} under way. " if waiting else ". "
    return "\n".join(
        [
            f"{head}Why a target is missed, what was tried and what remains stands with its table.",
            "",
            "| | table | asked | found |",
            "| --- | --- | --- | --- |",
            *lines,
        ]
    )
