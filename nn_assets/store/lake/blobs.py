"""Frames stored once, in Parquet, under the hash of what they say.

A long frame of bars lies in parts, one a quarter, each stored under its own hash: what is asked for some
sessions is read from their quarters alone, and a frame that grew by a day shares all parts but the last.

    <address>.parquet, <address>.manifest.json    the content, and the SHA-256 of its file
    <address>.manifest.json                       of a frame in parts: their addresses and sessions

A table that grows by the session names its parts itself: its address is then the hash of that list, and nothing of a
part that was stored before is read or hashed again.

Content that still hashes to its address is whole: where its manifest, or a byte that is no content, is damaged, both
files are written again when it is read. Other content is made again by its writer, or lost, as its error says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nn_assets.errors import NnAssetsError, PublicationError, SchemaError
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import (
    exists,
    file_sha256,
    read_record,
    record_hash,
    replace_file,
    store_of,
    write_record,
)
from nn_assets.store.lake.parts import Bounds, Part, Selection, read_files, split
from nn_assets.store.lake.port import BlobPath

_ADDRESS = re.compile(r"[0-9a-f]{64}")
_OF_FACTS = ("segments", "additions.json")  # either marks a table that only grows


@dataclass(frozen=True)
class Pointer:
    """Where content is, how many rows it has, and which addresses it took the place of."""

    address: str
    rows: int
    earlier: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: BlobPath) -> Pointer | None:
        """Read a pointer; None when there is no such file.

        Raises
        ------
        PublicationError
            The file is no pointer.
        """
        try:
            record = read_record(path)
        except PublicationError as error:
            raise damaged(path, error.found) from error
        if record is None:
            return None
        try:
            earlier = tuple(str(address) for address in record.get("earlier", ()))
            if not _ADDRESS.fullmatch(record["address"]):
                raise damaged(path, f"the address {record['address']!r}")
            return cls(record["address"], int(record["rows"]), earlier)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, f"a record with {', '.join(sorted(record)) or 'nothing in it'}") from error

    def to_record(self) -> dict[str, Any]:
        """Return the pointer as a JSON record."""
        record: dict[str, Any] = {"address": self.address, "rows": self.rows}
        return record | ({"earlier": list(self.earlier)} if self.earlier else {})


def store_frame(folder: BlobPath, frame: pd.DataFrame) -> Pointer:
    """Store a frame under its content's hash, unless it is there already and undamaged.

    Parameters
    ----------
    folder : BlobPath
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
    if not is_undamaged(folder, address):
        parts = split(frame)
        if parts is None:
            record = _write_file(folder, address, frame)
        else:
            body = {"rows": len(frame), "order": parts.order, "parts": [_stored(folder, part) for part in parts]}
            record = {**body, "sha256": record_hash(body)}
        write_record(_manifest_path(folder, address), record)
    return Pointer(address, len(frame))


def store_list(folder: BlobPath, parts: Sequence[Mapping[str, str]], rows: int) -> Pointer:
    """Store a frame ordered by symbol and session as the list of its parts, which are there; its address is the list's.

    Parameters
    ----------
    parts : sequence of mapping
        ``address``, ``first`` and ``last`` session (ISO days) of each, in the order of their sessions; at least one.
    rows : int
        Of all parts.
    """
    body = {"rows": rows, "order": "symbol", "parts": [dict(part) for part in parts]}
    address = record_hash(body)
    record, path = {**body, "sha256": address}, _manifest_path(folder, address)
    try:
        is_stored = read_record(path) == record
    except PublicationError:
        is_stored = False
    if not is_stored:
        write_record(path, record)
    return Pointer(address, rows)


def _write_file(folder: BlobPath, address: str, frame: pd.DataFrame) -> dict[str, Any]:
    path = folder / f"{address}.parquet"
    with replace_file(path) as staged:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), staged, compression="zstd")
    return {"sha256": file_sha256(path), "rows": len(frame)}


def _stored(folder: BlobPath, part: Part) -> dict[str, Any]:
    """Store a part like any frame, and say where it is and which sessions it holds."""
    return {"address": store_frame(folder, part.frame).address, "first": part.first, "last": part.last}


def _manifest_path(folder: BlobPath, address: str) -> BlobPath:
    return folder / f"{address}.manifest.json"


def is_undamaged(folder: BlobPath, address: str) -> bool:
    """Whether the files of stored content are those that were written, or could be written again from what is whole."""
    try:
        _demand_undamaged(folder, address)
    except PublicationError:
        return False
    return True


def is_as_written(folder: BlobPath, address: str) -> bool:
    """Whether a file of content hashes to what its manifest says; nothing of it is parsed, and nothing mended."""
    try:
        manifest = read_record(_manifest_path(folder, address)) or {}
        return bool(file_sha256(folder / f"{address}.parquet") == manifest.get("sha256"))
    except (OSError, NnAssetsError):
        return False


def _demand_undamaged(folder: BlobPath, address: str, *, bounds: Bounds | None = None) -> list[BlobPath]:
    """Compare files with the manifests written after them.

    Returns
    -------
    list of BlobPath
        The files that hold the content: of a frame in parts, those with sessions that are asked for.
    """
    manifest = _manifest(folder, address)
    if "parts" in manifest:
        parts = [part for part in manifest["parts"] if bounds is None or bounds.meet(part["first"], part["last"])]
        return [file for part in parts for file in _demand_undamaged(folder, part["address"])]
    path = folder / f"{address}.parquet"
    if not exists(path):
        raise gone(path, "the table's content")
    if file_sha256(path) != manifest["sha256"]:
        _write_again(folder, address)
    return [path]


def _manifest(folder: BlobPath, address: str) -> dict[str, Any]:
    """What was written of content; where that is damaged or gone, it is written again of content that is whole."""
    manifest_path, path = _manifest_path(folder, address), folder / f"{address}.parquet"
    try:
        record = read_record(manifest_path)
    except PublicationError:
        record = {}
    if record and _is_manifest(record):
        return record
    if not exists(path):
        raise gone(manifest_path, "the table's content")
    return _write_again(folder, address)


def _write_again(folder: BlobPath, address: str) -> dict[str, Any]:
    """Write content that hashes to its address again, and its manifest: whole, whatever happened to either file."""
    path = folder / f"{address}.parquet"
    file_sha256(path)  # may it be read?
    try:
        frame = read_files([path], {}, Bounds.of({}))
        content_hash = frame_hash(frame)
    except Exception as error:  # bytes other than those written may break the reader anywhere
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if content_hash != address:
        raise damaged(path, "content other than its address says")
    record = _write_file(folder, address, frame)
    write_record(_manifest_path(folder, address), record)
    return record


def _is_manifest(record: Mapping[str, Any]) -> bool:
    """Whether a record has what a manifest has; one of parts is hashed itself, but for those of earlier versions."""
    sha256, rows = record.get("sha256"), record.get("rows")
    if "parts" not in record:
        return isinstance(sha256, str) and isinstance(rows, int)
    if sha256 is not None:
        return bool(sha256 == record_hash({name: record[name] for name in record if name != "sha256"}))
    parts = record["parts"]
    return (
        isinstance(parts, list)
        and len(parts) > 0
        and all(isinstance(part, dict) and {"address", "first", "last"} <= part.keys() for part in parts)
    )


def load_frame(folder: BlobPath, address: str, selection: Selection) -> pd.DataFrame:
    """Read a stored frame, or part of it, after checking that the files are those that were written.

    Raises
    ------
    PublicationError
        A file is missing or damaged.
    SchemaError
        The selection names a column that the frame lacks.
    """
    bounds = Bounds.of(selection)
    manifest = _manifest(folder, address)
    paths = _demand_undamaged(folder, address, bounds=bounds)
    if not paths:  # none of its parts has a session asked for: the first tells columns and types
        paths = _demand_undamaged(folder, manifest["parts"][0]["address"])
    try:
        return read_files(paths, selection, bounds, order=manifest.get("order"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(paths[0], f"{type(error).__name__}: {error}") from error


def load_frames(folder: BlobPath, addresses: Sequence[str], selection: Selection) -> pd.DataFrame:
    """Read several stored frames of the same columns as one, in their order; errors as of :func:`load_frame`."""
    bounds = Bounds.of(selection)
    paths = [file for address in addresses for file in _demand_undamaged(folder, address, bounds=bounds)]
    try:
        return read_files(paths, selection, bounds)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(paths[0], f"{type(error).__name__}: {error}") from error


def file_addresses(folder: BlobPath, address: str) -> tuple[str, ...]:
    """Addresses of the files that a stored frame lies in: its own, or those of its parts."""
    manifest = _manifest(folder, address)
    return tuple(str(part["address"]) for part in manifest.get("parts", ())) or (address,)


def forget_frame(folder: BlobPath, address: str) -> None:
    """Remove a frame's files that no one points to any more; the parts it lies in stay."""
    for path in (_manifest_path(folder, address), folder / f"{address}.parquet"):
        store_of(path).remove(path)


def absent(*, expected: str, strategy: str, **where: object) -> PublicationError:
    """Return the error for content that was never stored, or whose pointer is gone."""
    return PublicationError(
        expected=expected,
        found="nothing stored",
        remedy=f"nn-assets study --strategy {strategy} makes what is missing",
        strategy=strategy,
        **where,
    )


def gone(path: BlobPath, expected: str) -> PublicationError:
    """Return the error for content that is on record, and whose file is not there."""
    return PublicationError(expected=expected, found="no such file", remedy=_again(path), file=str(path))


def damaged(path: BlobPath, found: str) -> PublicationError:
    """Return the error for a file that is not what was written."""
    return PublicationError(expected="the file as it was written", found=found, remedy=_again(path), file=str(path))


def _again(path: BlobPath) -> str:
    """How a file of the lake comes back: what follows from the facts is made again, a fact that arrived is not."""
    table = path.parent if path.parent.name not in ("months", "segments") else path.parent.parent
    name = table.parent.name
    if any(exists(table / file_name) for file_name in _OF_FACTS):
        return (
            f"restore it from a backup. Without one its versions of {table.name} are lost, and no decision made on "
            "them can be derived again: go on in a strategy of another name, which takes in what the source still has"
        )
    return f"nn-assets study --strategy {name}, of the same months, makes it again of the facts stored"
