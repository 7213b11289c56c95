"""Frames stored once, in Parquet, under the hash of what they say.

A long frame of bars lies in parts, one a quarter, each stored under its own hash: what is asked for some
sessions is read from their quarters alone, and a frame that grew by a day shares all parts but the last.

    <address>.parquet, <address>.manifest.json    the content, and the SHA-256 of its file
    <address>.manifest.json                       of a frame in parts: their addresses and sessions
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import file_sha256, read_record, replace_file, write_record
from nn_assets.store.lake.parts import Bounds, Part, Selection, read_files, split

__all__ = ["Pointer", "absent", "damaged", "file_addresses", "forget_frame", "load_frame", "store_frame"]


_PART = {"address", "first", "last"}  # what a manifest says of each part


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
    if not _undamaged(folder, address):
        parts = split(frame)
        if parts is None:
            record = _write_file(folder, address, frame)
        else:
            record = {"rows": len(frame), "order": parts.order, "parts": [_stored(folder, part) for part in parts]}
        write_record(_manifest_path(folder, address), record)
    return Pointer(address, len(frame))


def _write_file(folder: Path, address: str, frame: pd.DataFrame) -> dict[str, Any]:
    path = folder / f"{address}.parquet"
    with replace_file(path) as staged:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), staged, compression="zstd")
    return {"sha256": file_sha256(path), "rows": len(frame)}


def _stored(folder: Path, part: Part) -> dict[str, Any]:
    """Store a part like any frame, and say where it is and which sessions it holds."""
    return {"address": store_frame(folder, part.frame).address, "first": part.first, "last": part.last}


def _manifest_path(folder: Path, address: str) -> Path:
    return folder / f"{address}.manifest.json"


def _manifest(folder: Path, address: str) -> dict[str, Any] | None:
    """Read the manifest of a stored frame; None without one.

    Raises
    ------
    PublicationError
        It is no manifest.
    """
    path = _manifest_path(folder, address)
    manifest = read_record(path)
    if manifest is None or ("parts" not in manifest and isinstance(manifest.get("sha256"), str)):
        return manifest
    parts = manifest.get("parts")
    if isinstance(parts, list) and parts and all(isinstance(part, dict) and set(part) >= _PART for part in parts):
        return manifest
    raise damaged(path, f"a record with {', '.join(sorted(manifest)) or 'nothing in it'}")


def _undamaged(folder: Path, address: str) -> bool:
    try:
        _demand_undamaged(folder, address)
    except PublicationError:
        return False
    return True


def _demand_undamaged(folder: Path, address: str, *, of: Bounds | None = None) -> list[Path]:
    """Compare files with the manifests written after them; without one a file was never finished.

    Returns
    -------
    list of Path
        The files that hold the content: of a frame in parts, those with sessions that are asked for.
    """
    path = folder / f"{address}.parquet"
    manifest = _manifest(folder, address)
    if manifest is not None and "parts" in manifest:
        asked = [part for part in manifest["parts"] if of is None or of.meet(part["first"], part["last"])]
        return [file for part in asked for file in _demand_undamaged(folder, part["address"])]
    if manifest is None or not path.exists():
        raise absent(expected="the table's content", file=str(path))
    found, written = file_sha256(path), str(manifest.get("sha256"))
    if found != written:
        raise damaged(path, f"SHA-256 {found[:12]}… where {written[:12]}… was written")
    return [path]


def load_frame(folder: Path, address: str, selection: Selection) -> pd.DataFrame:
    """Read a stored frame, or part of it, after checking that the files are those that were written.

    Raises
    ------
    PublicationError
        A file is missing or damaged.
    SchemaError
        The selection names a column that the frame lacks.
    """
    bounds = Bounds.of(selection)
    manifest = _manifest(folder, address) or {}
    paths = _demand_undamaged(folder, address, of=bounds)
    if not paths:  # none of its parts has a session asked for: the first tells columns and types
        paths = _demand_undamaged(folder, manifest["parts"][0]["address"])
    try:
        return read_files(paths, selection, bounds, order=manifest.get("order"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(paths[0], f"{type(error).__name__}: {error}") from error


def file_addresses(folder: Path, address: str) -> tuple[str, ...]:
    """Addresses of the files that a stored frame lies in: its own, or those of its parts."""
    manifest = _manifest(folder, address) or {}
    return tuple(str(part["address"]) for part in manifest.get("parts", ())) or (address,)


def forget_frame(folder: Path, address: str) -> None:
    """Remove a frame's files that no one points to any more; the parts it lies in stay."""
    _manifest_path(folder, address).unlink(missing_ok=True)
    (folder / f"{address}.parquet").unlink(missing_ok=True)


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
