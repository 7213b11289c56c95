"""Bars as bitemporal facts: versions, what was known when, and the hash of what they say.

A *version* of a bar is what one delivery said about one symbol and session. A later delivery that
says the same adds nothing; one that differs is a new version and the old one stays. Studies read
by ``known_at``; replaying a recorded decision also limits ``ingested_at``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import SchemaError
from nn_assets.frames import BAR_VERSIONS, conform
from nn_assets.market.rows import ordered_by_symbol
from nn_assets.market.sessions import assumed_known_at

__all__ = [
    "CONTENT_COLUMNS",
    "RevisionCount",
    "as_of",
    "content_hash",
    "new_versions",
    "with_assumed_known_at",
]

VALUES = ("open", "high", "low", "close", "volume")
CONTENT_COLUMNS = ("symbol", "session", *VALUES)
"""What a bar says. Where it came from and when are not part of it."""

_ONE_DAY = pd.Timedelta(days=1)

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RevisionCount:
    """What a delivery held, counted in bars (symbol and session).

    ``added`` bars were not stored before; ``revised`` ones differ from their latest version;
    ``confirmed`` ones repeat a version stored before it could be known (a bar taken in before
    its session's close); ``unchanged`` ones say nothing new.
    """

    added: int = 0
    revised: int = 0
    confirmed: int = 0
    unchanged: int = 0


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
    sessions = pd.DatetimeIndex(delivered["session"])
    assumed = pd.Series(assumed_known_at(calendar, sessions, lag_minutes), index=delivered.index)
    day_end = delivered["session"].dt.tz_localize("UTC") + _ONE_DAY + pd.Timedelta(minutes=lag_minutes)
    known_at = assumed.where(assumed.notna(), day_end)
    if decided_to is not None:
        known_at = known_at.mask(delivered["session"] <= decided_to, arrived_at)
    if "known_at" in delivered.columns:
        known_at = delivered["known_at"].where(delivered["known_at"].notna(), known_at)
    return conform(delivered.assign(known_at=known_at, ingested_at=arrived_at), BAR_VERSIONS)


def new_versions(stored: pd.DataFrame, delivered: pd.DataFrame) -> tuple[pd.DataFrame, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``BAR_VERSIONS``: every version so far, in any order.
    delivered : DataFrame
        Same columns, one delivery, moments filled in. Several rows of one symbol and session are
        one version that contradicts (or repeats) itself: all are kept, and cleaning judges them.

    Returns
    -------
    DataFrame
        The rows to append. The first version of a bar keeps its known_at; of any later version
        known_at is its ingested_at, its arrival (a version taken in before the session's close
        stays unknown until then). NaN equals NaN.
    RevisionCount
        Counts of bars. Redelivering the same rows, in whatever order, gives no rows.

    Raises
    ------
    SchemaError
        The delivery arrived before a version stored for one of its bars: deliveries are taken in
        in the order of their arrival.
    """
    keys, codes = _key_codes(stored, delivered)
    latest = _latest(stored, codes[: len(stored)])
    old, old_codes = stored[latest], codes[: len(stored)][latest]
    new_codes = codes[len(stored) :]
    _refuse_late(old, old_codes, delivered, new_codes)
    known = np.isin(np.arange(keys), old_codes)
    same = _same_content(keys, old, old_codes, delivered, new_codes)
    premature = np.zeros(keys, dtype=bool)
    early = (old["known_at"] > old["ingested_at"]).to_numpy()
    premature[old_codes[early]] = True
    # Confirmed only by what arrives when the bar could be known.
    ripe = _moments(keys, new_codes, delivered["ingested_at"]) >= _moments(keys, old_codes, old["known_at"])
    present = np.isin(np.arange(keys), new_codes)
    confirmed = present & known & same & premature & ripe
    revised = present & known & ~same
    added = present & ~known
    counts = RevisionCount(
        added=int(added.sum()),
        revised=int(revised.sum()),
        confirmed=int(confirmed.sum()),
        unchanged=int((present & known & same & ~confirmed).sum()),
    )
    chosen = delivered[(added | revised | confirmed)[new_codes]].copy()
    first = added[new_codes[(added | revised | confirmed)[new_codes]]]
    arrival_or_close = chosen[["known_at", "ingested_at"]].max(axis=1)
    chosen["known_at"] = chosen["known_at"].where(first, arrival_or_close)
    return ordered_by_symbol(chosen), counts


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
        The latest version of each symbol and session: one row, or all rows of a delivery that held
        several. Ordered by symbol and session, then content, so that storage order shows nowhere.
    """
    visible = versions["known_at"] <= moment
    if ingested_by is not None:
        visible &= versions["ingested_at"] <= ingested_by
    seen = versions[visible]
    _, codes = _key_codes(seen, seen.iloc[:0])
    return ordered_by_symbol(seen[_latest(seen, codes)])


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
        values = ordered[name].to_numpy(dtype="<f8") + 0.0
        digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return digest.hexdigest()


def _key_codes(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, Codes]:
    """Code the (symbol, session) pairs of two frames together: how many, and one code a row."""
    symbols = pd.concat([first["symbol"], second["symbol"]], ignore_index=True)
    sessions = pd.concat([first["session"], second["session"]], ignore_index=True)
    symbol_codes = pd.factorize(symbols)[0].astype(np.int64)
    session_codes, days = pd.factorize(sessions)
    codes, pairs = pd.factorize(symbol_codes * max(len(days), 1) + session_codes)
    return len(pairs), codes.astype(np.int64)


def _moments(keys: int, codes: Codes, moments: pd.Series) -> npt.NDArray[np.int64]:
    """Latest moment of each key, in nanoseconds; the earliest possible where a key has none."""
    latest = np.full(keys, np.iinfo(np.int64).min)
    np.maximum.at(latest, codes, moments.to_numpy(dtype="datetime64[ns]").astype(np.int64))
    return latest


def _latest(versions: pd.DataFrame, codes: Codes) -> Mask:
    """Rows of the version stored last for their key; of versions stored together, the one known last."""
    if versions.empty:
        return np.zeros(0, dtype=bool)
    keys = int(codes.max()) + 1
    stored_at = versions["ingested_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    last_stored = stored_at == _moments(keys, codes, versions["ingested_at"])[codes]
    known_at = versions["known_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    known = np.where(last_stored, known_at, np.iinfo(np.int64).min)
    last_known = np.full(keys, np.iinfo(np.int64).min)
    np.maximum.at(last_known, codes, known)
    return last_stored & (known_at == last_known[codes])


def _same_content(keys: int, old: pd.DataFrame, old_codes: Codes, new: pd.DataFrame, new_codes: Codes) -> Mask:
    """Keys of which both frames hold the same rows, counted with their repeats."""
    if old.empty or new.empty:
        return np.zeros(keys, dtype=bool)
    size_old, size_new = np.bincount(old_codes, minlength=keys), np.bincount(new_codes, minlength=keys)
    equal, codes = _paired(old, old_codes, new, new_codes)
    matches = np.bincount(codes[equal], minlength=keys)
    same: Mask = (size_old == size_new) & (matches == size_new)
    return same


def _paired(old: pd.DataFrame, old_codes: Codes, new: pd.DataFrame, new_codes: Codes) -> tuple[Mask, Codes]:
    """Whether the k-th row of each key says the same in both frames, and the rows' keys.

    Rows of a key are counted in the order of their values; with one row a key there is nothing to count.
    """
    width = max(int(np.bincount(codes).max()) for codes in (old_codes, new_codes))
    old_order, old_place = _places(old, old_codes, width)
    new_order, new_place = _places(new, new_codes, width)
    at = np.full((int(max(old_place.max(), new_place.max())) + 1), -1, dtype=np.int64)
    at[old_place] = old_order
    met = at[new_place]
    equal: Mask = met >= 0
    for name in VALUES:
        left = old[name].to_numpy(dtype=np.float64)[met]
        right = new[name].to_numpy(dtype=np.float64)[new_order]
        equal &= (left == right) | (np.isnan(left) & np.isnan(right))
    return equal, new_codes[new_order]


def _places(rows: pd.DataFrame, codes: Codes, width: int) -> tuple[Codes, Codes]:
    """Rows in an order, and the slot of each: ``width`` slots a key, filled by ascending values."""
    order = np.arange(len(rows), dtype=np.int64)
    if width == 1:
        return order, codes
    columns = [rows[name].to_numpy(dtype=np.float64) for name in reversed(VALUES)]
    order = np.lexsort([*columns, codes]).astype(np.int64)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes[order])) + 1])
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    rank = np.arange(len(order), dtype=np.int64) - np.repeat(starts, sizes)
    return order, codes[order] * width + rank


def _refuse_late(old: pd.DataFrame, old_codes: Codes, new: pd.DataFrame, new_codes: Codes) -> None:
    keys = int(max(old_codes.max(initial=-1), new_codes.max(initial=-1))) + 1
    stored_at = _moments(keys, old_codes, old["ingested_at"])[new_codes]
    late = new["ingested_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64) < stored_at
    if late.any():
        row = new.iloc[int(late.argmax())]
        raise SchemaError(
            expected="a delivery that arrived after every version stored of its bars",
            found=f"arrival {row['ingested_at']}, and a version stored later",
            remedy="take deliveries in in the order of their arrival",
            symbol=row["symbol"],
            session=row["session"].date(),
        )
