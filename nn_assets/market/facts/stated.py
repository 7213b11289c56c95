"""Deliveries that state when they became known: they find their place by it, in whatever order they come.

What is stored is a join: of every symbol, session and moment the rows that any delivery held, each as
often as the delivery that repeated it most. Joins neither depend on order nor on repetition, so late
drops, and drops taken in twice, end in the same versions. That a drop repeated an earlier value is
kept as well: a late drop with another value may still turn out to lie between the two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.market.facts.version_codes import Codes, Mask, codes_of, content_codes, nanoseconds, signatures
from nn_assets.market.facts.versions import RevisionCount, key_codes

__all__ = ["stated_versions"]


def stated_versions(stored: pd.DataFrame, delivered: pd.DataFrame) -> tuple[pd.DataFrame, RevisionCount]:
    """Find the rows of a delivery that are not stored yet under its own moments.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``BAR_VERSIONS``, in any order; ``delivered`` may hold several moments of one bar.

    Returns
    -------
    DataFrame
        The rows to append, as delivered.
    RevisionCount
        One count for each symbol, session and moment delivered. The first moment of a bar is
        ``added``; others are ``revised`` or ``unchanged`` beside the version in force before them
        (beside the one after, for a moment earlier than all stored).
    """
    delivered = _joined(delivered)
    size = len(stored)
    _, keys = key_codes(stored, delivered)
    both = pd.concat([stored, delivered], ignore_index=True)
    known_at = nanoseconds(both["known_at"])
    ripe = nanoseconds(both["ingested_at"]) >= known_at
    versions = codes_of([keys, known_at])
    rows = codes_of([versions, content_codes(both, keys)])
    fresh = _surplus(rows[:size], ripe[:size], rows[size:], ripe[size:])
    return delivered[fresh], _count(both, keys, known_at, versions, size)


def _joined(delivered: pd.DataFrame) -> pd.DataFrame:
    """Rows that several sources (files of one moment) repeat, as often as the one that repeats them most."""
    _, keys = key_codes(delivered, delivered.iloc[:0])
    rows = codes_of([content_codes(delivered, keys), nanoseconds(delivered["known_at"])])
    sources = pd.factorize(delivered["source"])[0].astype(np.int64)
    times = codes_of([rows, _occurrence(codes_of([rows, sources]))])
    first = np.unique(times, return_index=True)[1]
    return delivered if len(first) == len(delivered) else delivered.iloc[np.sort(first)]


def _occurrence(codes: Codes) -> Codes:
    """How many rows of the same code come before each."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    occurrence = np.empty(len(codes), dtype=np.int64)
    occurrence[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return occurrence


def _surplus(stored: Codes, stored_ripe: Mask, delivered: Codes, ripe: Mask) -> Mask:
    """Delivered rows beyond as many equal ones as are stored.

    Rows taken in before they could be known do not stand for one taken in later.
    """
    width = int(max(stored.max(initial=-1), delivered.max(initial=-1))) + 1
    of_all = np.bincount(stored, minlength=width)
    of_ripe = np.bincount(stored[stored_ripe], minlength=width)
    return _occurrence(delivered) >= np.where(ripe, of_ripe[delivered], of_all[delivered])


def _count(both: pd.DataFrame, keys: Codes, known_at: Codes, versions: Codes, size: int) -> RevisionCount:
    """Compare each version delivered with the one before it, or with the one stored of its own moment."""
    contents = content_codes(both, keys)
    several = len(both)
    apart = np.where(np.arange(several) < size, versions, versions + several)
    of_stored, of_delivered = np.split(signatures(apart, contents, 2 * several), 2)
    first_rows = np.unique(versions, return_index=True)[1]
    order = first_rows[np.lexsort((known_at[first_rows], keys[first_rows]))]
    key, version = keys[order], versions[order]
    stored, told = of_stored[version], of_delivered[version]
    said = np.where(stored >= 0, stored, told)  # in force: what was there of this very moment came first
    follows = np.append([False], key[1:] == key[:-1])
    precedes = np.append(key[1:] == key[:-1], [False])
    before, after = np.roll(said, 1), np.roll(said, -1)
    held = np.zeros(int(key.max(initial=-1)) + 1, dtype=bool)
    held[keys[:size]] = True
    delivered = told >= 0
    added = delivered & ~follows & ~held[key]
    beside = np.where(stored >= 0, stored, np.where(follows, before, np.where(precedes & held[key], after, told)))
    revised = delivered & ~added & (told != beside)
    symbols = both["symbol"].iloc[order[revised]].value_counts()
    return RevisionCount(
        added=int(added.sum()),
        revised=int(revised.sum()),
        unchanged=int((delivered & ~added & ~revised).sum()),
        revised_by_symbol={str(symbol): int(count) for symbol, count in symbols.items()},
    )
