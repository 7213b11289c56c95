"""Bars as bitemporal facts: versions, what was known when, and the hash of what they say.

A bar is named by symbol and session. Studies read by ``known_at``, so that what arrives late with a moment of its own
finds its place; replaying a recorded decision also limits ``ingested_at``.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, Sessions, number_bytes
from nn_assets.contracts import BAR_VERSIONS, conform
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.frames import BarVersions, DailyBars, DeliveredBars
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.market.facts.bitemporal import BAR_FACTS, Kind, RevisionCount, known_from
from nn_assets.market.facts.rows import ordered_by_symbol

__all__ = [
    "RevisionCount",
    "content_hash",
    "known_after",
    "known_bars",
    "new_versions",
    "restated_since",
    "restated_values",
    "with_assumed_known_at",
]

_ONE_DAY = pd.Timedelta(days=1)


def known_after(calendar: str, days: Sessions, lag_minutes: int) -> pd.DatetimeIndex:
    """Moments, UTC, at which what belongs to each day is taken to be known.

    A lag after the session's close; on a day that is no session, a lag after its end, UTC.
    """
    wanted = pd.DatetimeIndex(days)
    distinct, inverse = np.unique(wanted.to_numpy(dtype="datetime64[ns]"), return_inverse=True)
    unique_days = pd.DatetimeIndex(distinct)
    closes = assumed_known_at(calendar, unique_days, lag_minutes)
    ends = unique_days.tz_localize("UTC") + _ONE_DAY + pd.Timedelta(minutes=lag_minutes)
    return closes.where(closes.notna(), ends)[inverse]


def with_assumed_known_at(
    delivered: DeliveredBars,
    calendar: str,
    lag_minutes: int,
    arrived_at: pd.Timestamp,
    *,
    decided_to: pd.Timestamp | None = None,
    contract: Contract = BAR_VERSIONS,
) -> BarVersions:
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
    contract : Contract
        Of what is delivered: bars, or what is said of them beside.

    Returns
    -------
    DataFrame
        Columns of the contract. A day that is no session counts as known a lag after its end, UTC.
    """
    known_at = pd.Series(known_after(calendar, delivered["session"], lag_minutes), index=delivered.index)
    if decided_to is not None:
        known_at = known_at.mask(delivered["session"] <= decided_to, arrived_at)
    known_at = known_from(delivered, known_at)
    return conform(delivered.assign(known_at=known_at, ingested_at=arrived_at), contract)


def new_versions(
    stored: BarVersions, delivered: BarVersions, *, explicit: BoolArray | None = None, kind: Kind = BAR_FACTS
) -> tuple[BarVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored, columns of ``BAR_VERSIONS``; see :meth:`Kind.added`.

    A bar taken in before its session's close stays unknown until then. ``kind`` may be that of what is said of bars
    beside, with columns of its own.
    """
    fresh, counted = kind.added(stored, delivered, explicit)
    return ordered_by_symbol(fresh), counted


def known_bars(versions: BarVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None) -> BarVersions:
    """Give the bars as they were known at a moment, ordered by symbol and session; see :meth:`Kind.as_of`."""
    return ordered_by_symbol(BAR_FACTS.as_of(versions, moment, ingested_by=ingested_by))


def restated_since(versions: BarVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None) -> bool:
    """Whether a version known, or stored, later says anything else than the one before it.

    Parameters as in ``known_bars``. If not, the bars as they are now are those known at the moment.
    """
    hidden = versions["known_at"] > moment
    if ingested_by is not None:
        hidden |= versions["ingested_at"] > ingested_by
    return len(saying_something_new(versions, hidden.to_numpy())) > 0


def restated_values(stored: BarVersions, fresh: BarVersions, most: int, kind: Kind = BAR_FACTS) -> list[str]:
    """What added versions say otherwise than the version before them.

    Parameters
    ----------
    stored, fresh : DataFrame
        Columns of ``BAR_VERSIONS``: those stored before, and those added to them.
    most : int
        How many bars to name at most.
    kind : Kind
        Of the versions.

    Returns
    -------
    list of str
        A line for each bar, by symbol and session: the old and the new value of each field that differs ("none" where
        it is missing), and the moment, UTC, since which the new ones are known.
    """
    key, fields = list(kind.key), list(kind.values)
    near = stored[stored["session"].isin(fresh["session"].unique()) & stored["symbol"].isin(fresh["symbol"].unique())]
    versions = pd.concat([near.assign(added=False), fresh.assign(added=True)], ignore_index=True)
    versions = versions.sort_values([*key, "known_at", "ingested_at"], kind="stable", ignore_index=True)
    values, follows = kind.numbers(versions), versions[key].eq(versions[key].shift()).all(axis=1)
    before = np.roll(values, 1, axis=0)  # (versions, fields)
    differs = (values != before) & ~(np.isnan(values) & np.isnan(before))
    rows = np.flatnonzero(versions["added"] & follows & differs.any(axis=1))[:most]
    lines = []
    for row in rows:
        changes = [
            f"{fields[at]} {_value_text(before[row, at])} -> {_value_text(values[row, at])}"
            for at in np.flatnonzero(differs[row])
        ]
        bar = versions.iloc[row]
        since = f"known since {bar['known_at']:%Y-%m-%d %H:%M} UTC"
        lines.append(f"{bar['symbol']} {bar['session'].date()}: {', '.join(changes)}, {since}")
    return lines


def _value_text(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.10g}"


def saying_something_new(versions: BarVersions, chosen: npt.NDArray[np.bool_], kind: Kind = BAR_FACTS) -> BarVersions:
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
    return some[chosen[touched] & ~kind.repeats(some)]


def content_hash(bars: DailyBars) -> str:
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
    counts = np.bincount(codes, minlength=len(symbols)).tolist()
    names = np.asarray(symbols, dtype=object).tolist()
    digest.update("".join(f"{name}\t{count}\n" for name, count in zip(names, counts, strict=True)).encode())
    digest.update(ordered["session"].to_numpy().astype("datetime64[ns]").astype("<i8").tobytes())
    for name in BAR_FACTS.values:
        digest.update(number_bytes(ordered[name]))
    return digest.hexdigest()
