"""The pieces of an append-only table: in what order they are read, and how many small ones become one.

A pointer's name says which additions it stands for and which sessions they hold, so that a list of
names is enough to know what to open:

    segments/00000033-<address>-20180102-20180103.json            the 33rd addition
    segments/00000001.00000032-<address>-20171101-20171229.json   the first 32, as one content

What was added stays as it was added, row by row and in its order; only the files become fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.store.parts import Bounds

__all__ = ["MERGED_AT_ONCE", "Segment", "live_segments", "mergeable", "segment_name", "superseded"]

MERGED_AT_ONCE = 32
"""So many neighbours that stand for equally many additions become one."""


@dataclass(frozen=True, order=True)
class Segment:
    """A pointer to additions ``first`` to ``last``, counted from 1."""

    first: int
    last: int
    path: Path

    @property
    def address(self) -> str:
        """Address of its content."""
        return self.path.stem.split("-")[1]

    @property
    def additions(self) -> int:
        """How many additions it stands for."""
        return self.last - self.first + 1

    def meets(self, bounds: Bounds) -> bool:
        """Whether it may hold a session asked for."""
        span = self.path.stem.split("-")[2:]
        return len(span) != 2 or bounds.meet(*span)


def segment_name(first: int, last: int, address: str, frame: pd.DataFrame) -> str:
    """Name of the pointer to a frame that holds additions ``first`` to ``last``."""
    place = f"{first:08d}" if first == last else f"{first:08d}.{last:08d}"
    return f"{place}-{address}{_span(frame)}.json"


def _span(frame: pd.DataFrame) -> str:
    """First and last session; nothing where a row has none."""
    sessions = frame["session"] if "session" in frame.columns else pd.Series(dtype="datetime64[ns]")
    whole = pd.api.types.is_datetime64_dtype(sessions) and len(sessions) > 0 and not sessions.isna().any()
    return f"-{sessions.min():%Y%m%d}-{sessions.max():%Y%m%d}" if whole else ""


def _all(folder: Path) -> Iterator[Segment]:
    for path in (folder / "segments").glob("[0-9]*.json"):
        first, _, last = path.stem.split("-")[0].partition(".")
        yield Segment(int(first), int(last or first), path)


def live_segments(folder: Path) -> list[Segment]:
    """Segments in the order of their additions, without those that a wider one stands for."""
    found: list[Segment] = []
    for segment in sorted(_all(folder), key=lambda each: (each.first, -each.last)):
        if not found or segment.last > found[-1].last:
            found.append(segment)
    return found


def superseded(folder: Path) -> list[Segment]:
    """Segments that a wider one stands for."""
    live = set(live_segments(folder))
    return sorted(segment for segment in _all(folder) if segment not in live)


def mergeable(segments: list[Segment]) -> list[Segment]:
    """The newest segments, if they are enough that stand for equally many additions; else none."""
    newest = segments[-MERGED_AT_ONCE:]
    alike = len(newest) == MERGED_AT_ONCE and len({segment.additions for segment in newest}) == 1
    return newest if alike else []
