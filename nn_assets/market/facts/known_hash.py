"""One hash of all that was known up to a session: it changes where a fact arrives that the session could have read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nn_assets.arrays import IntArray, nanoseconds, number_bytes

_ARRIVAL = "ingested_at"  # the clock's, no part of what a fact says


def known_hashes(
    tables: Sequence[tuple[pd.DataFrame, str]], sessions: pd.DatetimeIndex, moments: pd.DatetimeIndex, rows: IntArray
) -> list[str]:
    """Hash the versions of facts that may be read on sessions up to each of some rows.

    A version may be read from its own session on, and from the first session whose decision comes at or after its
    ``known_at``. Those of later rows do not count, nor does when anything arrived here. Versions of one row count in
    the order given: the same in another order are other facts, which costs no more than a second look.

    Parameters
    ----------
    tables : sequence of (DataFrame, str)
        Versions with ``known_at`` (UTC) and the named column of sessions; numbers, booleans, text and moments. NaN is
        a value of its own.
    sessions, moments : DatetimeIndex, shape (bars,)
        The session axis, and when each session is decided, UTC.
    rows : int array
        Rows of the axis, ascending.

    Returns
    -------
    list of str
        64 hex digits for each of ``rows``.
    """
    digests = [_running(versions, column, sessions, moments, rows) for versions, column in tables]
    return [hashlib.sha256(b"".join(parts)).hexdigest() for parts in zip(*digests, strict=True)]


def _running(
    versions: pd.DataFrame, column: str, sessions: pd.DatetimeIndex, moments: pd.DatetimeIndex, rows: IntArray
) -> list[bytes]:
    named = [name for name in versions.columns if name != _ARRIVAL]
    own = sessions.searchsorted(pd.DatetimeIndex(versions[column]))
    readable = np.maximum(own, moments.searchsorted(pd.DatetimeIndex(versions["known_at"])))
    order = np.argsort(readable, kind="stable")
    lines = np.column_stack([np.zeros(len(versions), dtype=np.int64), *(_numbers(versions[name]) for name in named)])
    lines, stops = lines[order], np.searchsorted(readable[order], rows, side="right")
    digest, digests, start = hashlib.sha256("\0".join(named).encode()), [], 0
    for stop in stops:
        digest.update(lines[start:stop].tobytes())
        digests.append(digest.digest())
        start = stop
    return digests


def _numbers(values: pd.Series) -> IntArray:
    """Each value as one integer that depends on no other value of the column."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return nanoseconds(values)
    if pd.api.types.is_float_dtype(values.dtype):
        return np.frombuffer(number_bytes(values.to_numpy(dtype=np.float64)), dtype="<i8").astype(np.int64)
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_integer_dtype(values.dtype):
        return values.to_numpy(dtype=np.int64)
    codes, distinct = pd.factorize(values)
    spelled = [hashlib.sha256(str(value).encode()).digest()[:8] for value in distinct]
    return np.append(np.frombuffer(b"".join(spelled), dtype="<i8"), 0).astype(np.int64)[codes]
