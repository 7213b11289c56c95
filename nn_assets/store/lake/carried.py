"""What a growing table carries on from one publication to the next: a record, and arrays beside it.

All of it follows from what is published, and can be made again; a reader that finds it gone or damaged does so.

    <folder>/current.json             the record, with a hash of all that it says
    <folder>/<sha256>.npz, .npy       arrays, by the hash of the file
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nn_assets.errors import PublicationError
from nn_assets.store.lake.files import exists, listed, locked, read_record, record_hash, store_of, write_bytes
from nn_assets.store.lake.port import BlobPath

AnyArray = npt.NDArray[Any]

_HASH = "sha256"


def read_carried(folder: BlobPath) -> dict[str, Any] | None:
    """The record; None where there is none, or not the one that was written."""
    try:
        record = read_record(folder / "current.json")
    except PublicationError:
        return None
    if record is None:
        return None
    body = {name: value for name, value in record.items() if name != _HASH}
    return body if record.get(_HASH) == record_hash(body) else None


def switch_carried(folder: BlobPath, record: Mapping[str, Any], arrays: Collection[str]) -> None:
    """Switch to a record, and then remove the arrays that it does not name."""
    with locked(folder):
        # In one line: to spell a record line by line takes a multiple of the time, and it grows.
        content = json.dumps({**record, _HASH: record_hash(record)}, ensure_ascii=False, allow_nan=False)
        write_bytes(folder / "current.json", content.encode(), durable=False)
        for path in listed(folder):
            if path.suffix in (".npz", ".npy") and path.name not in arrays:
                store_of(path).remove(path)


def store_arrays(folder: BlobPath, arrays: Mapping[str, AnyArray]) -> str:
    """Store named arrays in one file; its name."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return _stored(folder, stream.getvalue(), ".npz", durable=False)


def store_array(folder: BlobPath, array: AnyArray) -> str:
    """Store an array in a file of its own; its name. It is read where it is looked up alone, so never hashed again."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return _stored(folder, stream.getvalue(), ".npy", durable=True)


def _stored(folder: BlobPath, content: bytes, suffix: str, *, durable: bool) -> str:
    path = folder / (hashlib.sha256(content).hexdigest() + suffix)
    if not exists(path) or _size(path) != len(content):
        write_bytes(path, content, durable=durable)
    return path.name


def _size(path: BlobPath) -> int:
    source = store_of(path).open(path)
    return source.stat().st_size if isinstance(source, Path) else source.seek(0, io.SEEK_END)


def read_arrays(folder: BlobPath, name: str) -> dict[str, AnyArray] | None:
    """The arrays of a file; None where it is gone, or not as it was written."""
    try:
        content = store_of(folder).get(folder / name)
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return dict(stored)


def open_array(folder: BlobPath, name: str) -> AnyArray | None:
    """An array mapped into memory, of which only what is looked up is read; None where it is gone or cut short."""
    try:
        mapped: AnyArray = np.load(store_of(folder).local(folder / name), mmap_mode="r", allow_pickle=False)
        return mapped
    except (OSError, ValueError, EOFError):
        return None
