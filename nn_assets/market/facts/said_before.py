"""What files said before: their rows say nothing new, whatever other files have said since.

A folder's files overlap, and each is read again for reasons of its own (it grew, the folder was moved, a setting is
another). Its rows are compared with what *it* said last, so that it takes back no restatement that came in another
file; and rows of a file whose very contents were taken in before are compared with all that is stored, where no words
of its own are. What a file says instead of its last words is stored also where another file said it first: else what
it says next would be compared with words that it has taken back.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from nn_assets.market.facts.arrival import following
from nn_assets.market.facts.bars import new_versions
from nn_assets.market.facts.version_codes import VALUES, Codes, Mask, codes_of, content_codes, nanoseconds, signatures
from nn_assets.market.facts.versions import RevisionCount, in_force, key_codes

__all__ = ["new_versions_of_files", "said_before"]

_KEY = ["symbol", "session"]


def new_versions_of_files(
    stored: pd.DataFrame, delivered: pd.DataFrame, taken_before: Collection[str], *, stated: Mask | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, RevisionCount]:
    """Find what a delivery of files adds; as ``new_versions``, but rows that a file said before are left out first.

    Parameters
    ----------
    stored, delivered, stated
        As of ``new_versions``. Rows that state their moment find their place by it, whoever said them before.
    taken_before : collection of str
        The ``source`` of files whose very contents were taken in before.

    Returns
    -------
    DataFrame, DataFrame, RevisionCount
        The rows to append as of ``new_versions``, and such as repeat the version in force, of bars about which a file
        said something else before: to be appended too, they change nothing that is known. Bars of which every row was
        left out count as unchanged, and so do those repeated.
    """
    assumed = np.ones(len(delivered), dtype=bool) if stated is None else ~stated
    fresh, counted = new_versions(stored, delivered, stated=stated)
    # Only what would be stored, or was restated before, is compared with what was said before: most rows of a file
    # that grew are in force, and the only ones of their bars.
    restated = stored.loc[stored.duplicated(_KEY), "session"]
    days = pd.concat([fresh["session"], restated]).unique()
    asked = assumed & delivered["session"].isin(days).to_numpy()
    repeated, otherwise = np.zeros((2, len(delivered)), dtype=bool)
    said = stored[stored["session"].isin(days)]
    repeated[asked], otherwise[asked] = said_before(said, delivered[asked], taken_before)
    if repeated.any():
        rest = delivered[~repeated]
        fresh, counted = new_versions(stored, rest, stated=None if stated is None else stated[~repeated])
        bars, of_rest = (frame[_KEY].drop_duplicates().shape[0] for frame in (delivered, rest))
        counted += RevisionCount(unchanged=bars - of_rest)
    if not otherwise.any():
        return fresh, delivered.iloc[:0], counted
    apart = pd.MultiIndex.from_frame(delivered.loc[~assumed, _KEY])
    return fresh, _own_words(said, delivered[otherwise], fresh, apart), counted


def _own_words(
    stored: pd.DataFrame, otherwise: pd.DataFrame, fresh: pd.DataFrame, apart: pd.MultiIndex
) -> pd.DataFrame:
    """Rows that repeat the version in force of bars about which their file said something else, stamped as arrived.

    Each file's are as many as that version has, and so are no version that says anything new. None where a version is
    not known yet, or contradicts itself: what is known would be another.
    """
    bars, new = (pd.MultiIndex.from_frame(frame[_KEY]) for frame in (otherwise, fresh))
    words = otherwise[~bars.isin(new) & ~bars.isin(apart)].drop_duplicates([*_KEY, "source"])
    known = stored[pd.MultiIndex.from_frame(stored[_KEY]).isin(pd.MultiIndex.from_frame(words[_KEY]))]
    _, codes = key_codes(known, known.iloc[:0])
    now = known[in_force(known, codes)]
    told = known.groupby(_KEY)[["known_at", "ingested_at"]].max()
    told["rows"] = now.groupby(_KEY).size()
    told["sayings"] = now.drop_duplicates([*_KEY, *VALUES]).groupby(_KEY).size()
    before = told.reindex(pd.MultiIndex.from_frame(words[_KEY])).set_axis(words.index)
    place = pd.to_timedelta(words.groupby(_KEY).cumcount(), unit="ns")  # a version of each file's own
    arrived_at = following(words["ingested_at"], before["ingested_at"]) + place
    open_ = (words["known_at"] <= arrived_at) & (before["known_at"] < arrived_at) & (before["sayings"] == 1)
    words = words.assign(known_at=arrived_at, ingested_at=arrived_at)[open_]
    return words.loc[words.index.repeat(before.loc[open_, "rows"].astype("int64"))]


def said_before(stored: pd.DataFrame, delivered: pd.DataFrame, taken_before: Collection[str]) -> tuple[Mask, Mask]:
    """Find the rows of files that say of a bar what the file said of it last, and those that say something else.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``BAR_VERSIONS``, in any order.
    taken_before : collection of str
        The ``source`` of files whose very contents were taken in before: what they say was said before wherever it
        is stored, under whichever source, since nothing is stored twice; but for bars of which there are words of
        their own, the last of which tell.

    Returns
    -------
    bool array, bool array, each of shape (rows delivered,)
        All rows of a file about one bar, or none of them: a file that says two things at once is judged as a whole.
        Neither, where nothing is stored of the bar that the file said, or said first. A bar stored before it could be
        known is no predecessor: who repeats it confirms it.
    """
    ripe = stored[stored["known_at"] <= stored["ingested_at"]]
    if ripe.empty or delivered.empty:
        return np.zeros(len(delivered), dtype=bool), np.zeros(len(delivered), dtype=bool)
    size, both = len(ripe), pd.concat([ripe, delivered], ignore_index=True)
    _, keys = key_codes(ripe, delivered)
    contents = content_codes(both, keys)
    of_file = codes_of([keys, pd.factorize(both["source"])[0].astype(np.int64)])
    arrived = nanoseconds(ripe["ingested_at"])
    last = np.full(len(both), np.iinfo(np.int64).min)
    np.maximum.at(last, of_file[:size], arrived)
    newest = arrived == last[of_file[:size]]
    said_last = _sayings(of_file[:size][newest], contents[:size][newest], len(both))[of_file[size:]]
    says_now = _sayings(of_file[size:], contents[size:], len(both))[of_file[size:]]
    repeated, otherwise = said_last == says_now, (said_last != says_now) & (said_last >= 0)
    again = delivered["source"].isin(list(taken_before)).to_numpy()
    unknown = again & ~np.isin(contents[size:], contents[:size])
    whole = np.ones(len(both), dtype=bool)
    whole[of_file[size:][unknown]] = False
    return np.asarray(repeated | (again & whole[of_file[size:]] & ~otherwise)), np.asarray(otherwise)


def _sayings(of_file: Codes, contents: Codes, size: int) -> Codes:
    """Code of what a file's rows about a bar say together, however often."""
    first = np.unique(codes_of([of_file, contents]), return_index=True)[1]
    return signatures(of_file[first], contents[first], size)
