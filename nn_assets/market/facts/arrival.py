"""In which order versions arrived, whatever the clock said.

The moment of arrival is the clock's, and a clock can be set back. Of two versions of one fact the later one is
therefore stamped after the one that it follows: what arrived last is always the newest, and stays so.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["following"]

_NEXT = pd.Timedelta(1, unit="ns")


def following(arrived_at: pd.Series, before: pd.Series) -> pd.Series:
    """Stamp what arrives now after the version that it follows.

    Parameters
    ----------
    arrived_at : Series of UTC moments
        By the clock.
    before : Series of UTC moments, same index
        When the version before was stored; NaT for a fact without one.

    Returns
    -------
    Series of UTC moments
        ``arrived_at``, but one nanosecond after ``before`` where that is no earlier.
    """
    return arrived_at.where(~(before >= arrived_at), before + _NEXT).astype(arrived_at.dtype)
