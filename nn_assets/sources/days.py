"""Days as people write them, read year first."""

from __future__ import annotations

import pandas as pd

__all__ = ["KNOWN_AT_RULE", "days_written", "known_at_fault", "without_a_time"]

KNOWN_AT_RULE = "known_at_is_a_moment"
_TIME = r"[0-9][T ]\s*[0-9]"

# A date, then at most a midnight and an offset: an offset says whose midnight, not another day.
_HELD = ("1700-01-01", "2261-12-31")  # what nanoseconds can hold
_DATE = r"^([0-9]{4})[-/]?([0-9]{2})[-/]?([0-9]{2})(?:[ T]00:00(?::00(?:\.0+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$"


def days_written(column: pd.Series) -> pd.Series:
    """Days of a column of texts or times, as tz-naive midnights; the wall date where an offset is given.

    Returns
    -------
    Series
        datetime64[ns]. NaT for what is no day, an intraday time among them.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        wall = column.dt.tz_localize(None)
        return wall.where(wall.between(*_HELD) & (wall.dt.normalize() == wall)).dt.as_unit("ns")
    texts = column.astype("str").fillna("").str.strip()
    parts = texts.str.extract(_DATE)
    joined = parts[0] + "-" + parts[1] + "-" + parts[2]
    days = pd.to_datetime(joined, format="%Y-%m-%d", errors="coerce")
    days = days.where(days.between(*_HELD))
    return days.dt.as_unit("ns")


def without_a_time(written: pd.Series, moments: pd.Series) -> pd.Series:
    """Where a moment was written as a day alone: read as its midnight, it would be known before its session.

    Parameters
    ----------
    written : Series
        Texts, days or times as they came. Times and epochs never are days alone, not even at midnight.
    moments : Series
        What they were read as; NaT where there is none, or none that can be read.
    """
    if pd.api.types.is_datetime64_any_dtype(written) or pd.api.types.is_numeric_dtype(written):
        return pd.Series(data=False, index=written.index)
    return moments.notna() & ~written.astype("str").str.contains(_TIME, regex=True, na=False)


def known_at_fault(column: str, found: object, count: int = 1) -> dict[str, str]:
    """The parts of the error that refuses days alone where moments belong."""
    return {
        "expected": f"a moment with its time in {column}, such as 2018-01-31T21:30:00Z",
        "found": f"{str(found)[:80]!r}, a day without a time, first of {count}",
        "remedy": f"write the moment with its time, or leave the column {column} out",
        "rule": KNOWN_AT_RULE,
        "column": column,
    }
