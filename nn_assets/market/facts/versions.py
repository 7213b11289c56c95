"""Versions of bars: which one is in force, and what a delivery adds to those stored.

A *version* of a bar is what was said about one symbol and session as of one ``known_at``; it has
several rows where a delivery contradicted (or repeated) itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nn_assets.market.facts.arrival import following
from nn_assets.market.facts.version_codes import VALUES, Codes, Mask, content_codes, nanoseconds, repeats

__all__ = ["RevisionCount", "arrived", "in_force", "key_codes"]

_EARLIEST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class RevisionCount:
    """What a delivery held, counted in versions: one for each symbol, session and moment of its own.

    ``added`` bars were not stored before; ``revised`` ones differ from the version in force before
    them; ``confirmed`` ones repeat a version stored before it could be known (a bar taken in before
    its session's close); ``unchanged`` ones say nothing new. ``revised_by_symbol`` is no part of
    equality.
    """

    added: int = 0
    revised: int = 0
    confirmed: int = 0
    unchanged: int = 0
    revised_by_symbol: dict[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: RevisionCount) -> RevisionCount:
        by_symbol = dict(self.revised_by_symbol)
        for symbol, count in other.revised_by_symbol.items():
            by_symbol[symbol] = by_symbol.get(symbol, 0) + count
        return RevisionCount(
            self.added + other.added,
            self.revised + other.revised,
            self.confirmed + other.confirmed,
            self.unchanged + other.unchanged,
            by_symbol,
        )

    def most_revised(self, count: int = 10) -> dict[str, int]:
        """Symbols with the most revised bars, most first, ties by name."""
        ordered = sorted(self.revised_by_symbol.items(), key=lambda each: (-each[1], each[0]))
        return dict(ordered[:count])


def key_codes(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, Codes]:
    """Code the (symbol, session) pairs of two frames together: how many, and one code a row."""
    symbols = pd.concat([first["symbol"], second["symbol"]], ignore_index=True)
    sessions = pd.concat([first["session"], second["session"]], ignore_index=True)
    symbol_codes = pd.factorize(symbols)[0].astype(np.int64)
    session_codes, days = pd.factorize(sessions)
    codes, pairs = pd.factorize(symbol_codes * max(len(days), 1) + session_codes)
    return len(pairs), codes.astype(np.int64)


def in_force(versions: pd.DataFrame, codes: Codes) -> Mask:
    """Rows of the version known last for their key, whatever the order of storage.

    Of versions that say the same, one after the other, it is the first: it is known since then.
    Of several with the same ``known_at``, one taken in before that moment (an intraday bar) yields
    to one taken in later; what was taken in after it stands side by side, for cleaning to judge.
    """
    if versions.empty:
        return np.zeros(0, dtype=bool)
    keys = int(codes.max()) + 1
    known_at = np.where(repeats(versions, codes), _EARLIEST, nanoseconds(versions["known_at"]))
    last: Mask = known_at == _latest(keys, codes, known_at)[codes]
    held = np.where(last, np.minimum(nanoseconds(versions["ingested_at"]), known_at), _EARLIEST)
    return last & (held == _latest(keys, codes, held)[codes])


def arrived(stored: pd.DataFrame, delivered: pd.DataFrame) -> tuple[pd.DataFrame, RevisionCount]:
    """Find what a delivery without moments of its own adds, in the order of arrival; see ``new_versions``."""
    keys, codes = key_codes(stored, delivered)
    latest = in_force(stored, codes[: len(stored)])
    old, old_codes = stored[latest], codes[: len(stored)][latest]
    new_codes = codes[len(stored) :]
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
    fresh = (added | revised | confirmed)[new_codes]
    chosen = delivered if fresh.all() else delivered[fresh]
    first = added[new_codes[fresh]]
    if not first.all():
        stored_at = _moments(keys, codes[: len(stored)], stored["ingested_at"])[new_codes[fresh]]
        before = pd.Series(pd.DatetimeIndex(stored_at, tz="UTC"), index=chosen.index).where(~first)
        chosen = chosen.assign(ingested_at=following(chosen["ingested_at"], before))
        arrival_or_close = chosen[["known_at", "ingested_at"]].max(axis=1)
        chosen = chosen.assign(known_at=chosen["known_at"].where(first, arrival_or_close))
    changed = delivered[revised[new_codes]].drop_duplicates(["symbol", "session"])
    counts = RevisionCount(
        added=int(added.sum()),
        revised=int(revised.sum()),
        confirmed=int(confirmed.sum()),
        unchanged=int((present & known & same & ~confirmed).sum()),
        revised_by_symbol={str(symbol): int(count) for symbol, count in changed["symbol"].value_counts().items()},
    )
    return chosen, counts


def _latest(keys: int, codes: Codes, values: Codes) -> Codes:
    latest = np.full(keys, _EARLIEST)
    np.maximum.at(latest, codes, values)
    return latest


def _moments(keys: int, codes: Codes, moments: pd.Series) -> Codes:
    """Latest moment of each key, in nanoseconds; the earliest possible where a key has none."""
    return _latest(keys, codes, nanoseconds(moments))


def _same_content(keys: int, old: pd.DataFrame, old_codes: Codes, new: pd.DataFrame, new_codes: Codes) -> Mask:
    """Keys of which both frames hold the same rows; two that say the same are one."""
    if old.empty or new.empty:
        return np.zeros(keys, dtype=bool)
    (old, old_codes), (new, new_codes) = _distinct(old, old_codes), _distinct(new, new_codes)
    size_old, size_new = np.bincount(old_codes, minlength=keys), np.bincount(new_codes, minlength=keys)
    equal, codes = _paired(old, old_codes, new, new_codes)
    matches = np.bincount(codes[equal], minlength=keys)
    same: Mask = (size_old == size_new) & (matches == size_new)
    return same


def _distinct(rows: pd.DataFrame, codes: Codes) -> tuple[pd.DataFrame, Codes]:
    """Rows that no row before them of their key repeats."""
    if int(np.bincount(codes).max()) == 1:
        return rows, codes
    first = np.unique(content_codes(rows, codes), return_index=True)[1]
    return rows.iloc[np.sort(first)], codes[np.sort(first)]


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
