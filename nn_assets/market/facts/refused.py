"""Versions that the gate refused: delivered, judged, and never published as they were.

Nobody could act on such a version. Had it stayed visible, a session decided after the data were mended would read
the very bars that the gate had stopped. One that passed in the end counts from its publication on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, IntArray, nanoseconds

_NEVER = np.iinfo(np.int64).max


def refused(versions: pd.DataFrame, key: list[str], halts: pd.DatetimeIndex, published: pd.DatetimeIndex) -> BoolArray:
    """Find the versions that halted the gate, were never published, and have a later one in their place.

    Parameters
    ----------
    versions : DataFrame
        ``ingested_at`` (UTC) and the columns of the key, a row for each version, in any order.
    key : list of str
        Columns that say what a version is about.
    halts, published : DatetimeIndex, UTC
        When the gate halted, and when what was stored by then was published; each in any order.

    Returns
    -------
    bool array, shape (rows,)
    """
    replaced_at = _replaced_at(versions, key)
    judged: BoolArray = _never_passed(versions, replaced_at, halts, published) & (replaced_at != _NEVER)
    return judged


def never_passed(versions: pd.DataFrame, halts: pd.DatetimeIndex, published: pd.DatetimeIndex) -> BoolArray:
    """Find the versions that halted the gate and were not published since they were stored, replaced or not.

    Parameters and result as of :func:`refused`.
    """
    return _never_passed(versions, np.full(len(versions), _NEVER), halts, published)


def passed_at(versions: pd.DataFrame, halts: pd.DatetimeIndex, published: pd.DatetimeIndex) -> pd.Series:
    """From when each version could be acted on, UTC: its storage, or its publication where the gate halted before.

    Parameters as of :func:`refused`. A version that never passed keeps the moment of its storage.
    """
    stored = nanoseconds(versions["ingested_at"])
    following = _following(published, stored)
    late = _any_between(halts, stored, following) & (following != _NEVER)
    moments = pd.DatetimeIndex(np.where(late, following, stored), tz="UTC").as_unit("ns")
    return pd.Series(moments, index=versions.index, name="ingested_at")


def _never_passed(
    versions: pd.DataFrame, until: IntArray, halts: pd.DatetimeIndex, published: pd.DatetimeIndex
) -> BoolArray:
    stored = nanoseconds(versions["ingested_at"])
    return _any_between(halts, stored, until) & ~_any_between(published, stored, until)


def _any_between(moments: pd.DatetimeIndex, first: IntArray, until: IntArray) -> BoolArray:
    """Whether any moment lies at or after ``first`` and before ``until``, element by element."""
    following = _following(moments, first)
    return np.asarray((following < until) & (following != _NEVER))


def _following(moments: pd.DatetimeIndex, first: IntArray) -> IntArray:
    """The earliest of some moments at or after each first one; the largest integer where there is none."""
    ordered = np.append(np.sort(nanoseconds(moments)), _NEVER)
    return np.asarray(ordered[np.searchsorted(ordered[:-1], first, side="left")])


def _replaced_at(versions: pd.DataFrame, key: list[str]) -> IntArray:
    """When the next version of the same key was stored; a delivery's own rows do not replace one another."""
    replaced_at = np.full(len(versions), _NEVER)
    several = versions.duplicated(key, keep=False).to_numpy()
    if not several.any():
        return replaced_at
    some = versions.loc[several, [*key, "ingested_at"]].reset_index(drop=True)
    deliveries = some.drop_duplicates().sort_values([*key, "ingested_at"])
    following = deliveries.groupby(key, sort=False)["ingested_at"].shift(-1)
    merged = some.merge(deliveries.assign(following=following), on=[*key, "ingested_at"], how="left")
    after = pd.DatetimeIndex(merged["following"])
    replaced_at[several] = np.where(after.isna(), _NEVER, nanoseconds(after))
    return replaced_at
