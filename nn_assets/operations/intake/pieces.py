"""What was published of a long history, in pieces, and what is carried on from one publication to the next.

A piece is a quarter that has ended, a week of the last quarter, or a day of the last week. Each is written and hashed
once; a new session adds one. What is known of the pieces is enough to publish them again beside new ones, and, with the
rows that the rules look back on, to judge what comes (``operations/intake/grown.py``). Nothing here is a fact: where it
is gone, damaged or of other code or settings, all bars are judged again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.contracts import BARS, QUARANTINE, empty
from nn_assets.contracts.frames import DailyBars, Quarantine
from nn_assets.market.calendar.sessions import never_closes
from nn_assets.market.facts.bars import content_hash
from nn_assets.market.quality.cleaning import Cleaned
from nn_assets.market.quality.displaced import DISPLACED_BAR
from nn_assets.market.quality.gate import days_asked
from nn_assets.market.quality.notices import COPIED_SESSION, Notice
from nn_assets.market.quality.running import carried_on, nothing_yet, repeated_opens
from nn_assets.operations.asof.stored import TRADING_HALTS, UNIVERSE
from nn_assets.operations.fingerprint import libraries
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import delisted
from nn_assets.store.lake.blobs import gone
from nn_assets.store.lake.carried import (
    open_array,
    read_arrays,
    read_carried,
    store_array,
    store_arrays,
    switch_carried,
)
from nn_assets.store.lake.parts import spans
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.lake.publication import Listed
from nn_assets.store.values import hash_of
from nn_assets.versions import version_of

CARRIED = "validated_bars_carried"
_BARS, _QUARANTINE = "validated_bars", "quarantine"
_MADE_BY = (
    "nn_assets.market.quality.cleaning:clean",
    "nn_assets.market.quality.running:carried_on",
    "nn_assets.market.quality.running:repeated_opens",
    "nn_assets.market.quality.suspected:Suspected",
    "nn_assets.market.quality.gate:days_asked",
    "nn_assets.market.facts.bars:known_bars",
    "nn_assets.market.facts.bars:content_hash",
    "nn_assets.market.facts.membership:members_of_sessions",
    "nn_assets.market.facts.refused:refused",
    "nn_assets.store.lake.parts:spans",
)
_REPEATED_OPEN = "repeated_open"
_ORDER = (
    ("unexplained_jump", "possible_split"),
    ("unexplained_factor",),
    (DISPLACED_BAR,),
    (_REPEATED_OPEN,),
    (COPIED_SESSION,),
    ("possible_copy",),
)
"""Rules of notices in the order in which cleaning gives them."""

Values = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Piece:
    """Sessions that were audited, and what was found of them."""

    span: int  # its first day, days since the epoch
    first: str = ""  # first and last session that has a row, ISO days
    last: str = ""
    bars: str = ""  # address; empty where there are none
    kept: int = 0
    content: str = ""  # hash of what the bars say
    quarantine: str = ""  # address; empty where there are none
    taken_out: tuple[tuple[str, int], ...] = ()  # rows by rule
    equal_rows: int = 0
    running: str = ""  # what all bars up to its end come to

    @property
    def starts(self) -> pd.Timestamp:
        """Its first day."""
        return pd.Timestamp(np.datetime64(self.span, "D")).as_unit("ns")


@dataclass(frozen=True)
class Carried:
    """What is carried on: the pieces in order, what they follow from, and where what their bars say is looked up.

    Attributes
    ----------
    until : str
        The last session covered.
    seen_until : str
        The UTC moment up to which what became known counts; every version stored then was known by it.
    raw_rows, told_rows, action_rows : int
        How many versions of bars, values of contradicted ones, and versions of actions were stored then.
    said : tuple of (int, str, str)
        Sorted hashes of what bars say, in a file for the years of a decade that have ended, and for each piece of the
        last year: first day, last session, name.
    suspected : str
        The file of what suspicions follow from (``operations/intake/suspected.py``); empty where there is none.
    bars_address : str
        The bars of the publication that the pieces are; empty where an earlier version kept none.
    """

    made_by: str
    until: str
    seen_until: str
    raw_rows: int
    told_rows: int
    action_rows: int
    pieces: tuple[Piece, ...]
    said: tuple[tuple[int, str, str], ...]
    notices: tuple[Notice, ...]
    suspected: str = ""
    suspicions: tuple[Notice, ...] = ()
    bars_address: str = ""

    @classmethod
    def read(cls, history: History) -> Self | None:
        """What was carried on last; None where nothing was, or by other code or settings."""
        record = read_carried(history.stores.lake.folder(history.strategy.name, CARRIED))
        if record is None or record.get("made_by") != made_by(history):
            return None
        try:
            pieces = tuple(
                Piece(**{**piece, "taken_out": tuple(map(tuple, piece["taken_out"]))}) for piece in record.pop("pieces")
            )
            lookup = tuple((int(day), str(last), str(name)) for day, last, name in record.pop("said"))
            record |= {name: tuple(map(_notice, record[name])) for name in ("notices", "suspicions")}
            return cls(pieces=pieces, said=lookup, **record)
        except (TypeError, KeyError, ValueError):
            return None

    def write(self, history: History) -> None:
        """Switch to it."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        record |= {
            "pieces": [dict(vars(piece)) for piece in self.pieces],
            "said": [list(entry) for entry in self.said],
            "notices": [_notice_to_record(notice) for notice in self.notices],
            "suspicions": [_notice_to_record(notice) for notice in self.suspicions],
        }
        arrays = {piece.running for piece in self.pieces} | {name for _, _, name in self.said} | {self.suspected}
        switch_carried(history.stores.lake.folder(history.strategy.name, CARRIED), record, arrays)

    def before(self, piece: int) -> Carried | None:
        """What was carried on before a piece, counted from 0; None where that is no longer known."""
        kept, left = self.pieces[:piece], self.pieces[piece:]
        if not left:
            return self
        start = left[0]
        across = any(day < start.span and pd.Timestamp(last) >= start.starts for day, last, _ in self.said)
        if not kept or across or any(rule == "copied_bar" for dropped in left for rule, _ in dropped.taken_out):
            return None
        return replace(
            self,
            pieces=kept,
            said=tuple(entry for entry in self.said if entry[0] < start.span),
            notices=tuple(notice for notice in self.notices if notice.last_session < start.starts),
            suspected="",
            suspicions=(),
        )


def _notice_to_record(notice: Notice) -> list[Any]:
    value = None if np.isnan(notice.value) else float(notice.value)
    first, last = (str(day.date()) for day in (notice.first_session, notice.last_session))
    return [notice.rule, notice.symbol, first, last, value, notice.message]


def _notice(record: Sequence[Any]) -> Notice:
    rule, symbol, first, last, value, message = record
    starts, ends = (pd.Timestamp(day).as_unit("ns") for day in (first, last))
    return Notice(rule, symbol, starts, ends, np.nan if value is None else float(value), message)


def made_by(history: History) -> str:
    """Code and settings that pieces follow from, and facts of which any change affects all of them."""
    strategy, lake, market = history.strategy, history.stores.lake, history.strategy.market
    universe = None if strategy.universe is None else strategy.universe.model_dump(mode="json")
    inputs = [
        version_of(*_MADE_BY),
        strategy.cleaning.model_dump(mode="json"),
        # The lag decides which moments are assumed, and when membership was known.
        [market.calendar, str(market.history_starts), market.known_at_lag_minutes, universe],
        [] if universe is None else list(lake.segments(strategy.name, UNIVERSE)),
        *([] if strategy.halts is None else [list(lake.segments(strategy.name, TRADING_HALTS))]),
        sorted(history.stores.ledger.mended().read_as.items()),
        libraries("pandas"),
    ]
    return hash_of(inputs)


@dataclass(frozen=True, eq=False)
class Grown:
    """Pieces published before, and what cleaning gave of the sessions since; with what both come to.

    ``running`` has what all bars come to up to the end of each new span.
    """

    history: History
    base: Carried
    fresh: Cleaned
    running: dict[int, pd.DataFrame]
    newest: pd.DataFrame  # what all bars come to
    notices: tuple[Notice, ...]

    @property
    def kept(self) -> int:
        """Number of clean bars."""
        return sum(piece.kept for piece in self.base.pieces) + len(self.fresh.bars)

    @property
    def equal_rows(self) -> int:
        """Number of rows left out because another says the same."""
        return sum(piece.equal_rows for piece in self.base.pieces) + self.fresh.equal_rows

    def counts(self) -> dict[str, int]:
        """Rows in quarantine by rule, as :meth:`Cleaned.counts` has them."""
        counts = self.fresh.counts()
        for piece in self.base.pieces:
            for rule, count in piece.taken_out:
                counts[rule] += count
        return counts

    def bars_from(self, first: pd.Timestamp, columns: list[str]) -> DailyBars:
        """Some columns of the clean bars from a session on, ordered by symbol and session."""
        lake, name = self.history.stores.lake, self.history.strategy.name
        some = [piece.bars for piece in self.base.pieces if piece.bars and pd.Timestamp(piece.last) >= first]
        before = [lake.read_parts(name, _BARS, some, first=first, columns=columns)] if some else []
        both = pd.concat([*before, self.fresh.bars.loc[self.fresh.bars["session"] >= first, columns]])
        return both.sort_values(["symbol", "session"], kind="stable", ignore_index=True)

    def quarantine(self) -> Quarantine:
        """All that was taken out."""
        lake, name = self.history.stores.lake, self.history.strategy.name
        taken_out = [
            lake.read_table(name, _QUARANTINE, piece.quarantine) for piece in self.base.pieces if piece.quarantine
        ]
        return _joined([*taken_out, self.fresh.quarantine], empty(QUARANTINE))

    def whole(self) -> Cleaned:
        """All of it read."""
        lake, name = self.history.stores.lake, self.history.strategy.name
        bars = [lake.read_table(name, _BARS, piece.bars) for piece in self.base.pieces if piece.bars]
        return Cleaned(
            bars=_joined([*bars, self.fresh.bars], empty(BARS)),
            quarantine=self.quarantine(),
            notices=self.notices,
            equal_rows=self.equal_rows,
        )

    def store(self, until: pd.Timestamp) -> tuple[Carried, Listed, Listed | pd.DataFrame, str]:
        """Store what is new, and join pieces whose days have become one span.

        Returns
        -------
        Carried, Listed, Listed or DataFrame, str
            What is to be carried on once it is published, the bars, the quarantine (empty: a frame), and the hash of
            what the bars say.
        """
        pieces = [*self.base.pieces, *self._fresh_pieces(until)]
        days = spans(pd.DatetimeIndex([piece.starts for piece in pieces]), until)
        grouped = groupby(zip(days.tolist(), pieces, strict=True), key=lambda pair: pair[0])
        joined = tuple(_one(self.history, span, [piece for _, piece in group]) for span, group in grouped)
        carried = replace(
            self.base, until=str(until.date()), pieces=joined, said=self._value_files(until), notices=self.notices
        )
        bars = Listed(_parts(joined, "bars"), sum(piece.kept for piece in joined))
        rows = sum(count for piece in joined for _, count in piece.taken_out)
        quarantine = Listed(_parts(joined, "quarantine"), rows) if rows else empty(QUARANTINE)
        contents = [[piece.span, piece.content] for piece in joined if piece.bars]
        return carried, bars, quarantine, hash_of(["bars/2", contents])

    def _fresh_pieces(self, until: pd.Timestamp) -> list[Piece]:
        """What is new, a piece for each span that it lies in."""
        stores, name, fresh = self.history.stores, self.history.strategy.name, self.fresh
        folder = stores.lake.folder(name, CARRIED)
        days = [spans(pd.DatetimeIndex(frame["session"]), until) for frame in (fresh.bars, fresh.quarantine)]
        equal = spans(pd.DatetimeIndex(fresh.equal_on), until)
        pieces = []
        for span, running in self.running.items():
            kept, out = (
                frame[day == span].reset_index(drop=True)
                for frame, day in zip((fresh.bars, fresh.quarantine), days, strict=True)
            )
            address = stores.lake.store(name, _BARS, kept) if len(kept) else ""
            taken_out = stores.lake.store(name, _QUARANTINE, out) if len(out) else ""
            symbols = {"symbol": running.index.to_numpy(dtype=np.str_)}
            columns = {column: running[column].to_numpy() for column in running.columns}
            piece = Piece(
                span=span,
                **_ends(pd.concat([kept["session"], out["session"]])),
                bars=address,
                kept=len(kept),
                content=content_hash(kept) if len(kept) else "",
                quarantine=taken_out,
                taken_out=_by_rule(out),
                equal_rows=int((equal == span).sum()),
                running=store_arrays(folder, symbols | columns),
            )
            pieces.append(piece)
        return pieces

    def _value_files(self, until: pd.Timestamp) -> tuple[tuple[int, str, str], ...]:
        """Where what bars say is looked up."""
        folder, new_values = (
            self.history.stores.lake.folder(self.history.strategy.name, CARRIED),
            self.fresh.value_hashes,
        )
        files: dict[int, list[tuple[str, Values | str]]] = {}
        for day, last, name in self.base.said:
            shared = int(_file_of(np.array([day]), until)[0])
            files.setdefault(shared, []).append((last, name))
        if len(new_values):
            days = _file_of(spans(pd.DatetimeIndex(new_values["session"]), until), until)
            for start in np.unique(days).tolist():
                some = new_values[days == start]
                files.setdefault(start, []).append(
                    (str(some["session"].max().date()), some["value"].to_numpy(dtype=np.uint64))
                )
        entries: list[tuple[int, str, str]] = []
        for start, parts in sorted(files.items()):
            last, stored = max(end for end, _ in parts), parts[0][1]
            if len(parts) > 1 or not isinstance(stored, str):
                values = [_looked_up(folder, item) if isinstance(item, str) else item for _, item in parts]
                stored = store_array(folder, np.sort(np.concatenate(values), kind="stable"))  # runs: merged
            entries.append((start, last, stored))
        return tuple(entries)


def _looked_up(folder: BlobPath, name: str) -> Values:
    values = open_array(folder, name)
    if values is None:
        raise gone(folder / name, "what bars say")
    return values


def _file_of(days: npt.NDArray[np.int64], until: pd.Timestamp) -> npt.NDArray[np.int64]:
    """The first day of what shares a file with the spans of each day: years that have ended, by decade; else a span."""
    years = days.astype("datetime64[D]").astype("datetime64[Y]")
    decades = (years.astype(np.int64) // 10 * 10).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    within = years == np.datetime64(until, "Y")
    return np.where(within, spans(pd.DatetimeIndex(days.astype("datetime64[D]")), until), decades)


def _ends(sessions: pd.Series) -> dict[str, str]:
    if sessions.empty:
        return {}
    return {"first": str(sessions.min().date()), "last": str(sessions.max().date())}


def _by_rule(quarantine: Quarantine) -> tuple[tuple[str, int], ...]:
    return tuple((str(rule), int(count)) for rule, count in sorted(quarantine["rule"].value_counts().items()))


def _parts(pieces: Sequence[Piece], which: str) -> tuple[dict[str, str], ...]:
    some = [piece for piece in pieces if getattr(piece, which)]
    return tuple({"address": getattr(piece, which), "first": piece.first, "last": piece.last} for piece in some)


def _one(history: History, span: int, pieces: Sequence[Piece]) -> Piece:
    """Pieces of one span as one; a single one as it is."""
    if len(pieces) == 1:
        return pieces[0] if pieces[0].span == span else replace(pieces[0], span=span)
    lake, name = history.stores.lake, history.strategy.name
    bars = [lake.read_table(name, _BARS, piece.bars) for piece in pieces if piece.bars]
    taken_out = [lake.read_table(name, _QUARANTINE, piece.quarantine) for piece in pieces if piece.quarantine]
    kept, out = _joined(bars, empty(BARS)), _joined(taken_out, empty(QUARANTINE))
    some = [piece for piece in pieces if piece.first]
    return Piece(
        span=span,
        first=some[0].first if some else "",
        last=some[-1].last if some else "",
        bars=lake.store(name, _BARS, kept) if len(kept) else "",
        kept=len(kept),
        content=content_hash(kept) if len(kept) else "",
        quarantine=lake.store(name, _QUARANTINE, out) if len(out) else "",
        taken_out=_by_rule(out),
        equal_rows=sum(piece.equal_rows for piece in pieces),
        running=pieces[-1].running,
    )


def _joined(frames: Sequence[pd.DataFrame], none: pd.DataFrame) -> pd.DataFrame:
    """Frames of later and later sessions as one, ordered by symbol and session; rows of one keep their order."""
    some = [frame for frame in frames if len(frame)]
    if not some:
        return none
    whole = pd.concat(some, ignore_index=True)
    if len(some) == 1:
        return whole
    codes = pd.factorize(whole["symbol"], sort=True)[0]
    return whole.take(np.argsort(codes, kind="stable")).reset_index(drop=True)


def carried_from(history: History, base: Carried, running: pd.DataFrame, fresh: Cleaned, cut: pd.Timestamp) -> Grown:
    """Carry on what was published before a day by what cleaning gave from there on.

    Parameters
    ----------
    base : Carried
        Of the sessions before ``cut``; its other fields are those of now.
    running : DataFrame
        What the bars of ``base`` come to.
    """
    axis, until = history.axis[history.axis >= cut], history.axis[-1]
    sessions = pd.DatetimeIndex(np.unique(np.concatenate([axis, fresh.bars["session"], fresh.quarantine["session"]])))
    days, of_axis = spans(sessions, until), spans(axis, until)
    span_of = [spans(pd.DatetimeIndex(frame["session"]), until) for frame in (fresh.bars, fresh.quarantine)]
    gone, followed = (
        delisted(history),
        running["last_kept"].reindex(fresh.bars["symbol"].unique().astype(object)).dropna(),
    )
    by_span: dict[int, pd.DataFrame] = {}
    for span in np.unique(days).tolist():
        kept, out = (frame[day == span] for frame, day in zip((fresh.bars, fresh.quarantine), span_of, strict=True))
        symbols = running.index
        delivered = {symbol for frame in (kept, out) for symbol in frame["symbol"].unique().astype(object)}
        if new := delivered.difference(symbols):
            symbols = pd.Index(sorted([*symbols, *new]), dtype=object, name="symbol")
        some = axis[of_axis == span]
        names = tuple(symbols)
        expected = days_asked(some, names, history.bars_expected(some, names), gone)
        share = history.strategy.cleaning.repeated_open_share
        running = by_span[span] = carried_on(running, kept, out, some, expected, symbols, share)
    again = {(DISPLACED_BAR, day) for day in followed.unique()}
    notices = [notice for notice in base.notices if (notice.rule, notice.last_session) not in again]
    notices = [notice for notice in (*notices, *fresh.notices) if notice.rule != _REPEATED_OPEN]
    if not never_closes(history.strategy.market.calendar):
        notices += repeated_opens(running, history.strategy.cleaning.repeated_open_window_sessions)
    return Grown(history, base, fresh, by_span, running, tuple(sorted(notices, key=_notice_order)))


def _notice_order(notice: Notice) -> tuple[int, str, pd.Timestamp]:
    """What notices are ordered by, as cleaning gives them."""
    group = next(number for number, rules in enumerate(_ORDER) if notice.rule in rules)
    return group, "" if notice.rule == COPIED_SESSION else notice.symbol, notice.last_session


def running_of(history: History, base: Carried) -> pd.DataFrame | None:
    """What the bars of all pieces come to; None where it is lost."""
    if not base.pieces:
        return nothing_yet()
    folder = history.stores.lake.folder(history.strategy.name, CARRIED)
    arrays = read_arrays(folder, base.pieces[-1].running)
    if arrays is None:
        return None
    symbols = pd.Index(arrays.pop("symbol").astype(object), name="symbol", dtype=object)
    return pd.DataFrame(arrays, index=symbols)


def repeats_an_earlier_bar(history: History, base: Carried, values: Values) -> bool | None:
    """Whether any earlier bar has the values of one of these; None where that can no longer be determined."""
    folder = history.stores.lake.folder(history.strategy.name, CARRIED)
    ordered = np.sort(values)
    for _, _, name in base.said:
        stored = open_array(folder, name)
        if stored is None:
            return None
        index = np.minimum(np.searchsorted(stored, ordered), len(stored) - 1)
        if (stored[index] == ordered).any():
            return True
    return False
