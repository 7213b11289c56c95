"""Cubes of features on disk: one array that is mapped into memory, and the labels of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.lake.blobs import Pointer, absent, damaged
from nn_assets.store.lake.content import array_hash
from nn_assets.store.lake.files import read_record, replace_file, write_record

__all__ = ["CubeLike", "StoredCube", "load_cube", "store_cube"]


class CubeLike(Protocol):
    """Anything with three labelled axes and their values."""

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """Labels of the first axis, shape (bars,)."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Labels of the second axis."""

    @property
    def names(self) -> tuple[str, ...]:
        """Labels of the third axis."""

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Shape (bar, symbol, feature)."""


@dataclass(frozen=True)
class StoredCube:
    """A cube as it was stored. ``values`` is a read-only memory map; NaN means missing."""

    sessions: pd.DatetimeIndex  # (bars,)
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64]  # (bar, symbol, feature)


def store_cube(folder: Path, cube: CubeLike) -> Pointer:
    """Store a cube under the hash of its values and axes, unless it is there already and undamaged.

    Raises
    ------
    SchemaError
        The values are not float64, or their shape is not that of the axes.
    """
    shape = (len(cube.sessions), len(cube.symbols), len(cube.names))
    values: npt.NDArray[np.float64] = cube.values  # noqa: PD011  an array's, not a frame's
    if values.dtype != np.float64 or values.shape != shape:
        raise SchemaError(
            expected=f"float64 values of shape {shape}",
            found=f"{values.dtype} of shape {values.shape}",
            remedy="hand over values that match sessions, symbols and names",
        )
    axes = {
        "sessions": [day.date().isoformat() for day in cube.sessions],
        "symbols": list(cube.symbols),
        "names": list(cube.names),
    }
    address = _address(values, axes)
    if not _holds(folder, address):
        with replace_file(folder / f"{address}.npy") as staged, staged.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
        write_record(folder / f"{address}.axes.json", axes)
    return Pointer(address, shape[0])


def load_cube(folder: Path, address: str) -> StoredCube:
    """Map a stored cube into memory, after checking that its content is the one of its address.

    Raises
    ------
    PublicationError
        A file of the cube is missing or damaged.
    """
    path = folder / f"{address}.npy"
    axes = read_record(folder / f"{address}.axes.json")
    if axes is None or not path.exists():
        raise absent(expected="the cube's content", file=str(path))
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        found = _address(values, axes)
        sessions = pd.DatetimeIndex(axes["sessions"]).as_unit("ns")
        cube = StoredCube(sessions, tuple(axes["symbols"]), tuple(axes["names"]), values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if found != address:
        raise damaged(path, "content other than its address says")
    return cube


def _address(values: npt.NDArray[np.float64], axes: dict[str, Any]) -> str:
    return array_hash(values, axes["sessions"], axes["symbols"], axes["names"])


def _holds(folder: Path, address: str) -> bool:
    try:
        load_cube(folder, address)
    except PublicationError:
        return False
    return True
