"""The pieces of an append-only table: in what order they are read, and how many small ones become one.

A pointer's name says which additions it stands for and which sessions they hold, so that a list of
names is enough to know what to open, whatever became of what the pointers hold:

    segments/00000033-<address>-20180102-20180103.json            the 33rd addition
    segments/00000001.00000032-<address>-20171101-20171229.json   the first 32, as one content

What was added stays as it was added, row by row and in its order; only the files become fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.store.lake.blobs import file_addresses, forget_frame, gone, load_frame, store_frame
from nn_assets.store.lake.files import listed, write_record
from nn_assets.store.lake.parts import Bounds, Selection

__all__ = ["MERGED_AT_ONCE", "Segment", "joined", "live_segments", "merge", "segment_name", "superseded"]

MERGED_AT_ONCE = 32
"""So many neighbours that stand for equally many additions become one."""

_NAME = re.compile(r"([0-9]{8,})(?:\.([0-9]{8,}))?-[0-9a-f]{64}(?:-[0-9]{8}-[0-9]{8})?\.json")


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
    for path in listed(folder / "segments"):
        if named := _NAME.fullmatch(path.name):
            first, last = named.groups()
            yield Segment(int(first), int(last or first), path)


def live_segments(folder: Path) -> list[Segment]:
    """Segments in the order of their additions, without those that a wider one stands for.

    Raises
    ------
    PublicationError
        The pointer to an addition before the last is gone.
    """
    found: list[Segment] = []
    for segment in sorted(_all(folder), key=lambda each: (each.first, -each.last)):
        if not found or segment.last > found[-1].last:
            due = found[-1].last + 1 if found else 1
            if segment.first > due:
                raise gone(folder / "segments" / f"{due:08d}-….json", f"addition {due} to {folder.name}")
            found.append(segment)
    return found


def superseded(folder: Path) -> list[Segment]:
    """Segments that a wider one stands for."""
    live = set(live_segments(folder))
    return sorted(segment for segment in _all(folder) if segment not in live)


def joined(folder: Path, addresses: Sequence[str], selection: Selection) -> pd.DataFrame:
    """Read several frames as one, in their order."""
    parts = [load_frame(folder, each, selection) for each in addresses]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def merge(folder: Path) -> None:
    """Make one of the newest segments when they are many. The caller holds the folder alone.

    Those it stands for are passed over from then on, and removed at the next merge: a reader that listed
    them just before still finds them.
    """
    while newest := _mergeable(live_segments(folder)):
        old = superseded(folder)
        frame = joined(folder, [segment.address for segment in newest], {})
        pointer = store_frame(folder, frame)
        name = segment_name(newest[0].first, newest[-1].last, pointer.address, frame)
        write_record(folder / "segments" / name, pointer.to_record())
        in_use = {file for segment in live_segments(folder) for file in file_addresses(folder, segment.address)}
        for segment in old:
            segment.path.unlink(missing_ok=True)
            if segment.address not in in_use:
                forget_frame(folder, segment.address)


def _mergeable(segments: list[Segment]) -> list[Segment]:
    """The newest segments, if they are enough that stand for equally many additions; else none."""
    newest = segments[-MERGED_AT_ONCE:]
    alike = len(newest) == MERGED_AT_ONCE and len({segment.additions for segment in newest}) == 1
    return newest if alike else []
