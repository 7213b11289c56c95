"""Long frames of bars in parts by quarter, and what of them is read for some sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nn_assets.arrays import Moment, Session
from nn_assets.errors import SchemaError
from nn_assets.store.lake.files import store_of
from nn_assets.store.lake.port import BlobPath

_MISSING = np.iinfo(np.int64).max
_MONDAY = 3  # days from the Monday before the epoch to the epoch
_WHOLE_ROWS = 100_000  # up to here one file is read as fast as a part of it


class Selection(TypedDict, total=False):
    """Which part of a frame to read: some columns, sessions from first to last or listed, what was known by then."""

    columns: Sequence[str] | None
    first: Session | None
    last: Session | None
    as_of: Moment
    sessions: pd.DatetimeIndex | None


@dataclass(frozen=True)
class Part:
    """Rows of one quarter, in the order of the whole; first and last session as ISO days."""

    frame: pd.DataFrame
    first: str
    last: str


@dataclass(frozen=True)
class Parts:
    """A frame cut by quarters. ``order``: of its rows, ``symbol`` (then session) or ``session``."""

    order: str
    frame: pd.DataFrame
    quarter: npt.NDArray[np.int64]  # (rows,)

    def __iter__(self) -> Iterator[Part]:
        by_quarter = np.argsort(self.quarter, kind="stable")
        cuts = np.flatnonzero(np.diff(self.quarter[by_quarter])) + 1
        for indices in np.split(by_quarter, cuts):
            frame = self.frame.take(np.sort(indices)).reset_index(drop=True)
            sessions = frame["session"]
            yield Part(frame, str(sessions.min().date()), str(sessions.max().date()))


_LAST_OF_A_DAY = pd.Timedelta(days=1) - pd.Timedelta(1, "ns")


def is_long(rows: int) -> bool:
    """Whether so many rows are kept in parts."""
    return rows > _WHOLE_ROWS


def spans(sessions: pd.DatetimeIndex, last: pd.Timestamp) -> npt.NDArray[np.int64]:
    """The span of days that a growing table keeps each session in, by its first day since the epoch, (sessions,).

    A quarter that has ended is one span; of the quarter of ``last``, the newest session, so is each week (from Monday)
    that has ended, and of its week each day: a new session adds a span, and what is older stays or becomes one.
    """
    days = sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
    newest = np.datetime64(last, "D").astype(np.int64)
    quarter, week = _quarter_starts(days), (days + _MONDAY) // 7 * 7 - _MONDAY
    in_quarter = quarter == _quarter_starts(newest)
    in_week = in_quarter & (week == (newest + _MONDAY) // 7 * 7 - _MONDAY)
    return np.where(in_week, days, np.where(in_quarter, np.maximum(week, quarter), quarter))


def _quarter_starts(days: Any) -> npt.NDArray[np.int64]:
    months = np.asarray(days).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    starts = (months // 3 * 3).astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(starts.astype(np.int64))


def split(frame: pd.DataFrame) -> Parts | None:
    """Cut a frame into parts; None for one that is short, or in an order that parts would lose."""
    if not is_long(len(frame)) or not {"symbol", "session"} <= set(frame.columns):
        return None
    sessions = frame["session"]
    if not pd.api.types.is_datetime64_dtype(sessions) or sessions.isna().any():
        return None
    days = sessions.to_numpy().astype("datetime64[D]")
    quarter = days.astype("datetime64[M]").astype(np.int64) // 3
    if (quarter == quarter[0]).all():
        return None
    if (days[1:] >= days[:-1]).all():
        return Parts("session", frame, quarter)
    symbols = _ranks(frame["symbol"])
    grows = (symbols[1:] > symbols[:-1]) | ((symbols[1:] == symbols[:-1]) & (days[1:] >= days[:-1]))
    return Parts("symbol", frame, quarter) if grows.all() else None


def _ranks(symbols: pd.Series) -> npt.NDArray[np.int64]:
    return pd.factorize(symbols, sort=True)[0].astype(np.int64)


@dataclass(frozen=True)
class Bounds:
    """Sessions and moments that a selection asks for."""

    first: pd.Timestamp | None
    last: pd.Timestamp | None
    as_of: pd.Timestamp | None
    sessions: pd.DatetimeIndex | None

    @classmethod
    def of(cls, selection: Selection) -> Bounds:
        """Bounds that a selection states; None for those it leaves open."""
        first, last, as_of = (
            None if bound is None else pd.Timestamp(bound)
            for bound in (selection.get("first"), selection.get("last"), selection.get("as_of"))
        )
        sessions = selection.get("sessions")
        return cls(first, last, as_of, None if sessions is None else sessions.as_unit("ns").sort_values())

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that must be read to keep the bounds."""
        by_session = any(bound is not None for bound in (self.first, self.last, self.sessions))
        return ("session",) * by_session + ("known_at",) * (self.as_of is not None)

    def meet(self, first: str, last: str) -> bool:
        """Whether a session asked for lies from ``first`` to ``last``."""
        low, high = pd.Timestamp(first), pd.Timestamp(last) + _LAST_OF_A_DAY  # days, of bars within them too
        if (self.first is not None and high < self.first) or (self.last is not None and low > self.last):
            return False
        if self.sessions is None:
            return True
        return bool(self.sessions.searchsorted(low, side="left") < self.sessions.searchsorted(high, side="right"))

    def keep(self, table: pa.Table) -> pa.Table:
        """Rows within the bounds."""
        kept = np.ones(len(table), dtype=bool)
        if "session" in self.columns:
            days = _nanoseconds(table, "session")
            kept &= days != _MISSING
            if self.first is not None:
                kept &= days >= self.first.value
            if self.last is not None:
                kept &= days <= self.last.value
            if self.sessions is not None:
                kept &= np.isin(days, self.sessions.asi8)
        if self.as_of is not None:
            kept &= _nanoseconds(table, "known_at") <= self.as_of.tz_convert("UTC").value
        return table if kept.all() else table.filter(pa.array(kept))


def _nanoseconds(table: pa.Table, column: str) -> npt.NDArray[np.int64]:
    nanoseconds = table[column].cast(pa.timestamp("ns", table[column].type.tz)).cast(pa.int64())
    return np.asarray(nanoseconds.fill_null(_MISSING).to_numpy())


def read_files(
    paths: Sequence[BlobPath], selection: Selection, bounds: Bounds, *, order: str | None = None
) -> pd.DataFrame:
    """Read the rows and columns selected from the files of one frame, in the frame's own order.

    Raises
    ------
    SchemaError
        The selection names a column that the frame lacks.
    """
    with pq.ParquetFile(store_of(paths[0]).open(paths[0])) as first:
        stored = first.schema_arrow.names
    chosen = selection.get("columns")
    missing = sorted({*(chosen or ()), *bounds.columns} - set(stored))
    if missing:
        raise SchemaError(
            expected=f"columns of {', '.join(sorted(stored))}",
            found=", ".join(missing),
            remedy="ask for columns that the table has; first, last and sessions need session, as_of known_at",
            file=str(paths[0]),
        )
    columns = None if chosen is None else list(chosen)
    by_symbol = ("symbol",) if order == "symbol" and len(paths) > 1 else ()
    read_columns = None if columns is None else list(dict.fromkeys((*columns, *bounds.columns, *by_symbol)))
    table = pa.concat_tables([bounds.keep(_read(path, read_columns)) for path in paths])
    if by_symbol:
        table = table.take(pa.array(np.argsort(_symbol_ranks(table), kind="stable")))
    frame: pd.DataFrame = (table if columns is None else table.select(columns)).to_pandas()
    return frame


def _read(path: BlobPath, columns: list[str] | None) -> pa.Table:
    with pq.ParquetFile(store_of(path).open(path)) as file:
        return file.read(columns=columns, use_threads=False)


def _symbol_ranks(table: pa.Table) -> npt.NDArray[Any]:
    coded = table["symbol"].combine_chunks().dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), dtype=object)
    ranks = np.empty(len(names), dtype=np.int64)
    ranks[np.argsort(names)] = np.arange(len(names))
    codes: npt.NDArray[Any] = ranks[coded.indices.to_numpy()]
    if len(names) < np.iinfo(np.int16).max:
        codes = codes.astype(np.int16)  # sorted by radix
    return codes


def newest_in(path: BlobPath, column: str) -> pd.Timestamp | None:
    """The latest moment in a column of a file, UTC, from what the file says of itself; None where it cannot be read."""
    try:
        stored = pq.read_metadata(store_of(path).open(path))
        column_index = stored.schema.names.index(column)
        groups = [stored.row_group(number).column(column_index) for number in range(stored.num_row_groups)]
        maxima = [
            group.statistics.max for group in groups if group.statistics is not None and group.statistics.has_min_max
        ]
        if len(maxima) < stored.num_row_groups:
            maxima = [_read(path, [column])[column].to_pandas().max()]
    except (OSError, ValueError, pa.ArrowException):
        return None
    moments = [pd.Timestamp(value) for value in maxima if not pd.isna(value)]
    return max((moment if moment.tzinfo else moment.tz_localize("UTC") for moment in moments), default=None)
