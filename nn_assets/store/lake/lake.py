"""The lake: frames in Parquet under one folder. Derived tables can be rebuilt; none is ever half there.

A frame is stored once, under the hash of what it says (its *address*); pointers, small JSON records
switched atomically, say which address a table or a month now has, and which ones it had before.

    <root>/<strategy>/<table>/<address>.parquet              content
    <root>/<strategy>/<table>/current.json                   the table as it is now
    <root>/<strategy>/<table>/months/2017-01.json            the month as it is now
    <root>/<strategy>/<table>/segments/00000001-<address>-20180102-20180103.json
                                                             a piece of an append-only table, and its sessions
    <root>/<strategy>/<table>/additions.json                 the pieces there are, so that a lost one is missed
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.store.lake.blobs import (
    Pointer,
    absent,
    file_addresses,
    gone,
    is_as_written,
    is_undamaged,
    load_frame,
    load_frames,
    store_frame,
    store_list,
)
from nn_assets.store.lake.cubes import load_cube, store_cube
from nn_assets.store.lake.files import (
    content_of,
    exists,
    keep_damaged,
    listed,
    locked,
    safe_name,
    swap_record,
    sweep,
    write_record,
)
from nn_assets.store.lake.parts import Bounds, Selection, newest_in
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.lake.roots import lake_root
from nn_assets.store.lake.segments import (
    has_list,
    joined,
    list_segments,
    live_segments,
    merge,
    segment_name,
    superseded,
)

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_ADDRESS = re.compile(r"[0-9a-f]{64}")


class Lake:
    """A lake under a folder.

    Parameters
    ----------
    root : BlobPath, optional
        The folder; :func:`nn_assets.store.lake.roots.lake_root` when left out. It need not exist yet.
    """

    def __init__(self, root: BlobPath | None = None) -> None:
        self.root: BlobPath = lake_root() if root is None else root

    def folder(self, strategy: str, table: str) -> BlobPath:
        """Folder of a table; it need not exist yet.

        Raises
        ------
        PublicationError
            A name that cannot be a folder's.
        """
        return self.root / safe_name(strategy, "strategy") / safe_name(table, "table")

    # --- whole tables ------------------------------------------------------------------------------

    def write_table(self, strategy: str, table: str, frame: pd.DataFrame) -> str:
        """Replace a table by a frame; what it was stays readable by its address.

        Parameters
        ----------
        frame : DataFrame, shape (rows, columns)
            Stored with its column types and row order, to the bit.

        Returns
        -------
        str
            The address: SHA-256 of the content. Equal frames have equal addresses.

        Raises
        ------
        SchemaError
            The frame has an index that would be lost, or a column without a canonical form.
        """
        folder = self.folder(strategy, table)
        return _point(folder, folder / "current.json", frame)

    def store(self, strategy: str, table: str, frame: pd.DataFrame) -> str:
        """Store a frame without making it the table's current content; its address."""
        return store_frame(self.folder(strategy, table), frame).address

    def read_table(
        self, strategy: str, table: str, address: str | None = None, **selection: Unpack[Selection]
    ) -> pd.DataFrame:
        """Read a table as it is now, or as it was at an address.

        Parameters
        ----------
        address : str, optional
            An address that :meth:`write_table` gave.
        **selection
            ``columns``; ``first`` and ``last`` session, both included; ``sessions`` listed; ``as_of``, a
            UTC moment at or before which ``known_at`` must lie.

        Raises
        ------
        PublicationError
            There is no such table, or its file is missing or damaged.
        SchemaError
            The selection needs a column that the table lacks.
        """
        folder = self.folder(strategy, table)
        if address is not None:
            return load_frame(folder, _checked(_ADDRESS, address, "address"), selection)
        pointer = Pointer.read(folder / "current.json")
        if pointer is None:
            raise absent(expected=f"the table {table}", strategy=strategy, table=table)
        return load_frame(folder, pointer.address, selection)

    def read_parts(
        self, strategy: str, table: str, addresses: Sequence[str], **selection: Unpack[Selection]
    ) -> pd.DataFrame:
        """Read parts of a table as one frame, one after the other; see :meth:`read_table`."""
        return load_frames(self.folder(strategy, table), addresses, selection)

    def store_list(self, strategy: str, table: str, parts: Sequence[Mapping[str, str]], rows: int) -> str:
        """Store a frame as the list of its parts, as :func:`.blobs.store_list` does; its address."""
        return store_list(self.folder(strategy, table), parts, rows).address

    def parts(self, strategy: str, table: str, address: str) -> tuple[str, ...]:
        """Addresses of the files that a stored frame lies in: its own, or those of its parts."""
        return file_addresses(self.folder(strategy, table), address)

    def address_of(self, strategy: str, table: str) -> str | None:
        """Address of a table (or cube) as it is now; None when it was never written."""
        pointer = Pointer.read(self.folder(strategy, table) / "current.json")
        return None if pointer is None else pointer.address

    # --- months --------------------------------------------------------------------------------------

    def write_month(self, strategy: str, table: str, month: str, frame: pd.DataFrame) -> str:
        """Write one month (``YYYY-MM``) of a table; what it was stays readable by its address."""
        folder = self.folder(strategy, table)
        return _point(folder, _month_path(folder, month), frame)

    def months(self, strategy: str, table: str) -> tuple[str, ...]:
        """Months that a table has, in order."""
        paths = listed(self.folder(strategy, table) / "months")
        return tuple(path.stem for path in paths if path.suffix == ".json" and _MONTH.fullmatch(path.stem))

    def month_address(self, strategy: str, table: str, month: str) -> str | None:
        """Address of a month as it is now; None when it was never written."""
        try:
            pointer = Pointer.read(_month_path(self.folder(strategy, table), month))
        except PublicationError as error:
            raise self.with_damaged_months(strategy, table, error) from error
        return None if pointer is None else pointer.address

    def with_damaged_months(self, strategy: str, table: str, error: PublicationError) -> PublicationError:
        """The error of a file of a table by month, with every damaged month named and the study that makes them again.

        Where no month's present content is damaged, the error stays as it is.
        """
        folder = self.folder(strategy, table)
        lost = [month for month in self.months(strategy, table) if not _is_whole(folder, month)]
        if not lost:
            return error
        return PublicationError(
            expected=error.expected,
            found=error.found,
            remedy=f"nn-assets study --strategy {strategy} --from {lost[0]} --to {lost[-1]} makes the damaged months "
            f"of {table} again from the stored facts: {', '.join(lost)}",
            strategy=strategy,
            table=table,
            months=", ".join(lost),
            **error.where,
        )

    def read_months(
        self, strategy: str, table: str, months: Iterable[str], **selection: Unpack[Selection]
    ) -> pd.DataFrame:
        """Read several months as one frame, in the order of the months; see :meth:`read_table`.

        Raises
        ------
        PublicationError
            A month is missing, or its file is missing or damaged; all such months are named.
        """
        folder = self.folder(strategy, table)
        ordered = sorted(set(months))
        addresses = {month: self.month_address(strategy, table, month) for month in ordered}
        missing = [month for month, address in addresses.items() if address is None]
        if missing or not ordered:
            named = ", ".join(missing) or "at least one month"
            raise absent(expected=f"{table} for {named}", strategy=strategy, table=table, months=named)
        try:
            return joined(folder, [address for address in addresses.values() if address], selection)
        except PublicationError as error:
            raise self.with_damaged_months(strategy, table, error) from error

    # --- segments ------------------------------------------------------------------------------------

    def append_segment(self, strategy: str, table: str, frame: pd.DataFrame) -> str:
        """Add rows to an append-only table. A segment that is there already is not added again.

        Every so often the newest segments become one, so that reading them all stays cheap.

        Returns
        -------
        str
            The segment's address.
        """
        folder = self.folder(strategy, table)
        with locked(folder):
            pointer = store_frame(folder, frame)
            segments = live_segments(folder)
            if not segments:
                list_segments(folder)  # nothing yet: killed before the first pointer, none is missed
            known_segments = (*segments, *superseded(folder))
            same = [segment for segment in known_segments if segment.address == pointer.address]
            addition = segments[-1].last + 1 if segments else 1
            fresh = folder / "segments" / segment_name(addition, addition, pointer.address, frame)
            path = same[0].path if same else fresh
            if pointer != _before(path):
                write_record(path, pointer.to_record())
            list_segments(folder)
            if merge(folder):
                list_segments(folder)
        return pointer.address

    def additions(self, strategy: str, table: str) -> int:
        """How many segments were ever added to a table."""
        segments = live_segments(self.folder(strategy, table))
        return segments[-1].last if segments else 0

    def segments(self, strategy: str, table: str) -> tuple[str, ...]:
        """Addresses of a table's segments in the order of their adding; old ones may have become one."""
        return tuple(segment.address for segment in live_segments(self.folder(strategy, table)))

    def read_segments(self, strategy: str, table: str, **selection: Unpack[Selection]) -> pd.DataFrame:
        """Read an append-only table, segment after segment in the order of adding; see :meth:`read_table`.

        Segments without a session asked for are not opened.

        Raises
        ------
        PublicationError
            The table has no segment, or one is missing or damaged.
        """
        folder = self.folder(strategy, table)
        segments = live_segments(folder)
        if not segments and exists(folder / "segments") and not has_list(folder):
            raise gone(folder / "segments" / "00000001-….json", f"addition 1 to {table}")
        if not segments:
            raise absent(expected=f"a segment of {table}", strategy=strategy, table=table)
        bounds = Bounds.of(selection)
        met = [segment for segment in segments if segment.meets(bounds)] or segments[:1]
        return joined(folder, [segment.address for segment in met], selection)

    def rows_added(self, strategy: str, table: str) -> int:
        """How many rows were ever added to a table."""
        return sum(segment.rows for segment in live_segments(self.folder(strategy, table)))

    def read_added(self, strategy: str, table: str, after: int) -> pd.DataFrame:
        """The rows added to a table after so many, in the order of adding; no segment of earlier ones alone is opened.

        Raises
        ------
        PublicationError
            A segment is missing or damaged.
        """
        folder = self.folder(strategy, table)
        segments = live_segments(folder)
        ends = np.cumsum([segment.rows for segment in segments], dtype=np.int64)
        first = min(int(np.searchsorted(ends, after, side="right")), len(segments) - 1)
        frame = joined(folder, [segment.address for segment in segments[first:]], {})
        before = int(ends[first]) - segments[first].rows
        return frame.iloc[after - before :].reset_index(drop=True)

    def newest(self, strategy: str, table: str, column: str) -> pd.Timestamp | None:
        """The latest moment, UTC, that a column of an append-only table holds; no row is read where the files say it.

        None where there is no such table, or no file that is as it was written: what reads its rows says so. A
        damaged footer is not parsed: a changed bit of it may end the process.
        """
        folder = self.folder(strategy, table)
        addresses = (file for segment in live_segments(folder) for file in file_addresses(folder, segment.address))
        intact = (address for address in addresses if is_as_written(folder, address))
        moments = [newest_in(folder / f"{address}.parquet", column) for address in intact]
        return max((moment for moment in moments if moment is not None), default=None)

    def strategies(self) -> list[str]:
        """Names under which anything was ever stored, in order."""
        return [path.name for path in listed(self.root) if not path.name.startswith(".") and listed(path)]

    # --- cubes ---------------------------------------------------------------------------------------

    def write_cube(self, strategy: str, table: str, cube: Cube) -> str:
        """Replace a cube of features; what it was stays readable by its address.

        Parameters
        ----------
        cube : Cube, values (bars, symbols, features)
            NaN means missing.

        Returns
        -------
        str
            The address: SHA-256 of the values and their axes.
        """
        folder = self.folder(strategy, table)
        with locked(folder):
            pointer = store_cube(folder, cube)
            _switch(folder / "current.json", pointer)
        return pointer.address

    def read_cube(
        self, strategy: str, table: str, address: str | None = None, names: Sequence[str] | None = None
    ) -> Cube:
        """Read a cube as it is now, or as it was at an address; read-only.

        Parameters
        ----------
        names : sequence of str, optional
            The features to read, those of them that it has; the files of others are not opened.

        Raises
        ------
        PublicationError
            There is no such cube, or a file that is read is missing or damaged.
        """
        folder = self.folder(strategy, table)
        if address is not None:
            return load_cube(folder, _checked(_ADDRESS, address, "address"), names)
        pointer = Pointer.read(folder / "current.json")
        if pointer is None:
            raise absent(expected=f"the cube {table}", strategy=strategy, table=table)
        return load_cube(folder, pointer.address, names)

    def sweep(self, strategy: str) -> int:
        """Remove what killed writers of a strategy left staged more than a day ago; how many there were."""
        return sweep(self.root / safe_name(strategy, "strategy"))


def _point(folder: BlobPath, path: BlobPath, frame: pd.DataFrame) -> str:
    with locked(folder):
        pointer = store_frame(folder, frame)
        _switch(path, pointer)
    return pointer.address


def _switch(path: BlobPath, pointer: Pointer) -> None:
    content, before = content_of(path), _before(path)
    if before is not None and before.address == pointer.address:
        return
    passed = () if before is None else (*before.earlier, before.address)
    earlier = tuple(address for address in dict.fromkeys(passed) if address != pointer.address)
    swap_record(path, Pointer(pointer.address, pointer.rows, earlier).to_record(), content)


def _before(path: BlobPath) -> Pointer | None:
    """The pointer that a new one takes the place of; a damaged one is kept beside."""
    try:
        return Pointer.read(path)
    except PublicationError:
        keep_damaged(path)
        return None


def _is_whole(folder: BlobPath, month: str) -> bool:
    """Whether a month's pointer and the content that it names are there, as they were written."""
    try:
        pointer = Pointer.read(_month_path(folder, month))
    except PublicationError:
        return False
    return pointer is not None and is_undamaged(folder, pointer.address)


def _month_path(folder: BlobPath, month: str) -> BlobPath:
    return folder / "months" / f"{_checked(_MONTH, month, 'month YYYY-MM')}.json"


def _checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise PublicationError(expected=f"a {what}", found=repr(value), remedy=f"name a {what}", value=repr(value))
    return value
