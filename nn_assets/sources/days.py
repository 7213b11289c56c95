"""Days as people write them, read year first."""

from __future__ import annotations

import pandas as pd

__all__ = ["days_written"]

# A date, then at most a midnight and an offset: an offset says whose midnight, not another day.
_HELD = ("1700-01-01", "2261-12-31")  # what nanoseconds can hold
_DATE = r"^(\d{4})[-/]?(\d{2})[-/]?(\d{2})(?:[ T]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"


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
