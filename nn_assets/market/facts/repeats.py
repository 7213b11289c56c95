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

from nn_assets.arrays import BoolArray
from nn_assets.contracts.frames import BarVersions
from nn_assets.market.facts.arrival import following
from nn_assets.market.facts.bars import new_versions
from nn_assets.market.facts.bitemporal import BAR_FACTS, Kind, RevisionCount

_KEY = list(BAR_FACTS.key)
_OF_FILE = [*_KEY, "source"]


def new_versions_of_files(
    stored: BarVersions,
    delivered: BarVersions,
    taken_before: Collection[str],
    *,
    explicit: BoolArray | None = None,
    contents: pd.DataFrame | None = None,
    kind: Kind = BAR_FACTS,
) -> tuple[BarVersions, BarVersions, RevisionCount]:
    """Find what a delivery of files adds; as ``new_versions``, but rows that a file said before are left out first.

    Parameters
    ----------
    stored, delivered, explicit
        As of ``new_versions``. Rows that state their moment are ordered by it, whichever file had them before.
    taken_before : collection of str
        The ``source`` of files whose very contents were taken in before.
    contents : DataFrame, optional
        The values delivered for contradicted versions, as far as they are on record: columns of ``stored``.
    kind : Kind
        Of facts about a symbol and a session: bars, or what is said of them beside.

    Returns
    -------
    DataFrame, DataFrame, RevisionCount
        The rows to append as of ``new_versions``; and such as repeat the version in force: of files that say the same
        at once, and of those that said something else before. They are to be appended too, and change nothing that is
        known. Bars of which every row was left out count as unchanged, and so do those repeated.
    """
    assumed = np.ones(len(delivered), dtype=bool) if explicit is None else ~explicit
    fresh, counted = new_versions(stored, delivered, explicit=explicit, kind=kind)
    # Only what would be stored, or was restated before, is compared with what was said before: most rows of a file
    # that grew are in force, and the only ones of their bars.
    restated = stored.loc[stored.duplicated(_KEY), "session"]
    days = pd.concat([fresh["session"], restated]).unique()
    candidates = assumed & delivered["session"].isin(days).to_numpy()
    repeated, otherwise = np.zeros((2, len(delivered)), dtype=bool)
    stored_rows = stored[stored["session"].isin(days)]
    versions = stored_rows if contents is None else kind.with_contents(stored_rows, contents)
    repeated[candidates], otherwise[candidates] = repeats_and_changes(
        versions, delivered[candidates], taken_before, kind
    )
    if repeated.any():
        rest = delivered[~repeated]
        remaining = None if explicit is None else explicit[~repeated]
        fresh, counted = new_versions(stored, rest, explicit=remaining, kind=kind)
        bars, of_rest = (frame[_KEY].drop_duplicates().shape[0] for frame in (delivered, rest))
        counted += RevisionCount(unchanged=bars - of_rest)
    repeats = _same_in_other_files(fresh, delivered[assumed & ~repeated], kind)
    if otherwise.any():
        apart = pd.MultiIndex.from_frame(delivered.loc[~assumed, _KEY])
        repeats = pd.concat([repeats, _own_words(stored_rows, delivered[otherwise], fresh, apart, kind)])
    return fresh, repeats, counted


def _same_in_other_files(fresh: pd.DataFrame, delivered: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Rows of other files that say what a version to append says: each file's words, of the same moments."""
    several = delivered[delivered.duplicated(_KEY, keep=False)]
    if several.empty:
        return several
    moments = ["known_at", "ingested_at"]
    appended = fresh[[*kind.columns, "source", *moments]]
    both = several.drop(columns=moments).merge(appended, on=kind.columns, suffixes=("", "_of_fresh"))
    return both[both["source"] != both["source_of_fresh"]].drop_duplicates(_OF_FILE)[delivered.columns]


def _own_words(
    stored: pd.DataFrame, otherwise: pd.DataFrame, fresh: pd.DataFrame, apart: pd.MultiIndex, kind: Kind
) -> pd.DataFrame:
    """Rows that repeat the version in force of bars about which their file said something else, stamped as arrived.

    None where a version is not known yet, or has no values: what is known would be another.
    """
    bars, new = (pd.MultiIndex.from_frame(frame[_KEY]) for frame in (otherwise, fresh))
    repeats = otherwise[~bars.isin(new) & ~bars.isin(apart)].drop_duplicates(_OF_FILE)
    latest = stored.groupby(_KEY)[["known_at", "ingested_at"]].max()
    now = kind.newest(stored).set_index(_KEY)
    latest["sound"] = now[list(kind.values)].notna().any(axis=1)
    before = latest.reindex(pd.MultiIndex.from_frame(repeats[_KEY])).set_axis(repeats.index)
    offset = pd.to_timedelta(repeats.groupby(_KEY).cumcount(), unit="ns")  # a version of each file's own
    arrived_at = following(repeats["ingested_at"], before["ingested_at"]) + offset
    open_ = (repeats["known_at"] <= arrived_at) & (before["known_at"] < arrived_at) & (before["sound"] == 1)
    return repeats.assign(known_at=arrived_at, ingested_at=arrived_at)[open_]


def repeats_and_changes(
    stored: BarVersions, delivered: BarVersions, taken_before: Collection[str], kind: Kind = BAR_FACTS
) -> tuple[BoolArray, BoolArray]:
    """Find the rows of files that repeat what the file last said of a bar, and those that change it.

    Parameters
    ----------
    stored, delivered : DataFrame
        Columns of ``BAR_VERSIONS``, in any order; in ``stored``, contradicted versions with their values.
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
    last = ripe[ripe["ingested_at"] == ripe.groupby(_OF_FILE)["ingested_at"].transform("max")]
    earlier, says = (frame[[*kind.columns, "source"]].drop_duplicates() for frame in (last, delivered))
    met = says.merge(earlier, on=[*kind.columns, "source"]).groupby(_OF_FILE).size()
    sizes = pd.DataFrame({"said": earlier.groupby(_OF_FILE).size(), "says": says.groupby(_OF_FILE).size(), "met": met})
    sizes = sizes.fillna(0).reindex(pd.MultiIndex.from_frame(delivered[_OF_FILE]))
    repeated = ((sizes["said"] == sizes["met"]) & (sizes["says"] == sizes["met"])).to_numpy()
    otherwise = ~repeated & (sizes["said"] > 0).to_numpy()
    again = delivered["source"].isin(list(taken_before)).to_numpy()
    anywhere = ripe[kind.columns].drop_duplicates()
    stored_too = delivered[kind.columns].merge(anywhere, how="left", indicator=True)["_merge"] == "both"
    whole = stored_too.groupby([delivered[name].to_numpy() for name in _OF_FILE]).transform("all").to_numpy()
    return repeated | (again & whole & ~otherwise), otherwise
