"""Frames stored once, in Parquet, under the hash of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.content import frame_hash
from nn_assets.store.files import file_sha256, read_record, replace_file, write_record

__all__ = ["Pointer", "Selection", "absent", "damaged", "load_frame", "store_frame"]


class Selection(TypedDict, total=False):
    """Which part of a frame to read: some columns, sessions from first to last, what was known by then."""

    columns: Sequence[str] | None
    first: object
    last: object
    as_of: object


@dataclass(frozen=True)
class Pointer:
    """Where content is, how many rows it has, and which addresses it took the place of."""

    address: str
    rows: int
    earlier: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Pointer | None:
        """Read a pointer; None when there is no such file.

        Raises
        ------
        PublicationError
            The file is no pointer.
        """
        record = read_record(path)
        if record is None:
            return None
        try:
            earlier = tuple(str(each) for each in record.get("earlier", ()))
            return cls(str(record["address"]), int(record["rows"]), earlier)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, f"a record with {', '.join(sorted(record)) or 'nothing in it'}") from error

    def to_record(self) -> dict[str, Any]:
        """Return the pointer as a JSON record."""
        record: dict[str, Any] = {"address": self.address, "rows": self.rows}
        return record | ({"earlier": list(self.earlier)} if self.earlier else {})


def store_frame(folder: Path, frame: pd.DataFrame) -> Pointer:
    """Store a frame under its content's hash, unless it is there already and undamaged.

    Parameters
    ----------
    folder : Path
        Made when absent.
    frame : DataFrame, shape (rows, columns)
        Column types and row order are kept to the bit.

    Raises
    ------
    SchemaError
        The frame has an index that would be lost, a column named twice, or a type without a canonical form.
    """
    if not isinstance(frame.index, pd.RangeIndex):
        raise SchemaError(
            expected="a frame with the default index",
            found=f"an index {frame.index.names} of {type(frame.index).__name__}",
            remedy="call reset_index first: an index is not stored",
        )
    if not frame.columns.is_unique or not all(isinstance(name, str) for name in frame.columns):
        raise SchemaError(
            expected="columns named by different texts",
            found=f"{list(frame.columns)}",
            remedy="rename the columns",
        )
    address = frame_hash(frame)
    path = folder / f"{address}.parquet"
    if not _undamaged(folder, address):
        with replace_file(path) as staged:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), staged, compression="zstd")
        write_record(_manifest_path(folder, address), {"sha256": file_sha256(path), "rows": len(frame)})
    return Pointer(address, len(frame))


def _manifest_path(folder: Path, address: str) -> Path:
    return folder / f"{address}.manifest.json"


def _undamaged(folder: Path, address: str) -> bool:
    try:
        _demand_undamaged(folder, address)
    except PublicationError:
        return False
    return True


def _demand_undamaged(folder: Path, address: str) -> None:
    """Compare the file with the manifest that was written after it; without one it was never finished."""
    path = folder / f"{address}.parquet"
    manifest = read_record(_manifest_path(folder, address))
    if manifest is None or not path.exists():
        raise absent(expected="the table's content", file=str(path))
    found, written = file_sha256(path), str(manifest.get("sha256"))
    if found != written:
        raise damaged(path, f"SHA-256 {found[:12]}… where {written[:12]}… was written")


def load_frame(folder: Path, address: str, selection: Selection) -> pd.DataFrame:
    """Read a stored frame, or part of it, after checking that the file is the one that was written.

    Raises
    ------
    PublicationError
        The file is missing or damaged.
    SchemaError
        The selection names a column that the frame lacks.
    """
    path = folder / f"{address}.parquet"
    _demand_undamaged(folder, address)
    try:
        return _read(path, selection)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _read(path: Path, selection: Selection) -> pd.DataFrame:
    bounds: list[tuple[str, str, Any]] = []
    for name, column, comparison in (
        ("first", "session", ">="),
        ("last", "session", "<="),
        ("as_of", "known_at", "<="),
    ):
        if (bound := selection.get(name)) is not None:
            bounds.append((column, comparison, pd.Timestamp(bound)))
    chosen = selection.get("columns")
    stored = set(pq.read_schema(path).names)
    missing = sorted({*(chosen or ()), *(column for column, _, _ in bounds)} - stored)
    if missing:
        raise SchemaError(
            expected=f"columns of {', '.join(sorted(stored))}",
            found=", ".join(missing),
            remedy="ask for columns that the table has; first and last need session, as_of known_at",
            file=str(path),
        )
    columns = None if chosen is None else list(chosen)
    frame: pd.DataFrame = pq.read_table(path, columns=columns, filters=bounds or None).to_pandas()
    return frame


def absent(*, expected: str, **where: object) -> PublicationError:
    """Return the error for content that was never stored, or is gone."""
    return PublicationError(
        expected=expected,
        found="nothing stored",
        remedy="materialise what is missing first",
        **where,
    )


def damaged(path: Path, found: str) -> PublicationError:
    """Return the error for a file that is not what was written."""
    return PublicationError(
        expected="the file as it was written",
        found=found,
        remedy="delete the damaged file and materialise the table again",
        file=str(path),
    )
