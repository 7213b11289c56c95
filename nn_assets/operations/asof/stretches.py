"""Sessions that one set of facts serves: from one late arrival to the next.

Most facts are known by the decision of their own session. One that is not, a bar restated weeks later, say, or an
action that came late, splits history: the sessions decided before it was known do not see it, those after do.
Between two such arrivals all that a session knows is what the last session of the stretch knows, cut at it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import IntArray, nanoseconds


def stretch_numbers(
    facts: pd.DataFrame, sessions: pd.DatetimeIndex, moments: pd.DatetimeIndex, recorded_at: pd.Series
) -> IntArray:
    """Number the stretch of each session.

    Parameters
    ----------
    facts : DataFrame
        session, known_at, ingested_at of every version; a session off the axis counts as the next one on it.
    sessions : DatetimeIndex, shape (sessions,)
        The axis, ascending.
    moments : DatetimeIndex, shape (sessions,), UTC
        When each session is decided: versions with a later known_at are not seen by it.
    recorded_at : Series, indexed by session, UTC
        When decided sessions were put on record, in order: versions stored later are not seen by them.

    Returns
    -------
    int array, shape (sessions,)
        0 for the first stretch, ascending. Two sessions of one stretch see the same versions of the facts of
        sessions up to the earlier one.
    """
    size = len(sessions)
    starts = np.zeros(size + 1, dtype=np.bool_)
    own = np.minimum(sessions.searchsorted(pd.DatetimeIndex(facts["session"])), size - 1)
    first_known = np.asarray(moments.searchsorted(pd.DatetimeIndex(facts["known_at"]), side="left"))
    first_seen = np.maximum(own, first_known)
    starts[first_seen[first_known > own]] = True
    rows = sessions.get_indexer(pd.DatetimeIndex(recorded_at.index))
    inside = rows >= 0
    if inside.any():
        first, last = int(rows[inside].min()), int(rows[inside].max())
        decided = np.zeros(size + 1, dtype=np.bool_)
        decided[rows[inside]] = True
        flips = np.flatnonzero(np.diff(decided.astype(np.int64)) != 0) + 1
        if int(decided.sum()) != last - first + 1:  # sessions left out: what was stored decides on one side only
            starts[flips] = True
        stored = np.maximum.accumulate(nanoseconds(recorded_at[inside]))
        ingested = nanoseconds(facts["ingested_at"])
        from_row = np.append(rows[inside], last + 1)[np.searchsorted(stored, ingested, side="left")]
        hidden_from = np.maximum(first_seen, first)
        hidden = (from_row > hidden_from) & (hidden_from <= last)
        starts[from_row[hidden]] = True
        starts[hidden_from[hidden & (first_seen < first)]] = True
    starts[0] = False
    return np.cumsum(starts[:size]).astype(np.int64)
