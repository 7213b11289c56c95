"""The pieces of an append-only table: in what order they are read, and how many small ones become one.

A pointer's name says which additions it covers and which sessions they hold, so that a list of
names is enough to know what to open, whatever happened to what the pointers hold:

    segments/00000033-<address>-20180102-20180103.json            the 33rd addition
    segments/00000001.00000032-<address>-20171101-20171229.json   the first 32, as one content
    additions.json                                                the names of those to be read

What was added stays as it was added, row by row and in its order; only the files become fewer. The list is
written after each pointer: a process killed between the two leaves an addition that is there and not listed,
never one that is listed and not there. A table of an earlier version has no list before its next addition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.store.lake.blobs import Pointer, file_addresses, forget_frame, gone, load_frame, store_frame
from nn_assets.store.lake.files import exists, listed, read_record, store_of, write_record
from nn_assets.store.lake.parts import Bounds, Selection
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.values import hash_of

MERGED_AT_ONCE = 32
"""So many neighbours that cover equally many additions become one."""

_LIST = "additions.json"
_NAME = re.compile(r"([0-9]{8,})(?:\.([0-9]{8,}))?-[0-9a-f]{64}(?:-[0-9]{8}-[0-9]{8})?\.json")


@dataclass(frozen=True, order=True)
class Segment:
    """A pointer to additions ``first`` to ``last``, counted from 1."""

    first: int
    last: int
    path: BlobPath

    @classmethod
    def of(cls, path: BlobPath) -> Segment | None:
        """What a pointer's name says; None where the name is not a pointer's."""
        named = _NAME.fullmatch(path.name)
        return named and cls(int(named[1]), int(named[2] or named[1]), path)

    @property
    def address(self) -> str:
        """Address of its content."""
        return self.path.stem.split("-")[1]

    @property
    def additions(self) -> int:
        """How many additions it covers."""
        return self.last - self.first + 1

    @property
    def rows(self) -> int:
        """How many rows it holds, by what its pointer says."""
        pointer = Pointer.read(self.path)
        if pointer is None:
            raise gone(self.path, "the pointer to an addition")
        return pointer.rows

    def meets(self, bounds: Bounds) -> bool:
        """Whether it may hold a session asked for."""
        span = self.path.stem.split("-")[2:]
        return len(span) != 2 or bounds.meet(*span)


def segment_name(first: int, last: int, address: str, frame: pd.DataFrame) -> str:
    """Name of the pointer to a frame that holds additions ``first`` to ``last``."""
    additions = f"{first:08d}" if first == last else f"{first:08d}.{last:08d}"
    return f"{additions}-{address}{_span(frame)}.json"


def _span(frame: pd.DataFrame) -> str:
    """First and last session; nothing where a row has none."""
    sessions = frame["session"] if "session" in frame.columns else pd.Series(dtype="datetime64[ns]")
    whole = pd.api.types.is_datetime64_dtype(sessions) and len(sessions) > 0 and not sessions.isna().any()
    return f"-{sessions.min():%Y%m%d}-{sessions.max():%Y%m%d}" if whole else ""


def _all(folder: BlobPath) -> Iterator[Segment]:
    return filter(None, map(Segment.of, listed(folder / "segments")))


def live_segments(folder: BlobPath) -> list[Segment]:
    """Segments in the order of their additions, without those that a wider one covers.

    Raises
    ------
    PublicationError
        The pointer to an addition is gone, or the list of them is damaged. Without a list, which earlier versions
        did not write, the newest ones are not missed.
    """
    expected = _listed(folder)  # before the folder is: an addition and a merger may come between the two
    on_list = {segment.path.name for segment in expected}
    there = sorted(_all(folder), key=lambda segment: (segment.first, -segment.last, segment.path.name not in on_list))
    live: list[Segment] = []
    for segment in there:
        if not live or segment.last > live[-1].last:
            due = live[-1].last + 1 if live else 1
            if segment.first > due:
                raise _gone(folder, due, expected)
            live.append(segment)
    last = live[-1].last if live else 0
    if expected and expected[-1].last > last:
        raise _gone(folder, last + 1, expected)
    present = {segment.path.name for segment in there}
    read = {(segment.first, segment.last) for segment in live}
    for segment in expected:
        if segment.path.name not in present and (segment.first, segment.last) in read:
            raise _gone(folder, segment.first, [segment])  # another pointer lies in its place
    return live


def _gone(folder: BlobPath, addition: int, expected: list[Segment]) -> PublicationError:
    """Return the error for an addition without a pointer, named as the list has it."""
    named = [segment.path for segment in expected if segment.first <= addition <= segment.last]
    path = named[0] if named else folder / "segments" / f"{addition:08d}-….json"
    return gone(path, f"addition {addition} to {folder.name}")


def _listed(folder: BlobPath) -> list[Segment]:
    """The segments that were there when the list was written; none where there is no list."""
    path = folder / _LIST
    try:
        record = read_record(path)
    except PublicationError as error:
        raise _damaged_list(path, error.found) from error
    if record is None:
        return []
    names = record.get("segments")
    if not isinstance(names, list) or record.get("sha256") != hash_of(names):
        raise _damaged_list(path, "other content than its hash says")
    return list(filter(None, (Segment.of(folder / "segments" / name) for name in names)))


def has_list(folder: BlobPath) -> bool:
    """Whether a table has a list of its additions, which may be empty."""
    return exists(folder / _LIST)


def list_segments(folder: BlobPath) -> None:
    """Put on the list what is to be read now. The caller holds the folder alone."""
    names = [segment.path.name for segment in live_segments(folder)]
    if not has_list(folder) or names != [segment.path.name for segment in _listed(folder)]:
        write_record(folder / _LIST, {"segments": names, "sha256": hash_of(names)})


def _damaged_list(path: BlobPath, found: str) -> PublicationError:
    return PublicationError(
        expected="the list of a table's additions as it was written",
        found=found,
        remedy="restore it from a backup, or move it away: the next addition writes it again, of the pointers in "
        "segments/ (until then the newest of them, were it gone too, would not be missed)",
        file=str(path),
    )


def superseded(folder: BlobPath) -> list[Segment]:
    """Segments that a wider one covers."""
    live = set(live_segments(folder))
    return sorted(segment for segment in _all(folder) if segment not in live)


def joined(folder: BlobPath, addresses: Sequence[str], selection: Selection) -> pd.DataFrame:
    """Read several frames as one, in their order."""
    parts = [load_frame(folder, address, selection) for address in addresses]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def merge(folder: BlobPath) -> bool:
    """Make one of the newest segments when they are many; whether any was made. The caller holds the folder alone.

    Those it covers are passed over from then on, and removed at the next merge: a reader that listed
    them just before still finds them.
    """
    merged = False
    while newest := _mergeable(live_segments(folder)):
        merged = True
        old = superseded(folder)
        frame = joined(folder, [segment.address for segment in newest], {})
        pointer = store_frame(folder, frame)
        name = segment_name(newest[0].first, newest[-1].last, pointer.address, frame)
        write_record(folder / "segments" / name, pointer.to_record())
        in_use = {file for segment in live_segments(folder) for file in file_addresses(folder, segment.address)}
        for segment in old:
            store_of(segment.path).remove(segment.path)
            if segment.address not in in_use:
                forget_frame(folder, segment.address)
    return merged


def _mergeable(segments: list[Segment]) -> list[Segment]:
    """The newest segments, if enough of them cover equally many additions; else none."""
    newest = segments[-MERGED_AT_ONCE:]
    alike = len(newest) == MERGED_AT_ONCE and len({segment.additions for segment in newest}) == 1
    return newest if alike else []
