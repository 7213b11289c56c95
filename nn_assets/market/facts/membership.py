"""Who belonged to the universe when: spells as bitemporal facts, and the members of each session.

A *spell* is one stretch of membership, [member_from, member_to). A symbol that left and came back,
or that another company took over later, has a spell for each: between them it is no member.
A spell that ends on the day it begins holds no day: it is retired.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, nanoseconds
from nn_assets.contracts import MEMBERSHIP, conform
from nn_assets.contracts.frames import DailyBars, MembershipVersions
from nn_assets.errors import SourceError
from nn_assets.market.facts.bitemporal import MEMBERSHIP_FACTS, RevisionCount, known_from

_KEY = list(MEMBERSHIP_FACTS.key)
_OPEN = np.iinfo(np.int64).max
_NAMED = 5  # of those lost, in a message


def new_spells(
    stored: MembershipVersions,
    delivered: pd.DataFrame,
    arrived_at: pd.Timestamp,
    *,
    decided_at: pd.Timestamp | None = None,
) -> tuple[MembershipVersions, RevisionCount]:
    """Find what a delivery adds to the versions stored.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``MEMBERSHIP``: every version so far.
    delivered : DataFrame
        The same columns but ``ingested_at``; one row a spell; ``known_at`` may be missing: such a
        spell counts as known from the start of its first day, since changes are announced before.
        Of a universe delivered, a stored spell that is not among them is retired.
    arrived_at : Timestamp, UTC
        Becomes ``ingested_at``, after that of the version before whatever the clock says; and
        ``known_at`` of a spell whose end differs from the one stored, unless it states a later one, or that is retired.
    decided_at : Timestamp, UTC, optional
        Moment of the last decision: of a universe that was stored before, nothing that arrives now
        was known by then.

    Returns
    -------
    DataFrame
        Columns of ``MEMBERSHIP``: the rows to append. Redelivering the same gives none.
    RevisionCount
        Counts of spells, those retired among the revised; ``confirmed`` is always 0.
    """
    newest = MEMBERSHIP_FACTS.newest(stored)
    spells = delivered.assign(known_at=known_from(delivered, delivered["member_from"].dt.tz_localize("UTC")))
    gone = _gone(newest[newest["universe"].isin(delivered["universe"].unique())], delivered)
    spells = pd.concat([spells, gone.assign(member_to=gone["member_from"])], ignore_index=True)
    spells = conform(spells.assign(ingested_at=arrived_at), MEMBERSHIP)
    explicit = np.append(delivered["known_at"].notna().to_numpy(), np.zeros(len(gone), dtype=np.bool_))
    if decided_at is not None:
        late = spells["universe"].isin(stored["universe"].unique()) & (spells["known_at"] <= decided_at)
        spells["known_at"] = spells["known_at"].mask(late, spells["ingested_at"])
        explicit &= ~late.to_numpy()
    explicit = MEMBERSHIP_FACTS.finds_place(stored, spells, explicit)
    # No earlier than the version it takes the place of, which may begin ahead.
    before = spells[_KEY].join(newest.set_index(_KEY)["known_at"], on=_KEY)["known_at"]
    spells["known_at"] = spells["known_at"].where(explicit | ~(before > spells["known_at"]), before)
    fresh, counted = MEMBERSHIP_FACTS.added(stored, spells, explicit)
    return conform(fresh, MEMBERSHIP), counted


def _gone(newest: pd.DataFrame, delivered: pd.DataFrame) -> pd.DataFrame:
    """Spells in force that a delivery does not hold."""
    missing = ~pd.MultiIndex.from_frame(newest[_KEY]).isin(pd.MultiIndex.from_frame(delivered[_KEY]))
    return newest[missing & (newest["member_to"] != newest["member_from"])]


def refuse_cut_off(
    stored: MembershipVersions, delivered: pd.DataFrame, arrived_at: pd.Timestamp, max_retired_fraction: float
) -> None:
    """Refuse a delivery that lacks too many of the spells on record: a file cut off, rather than members gone.

    A member that leaves keeps its row and gets an end, so that whole spells seldom vanish. A spell in
    whose place the delivery has another of the same symbol that overlaps it is corrected, not lost.

    Parameters
    ----------
    stored : DataFrame
        Columns of ``MEMBERSHIP``: every version so far, of one universe. None: a first delivery, which
        has no limit.
    delivered : DataFrame
        As for :func:`new_spells`.
    arrived_at : Timestamp, UTC
        A spell without an end by then is open.
    max_retired_fraction : float
        Largest share that may be lost, of the spells in force, and of those of them that are open.

    Raises
    ------
    SourceError
        More than that is lost.
    """
    newest = MEMBERSHIP_FACTS.newest(stored)
    newest = newest[newest["member_to"] != newest["member_from"]]
    gone = _gone(newest, delivered).reset_index(drop=True)
    pairs = gone.reset_index().merge(delivered, on=["universe", "symbol"], suffixes=("", "_now"))
    overlap = (pairs["member_from_now"] < pairs["member_to"].fillna(pd.Timestamp.max)) & (
        pairs["member_from"] < pairs["member_to_now"].fillna(pd.Timestamp.max)
    )
    lost = gone.drop(index=pd.Index(pairs.loc[overlap, "index"].unique()))
    among, of_open = len(newest), int(_open_at(newest, arrived_at).sum())
    open_lost = int(_open_at(lost, arrived_at).sum())
    if len(lost) <= max_retired_fraction * among and open_lost <= max_retired_fraction * of_open:
        return
    symbols = sorted(lost["symbol"].unique())
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    raise SourceError(
        expected=f"at least {1.0 - max_retired_fraction:.4g} of the spells on record, and of those open",
        found=f"a delivery of {len(delivered)} spells that lacks {len(lost)} of {among} spells on record, "
        f"{open_lost} of {of_open} of them open: {', '.join(symbols[:_NAMED])}{more}",
        remedy="check that the file is whole (a member that left keeps its row, with an end); if they are really to "
        "be taken off, raise universe.max_retired_fraction for one run",
        file=(delivered if len(delivered) else newest)["source"].iloc[-1].removeprefix("membership:"),
        rule="no_member_lost",
        key="universe.max_retired_fraction",
    )


def _open_at(spells: pd.DataFrame, moment: pd.Timestamp) -> pd.Series:
    is_open: pd.Series = spells["member_to"].isna() | (spells["member_to"].dt.tz_localize("UTC") > moment)
    return is_open


def membership_as_of(
    versions: MembershipVersions, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None
) -> MembershipVersions:
    """Give every spell as it was known at a moment: one row each, an end still ahead left open, none retired."""
    newest = MEMBERSHIP_FACTS.as_of(versions, moment, ingested_by=ingested_by)
    newest = newest[newest["member_to"] != newest["member_from"]].sort_values(_KEY, ignore_index=True)
    ahead = newest["member_to"].dt.tz_localize("UTC") > moment
    return newest.assign(member_to=newest["member_to"].mask(ahead))


def members_of_sessions(
    versions: MembershipVersions,
    symbols: tuple[Symbol, ...],
    sessions: pd.DatetimeIndex,
    decided_at: pd.DatetimeIndex,
    renamed: Mapping[str, str] | None = None,
) -> BoolArray:
    """Which symbols were members on each session, as far as its decision could know.

    Parameters
    ----------
    versions : DataFrame
        Columns of ``MEMBERSHIP``: every version, of one universe.
    symbols : tuple of str
        Columns of the result.
    sessions : DatetimeIndex, shape (sessions,)
        Ascending.
    decided_at : DatetimeIndex, shape (sessions,), UTC
        Only versions with known_at at or before a session's moment count for it.
    renamed : mapping of str to str, optional
        Symbol of the bars to the ticker under which ``versions`` has it.

    Returns
    -------
    array of bool, shape (sessions, symbols)
        Row t is the same whatever arrives later: of a spell only its state on the day counts.
    """
    inside = np.zeros((len(sessions), len(symbols)), dtype=bool)
    tickers = [(renamed or {}).get(symbol, symbol) for symbol in symbols]
    columns: dict[str, list[int]] = {}
    for column, ticker in enumerate(tickers):
        columns.setdefault(ticker, []).append(column)
    ordered = versions[versions["symbol"].isin(columns)].sort_values([*_KEY, "known_at", "ingested_at"], kind="stable")
    days = nanoseconds(sessions)
    moments = nanoseconds(decided_at)
    known_from = nanoseconds(ordered["known_at"])
    same_spell = ordered.duplicated(_KEY).to_numpy()
    starts = nanoseconds(ordered["member_from"])
    ends = nanoseconds(ordered["member_to"])
    for row, ticker in enumerate(ordered["symbol"]):
        last = row + 1 == len(ordered) or not same_spell[row + 1]
        known_to = _OPEN if last else known_from[row + 1]
        end = _OPEN if pd.isna(ordered["member_to"].iloc[row]) else ends[row]
        first = max(np.searchsorted(days, starts[row]), np.searchsorted(moments, known_from[row]))
        stop = min(np.searchsorted(days, end), np.searchsorted(moments, known_to))
        for column in columns[ticker]:
            inside[first:stop, column] = True
    return inside


def several_spells(spells: MembershipVersions) -> tuple[Symbol, ...]:
    """Symbols with more than one spell: members that came back, or tickers that another company took."""
    counts = spells.drop_duplicates(_KEY)["symbol"].value_counts()
    return tuple(sorted(str(symbol) for symbol in counts[counts > 1].index))


def members_without_bars(
    spells: MembershipVersions,
    bars: DailyBars,
    first: pd.Timestamp,
    last: pd.Timestamp,
    renamed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Count, year by year, the members that the bars do not have: what a study cannot see.

    Parameters
    ----------
    spells : DataFrame
        One row a spell: what :func:`membership_as_of` gives.
    bars : DataFrame
        Columns symbol and session.
    first, last : Timestamp
        The span of sessions to count over.
    renamed : mapping of str to str, optional
        Symbol of the bars to the ticker of the spells.

    Returns
    -------
    DataFrame
        year, members (symbols that belonged on at least one day of the span's part of the year) and
        without_bars (those of them without a bar on any such day).
    """
    ticker = bars["symbol"].replace(dict(renamed or {}))
    own = {
        str(symbol): np.unique(days.to_numpy(dtype="datetime64[ns]"))
        for symbol, days in bars["session"].groupby(ticker)
    }
    rows = []
    for year in range(first.year, last.year + 1):
        low = max(first, pd.Timestamp(year, 1, 1))
        after = min(last, pd.Timestamp(year, 12, 31)) + pd.Timedelta(days=1)
        starts, stops = spells["member_from"], spells["member_to"].fillna(after)
        starts, stops = starts.mask(starts < low, low), stops.mask(stops > after, after)
        inside = starts < stops
        members, with_bars = set(spells["symbol"][inside]), set()
        for symbol, start, stop in zip(spells["symbol"][inside], starts[inside], stops[inside], strict=True):
            days = own.get(symbol, np.empty(0, dtype="datetime64[ns]"))
            if np.searchsorted(days, start.to_datetime64()) < np.searchsorted(days, stop.to_datetime64()):
                with_bars.add(symbol)
        rows.append((year, len(members), len(members - with_bars)))
    return pd.DataFrame(rows, columns=["year", "members", "without_bars"])
