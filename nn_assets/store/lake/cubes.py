"""Cubes of features on disk: a file for each feature's plane, and one with the axes.

    <address>.axes.json     sessions, symbols, names, and of each feature the address of its plane
    <plane>.npy             values (bars, symbols) of a feature, under the hash of their content
    <address>.npy           of earlier versions, whose axes name no planes: all values in one file

A feature that is new or was edited adds a plane; those of the others stay as they are, and serve both cubes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube, FloatArray, Symbol, number_bytes, session_text
from nn_assets.errors import PublicationError, SchemaError
from nn_assets.store.lake.blobs import Pointer, damaged, gone
from nn_assets.store.lake.files import exists, no_access, read_record, replace_file, store_of, write_record
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.values import hash_of

T = TypeVar("T")


def store_cube(folder: BlobPath, cube: Cube) -> Pointer:
    """Store a cube under the hash of its values and axes: what is not there already, or damaged."""
    planes = [np.ascontiguousarray(cube.feature(name)) for name in cube.names]
    axes: dict[str, Any] = {
        "sessions": [session_text(session) for session in cube.sessions],
        "symbols": list(cube.symbols),
        "names": list(cube.names),
        "planes": [_plane_hash(plane) for plane in planes],
    }
    address = _address(axes)
    for plane, name in zip(planes, axes["planes"], strict=True):
        if not _holds(folder, name, plane.shape):
            with replace_file(folder / f"{name}.npy") as staged, staged.open("wb") as stream:
                np.save(stream, plane, allow_pickle=False)
    path = folder / f"{address}.axes.json"
    try:
        is_stored = read_record(path) == axes
    except PublicationError:
        is_stored = False
    if not is_stored:
        write_record(path, axes)
    return Pointer(address, cube.session_count)


def load_cube(folder: BlobPath, address: str, names: Sequence[str] | None = None) -> Cube:
    """Read a stored cube, after checking that its content is the one of its address.

    Parameters
    ----------
    names : sequence of str, optional
        The features to read, those among them that the cube has, in its order; no other's plane is opened.

    Returns
    -------
    Cube
        Read-only.

    Raises
    ------
    PublicationError
        A file of the cube is missing or damaged.
    """
    axes_path = folder / f"{address}.axes.json"
    try:
        axes = read_record(axes_path)
    except PublicationError as error:
        raise damaged(axes_path, error.found) from error
    if axes is None:
        raise gone(axes_path, "the cube's content")
    try:
        sessions = pd.DatetimeIndex(pd.to_datetime(axes["sessions"], format="ISO8601")).as_unit("ns")
        symbols, stored = tuple(axes["symbols"]), tuple(axes["names"])
        planes = axes.get("planes")
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(axes_path, f"{type(error).__name__}: {error}") from error
    if planes is None:
        cube = _of_one_file(folder, address, sessions, symbols, stored)
        return cube if names is None else cube.select([name for name in stored if name in names])
    if _address(axes) != address:
        raise damaged(axes_path, "content other than its address says")
    indices = [index for index, name in enumerate(stored) if names is None or name in names]
    values = np.empty((len(sessions), len(symbols), len(indices)))
    for position, index in enumerate(indices):
        values[:, :, position] = _plane(folder, planes[index], values.shape[:2])
    return Cube(sessions, symbols, tuple(stored[index] for index in indices), values)


def _of_one_file(
    folder: BlobPath, address: str, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...], names: tuple[str, ...]
) -> Cube:
    """A cube of an earlier version; its values are a read-only memory map."""
    path = folder / f"{address}.npy"
    cube = _read(
        path,
        lambda: Cube(sessions, symbols, names, np.load(store_of(path).local(path), mmap_mode="r", allow_pickle=False)),
    )
    if cube.content_hash() != address:
        raise damaged(path, "content other than its address says")
    return cube


def _plane(folder: BlobPath, name: str, shape: tuple[int, ...]) -> FloatArray:
    path = folder / f"{name}.npy"
    values: FloatArray = _read(path, lambda: np.load(store_of(path).local(path), mmap_mode="r", allow_pickle=False))
    if values.shape != shape or values.dtype != np.float64 or _plane_hash(values) != name:
        raise damaged(path, "content other than its address says")
    return values


def _read(path: BlobPath, read: Callable[[], T]) -> T:
    if not exists(path):
        raise gone(path, "the cube's content")
    try:
        return read()
    except PermissionError as error:
        raise no_access(path) from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, SchemaError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _holds(folder: BlobPath, name: str, shape: tuple[int, ...]) -> bool:
    try:
        _plane(folder, name, shape)
    except PublicationError:
        return False
    return True


def _plane_hash(values: FloatArray) -> str:
    return hashlib.sha256(repr(values.shape).encode() + number_bytes(values)).hexdigest()


def _address(axes: dict[str, Any]) -> str:
    return hash_of(axes)
