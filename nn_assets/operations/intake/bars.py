"""Bars taken in, cleaned, judged at the gate, and published.

A delivered bar becomes a version, with the moment it was known and the moment it was stored. The versions known
are cleaned and judged, and published at one atomic switch; ``operations/history.py`` reads them from there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from nn_assets.contracts.frames import ActionVersions, Quarantine
from nn_assets.errors import PublicationError
from nn_assets.market.facts.bars import RevisionCount, content_hash, known_bars
from nn_assets.market.facts.bitemporal import BAR_FACTS, stated_in
from nn_assets.market.facts.refused import never_passed
from nn_assets.market.panel import panel_from_bars
from nn_assets.market.quality.cleaning import Cleaned, clean
from nn_assets.market.quality.copied import possible_copies
from nn_assets.market.quality.gate import GateReport, inspect
from nn_assets.market.quality.notices import Notice, widest_first
from nn_assets.market.quality.suspected import Suspected
from nn_assets.operations.asof.actions import ACTIONS, with_actions
from nn_assets.operations.asof.decisions import last_decided_session
from nn_assets.operations.asof.stored import with_contradictions
from nn_assets.operations.asof.universe import current_members
from nn_assets.operations.clock import now_utc, seen_until
from nn_assets.operations.edited import require_stages
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import History
from nn_assets.operations.intake.actions import (
    actions_to_publish,
    append_actions,
    delisted,
    late_notices,
    new_actions,
)
from nn_assets.operations.intake.appended import append_new, stamped_bars
from nn_assets.operations.intake.compared import TakenCompared, ingest_compared
from nn_assets.operations.intake.delivered_details import TakenDetails, append_details, require_details
from nn_assets.operations.intake.files_read import UnreadFiles
from nn_assets.operations.intake.grown import audit_grown, begun
from nn_assets.operations.intake.intraday import intraday_notices
from nn_assets.operations.intake.pieces import Carried, Grown
from nn_assets.operations.intake.sources import source_of
from nn_assets.operations.intake.suspected import suspected_of, with_suspected
from nn_assets.operations.intake.trading_halts import halted_by_symbol
from nn_assets.operations.publication_moments import keep_moments
from nn_assets.settings import MarketSettings
from nn_assets.sources.protocol import first_outside, taken_outside
from nn_assets.sources.registry import source_member
from nn_assets.sources.tables.files import FilesSource
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.publication import Listed, Publication
from nn_assets.versions import version_of

_CLEANED_BY = ("nn_assets.market.quality.cleaning:clean", "nn_assets.market.facts.bars:known_bars")


@dataclass(frozen=True)
class Ingested:
    """What a source delivered: versions by what they were, rows, and files read where it has such.

    ``outside`` counts the rows delivered that are of other symbols or sessions than those asked for, and left out,
    ``actions_outside`` the actions; ``first_outside`` and ``first_actions_outside`` name the first of them, a line
    each, but for the vault's; ``files_without_bars`` are archives that held none; ``actions`` counts splits and
    dividends, those withdrawn among the revised; ``compared`` is what the second source delivered, where there is
    one; ``details`` is what it said of bars beyond prices and volume, None where nothing; ``after_the_end`` is a
    sentence on rows that the stated end of history leaves out; ``held_out`` counts those of ``outside`` that lie in
    the vault.
    """

    counted: RevisionCount
    delivered: int
    files_read: tuple[str, ...] = ()
    files_without_bars: tuple[str, ...] = ()
    actions: RevisionCount = field(default_factory=RevisionCount)
    outside: int = 0
    compared: TakenCompared | None = None
    after_the_end: str = ""
    actions_outside: int = 0
    first_outside: tuple[str, ...] = ()
    held_out: int = 0
    first_actions_outside: tuple[str, ...] = ()
    details: TakenDetails | None = None


def ingest_bars(history: History, folder: Path) -> Ingested:
    """Take in what the source has for every session up to the last that may be seen: what is new or differs.

    A source of files is asked for those alone that were not read yet, as long as the same is asked of it.
    Versions stored are compared for the sessions delivered, and no others are read.

    Raises
    ------
    SourceError
        The source's answer about bars or actions is faulty; nothing of either is stored then.
    SettingsError
        The strategy's stages contradict what it has published or decided; or a feature reads what no bar carries.
    """
    require_stages(history)
    market = history.strategy.market
    source = source_of(history, folder)
    first, last = pd.Timestamp(market.history_starts), history.last_session
    arrived_at, decided_to = now_utc(), last_decided_session(history.stores.ledger, history.strategy.name)
    unread = UnreadFiles.of(history, source, arrived_at) if isinstance(source, FilesSource) else None
    delivered = (source if unread is None else unread).bars(market.symbols, first, last)
    outside, left = taken_outside(delivered), _outside_lines(market, first_outside(delivered))
    fresh_actions, actions, (actions_outside, actions_left) = new_actions(history, folder, source, decided_to)
    before = None if unread is None else unread.taken_before
    counted, details = RevisionCount(), None
    if len(delivered):
        history.require_bars()
        stamped = stamped_bars(history, delivered, arrived_at, decided_to)
        details = append_details(history, delivered, arrived_at, decided_to, before, _replacing_refused)
        counted = append_new(history, RAW_BARS, stamped, stated_in(delivered), before, _replacing_refused)
    append_actions(history, fresh_actions)
    if unread is not None:
        unread.remember()
    files = () if unread is None else tuple(file.name for file in unread.files)
    without = () if unread is None else tuple(unread.without_bars)
    compared = ingest_compared(history, folder, arrived_at, decided_to)
    require_details(history)
    after = "" if unread is None else _after_the_end(market, unread)
    return Ingested(
        counted,
        len(delivered) + outside,
        files,
        without,
        actions,
        outside=outside,
        compared=compared,
        after_the_end=after,
        actions_outside=actions_outside,
        first_outside=left,
        held_out=0 if unread is None else int((unread.sessions_left_out >= _vault_starts(market)).sum()),
        first_actions_outside=_outside_lines(market, actions_left),
        details=details,
    )


def _outside_lines(market: MarketSettings, left: list[tuple[str, pd.Timestamp, str]]) -> tuple[str, ...]:
    """Rows left out, a line each; what lies in the vault is not spoken of."""
    sealed = _vault_starts(market)
    return tuple(f"{symbol} {day.date()} ({source})" for symbol, day, source in left if day < sealed)


def _vault_starts(market: MarketSettings) -> pd.Timestamp:
    return pd.Timestamp.max if market.vault_starts is None else pd.Timestamp(market.vault_starts)


def _after_the_end(market: MarketSettings, unread: UnreadFiles) -> str:
    """Tell of rows that only ``market.history_ends`` leaves out; what lies in the vault is not spoken of."""
    days = unread.sessions_left_out
    if market.history_ends is None or market.vault_starts is not None or not len(days):
        return ""
    return (
        f"{len(days):,} rows after market.history_ends {market.history_ends} left out, up to {days.max().date()}: "
        "move it there to take them in"
    )


def _replacing_refused(
    history: History, stored: pd.DataFrame, stamped: pd.DataFrame, fresh: pd.DataFrame
) -> pd.DataFrame:
    """Let a bar that mends one of which no version ever passed the gate be known when the first would have been."""
    if fresh.empty or not history.any_before_a_halt(stored):
        return fresh
    key = ["symbol", "session"]
    waiting = never_passed(stored, history.gate_halts, history.published_at)
    fresh_keys, stored_keys, passed_keys = (
        pd.MultiIndex.from_frame(frame[key]) for frame in (fresh, stored, stored[~waiting])
    )
    mends = fresh_keys.isin(stored_keys) & ~fresh_keys.isin(passed_keys)
    assumed = fresh[key].merge(stamped[[*key, "known_at"]].drop_duplicates(key), on=key, how="left")
    return fresh.assign(known_at=fresh["known_at"].where(~mends, assumed["known_at"].to_numpy()))


@dataclass(frozen=True, eq=False)
class Audited:
    """Clean bars and quarantine, with what the gate says of them.

    Attributes
    ----------
    report : GateReport
    grown : Grown, optional
        A long history in pieces, most of them published before; ``context`` are the clean bars that the new ones were
        judged beside, None where all were judged.
    """

    report: GateReport
    judged: Cleaned | None = field(repr=False)
    grown: Grown | None = None
    context: pd.DataFrame | None = field(default=None, repr=False)

    @cached_property
    def cleaned(self) -> Cleaned:
        """All clean bars and the whole quarantine; of a history that grew they are read here."""
        if self.judged is not None:
            return self.judged
        assert self.grown is not None, "one of the two"
        return self.grown.whole()

    @property
    def carried(self) -> Grown | None:
        """A history that grew, of which the new bars alone were judged; None where all were."""
        return self.grown if self.judged is None else None

    @property
    def kept(self) -> int:
        """Number of clean bars."""
        return len(self.cleaned.bars) if self.carried is None else self.carried.kept

    @cached_property
    def quarantine(self) -> Quarantine:
        """The whole quarantine, columns of ``QUARANTINE``."""
        return self.cleaned.quarantine if self.carried is None else self.carried.quarantine()

    @property
    def kept_by_symbol(self) -> dict[str, int]:
        """Clean bars of each symbol that has any, by name."""
        counted = self.cleaned.bars["symbol"].value_counts() if self.carried is None else self.carried.newest["rows"]
        return {str(symbol): int(count) for symbol, count in counted.sort_index().items() if count}

    @property
    def counts(self) -> dict[str, int]:
        """Rows in quarantine by rule."""
        return self.cleaned.counts() if self.grown is None else self.grown.counts()

    @property
    def newest_sessions(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Newest session of a clean bar, and of a row in quarantine; NaT where there is none."""
        if self.grown is None:
            return self.cleaned.bars["session"].max(), self.cleaned.quarantine["session"].max()
        return self.grown.newest["last_kept"].max(), self.grown.fresh.quarantine["session"].max()


def audit_bars(history: History, *, whole: bool = False) -> Audited:
    """Clean the newest versions known, and let the gate judge them.

    Of a long history that was published before, those sessions alone are judged on which anything is known that was
    not; the result is the same.

    Parameters
    ----------
    whole : bool
        Judge all of it.

    Raises
    ------
    PublicationError
        Bars are stored, and every one states that it is known later than now.
    """
    market = history.strategy.market
    moment = seen_until(market, history.last_session, now_utc())
    actions = actions_to_publish(history, history.stores.lake.segments(history.strategy.name, ACTIONS))
    if not whole and (grown_audit := audit_grown(history, actions, moment)) is not None:
        audited = Audited(grown_audit.report, None, grown_audit.grown, grown_audit.context)
        return replace(audited, report=_with_the_end_to_state(history, audited))
    known_versions = known_bars(history.stored_versions, moment)
    if known_versions.empty and len(history.stored_versions):
        raise _known_to_nobody(history, moment)
    bars = with_contradictions(
        history.stores, history.strategy.name, RAW_BARS, BAR_FACTS, known_versions, history.stored_versions
    )
    cleaned = clean(bars, market.calendar, history.strategy.cleaning, actions, history.compared_until(moment))
    symbols = market.symbols or tuple(sorted(cleaned.bars["symbol"].unique()))
    due = current_members(history.strategy, history.membership_versions, symbols, history.last_session)
    report = inspect(
        cleaned,
        due,
        history.axis,
        history.strategy.gate,
        fills_at_open=history.strategy.label.execution == "next_open",
        delisted=delisted(history),
        members=history.bars_expected(history.axis, due),
        halted=halted_by_symbol(history, due),
    )
    grown = begun(history, cleaned, moment) if report.passed else None
    audited = Audited(report, cleaned, grown)
    return replace(audited, report=_with_the_end_to_state(history, audited))


def _with_the_end_to_state(history: History, audited: Audited) -> GateReport:
    """Let bars that are too old say which end of history lets them pass, where files or a database may simply end."""
    report, (newest, newest_out) = audited.report, audited.newest_sessions
    if pd.isna(newest) or not source_member(history.strategy.source.kind).may_end:
        return report
    newest_sessions = [newest, *history.decision_moments.index[-1:]]
    last = max(newest_sessions if history.publication is None else [*newest_sessions, history.publication.last_session])
    if newest_out > last:  # they go on, and wait
        return report
    hint = f"where the data end there, set market.history_ends to {last.date()}"
    checks = (replace(check, hint=hint) if check.name == "freshness" else check for check in report.checks)
    return replace(report, checks=tuple(checks))


def _known_to_nobody(history: History, moment: pd.Timestamp) -> PublicationError:
    versions = history.stored_versions
    return PublicationError(
        expected=f"bars known by {moment:%Y-%m-%d %H:%M} UTC",
        found=f"{len(versions):,} bars that all state a known_at of {versions['known_at'].min():%Y-%m-%d %H:%M} UTC or "
        "later: no decision can see any of them, and no model be trained",
        remedy="write into the column known_at when each bar became known, or leave the column out (a bar then counts "
        "as known market.known_at_lag_minutes after its session's close), and begin with it in a strategy of another "
        "name: what was stated stays stated",
        strategy=history.strategy.name,
        column="known_at",
    )


def _not_known_yet(history: History) -> list[Notice]:
    """Bars stored of which no version is known yet, a notice for each symbol; the value is how many."""
    versions = history.stored_versions
    is_known = versions["known_at"] <= seen_until(history.strategy.market, history.last_session, now_utc())
    waiting = versions[~is_known & (versions["session"] <= history.last_session)]
    if waiting.empty:
        return []
    key = ["symbol", "session"]
    waiting = waiting[
        ~pd.MultiIndex.from_frame(waiting[key]).isin(pd.MultiIndex.from_frame(versions.loc[is_known, key]))
    ]
    notices = []
    for symbol, rows in waiting.groupby("symbol", sort=True):
        message = (
            f"{rows['session'].nunique()} bars state a known_at in the future, the first {rows['known_at'].min()}: "
            "they are not there until then; correct the column known_at at the source"
        )
        days = rows["session"]
        notices.append(Notice("known_in_the_future", str(symbol), days.min(), days.max(), days.nunique(), message))
    return notices


def notices_of(history: History, audited: Audited, actions: ActionVersions | None) -> list[Notice]:
    """All that a person should judge, of most symbols first: bars, actions as given, and bars within the session."""
    return _noticed(history, audited, _suspected(history, audited, actions))


def _suspected(history: History, audited: Audited, actions: ActionVersions | None) -> Suspected | None:
    return suspected_of(history, audited.carried, lambda: audited.cleaned.bars, actions)


def _noticed(history: History, audited: Audited, suspected: Suspected | None) -> list[Notice]:
    grown = audited.grown
    # Of bars that grew none waits: they would have been judged whole.
    waiting = _not_known_yet(history) if grown is None else []
    of_bars = audited.cleaned.notices if grown is None else grown.notices
    of_actions = [] if suspected is None else [*suspected.notices, *late_notices(history)]
    return widest_first([*of_bars, *waiting, *of_actions, *intraday_notices(history)])


def publish_bars(history: History, audited: Audited, run_id: str) -> Publication:
    """Switch to the audited bars and record the publication in the ledger.

    Raises
    ------
    SchemaError
        An action that no price can be adjusted for; the last publication stays.
    PublicationError
        An earlier publication's moment is not what the ledger says of it; the last publication stays.
    """
    sessions, name = history.axis, history.strategy.name
    keep_moments(history.stores.ledger, name, history.stores.publications.unhashed(name), run_id)
    segments = history.stores.lake.segments(name, ACTIONS)
    actions = actions_to_publish(history, segments)
    _demand_adjustable(history, audited, actions)
    suspected = _suspected(history, audited, actions)
    notices = _noticed(history, audited, suspected)
    carried, (bars, quarantine, bars_hash) = _to_publish(history, audited)
    publication = history.stores.publications.publish(
        name,
        bars,
        quarantine,
        first=sessions[0],
        last=sessions[-1],
        content_hash=with_actions(bars_hash, actions),
        published_at=now_utc(),
        details={
            "cleaned_by": version_of(*_CLEANED_BY),
            "quarantined_by_rule": audited.counts,
            "noticed_by_rule": dict(Counter(notice.rule for notice in notices)),
            "notices": [notice.line for notice in notices],
            **({"possible_copies": doubtful} if (doubtful := possible_copies(notices)) else {}),
            **({ACTIONS: list(segments)} if segments else {}),
        },
    )
    if carried is not None:
        carried = replace(carried, bars_address=publication.bars_address)
        with_suspected(history, carried, suspected).write(history)
    # From the last recorded on: a run killed between the switch and this line left its own unrecorded.
    recorded = history.stores.ledger.latest("publications", name)["details"]
    since = 1 if recorded.empty else int(recorded.iloc[-1]["ordinal"])
    rows = [entry.to_row() for entry in history.stores.publications.history_from(name, since)]
    history.stores.ledger.append("publications", rows, run_id=run_id, strategy=name)
    return publication


def _to_publish(
    history: History, audited: Audited
) -> tuple[Carried | None, tuple[pd.DataFrame | Listed, pd.DataFrame | Listed, str]]:
    """What to carry on, and bars, quarantine and the hash of what the bars say: of a long history by pieces."""
    grown = audited.grown
    if grown is not None and (audited.judged is None or not _are_published(history, audited.cleaned)):
        carried, bars, quarantine, bars_hash = grown.store(history.axis[-1])
        return carried, (bars, quarantine, bars_hash)
    cleaned = audited.cleaned
    return None, (cleaned.bars, cleaned.quarantine, content_hash(cleaned.bars))


def _are_published(history: History, cleaned: Cleaned) -> bool:
    """Whether these very bars were published as a frame, by a version that published long ones so: they stay."""
    before = history.stores.publications.current(history.strategy.name)
    return before is not None and len(cleaned.bars) == before.rows and frame_hash(cleaned.bars) == before.bars_address


def _demand_adjustable(history: History, audited: Audited, actions: ActionVersions | None) -> None:
    """Refuse bars and actions of which no total return can be made: the last publication then stays.

    Of bars that grew the new ones are looked at, beside those before: what could be adjusted once still can.

    Raises
    ------
    SchemaError
        An action that no price can be adjusted for.
    """
    if actions is None or actions.empty:
        return
    market, bars, axis = history.strategy.market, None, history.axis
    if audited.context is not None and audited.grown is not None:
        bars = pd.concat([audited.context, audited.grown.fresh.bars], ignore_index=True)
        axis = axis[axis >= bars["session"].min()]
    bars = audited.cleaned.bars if bars is None else bars
    symbols = market.symbols or tuple(sorted(bars["symbol"].unique()))
    panel_from_bars(bars, axis, symbols, actions, market.adjustment_convention)
