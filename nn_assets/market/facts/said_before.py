"""What files said before: their rows say nothing new, whatever other files have said since.

A folder's files overlap, and each is read again for reasons of its own (it grew, the folder was moved, a setting is
another). Its rows are compared with what *it* said last, so that it takes back no restatement that came in another
file; and rows of a file whose very contents were taken in before are compared with all that is stored.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from nn_assets.market.facts.bars import new_versions
from nn_assets.market.facts.version_codes import Mask, codes_of, content_codes, nanoseconds, signatures
from nn_assets.market.facts.versions import RevisionCount, key_codes

__all__ = ["new_versions_of_files", "said_before"]


def new_versions_of_files(
    stored: pd.DataFrame, delivered: pd.DataFrame, taken_before: Collection[str], *, stated: Mask | None = None
) -> tuple[pd.DataFrame, RevisionCount]:
    """Find what a delivery of files adds; as ``new_versions``, but rows that a file said before are left out first.

    Parameters
    ----------
    stored, delivered, stated
        As of ``new_versions``. Rows that state their moment find their place by it, whoever said them before.
    taken_before : collection of str
        The ``source`` of files whose very contents were taken in before.

    Returns
    -------
    DataFrame, RevisionCount
        As of ``new_versions``; bars of which every row was left out count as unchanged.
    """
    fresh, counted = new_versions(stored, delivered, stated=stated)
    # Only what would be stored is compared with what was said before: most rows of a file that grew are in force.
    days = fresh["session"].unique()
    asked = delivered["session"].isin(days).to_numpy()
    if stated is not None:
        asked = asked & ~stated
    repeated = np.zeros(len(delivered), dtype=bool)
    repeated[asked] = said_before(stored[stored["session"].isin(days)], delivered[asked], taken_before)
    if not repeated.any():
        return fresh, counted
    rest = delivered[~repeated]
    fresh, counted = new_versions(stored, rest, stated=None if stated is None else stated[~repeated])
    bars, of_rest = (frame[["symbol", "session"]].drop_duplicates().shape[0] for frame in (delivered, rest))
    return fresh, counted + RevisionCount(unchanged=bars - of_rest)


def said_before(stored: pd.DataFrame, delivered: pd.DataFrame, taken_before: Collection[str]) -> Mask:
    """Find the rows of files that say of a bar what the file said of it last.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``BAR_VERSIONS``, in any order.
    taken_before : collection of str
        The ``source`` of files whose very contents were taken in before: what they say was said before wherever it
        is stored, under whichever source, since nothing is stored twice.

    Returns
    -------
    bool array, shape (rows delivered,)
        All rows of a file about one bar, or none of them: a file that says two things at once is judged as a whole.
        A bar stored before it could be known is no predecessor: who repeats it confirms it.
    """
    ripe = stored[stored["known_at"] <= stored["ingested_at"]]
    if ripe.empty or delivered.empty:
        return np.zeros(len(delivered), dtype=bool)
    size, both = len(ripe), pd.concat([ripe, delivered], ignore_index=True)
    _, keys = key_codes(ripe, delivered)
    contents = content_codes(both, keys)
    of_file = codes_of([keys, pd.factorize(both["source"])[0].astype(np.int64)])
    arrived = nanoseconds(ripe["ingested_at"])
    last = np.full(len(both), np.iinfo(np.int64).min)
    np.maximum.at(last, of_file[:size], arrived)
    newest = arrived == last[of_file[:size]]
    said_last = signatures(of_file[:size][newest], contents[:size][newest], len(both))
    says_now = signatures(of_file[size:], contents[size:], len(both))
    repeated = said_last[of_file[size:]] == says_now[of_file[size:]]
    again = delivered["source"].isin(list(taken_before)).to_numpy()
    unknown = again & ~np.isin(contents[size:], contents[:size])
    whole = np.ones(len(both), dtype=bool)
    whole[of_file[size:][unknown]] = False
    return np.asarray(repeated | (again & whole[of_file[size:]]))
