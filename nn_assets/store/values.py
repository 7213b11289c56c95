"""Plain values in the one form in which they are stored and hashed: sessions, UTC moments, canonical JSON."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from nn_assets.arrays import Moment, Session


def is_missing(value: object) -> bool:
    """Whether a value is one of the ways to say nothing: None, NaN, NaT or ``pandas.NA``."""
    if value is None or value is pd.NaT or value is pd.NA:
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)  # only NaN differs from itself
    return isinstance(value, np.datetime64) and bool(np.isnat(value))


def as_session(value: Session) -> date:
    """Return a session as a plain date.

    Parameters
    ----------
    value : Timestamp, datetime64, date or ISO string
        A tz-naive midnight, or a day.

    Raises
    ------
    ValueError
        The value has a timezone, a time of day, or is no day at all.
    """
    if type(value) is date:
        return value
    stamp = pd.Timestamp(value)
    if stamp.tzinfo is not None or stamp != stamp.normalize():
        raise ValueError("a session is a midnight without a timezone")
    day: date = stamp.date()
    return day


def as_bar_session(value: Session) -> pd.Timestamp:
    """Return a session as a tz-naive timestamp: a midnight, or the minute at which a bar within the session begins.

    Raises
    ------
    ValueError
        The value has a timezone, seconds, or is no day at all.
    """
    stamp = pd.Timestamp(value)
    if pd.isna(stamp) or stamp.tzinfo is not None or stamp != stamp.floor("min"):
        raise ValueError("a session is a midnight without a timezone, or a minute of a bar within it")
    return stamp.as_unit("ns")


def as_moment(value: Moment) -> datetime:
    """Return a moment as an aware UTC datetime in microseconds.

    Nanoseconds are rounded *up*: a fact is never taken to be known earlier than it was.

    Raises
    ------
    ValueError
        The value has no timezone, or is no moment at all.
    """
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    stamp = pd.Timestamp(value)
    if stamp.tzinfo is None:
        raise ValueError("a moment needs a timezone")
    moment: datetime = stamp.tz_convert("UTC").ceil("us").to_pydatetime(warn=False).astimezone(UTC)
    return moment


def canonical_json(value: object) -> str:
    """JSON text that is the same for equal values: keys sorted, no spaces, floats to the last bit.

    Missing values of any kind become null; numpy scalars and arrays, timestamps, tuples and sets
    become their plain counterparts; infinities become the strings ``inf`` and ``-inf``.

    Raises
    ------
    TypeError
        A value has no plain counterpart.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(value: object) -> str:
    """SHA-256 of a value's canonical JSON, 64 hex digits; errors as of :func:`canonical_json`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    if is_missing(value):
        return None
    return _plain_scalar(value)


def _plain_scalar(value: object) -> object:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value) + 0.0  # turns -0.0, which SQLite does not keep, into 0.0
        return str(number) if np.isinf(number) else number
    if isinstance(value, str):
        return str(value)
    if isinstance(value, date | np.datetime64):  # datetime and Timestamp are dates too
        return pd.Timestamp(value).isoformat()
    raise TypeError("a value without a canonical JSON form", type(value).__name__)
