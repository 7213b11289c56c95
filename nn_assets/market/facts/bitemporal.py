"""The core of every table of facts with versions: which one is in force, and what a delivery adds.

A *version* is one statement of a fact, as of one ``known_at``, in one row. Versions of a fact follow one another by
``known_at``, then by ``ingested_at``.

A ``known_at`` that the source states, in whatever zone, is kept: such a version finds its place by it, whenever it
arrives, and one that lies ahead is seen by nobody until then. Before the fact itself (a bar's end, the moment that is
observed) nothing can be known: cleaning, or the intake of a series, puts the row into quarantine. Actions and spells
are announced ahead: no moment of theirs is too early. Where none is stated it is assumed, which holds for the first
version of a fact alone; a later one that differs is known from its arrival. Actions, series and spells are delivered
whole, and a value that is missing says something there: :meth:`Kind.finds_place` says when one of theirs comes too late
for its stated moment, and is known from its arrival too. So is an observation or a spell that is stated as known by a
decision made before it came, since decisions read these tables by ``known_at`` alone.

Contradictions are judged here, on arrival: where a version comes with two values, it becomes one row without any,
and both values go to quarantine. Which of them came first makes no difference. Tables written before have such
versions in several rows; they are read as if they had been judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, nanoseconds
from nn_assets.contracts import DETAILS, QUOTES
from nn_assets.contracts.contract import PRICES
from nn_assets.market.facts.arrival import following

_MOMENTS = ["known_at", "ingested_at"]
_EARLIEST = np.iinfo(np.int64).min


def stated_in(delivered: pd.DataFrame) -> BoolArray | None:
    """Rows that state when they became known, shape (rows,); None where the delivery has no column for it."""
    return delivered["known_at"].notna().to_numpy() if "known_at" in delivered.columns else None


def known_from(delivered: pd.DataFrame, assumed: pd.Series) -> pd.Series:
    """Moments, UTC, at which delivered facts became known: those stated, or else those assumed (index as delivered)."""
    if "known_at" not in delivered.columns:
        return assumed
    return delivered["known_at"].where(delivered["known_at"].notna(), assumed)


@dataclass(frozen=True)
class RevisionCount:
    """What a delivery held, counted in versions: one for each fact and moment of its own.

    ``added`` facts were not stored before; ``revised`` ones differ from the version in force before them; ``confirmed``
    ones repeat a version stored before it could be known (a bar taken in before its session's close); ``unchanged``
    ones say nothing new. No part of equality are ``revised_by_symbol``; ``equal_rows``, rows that say what another row
    of their version says; ``contradicted``, the rows of versions with two values, for quarantine; and ``restated``,
    where it was asked for, a line for each of the first revised ones.
    """

    added: int = 0
    revised: int = 0
    confirmed: int = 0
    unchanged: int = 0
    revised_by_symbol: dict[str, int] = field(default_factory=dict, compare=False)
    equal_rows: int = field(default=0, compare=False)
    contradicted: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False, repr=False)
    restated: tuple[str, ...] = field(default=(), compare=False)

    def __add__(self, other: RevisionCount) -> RevisionCount:
        by_symbol = dict(self.revised_by_symbol)
        for symbol, count in other.revised_by_symbol.items():
            by_symbol[symbol] = by_symbol.get(symbol, 0) + count
        contradicted = [part.contradicted for part in (self, other) if len(part.contradicted)]
        return RevisionCount(
            self.added + other.added,
            self.revised + other.revised,
            self.confirmed + other.confirmed,
            self.unchanged + other.unchanged,
            by_symbol,
            self.equal_rows + other.equal_rows,
            pd.concat(contradicted, ignore_index=True) if contradicted else pd.DataFrame(),
            self.restated + other.restated,
        )

    def most_revised(self, count: int = 10) -> dict[str, int]:
        """Symbols with the most revised bars, most first, ties by name."""
        ordered = sorted(self.revised_by_symbol.items(), key=lambda item: (-item[1], item[0]))
        return dict(ordered[:count])


@dataclass(frozen=True)
class Kind:
    """A kind of facts: what names one, and what a version says of it.

    Frames of versions hold these columns, ``symbol``, ``source``, ``known_at`` and ``ingested_at`` (UTC), in any order
    of rows. A value that is missing equals one that is missing.

    Attributes
    ----------
    key, values : tuple of str
        Columns; values are numbers or days.
    unjudged : bool
        Whether rows are stored as they come: a version may then have two values, and one taken in before it could
        be known is confirmed by what repeats it. Other kinds are judged, or refused, before, and delivered whole.
    called_off : bool
        Whether what is known before a version that lies ahead calls that one off, even if it repeats what was known.
    """

    key: tuple[str, ...]
    values: tuple[str, ...]
    unjudged: bool = False
    called_off: bool = False

    @property
    def columns(self) -> list[str]:
        """Those of the key, and of what a version says."""
        return [*self.key, *self.values]

    # --- what is in force ------------------------------------------------------------------------------

    def as_of(
        self, versions: pd.DataFrame, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None
    ) -> pd.DataFrame:
        """Give the facts as they were known at a moment: one row each, the version known last, in the order stored.

        Parameters
        ----------
        versions : DataFrame
        moment : Timestamp, UTC
            Only versions with known_at <= moment count.
        ingested_by : Timestamp, UTC, optional
            Only versions stored by then count: for replaying a decision on record.

        Returns
        -------
        DataFrame
            Of versions that say the same, one after the other, the first: it is known since then. One that contradicts
            itself has NaN for its values.
        """
        visible = versions["known_at"] <= moment
        if ingested_by is not None:
            visible &= versions["ingested_at"] <= ingested_by
        return self.newest(versions[visible])

    def newest(self, versions: pd.DataFrame) -> pd.DataFrame:
        """The version in force of each fact; see :meth:`as_of`."""
        indices, torn = self._newest(versions, _codes(versions, self.key))
        return self._blank(versions.iloc[indices], torn)

    def one_row_per_version(self, versions: pd.DataFrame) -> pd.DataFrame:
        """Every version as one row, also where older tables hold several; NaN where it contradicts itself."""
        if versions.empty:
            return versions
        chain = _Chain.of(self, versions, _codes(versions, self.key))
        return self._blank(versions.iloc[chain.row], chain.torn)

    def repeats(self, versions: pd.DataFrame) -> BoolArray:
        """Rows of versions that say what the version known before them said, and was in hand by then.

        A version taken in before it could be known is no predecessor: what repeats it confirms it.
        """
        repeats = np.zeros(len(versions), dtype=bool)
        keys = _codes(versions, self.key)
        several = np.flatnonzero(_several(keys))
        if len(several):
            chain = _Chain.of(self, versions.iloc[several], keys[several])
            repeats[several] = chain.repeats[chain.version]
        return repeats

    def without_values(self, rows: pd.DataFrame) -> BoolArray:
        """Rows that say nothing: contradicted versions, and what came without a value."""
        return np.asarray(np.isnan(self.numbers(rows)).all(axis=1))

    def with_contents(self, rows: pd.DataFrame, contents: pd.DataFrame) -> pd.DataFrame:
        """Rows, each contradicted version replaced by the values delivered for it, where those are on record.

        Parameters
        ----------
        rows, contents : DataFrame
            Of the same columns; ``contents`` may hold other versions too, and the same twice.
        """
        silent, version = self.without_values(rows), [*self.key, "known_at"]
        broken, content_keys = (pd.MultiIndex.from_frame(frame[version]) for frame in (rows[silent], contents))
        put = contents[content_keys.isin(broken) & ~self.without_values(contents)]
        apart = put.drop_duplicates([*version, *self.values])
        broken = pd.MultiIndex.from_frame(apart.loc[apart.duplicated(version), version])
        of_rows, of_put = (pd.MultiIndex.from_frame(frame[version]).isin(broken) for frame in (rows, put))
        kept = put[of_put].drop_duplicates([*version, *self.values, "source"])
        return pd.concat([rows[~of_rows], kept], ignore_index=True)

    # --- what a delivery adds --------------------------------------------------------------------------

    def added(
        self, stored: pd.DataFrame, delivered: pd.DataFrame, explicit: BoolArray | None = None
    ) -> tuple[pd.DataFrame, RevisionCount]:
        """Find what a delivery adds to the versions stored.

        Parameters
        ----------
        stored : DataFrame
            Every version so far of the facts delivered; others change nothing.
        delivered : DataFrame
            One delivery, moments filled in.
        explicit : array of bool, shape (rows delivered,), optional
            Rows whose ``known_at`` is kept, whatever is on record; none when left out.

        Returns
        -------
        DataFrame
            The rows to append, one a version; redelivering the same, in whatever order, gives none. What is known from
            its arrival is stamped after the version stored before, whatever the clock says.
        RevisionCount
        """
        if explicit is None or not explicit.any():
            return self._arrived(stored, delivered)
        placed, counted = self._placed(stored, delivered[explicit])
        if explicit.all():
            return placed, counted
        rest, arrived = self._arrived(pd.concat([stored, placed], ignore_index=True), delivered[~explicit])
        return pd.concat([placed, rest], ignore_index=True), counted + arrived

    def finds_place(self, stored: pd.DataFrame, delivered: pd.DataFrame, explicit: BoolArray) -> BoolArray:
        """Which rows of a kind that is delivered whole are placed by the moment stated, shape (rows delivered,).

        Those of facts not stored yet; those whose last moment delivered is no earlier than the last one stored; and
        what says all that was ever said of its fact, known earlier. Of a moment that is stored with another value none
        is. Any other corrects what is known: it counts from its arrival, and is in force then.

        Parameters as of :meth:`added`.
        """
        keys, of_delivered = _codes_of_both(stored, delivered, self.key)
        moments, versions = _codes_of_both(stored, delivered, [*self.key, "known_at"])
        size = int(max(keys.max(initial=-1), of_delivered.max(initial=-1))) + 1
        last, last_stated, first = np.full(size, _EARLIEST), np.full(size, _EARLIEST), np.full(size, -1)
        np.maximum.at(last, keys, nanoseconds(stored["known_at"]))
        np.maximum.at(last_stated, of_delivered[explicit], nanoseconds(delivered["known_at"])[explicit])
        first[keys] = np.arange(len(keys))
        stored_numbers, delivered_numbers = self.numbers(stored), self.numbers(delivered)
        several = np.zeros(size, dtype=bool)
        several[keys[~_same(stored_numbers, stored_numbers[first[keys]])]] = True
        alone = ~several[of_delivered] & _same(delivered_numbers, self._numbers_at(stored_numbers, first[of_delivered]))
        new_moment = ~np.isin(versions, moments)
        index_of = np.full(int(max(moments.max(initial=-1), versions.max(initial=-1))) + 1, -1)
        index_of[moments] = np.arange(len(moments))
        contradicted = np.zeros(len(index_of), dtype=bool)  # moments that are stored with two values
        contradicted[moments[~_same(stored_numbers, stored_numbers[index_of[moments]])]] = True
        stored_alike = ~new_moment & ~contradicted[versions]
        stored_alike &= _same(delivered_numbers, self._numbers_at(stored_numbers, index_of[versions]))
        is_last = last_stated[of_delivered] >= last[of_delivered]
        kept = (first[of_delivered] < 0) | (is_last & (new_moment | stored_alike)) | (new_moment & alone)
        return np.asarray(explicit & kept)

    def _arrived(self, stored: pd.DataFrame, delivered: pd.DataFrame) -> tuple[pd.DataFrame, RevisionCount]:
        """What a delivery adds whose moments are assumed."""
        keys, of_delivered = _codes_of_both(stored, delivered, self.key)
        unique_rows, broken, equal_rows = self._unique_versions(delivered, of_delivered)
        new, key_of = self._blank(delivered.iloc[unique_rows], broken[unique_rows]), of_delivered[unique_rows]
        indices, torn = self._newest(stored, keys)
        old = self._blank(stored.iloc[indices], torn)
        size = int(max(keys.max(initial=-1), of_delivered.max(initial=-1))) + 1
        before = _placed_at(keys[indices], size)[key_of]
        known, arrived = (np.append(nanoseconds(old[name]), _EARLIEST)[before] for name in _MOMENTS)
        has_previous = before >= 0
        same = has_previous & _same(self.numbers(new), self._numbers_at(self.numbers(old), before))
        # Confirmed only by what arrives when the version could be known.
        early = self.unjudged & (known > arrived) & (nanoseconds(new["ingested_at"]) >= known)
        fresh = ~same | early
        last = np.full(size, _EARLIEST)
        np.maximum.at(last, keys, nanoseconds(stored["ingested_at"]))
        stored_at = pd.Series(pd.DatetimeIndex(last[key_of], tz="UTC"), index=new.index).where(has_previous)
        new = new.assign(ingested_at=following(new["ingested_at"], stored_at))
        new["known_at"] = new["known_at"].where(~has_previous, new[_MOMENTS].max(axis=1))
        # One that is stated ahead is in force after what arrives now: that may repeat what is known until then.
        ahead = fresh & has_previous & (not self.called_off) & (known > nanoseconds(new["known_at"]))
        known = np.where(fresh, nanoseconds(new["known_at"]), known)
        if ahead.any():
            whole = pd.concat([stored, new[ahead]], ignore_index=True)
            chain = _Chain.of(self, whole, np.append(keys, key_of[ahead]))
            version = chain.version[len(stored) :]
            repeated = np.flatnonzero(ahead)[chain.repeats[version]]
            same[repeated], fresh[repeated] = True, False
            known[repeated] = nanoseconds(whole["known_at"])[chain.row[version[chain.repeats[version]] - 1]]
        of_new = _placed_at(key_of, size)[of_delivered[broken]]
        contents = delivered[broken].assign(
            known_at=pd.DatetimeIndex(known[of_new], tz="UTC"), ingested_at=new["ingested_at"].array[of_new]
        )
        counted = _counted(new, ~has_previous, has_previous & ~same, same & early, equal_rows, contents)
        return (new if fresh.all() else new[fresh]), counted

    def _placed(self, stored: pd.DataFrame, delivered: pd.DataFrame) -> tuple[pd.DataFrame, RevisionCount]:
        """What a delivery adds whose moments are stated: versions that are not there, and contradictions of some.

        A version stored before it could be known is no predecessor: one that comes later takes its place.
        """
        keys, of_delivered = _codes_of_both(stored, delivered, self.key)
        moments, versions = _codes_of_both(stored, delivered, [*self.key, "known_at"])
        unique_rows, torn, equal_rows = self._unique_versions(delivered, versions)
        new, version = self._blank(delivered.iloc[unique_rows], torn[unique_rows]), versions[unique_rows]
        chain = _Chain.of(self, stored, keys)
        size = int(max(moments.max(initial=-1), versions.max(initial=-1))) + 1
        held = _placed_at(moments[chain.row], size)[version]
        stored_already, ripe = held >= 0, np.append(chain.held | (not self.unjudged), False)[held]
        new_values, stored_values = self.numbers(new), self._numbers_at(chain.values, held)
        in_time = nanoseconds(new["ingested_at"]) >= nanoseconds(new["known_at"])
        differs = ripe & ~_same(new_values, stored_values)
        broken = differs & ~np.isnan(stored_values).all(axis=1)
        fresh = ~stored_already | broken | (stored_already & ~ripe & (in_time | ~_same(new_values, stored_values)))
        stored_rows = stored.iloc[chain.row[held[broken]]]
        before = pd.Series(pd.NaT, index=new.index, dtype=stored["ingested_at"].dtype)
        before[broken] = stored_rows["ingested_at"].array
        whole = _Chain.of(self, pd.concat([stored, new], ignore_index=True), np.append(keys, of_delivered[unique_rows]))
        positions = whole.version[len(stored) :]
        first = np.append(True, whole.key[1:] != whole.key[:-1])[positions]
        added = first & ~np.isin(whole.key[positions], keys)
        # Beside the version before it, or after it where it is the first, or stored of its own moment.
        beside = self._numbers_at(whole.values, np.where(first, positions + 1, positions - 1))
        revised = ~added & ~_same(new_values, np.where(stored_already[:, None], stored_values, beside))
        torn |= np.isin(versions, version[differs])
        contents = pd.concat([stored_rows, delivered[torn]], ignore_index=True)
        counted = _counted(new, added, revised, np.zeros(len(new), dtype=bool), equal_rows, contents)
        return self._blank(new.assign(ingested_at=following(new["ingested_at"], before)), broken)[fresh], counted

    # --- rows of one version --------------------------------------------------------------------------

    def numbers(self, rows: pd.DataFrame) -> FloatArray:
        """What rows say, shape (rows, values): days as nanoseconds, which are whole in a float; NaN for missing."""
        table = np.empty((len(rows), len(self.values)))
        for column, name in enumerate(self.values):
            values = rows[name].to_numpy()
            if values.dtype.kind == "M":
                missing, values = np.isnat(values), values.astype("datetime64[ns]").astype(np.int64).astype(np.float64)
                values[missing] = np.nan
            table[:, column] = values
        return table

    def _numbers_at(self, values: FloatArray, indices: IntArray) -> FloatArray:
        """Values of the rows at some indices; NaN at -1 and after the last row."""
        return np.vstack([values, np.full((1, len(self.values)), np.nan)])[indices]

    def _newest(self, versions: pd.DataFrame, keys: IntArray) -> tuple[IntArray, BoolArray]:
        """Row indices of the versions in force, ascending, and which of them contradict themselves."""
        several = _several(keys)
        indices = np.flatnonzero(~several).astype(np.int64)
        torn = np.zeros(len(indices), dtype=bool)
        if len(indices) == len(keys):
            return indices, torn
        some = np.flatnonzero(several)
        chain = _Chain.of(self, versions.iloc[some], keys[some])
        newest = chain.newest()
        indices, torn = np.append(indices, some[chain.row[newest]]), np.append(torn, chain.torn[newest])
        order = np.argsort(indices)
        return indices[order], torn[order]

    def _unique_versions(self, rows: pd.DataFrame, versions: IntArray) -> tuple[IntArray, BoolArray, int]:
        """Place of a row of each version, ascending; rows of versions with two values; and how many repeat another.

        Of rows that say the same it is that of the first source by name.
        """
        several, torn = _several(versions), np.zeros(len(rows), dtype=bool)
        some = rows.loc[several, [*self.values, "source"]].assign(version=versions[several], at=np.flatnonzero(several))
        some = some.sort_values([*self.values, "source"], kind="stable")
        apart = some.drop_duplicates(["version", *self.values])
        torn[several] = np.isin(versions[several], apart.loc[apart.duplicated("version"), "version"])
        first = apart.drop_duplicates("version")["at"].to_numpy()
        return np.sort(np.append(np.flatnonzero(~several), first)), torn, len(some) - len(apart)

    def _blank(self, rows: pd.DataFrame, torn: BoolArray) -> pd.DataFrame:
        """The rows, with NaN for the values of those that contradict themselves."""
        if not torn.any():
            return rows
        return rows.assign(**{name: rows[name].mask(torn) for name in self.values})


@dataclass(frozen=True, eq=False)
class _Chain:
    """Versions, by fact and then by ``known_at``; arrays of shape (versions,) but for ``version``."""

    row: IntArray  # index of the row that represents each
    key: IntArray
    values: FloatArray  # (versions, values); NaN where it contradicts itself
    torn: BoolArray
    held: BoolArray  # whether it arrived by the moment at which it is known
    repeats: BoolArray  # whether it repeats the version before it, which had arrived in time
    version: IntArray  # (rows,) of each row

    @classmethod
    def of(cls, kind: Kind, rows: pd.DataFrame, keys: IntArray) -> _Chain:
        """Put rows in order.

        Rows of one moment that were taken in before it yield to those taken in later; of the others none does, since
        nobody can say which of them was right.
        """
        known, arrived = nanoseconds(rows["known_at"]), nanoseconds(rows["ingested_at"])
        order = np.lexsort((arrived, known, keys))
        key, known, arrived = keys[order], known[order], arrived[order]
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = (key[1:] != key[:-1]) | (known[1:] != known[:-1])
        start, number = np.flatnonzero(begins), np.cumsum(begins) - 1
        end = np.append(start[1:], len(order))[: len(start)] - 1
        ripe, values = arrived >= known, kind.numbers(rows)[order]
        counts = ripe | (~ripe[end][number] & (arrived == arrived[end][number]))
        if kind.unjudged:
            chosen = start + np.bincount(number[~counts], minlength=len(start))
            apart = ~begins[1:] & counts[:-1] & ~_same(values[1:], values[:-1])
            torn = np.bincount(number[1:][apart], minlength=len(start)) > 0
        else:
            chosen, torn = end, np.zeros(len(start), dtype=bool)
        chosen_values = np.where(torn[:, None], np.nan, values[chosen])
        repeats = np.zeros(len(start), dtype=bool)
        repeats[1:] = (
            (key[start][1:] == key[start][:-1]) & _same(chosen_values[1:], chosen_values[:-1]) & ripe[start][:-1]
        )
        version = np.empty(len(order), dtype=np.int64)
        version[order] = number
        return cls(order[chosen].astype(np.int64), key[start], chosen_values, torn, ripe[end], repeats, version)

    def newest(self) -> IntArray:
        """The version in force of each fact: the first of the last that say the same."""
        first = np.maximum.accumulate(np.where(self.repeats, 0, np.arange(len(self.row))))
        rows: IntArray = first[np.append(self.key[1:] != self.key[:-1], True)[: len(self.row)]]
        return rows


def _counted(
    new: pd.DataFrame,
    added: BoolArray,
    revised: BoolArray,
    confirmed: BoolArray,
    equal_rows: int,
    contradicted: pd.DataFrame,
) -> RevisionCount:
    by_symbol = {str(symbol): int(count) for symbol, count in new["symbol"][revised].value_counts().items()}
    unchanged = ~(added | revised | confirmed)
    sums = int(added.sum()), int(revised.sum()), int(confirmed.sum()), int(unchanged.sum())
    return RevisionCount(*sums, by_symbol, equal_rows, contradicted)


def _same(left: FloatArray, right: FloatArray) -> BoolArray:
    """Rows that say the same, (rows,)."""
    return np.asarray(((left == right) | (np.isnan(left) & np.isnan(right))).all(axis=1))


def _placed_at(codes: IntArray, size: int) -> IntArray:
    """Index of each code below ``size``, -1 for one that is missing."""
    positions = np.full(size, -1, dtype=np.int64)
    positions[codes] = np.arange(len(codes))
    return positions


def _several(codes: IntArray) -> BoolArray:
    """Mask of the rows whose code occurs more than once."""
    return np.asarray(np.bincount(codes)[codes] > 1) if len(codes) else np.zeros(0, dtype=bool)


def _codes_of_both(first: pd.DataFrame, second: pd.DataFrame, columns: Sequence[str]) -> tuple[IntArray, IntArray]:
    named = list(columns)
    codes = _codes(pd.concat([first[named], second[named]], ignore_index=True), columns)
    return codes[: len(first)], codes[len(first) :]


def _codes(rows: pd.DataFrame, columns: Sequence[str]) -> IntArray:
    """One integer code for each row, from 0: equal exactly where all columns are equal."""
    codes = pd.factorize(rows[columns[0]])[0].astype(np.int64)
    for name in columns[1:]:
        part, distinct = pd.factorize(rows[name])
        codes = pd.factorize(codes * max(len(distinct), 1) + part)[0].astype(np.int64)
    return codes


BAR_FACTS = Kind(("symbol", "session"), (*PRICES, "volume"), unjudged=True)
DETAIL_FACTS = Kind(("symbol", "session"), DETAILS, unjudged=True)
INTRADAY_FACTS = Kind(("symbol", "bar_at"), (*PRICES, "volume", *QUOTES), unjudged=True)
INTRADAY_DETAIL_FACTS = Kind(("symbol", "bar_at"), DETAILS, unjudged=True)
ACTION_FACTS = Kind(("symbol", "ex_session", "kind"), ("value",), called_off=True)
SERIES_FACTS = Kind(("name", "symbol", "observed_at"), ("value",))
MEMBERSHIP_FACTS = Kind(("universe", "symbol", "member_from"), ("member_to",))
