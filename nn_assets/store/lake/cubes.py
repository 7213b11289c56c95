"""Cubes of features on disk: one array that is mapped into memory, and the labels of its axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.lake.blobs import Pointer, damaged, gone
from nn_assets.store.lake.files import no_access, read_record, replace_file, write_record

__all__ = ["load_cube", "store_cube"]


def store_cube(folder: Path, cube: Cube) -> Pointer:
    """Store a cube under the hash of its values and axes, unless it is there already and undamaged."""
    axes = {
        "sessions": [day.date().isoformat() for day in cube.sessions],
        "symbols": list(cube.symbols),
        "names": list(cube.names),
    }
    address = cube.content_hash()
    if not _holds(folder, address):
        with replace_file(folder / f"{address}.npy") as staged, staged.open("wb") as stream:
            np.save(stream, cube.values, allow_pickle=False)
        write_record(folder / f"{address}.axes.json", axes)
    return Pointer(address, cube.bars)


def load_cube(folder: Path, address: str) -> Cube:
    """Map a stored cube into memory, after checking that its content is the one of its address.

    Returns
    -------
    Cube
        Its values are a read-only memory map.

    Raises
    ------
    PublicationError
        A file of the cube is missing or damaged.
    """
    path = folder / f"{address}.npy"
    beside = folder / f"{address}.axes.json"
    try:
        axes = read_record(beside)
    except PublicationError as error:
        raise damaged(beside, error.found) from error
    for each, there in ((beside, axes is not None), (path, path.exists())):
        if not there:
            raise gone(each, "the cube's content")
    assert axes is not None
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        sessions = pd.DatetimeIndex(axes["sessions"]).as_unit("ns")
        cube = Cube(sessions, tuple(axes["symbols"]), tuple(axes["names"]), values)
        found = cube.content_hash()
    except PermissionError as error:
        raise no_access(path) from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, SchemaError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if found != address:
        raise damaged(path, "content other than its address says")
    return cube


def _holds(folder: Path, address: str) -> bool:
    try:
        load_cube(folder, address)
    except PublicationError:
        return False
    return True
