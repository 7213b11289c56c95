"""The cube: named values of several symbols on one session axis, from the lake to the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import SchemaError, SettingsError

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ObjectArray = npt.NDArray[np.object_]
DayArray = npt.NDArray[np.datetime64]
Symbol: TypeAlias = str
"""An instrument as the strategy names it: a ticker, or what exchanges and vendors join with, such as ``BTC/USDT``."""
Session: TypeAlias = pd.Timestamp | np.datetime64 | date | str
"""A day of trading as it may be given: a tz-naive midnight, or a day as ISO text; functions return Timestamps."""
Sessions: TypeAlias = pd.DatetimeIndex | pd.Series | list[pd.Timestamp]
"""Days as they may be given, tz-naive midnights, (n,); functions return a DatetimeIndex."""
Moment: TypeAlias = pd.Timestamp | np.datetime64 | datetime | str
"""A moment in UTC as it may be given, its offset with it; functions return a Timestamp or an aware datetime."""
AnyArray = TypeVar("AnyArray", bound=npt.NDArray[Any])


def read_only(values: AnyArray) -> AnyArray:
    """The same array, any shape, read-only from here on."""
    values.setflags(write=False)
    return values


def read_only_fields(instance: Any) -> None:
    """Give a frozen dataclass read-only views of its arrays: what its ``__post_init__`` calls."""
    for field in fields(instance):
        values = getattr(instance, field.name)
        if isinstance(values, np.ndarray):
            object.__setattr__(instance, field.name, read_only(values.view()))


def canonical(values: FloatArray) -> FloatArray:
    """One bit pattern per value: any NaN or infinity becomes the quiet NaN, and -0.0 becomes 0.0.

    Which NaN or which zero an operation leaves may depend on the processor's vector width; equal
    values must nevertheless hash alike.

    Parameters
    ----------
    values : array, any shape

    Returns
    -------
    array of the same shape, C-contiguous, a new one
    """
    clean: FloatArray = np.ascontiguousarray(values + 0.0)
    clean[~np.isfinite(clean)] = np.nan
    return clean


def nanoseconds(moments: pd.Series | pd.DatetimeIndex) -> IntArray:
    """Moments or days as nanoseconds since 1970, UTC, (moments,); NaT is the smallest int64. To be read only."""
    return np.asarray(pd.DatetimeIndex(moments).as_unit("ns").asi8)


def number_bytes(values: npt.ArrayLike) -> bytes:
    """The bytes that numbers are hashed by, everywhere: little-endian float64, every NaN the same, both zeros one.

    Parameters
    ----------
    values : array_like, any shape
        Hashed in C order; the shape does not count.
    """
    numbers = np.ascontiguousarray(np.asarray(values, dtype="<f8") + 0.0)
    numbers[np.isnan(numbers)] = np.nan
    return numbers.tobytes()


def named_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows of a frame, in order, each with its columns' values as attributes; the index is left out.

    Their types are the columns', which no checker sees: a contract holds the frame to them.
    """
    return frame.itertuples(index=False)


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame whose columns' names are texts, in order, each as values by column in Python's own types."""
    return frame.to_dict("records", into=dict)


def values_of(row: pd.Series) -> dict[str, Any]:
    """Values of one row of a frame by column, with the row's own types."""
    values: dict[Any, Any] = row.to_dict()
    return values


def session_text(session: pd.Timestamp) -> str:
    """A session as ISO text: its day, and the minute of a bar within it."""
    whole = session == session.normalize()
    return session.date().isoformat() if whole else session.isoformat(timespec="minutes")


def stamps_of(sessions: pd.DatetimeIndex) -> DayArray:
    """Sessions as ``datetime64[D]``, (n,); as ``datetime64[m]`` where they are bars within the session."""
    stamps = sessions.to_numpy()
    days = stamps.astype("datetime64[D]")
    return days if bool((days == stamps).all()) else stamps.astype("datetime64[m]")


def row_of(sessions: pd.DatetimeIndex, session: Session) -> int:
    """Row of a session on an axis of ascending sessions, (bars,).

    Raises
    ------
    SchemaError
        The session is not on the axis.
    """
    stamp = pd.Timestamp(session)
    row = int(sessions.searchsorted(stamp))
    if row == len(sessions) or sessions[row] != stamp:
        covered = (
            f"from {sessions[0].date()} to {sessions[-1].date()}"
            if len(sessions)
            else "of an axis that holds no session"
        )
        raise SchemaError(
            expected=f"a session {covered}",
            found=str(stamp.date()),
            remedy="ask for a session that the loaded history covers",
            session=stamp.date(),
        )
    return row


class OnSessions:
    """Base of what lies on an axis of every session from a fixed first one; members have ``sessions``, (bars,)."""

    sessions: pd.DatetimeIndex

    @property
    def session_count(self) -> int:
        """Number of sessions on the axis."""
        return len(self.sessions)

    def row(self, session: Session) -> int:
        """Row of a session on the axis; errors as of :func:`row_of`."""
        return row_of(self.sessions, session)


@dataclass(frozen=True, eq=False)
class Cube(OnSessions):
    """Named features of several symbols on one session axis.

    Parameters
    ----------
    sessions : DatetimeIndex, shape (bars,)
        Tz-naive midnights, ascending.
    symbols : tuple of str, length ``symbols``
    names : tuple of str, length ``features``
    values : array, shape (bars, symbols, features), float64
        Made read-only. NaN means missing.

    Raises
    ------
    SchemaError
        The shape of ``values`` does not fit the axes, or a name occurs twice.
    """

    sessions: pd.DatetimeIndex
    symbols: tuple[Symbol, ...]
    names: tuple[str, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.sessions), len(self.symbols), len(self.names))
        if self.values.shape != shape or self.values.dtype != np.float64:
            raise SchemaError(
                expected=f"float64 values of shape (bar, symbol, feature) = {shape}",
                found=f"{self.values.dtype} values of shape {self.values.shape}",
                remedy="build the cube from axes and values that belong together",
            )
        if len(set(self.names)) != len(self.names):
            raise SchemaError(
                expected="feature names that differ",
                found=", ".join(self.names),
                remedy="name every feature once",
            )
        read_only_fields(self)

    def until(self, session: Session) -> Cube:
        """Cut the cube after ``session``: what a computation of that session may see."""
        stop = int(self.sessions.searchsorted(pd.Timestamp(session), side="right"))
        return Cube(self.sessions[:stop], self.symbols, self.names, self.values[:stop])

    def where(self, kept: npt.NDArray[np.bool_] | None) -> Cube:
        """Keep the rows and symbols of a mask (bars, symbols) and make the others missing; all without one."""
        if kept is None:
            return self
        return Cube(self.sessions, self.symbols, self.names, np.where(kept[:, :, None], self.values, np.nan))

    def of_symbols(self, symbols: tuple[Symbol, ...]) -> Cube:
        """Lay the cube on another symbol axis: symbols that are not here are missing there."""
        if symbols == self.symbols:
            return self
        columns = pd.Index(self.symbols).get_indexer(pd.Index(list(symbols)))
        values = np.where((columns >= 0)[:, None], self.values[:, columns], np.nan)
        return Cube(self.sessions, symbols, self.names, values)

    def select(self, names: Sequence[str]) -> Cube:
        """Keep only the features named, in the order given.

        Raises
        ------
        SettingsError
            A name is not in the cube.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise SettingsError(
                expected="features among " + ", ".join(self.names),
                found=", ".join(missing),
                remedy="name features that were computed",
                key="features.names",
            )
        indices = [self.names.index(name) for name in names]
        return Cube(self.sessions, self.symbols, tuple(names), self.values[:, :, indices])

    def feature(self, name: str) -> FloatArray:
        """Values of one feature, shape (bars, symbols), a read-only view."""
        if name not in self.names:
            self.select((name,))
        return self.values[:, :, self.names.index(name)]

    def content_hash(self, rows: slice | None = None) -> str:
        """SHA-256 of axes and values over some rows (all by default), 64 hex digits.

        Every NaN counts as the same NaN. Rows outside ``rows`` do not matter, nor does the row at
        which the axis starts.
        """
        chosen = rows if rows is not None else slice(None)
        digest = hashlib.sha256()
        for part in (*self.symbols, "", *self.names, ""):
            digest.update(part.encode() + b"\0")
        days = stamps_of(self.sessions[chosen]).astype("<i8")
        digest.update(days.tobytes())
        for block in self.values[chosen]:
            digest.update(number_bytes(block))
        return digest.hexdigest()
