"""Bars as bitemporal facts: versions, what was known when, and the hash of what they say.

A *version* of a bar is what one delivery said about one symbol and session. One that differs is a
new version and the old one stays. Studies read by ``known_at``, so that what arrives late with a
moment of its own finds its place; replaying a recorded decision also limits ``ingested_at``.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import number_bytes
from nn_assets.contracts import BAR_VERSIONS, conform
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.market.facts.rows import ordered_by_symbol
from nn_assets.market.facts.stated import stated_versions
from nn_assets.market.facts.version_codes import VALUES, Mask, repeats
from nn_assets.market.facts.versions import RevisionCount, arrived, in_force, key_codes

__all__ = [
    "RevisionCount",
    "as_of",
    "content_hash",
    "known_after",
    "new_versions",
    "restated_since",
    "with_assumed_known_at",
]

_ONE_DAY = pd.Timedelta(days=1)


def known_after(calendar: str, days: object, lag_minutes: int) -> pd.DatetimeIndex:
    """Moments, UTC, at which what belongs to each day is taken to be known.

    A lag after the session's close; on a day that is no session, a lag after its end, UTC.
    """
    asked = pd.DatetimeIndex(days)
    distinct, place = np.unique(asked.to_numpy(dtype="datetime64[ns]"), return_inverse=True)
    each = pd.DatetimeIndex(distinct)
    closes = assumed_known_at(calendar, each, lag_minutes)
    ends = each.tz_localize("UTC") + _ONE_DAY + pd.Timedelta(minutes=lag_minutes)
    return closes.where(closes.notna(), ends)[place]


def with_assumed_known_at(
    delivered: pd.DataFrame,
    calendar: str,
    lag_minutes: int,
    arrived_at: pd.Timestamp,
    *,
    decided_to: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Give each delivered bar its moments.

    Parameters
    ----------
    delivered : DataFrame
        Columns of ``DELIVERED_BARS``. A ``known_at`` of the source's own is kept.
    calendar : str
        Name of the calendar whose closes count.
    lag_minutes : int
        Minutes from the close until a bar of a bulk history is taken to be known.
    arrived_at : Timestamp
        UTC moment of arrival; becomes ``ingested_at``.
    decided_to : Timestamp, optional
        Last session that was decided. A bar of it, or of one before, comes too late for those
        decisions: nothing is assumed, and it counts as known when it arrived.

    Returns
    -------
    DataFrame
        Columns of ``BAR_VERSIONS``. A day that is no session counts as known a lag after its end, UTC.
    """
    known_at = pd.Series(known_after(calendar, delivered["session"], lag_minutes), index=delivered.index)
    if decided_to is not None:
        known_at = known_at.mask(delivered["session"] <= decided_to, arrived_at)
    if "known_at" in delivered.columns:
        known_at = delivered["known_at"].where(delivered["known_at"].notna(), known_at)
    return conform(delivered.assign(known_at=known_at, ingested_at=arrived_at), BAR_VERSIONS)


def new_versions(
    stored: pd.DataFrame, delivered: pd.DataFrame, *, stated: Mask | None = None
) -> tuple[pd.DataFrame, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``BAR_VERSIONS``: every version so far of the bars delivered, in any order; others
        change nothing.
    delivered : DataFrame
        Same columns, one delivery, moments filled in. Several rows of one symbol and session are
        one version that contradicts (or repeats) itself: all are kept, and cleaning judges them.
    stated : array of bool, shape (rows delivered,), optional
        Rows whose ``known_at`` is the source's own; none when left out.

    Returns
    -------
    DataFrame
        The rows to append; redelivering the same, in whatever order, gives none. NaN equals NaN.
        A *stated* known_at is kept: such rows find their place by it, whenever they arrive. An
        assumed one holds for the first version of a bar; of any later version known_at is its
        ingested_at, its arrival (one taken in before the session's close stays unknown until then),
        which is stamped after the version stored before, whatever the clock says.
    RevisionCount
    """
    if stated is None or not stated.any():
        fresh, counted = arrived(stored, delivered)
        return ordered_by_symbol(fresh), counted
    placed, counted = stated_versions(stored, delivered[stated])
    if not stated.all():
        rest, also = arrived(pd.concat([stored, placed], ignore_index=True), delivered[~stated])
        placed, counted = pd.concat([placed, rest], ignore_index=True), counted + also
    return ordered_by_symbol(placed), counted


def as_of(versions: pd.DataFrame, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None) -> pd.DataFrame:
    """Give the bars as they were known at a moment.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``BAR_VERSIONS``, in any order.
    moment : Timestamp
        UTC. Only versions with known_at <= moment count.
    ingested_by : Timestamp, optional
        UTC. Only versions stored by then count: for replaying a decision on record.

    Returns
    -------
    DataFrame
        The version of each symbol and session known last: one row, or all rows of a delivery that
        held several (or of two that claim the same moment); known since it was first said. Ordered
        by symbol and session, then content, so that storage order shows nowhere.
    """
    visible = versions["known_at"] <= moment
    if ingested_by is not None:
        visible &= versions["ingested_at"] <= ingested_by
    seen = versions[visible]
    _, codes = key_codes(seen, seen.iloc[:0])
    return ordered_by_symbol(seen[in_force(seen, codes)])


def restated_since(versions: pd.DataFrame, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None) -> bool:
    """Whether a version known, or stored, later says anything else than the one before it.

    Parameters as in ``as_of``. If not, the bars as they are now are those known at the moment.
    """
    hidden = versions["known_at"] > moment
    if ingested_by is not None:
        hidden |= versions["ingested_at"] > ingested_by
    return len(saying_something_new(versions, hidden.to_numpy())) > 0


def saying_something_new(versions: pd.DataFrame, chosen: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Those of some versions that say anything else than the one before them.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``BAR_VERSIONS``, in any order.
    chosen : bool array, shape (rows,)
    """
    if not chosen.any():
        return versions.iloc[:0]
    touched = versions["session"].isin(versions.loc[chosen, "session"].unique()).to_numpy()
    some = versions[touched]
    _, codes = key_codes(some, some.iloc[:0])
    return some[chosen[touched] & ~repeats(some, codes)]


def content_hash(bars: pd.DataFrame) -> str:
    """SHA-256 of what bars say: symbol, session, prices and volume, whatever the rows' order.

    Source and moments are left out. All NaN are one, and so are both zeros.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    ordered = ordered_by_symbol(bars)
    digest = hashlib.sha256(f"bars/1/{len(ordered)}".encode())
    codes, symbols = pd.factorize(ordered["symbol"])
    for symbol, count in zip(symbols, np.bincount(codes, minlength=len(symbols)), strict=True):
        digest.update(f"{symbol}\t{count}\n".encode())
    digest.update(ordered["session"].to_numpy().astype("datetime64[ns]").astype("<i8").tobytes())
    for name in VALUES:
        digest.update(number_bytes(ordered[name]))
    return digest.hexdigest()
