"""Days and moments as people and machines write them: year first, or as epochs, each by its own size."""

from __future__ import annotations

import numpy as np
import pandas as pd

NUMBER_REMEDY = "write plain numbers with a point and no thousands separators: 1250 for 1,250, and 1.25 for 1,25"

KNOWN_AT_RULE = "known_at_is_a_moment"
_TIME = r"[0-9][T ]\s*[0-9]"
_HELD = ("1700-01-01", "2261-12-31")  # what nanoseconds can hold
_PLAIN_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# A date, then at most a midnight and an offset: an offset says whose midnight, not another day.
_DATE = r"^([0-9]{4})[-/]?([0-9]{2})[-/]?([0-9]{2})(?:[ T]00:00(?::00(?:\.0+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$"


# Below each bound an epoch counts seconds, milliseconds, microseconds; above the last, nanoseconds. One below 1e8
# (1973-03-03 in seconds) is rather a day written without hyphens, or a place in a table.
_EPOCHS = ((1e8, 0), (1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (np.inf, 1))
_EPOCH = r"^-?[0-9]{9,19}(?:[.][0-9]*)?$"
# 201801311530 may be half past three, or milliseconds of 1976: which, cannot be known.
_COMPACT = r"^(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9][0-2][0-9][0-5][0-9](?:[0-5][0-9])?$"
_NANOSECONDS = float(np.iinfo(np.int64).max)


def beyond_nanoseconds(times: pd.Series) -> pd.Series:
    """Times that nanoseconds cannot hold: before 1677 or after 2262."""
    moments = times.dt.tz_localize("UTC") if times.dt.tz is None else times.dt.tz_convert("UTC")
    beyond: pd.Series = (moments < pd.Timestamp.min.tz_localize("UTC")) | (
        moments > pd.Timestamp.max.tz_localize("UTC")
    )
    return beyond


def moments_written(column: pd.Series) -> pd.Series:
    """UTC moments of a column of times, ISO 8601 texts or epochs (s, ms, us or ns, row by row by their size).

    A text or time without an offset is taken as UTC, a day alone as its midnight.

    Returns
    -------
    Series
        datetime64[ns, UTC]. NaT for what is no moment, or one that nanoseconds cannot hold.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        aware = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
    elif pd.api.types.is_numeric_dtype(column):
        return _of_epochs(column)
    else:
        texts = column.astype("str").fillna("").str.strip()
        epochs = texts.str.fullmatch(_EPOCH) & ~texts.str.fullmatch(_COMPACT)
        aware = pd.to_datetime(texts.mask(texts.str.fullmatch(_EPOCH)), format="ISO8601", utc=True, errors="coerce")
        if epochs.any():
            counted = _of_epochs(pd.to_numeric(texts[epochs])).reindex(column.index)
            aware = aware.dt.as_unit("ns").where(~epochs, counted)
    moments: pd.Series = aware.mask(beyond_nanoseconds(aware)).dt.as_unit("ns")
    return moments


def _of_epochs(numbers: pd.Series) -> pd.Series:
    sizes = numbers.abs().to_numpy(dtype=np.float64, na_value=np.nan)
    bucket = np.searchsorted([bound for bound, _ in _EPOCHS[:-1]], sizes, side="right")
    factor = np.array([multiplier for _, multiplier in _EPOCHS])[bucket]
    sound = (factor > 0) & (sizes * factor < _NANOSECONDS)
    counted = np.full(len(numbers), np.iinfo(np.int64).min)  # how NaT reads as an integer
    chosen = numbers[sound]
    if pd.api.types.is_integer_dtype(chosen.dtype):
        counted[sound] = chosen.to_numpy(dtype=np.int64) * factor[sound]
    else:  # a float holds whole seconds to the nanosecond, and what it has of their parts
        whole = np.trunc(chosen.to_numpy(dtype=np.float64))
        parts = chosen.to_numpy(dtype=np.float64) - whole
        counted[sound] = whole.astype(np.int64) * factor[sound] + np.round(parts * factor[sound]).astype(np.int64)
    return pd.Series(counted.view("datetime64[ns]"), index=numbers.index).dt.tz_localize("UTC")


def days_written(column: pd.Series) -> pd.Series:
    """Days of a column of texts, times or epochs, as tz-naive midnights; the wall date where an offset is given.

    Returns
    -------
    Series
        datetime64[ns]. NaT for what is no day, an intraday time among them, and an epoch that is no midnight of UTC.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        wall = column.dt.tz_localize(None)
        days: pd.Series = wall.where(wall.between(*_HELD) & (wall.dt.normalize() == wall)).dt.as_unit("ns")
        return days
    if pd.api.types.is_float_dtype(column):
        # A column of whole numbers with a gap in it.
        whole = column.notna() & (column % 1.0 == 0.0) & (column.abs() < _NANOSECONDS)
        texts = column.where(whole, 0.0).astype(np.int64).astype("str").where(whole, "")
        return days_written(texts)
    texts = column.astype("str").fillna("").str.strip()
    plain = texts.str.fullmatch(_PLAIN_DATE)  # nearly all: parsed as they are, which is several times faster
    days = pd.to_datetime(texts.where(plain), format="%Y-%m-%d", errors="coerce")
    others = days.isna() & (texts != "")
    if others.any():
        parts = texts[others].str.extract(_DATE)
        joined = parts[0] + "-" + parts[1] + "-" + parts[2]
        days = days.where(~others, pd.to_datetime(joined, format="%Y-%m-%d", errors="coerce").reindex(days.index))
    days = days.where(days.between(*_HELD)).dt.as_unit("ns")
    epochs = days.isna() & texts.str.fullmatch(_EPOCH)
    if epochs.any():
        days = days.where(~epochs, days_written(moments_written(texts.where(epochs))))
    return days


def without_a_time(written: pd.Series, moments: pd.Series) -> pd.Series:
    """Where a moment was written as a day alone: read as its midnight, it would be known before its session.

    Parameters
    ----------
    written : Series
        Texts, days or times as they came. Times and epochs never are days alone, not even at midnight.
    moments : Series
        What they were read as; NaT where there is none, or it cannot be read.
    """
    if pd.api.types.is_datetime64_any_dtype(written) or pd.api.types.is_numeric_dtype(written):
        return pd.Series(data=False, index=written.index)
    texts = written.astype("str").str.strip()
    timed = texts.str.contains(_TIME, regex=True, na=False) | texts.str.fullmatch(_EPOCH, na=False)
    return moments.notna() & ~timed


def known_at_fault(column: str, value: object, count: int = 1) -> dict[str, str]:
    """The parts of the error that refuses days alone where moments belong."""
    return {
        "expected": f"a moment with its time in {column}, such as 2018-01-31T21:30:00Z",
        "found": f"{str(value)[:80]!r}, a day without a time, first of {count}",
        "remedy": f"write the moment with its time, or leave the column {column} out",
        "rule": KNOWN_AT_RULE,
        "column": column,
    }
