"""Bars that grew since they were published: what came is judged, and of what was judged before only what it affects.

How a row is judged depends on earlier rows alone, so those before the first session with anything new
stay. A version that came, an action that came or became known, touches its session and all later ones; whatever else
may tell on earlier ones (another rule, another setting, a bar equal to one long past) has all bars judged again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.contracts import BAR_VERSIONS, BARS, LEFT_BY, conform, empty
from nn_assets.contracts.frames import ActionVersions, Quarantine
from nn_assets.market.facts.bars import known_bars
from nn_assets.market.facts.bitemporal import BAR_FACTS
from nn_assets.market.quality.cleaning import RULES, Cleaned, Past, clean, near_reach_of, reach_of
from nn_assets.market.quality.gate import GateReport, GrownCounts, inspect_grown
from nn_assets.market.quality.history_rules import HISTORY_RULES
from nn_assets.market.quality.running import nothing_yet
from nn_assets.operations.asof.actions import ACTIONS, read_action_versions
from nn_assets.operations.asof.stored import CONTRADICTED_BARS, RAW_BARS, with_contradictions
from nn_assets.operations.asof.universe import current_members
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import delisted
from nn_assets.operations.intake.pieces import (
    Carried,
    Grown,
    Piece,
    carried_from,
    made_by,
    repeats_an_earlier_bar,
    running_of,
)
from nn_assets.operations.intake.trading_halts import halted_by_symbol
from nn_assets.store.lake.parts import is_long

_BARS, _QUARANTINE = "validated_bars", "quarantine"
_RULES = {rule.name: number for number, rule in enumerate(RULES)}
_LOOKED_AT = ["symbol", "session", *BAR_FACTS.values, "known_at"]
_OF_HISTORY = {rule.name for rule in HISTORY_RULES}
_MORE_SESSIONS = 4  # beyond the rows that rules look back on, for symbols that missed some


@dataclass(frozen=True, eq=False)
class GrownAudit:
    """Bars that grew, the gate's report on them, and those that the new ones were judged beside."""

    grown: Grown
    report: GateReport
    context: pd.DataFrame


def begun(history: History, cleaned: Cleaned, moment: pd.Timestamp) -> Grown | None:
    """All bars judged at once, to be carried on; None of few bars, and where they cannot be.

    Bars that are compared with a second source's cannot: it may correct itself long after. Nor can those of which
    versions wait to be known.
    """
    versions, axis = history.stored_versions, history.axis
    sessions = pd.concat([cleaned.bars["session"], cleaned.quarantine["session"]])
    if not is_long(len(cleaned.bars)) or cleaned.compared is not None or sessions.max() > axis[-1]:
        return None
    if (versions["known_at"] > moment).any():
        return None
    nothing = Carried(made_by(history), "", "", 0, 0, 0, (), (), ())
    first = min(axis[0], sessions.min())
    return carried_from(history, _as_now(history, nothing, moment), nothing_yet(), cleaned, first)


def _as_now(history: History, base: Carried, moment: pd.Timestamp) -> Carried:
    lake, name = history.stores.lake, history.strategy.name
    bars, contradicted, actions = (lake.rows_added(name, table) for table in (RAW_BARS, CONTRADICTED_BARS, ACTIONS))
    return replace(base, seen_until=moment.isoformat(), raw_rows=bars, told_rows=contradicted, action_rows=actions)


def audit_grown(history: History, actions: ActionVersions | None, moment: pd.Timestamp) -> GrownAudit | None:
    """Judge what came since bars were published last.

    Parameters
    ----------
    actions : DataFrame or None
        Those to be published.
    moment : Timestamp, UTC
        Until when what became known counts.

    Returns
    -------
    GrownAudit or None
        None where all bars are to be judged: nothing to carry on, something new that may tell on what cannot be told
        apart, or a gate that halts, of which a person is to see all.
    """
    if history.strategy.market.compare_with is not None:
        return None
    carried = Carried.read(history)
    start = None if carried is None else _first_touched(history, carried, moment)
    if carried is None or start is None:
        return None
    touched = [number for number, piece in enumerate(carried.pieces) if piece.starts <= start]
    until = pd.Timestamp(carried.until)
    base = carried if start > until or not touched else carried.before(touched[-1])
    if base is None:
        return None
    cut = min(start, until + pd.Timedelta(days=1)) if base is carried else carried.pieces[touched[-1]].starts
    new_bars = _known(history, moment, first=cut)
    running = running_of(history, base)
    if new_bars is None or running is None or (new_bars["session"] > history.axis[-1]).any():
        return None
    before = _Before(history, base, running, new_bars, cut, moment)
    market, strategy = history.strategy.market, history.strategy
    whole = before.apart()
    while True:
        past = before.past(whole)
        fresh = clean(new_bars, market.calendar, strategy.cleaning, _telling(actions, past, new_bars), past=past)
        if not fresh.lacking:
            break
        whole.update(fresh.lacking)
    if base is not carried and _some_lost(history, carried, running, fresh):
        return None
    copied = (fresh.quarantine["rule"] == "copied_bar").any()
    if (
        copied
        or repeats_an_earlier_bar(history, base, fresh.value_hashes["value"].to_numpy(dtype=np.uint64)) is not False
    ):
        return None
    grown = carried_from(history, _as_now(history, base, moment), running, fresh, cut)
    report = _report(history, grown, before.kept)
    return None if report is None else GrownAudit(grown, report, before.kept)


def _telling(actions: pd.DataFrame | None, past: Past, new_bars: pd.DataFrame) -> pd.DataFrame | None:
    """Actions that affect any of the bars: every split, and other actions after the first bar."""
    if actions is None:
        return None
    first = pd.Series([past.rows["session"].min(), new_bars["session"].min()]).min()  # NaT of no rows is left out
    telling: pd.DataFrame = actions[(actions["kind"] == "split") | (actions["ex_session"] > first)]
    return telling


def _some_lost(history: History, carried: Carried, running: pd.DataFrame, fresh: Cleaned) -> bool:
    """Whether a symbol had bars after those kept, and has none now: the last of those is its newest again.

    True where that is not known.
    """
    newest = running_of(history, carried)
    if newest is None:
        return True
    before, now = running["last_kept"].dropna(), newest["last_kept"]
    followed = before.index[(now.reindex(before.index) != before).to_numpy()]
    return bool((~followed.isin(fresh.bars["symbol"].unique().astype(object))).any())


def _first_touched(history: History, carried: Carried, moment: pd.Timestamp) -> pd.Timestamp | None:
    """The first session on which anything is known that was not: the one after the last where nothing came.

    None where that is not known, or a version waits to be known.
    """
    lake, name, until = history.stores.lake, history.strategy.name, pd.Timestamp(carried.until)
    seen_until = pd.Timestamp(carried.seen_until)
    if moment < seen_until or history.axis[-1] < until:
        return None
    days = [until + pd.Timedelta(days=1)]
    # The values of contradicted versions lie beside them, and may grow where no version comes.
    for table, before in ((RAW_BARS, carried.raw_rows), (CONTRADICTED_BARS, carried.told_rows)):
        if (rows := lake.rows_added(name, table)) < before:
            return None
        if rows > before:
            added = lake.read_added(name, table, before)
            added = added[added["session"] >= pd.Timestamp(history.strategy.market.history_starts)]
            if (added["known_at"] > moment).any():
                return None
            days += [added["session"].min()] if len(added) else []
    versions = read_action_versions(history.stores, name, lake.segments(name, ACTIONS))
    if (0 if versions is None else len(versions)) < carried.action_rows:
        return None
    if versions is not None:
        new = np.arange(len(versions)) >= carried.action_rows
        new |= ((versions["known_at"] > seen_until) & (versions["known_at"] <= moment)).to_numpy()
        # Of several delistings of a symbol the last counts: a new one has effects from the first of them on.
        left = versions["kind"].isin(LEFT_BY)
        new |= (left & versions["symbol"].isin(versions.loc[new & left, "symbol"])).to_numpy()
        days += [versions.loc[new, "ex_session"].min()] if new.any() else []
    return min(days)


def _known(
    history: History,
    moment: pd.Timestamp,
    *,
    first: pd.Timestamp | None = None,
    sessions: pd.DatetimeIndex | None = None,
) -> pd.DataFrame | None:
    """Bars of some sessions as known at a moment, with the values of contradicted ones; None where some wait."""
    versions = history.versions_of_some(first=first, sessions=sessions)
    if (versions["known_at"] > moment).any():
        return None
    bars = known_bars(versions, moment)
    return with_contradictions(history.stores, history.strategy.name, RAW_BARS, BAR_FACTS, bars, versions)


class _Before:
    """Bars before a day, for those from it on to look back on: of most symbols the last few, of some more.

    Parameters
    ----------
    running : DataFrame
        What the bars of ``base`` come to.
    new_bars : DataFrame
        Bars to judge, of sessions from ``cut`` on.
    """

    def __init__(
        self,
        history: History,
        base: Carried,
        running: pd.DataFrame,
        new_bars: pd.DataFrame,
        cut: pd.Timestamp,
        moment: pd.Timestamp,
    ) -> None:
        self._history, self._base, self._moment, self._known = history, base, moment, new_bars
        self._begins, self._begun = running["begins"], running["begins"].to_numpy()
        has_new = running.index.isin(new_bars["symbol"].unique().astype(object))
        newest = running["last_kept"].to_numpy()
        # Of symbols that go on the newest bar is looked at again, beside the others' of its session.
        self._again = newest[has_new & ~np.isnat(newest)].min(initial=cut.to_datetime64())
        self._asked = has_new
        self._cut_row = int(history.axis.searchsorted(cut))
        self._near = near_reach_of(history.strategy.cleaning)
        self._reach = reach_of(history.strategy.cleaning)
        self._read(self._reach + _MORE_SESSIONS)

    def _read(self, sessions: int) -> None:
        """Read so many sessions before the day."""
        lake, name, axis = self._history.stores.lake, self._history.strategy.name, self._history.axis
        index = max(self._cut_row - sessions, 0)
        self._sessions, self._start = sessions, axis[index] if index else min([self._begins.min(), axis[0]])
        pieces = [piece for piece in self._base.pieces if piece.last and pd.Timestamp(piece.last) >= self._start]
        addresses = [piece.bars for piece in pieces if piece.bars]
        rows = lake.read_parts(name, _BARS, addresses, first=self._start, columns=_LOOKED_AT) if addresses else None
        self.kept = empty(BARS)[_LOOKED_AT] if rows is None else rows
        self._out, self._number = _taken_out(self._history, pieces, self._start, self._moment)
        self._code = _codes(self._begins.index, self.kept["symbol"])
        order = np.argsort(self._code, kind="stable")
        self._rank = np.empty(len(order), dtype=np.int64)
        firsts = np.searchsorted(self._code[order], np.arange(len(self._begins)), side="left")
        self._rank[order] = np.arange(len(order)) - firsts[self._code[order]]
        self._count = np.bincount(self._code, minlength=len(self._begins))
        self._complete = self._begun >= self._start.to_datetime64()
        earlier = self.kept["session"].to_numpy(dtype="datetime64[ns]") < self._again
        self._earlier = np.bincount(self._code[earlier], minlength=len(self._begins))

    def apart(self) -> set[str]:
        """Symbols with a jump among their newest bars, for which more history is likely to be needed."""
        low, high = np.full((2, 3, len(self._begins)), np.nan)
        for lag in (1, 2):
            newest = np.flatnonzero(self._rank == self._count[self._code] - lag)
            low[lag, self._code[newest]] = self.kept["low"].to_numpy()[newest]
            high[lag, self._code[newest]] = self.kept["high"].to_numpy()[newest]
        code = _codes(self._begins.index, self._known["symbol"])
        low[0, code[code >= 0]] = self._known["low"].to_numpy()[code >= 0]
        high[0, code[code >= 0]] = self._known["high"].to_numpy()[code >= 0]
        off: npt.NDArray[np.bool_] = np.any((low[:-1] > high[1:]) | (high[:-1] < low[1:]), axis=0)
        return set(self._begins.index[off])

    def past(self, whole: set[str]) -> Past:
        """The rows to look back on, of some symbols as many as any rule may need."""
        all_of = self._begins.index.isin(whole)
        used = self._asked | (self._count > self._earlier)
        short = (used & (self._earlier < self._near)) | (all_of & (self._count < self._reach))
        while (short & ~self._complete).any():
            self._read(2 * self._sessions)
            used = self._asked | (self._count > self._earlier)
            short = (used & (self._earlier < self._near)) | (all_of & (self._count < self._reach))
        first = np.where(all_of, 0, np.maximum(self._earlier - self._near, 0))
        chosen = used[self._code] & (self._rank >= first[self._code])
        kept = self.kept[chosen]
        kept = kept.assign(source="", ingested_at=kept["known_at"])[list(BAR_VERSIONS.columns)]
        left_out = used & ((first > 0) | ~self._complete)
        cut = self._begins.index[left_out & ~(all_of & (self._count >= self._reach))]
        if self._out.empty:
            return Past(kept, np.full(len(kept), -1, dtype=np.int64), self._begins, cut)
        # A symbol of which rows are left out begins with a kept one: what was taken out before it depends on others.
        begins = np.full(len(used), np.datetime64("NaT", "ns"))
        days = self.kept["session"].to_numpy(dtype="datetime64[ns]")
        opening = chosen & (self._rank == first[self._code])
        begins[self._code[opening]] = days[opening]
        of_out = _codes(self._begins.index, self._out["symbol"])
        usable = used[of_out] & (
            ~left_out[of_out] | (self._out["session"].to_numpy(dtype="datetime64[ns]") >= begins[of_out])
        )
        rows = pd.concat([kept, self._out[usable]], ignore_index=True)
        taken_out = np.concatenate([np.full(len(kept), -1, dtype=np.int64), self._number[usable]])
        return Past(rows, taken_out, self._begins, cut)


def _codes(symbols: pd.Index, values: pd.Series) -> np.ndarray:
    """Places of the symbols of some rows among all, -1 for a new one; each looked up once."""
    codes, distinct = pd.factorize(values)
    return np.append(symbols.get_indexer(pd.Index(distinct, dtype=object)), -1)[codes]


def _taken_out(
    history: History, pieces: list[Piece], start: pd.Timestamp, moment: pd.Timestamp
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of some pieces in quarantine from a session on, and the number of the rule that took each out.

    With values where rules that look back on others took them out; else without.
    """
    lake, name = history.stores.lake, history.strategy.name
    addresses = [piece.quarantine for piece in pieces if piece.quarantine]
    if not addresses:
        return pd.DataFrame(), np.empty(0, dtype=np.int64)
    quarantined = lake.read_parts(name, _QUARANTINE, addresses, first=start)
    number = quarantined["rule"].map(_RULES).to_numpy(dtype=np.int64)
    rows = quarantined[["symbol", "session", "source", "known_at"]].assign(ingested_at=quarantined["known_at"])
    rows = conform(rows.assign(**dict.fromkeys(BAR_FACTS.values, np.nan))[list(BAR_VERSIONS.columns)], BAR_VERSIONS)
    of_history = quarantined["rule"].isin(_OF_HISTORY).to_numpy()
    if of_history.any():
        days = pd.DatetimeIndex(quarantined.loc[of_history, "session"].unique())
        versions = _known(history, moment, sessions=days)
        assert versions is not None, "every version of a piece was known"
        key = ["symbol", "session"]
        # Of another symbol several rows may have come for one of those days.
        versions = rows.loc[of_history, key].merge(conform(versions, BAR_VERSIONS), on=key, how="left", validate="1:m")
        for column in [field for field in BAR_VERSIONS.columns if field not in key]:
            rows.loc[of_history, column] = versions[column].array
    return rows, number


def _out_on(history: History, grown: Grown, session: pd.Timestamp) -> Quarantine:
    """Rows in quarantine of a session: what came last, and where it was published before that, too."""
    pieces = [piece for piece in grown.base.pieces if piece.quarantine and pd.Timestamp(piece.last) >= session]
    if not pieces:
        return grown.fresh.quarantine
    addresses = [piece.quarantine for piece in pieces]
    before = history.stores.lake.read_parts(history.strategy.name, _QUARANTINE, addresses, first=session)
    return pd.concat([before, grown.fresh.quarantine], ignore_index=True)


def _report(history: History, grown: Grown, context: pd.DataFrame) -> GateReport | None:
    """What the gate says; None where it halts."""
    strategy, sessions, running = history.strategy, history.axis, grown.newest
    last_kept = running["last_kept"].dropna()
    symbols = strategy.market.symbols or tuple(sorted(last_kept.index))
    expected = current_members(strategy, history.membership_versions, symbols, history.last_session)
    gone = {name for name, day in delisted(history).items() if day <= sessions[-1]}
    of_expected = running[["due", "absent"]].reindex(expected).fillna(0).sum()
    late = context["session"].to_numpy() >= sessions[-2:].to_numpy()[0]
    last_two = pd.concat([context[late], grown.fresh.bars[_LOOKED_AT]], ignore_index=True)
    return inspect_grown(
        grown.fresh,
        _out_on(history, grown, sessions[-1]),
        GrownCounts(
            bars=grown.kept,
            quarantined=sum(grown.counts().values()),
            equal_rows=grown.equal_rows,
            last_kept=last_kept,
            due=int(of_expected["due"]),
            absent=int(of_expected["absent"]),
            recent=last_two,
            notices=grown.notices,
        ),
        tuple(symbol for symbol in expected if symbol not in gone),
        sessions,
        strategy.gate,
        fills_at_open=strategy.label.execution == "next_open",
        halted=halted_by_symbol(history, expected),
    )
