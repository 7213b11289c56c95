"""Intraday bars taken in, judged, published; and the daily bars that are made of those published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, named_rows
from nn_assets.contracts import INTRADAY_VERSIONS, empty
from nn_assets.contracts.frames import DeliveredBars, IntradayBars, IntradayVersions
from nn_assets.errors import PublicationError, SettingsError
from nn_assets.market.facts.bitemporal import INTRADAY_FACTS, RevisionCount, stated_in
from nn_assets.market.facts.intraday import (
    SessionBars,
    first_known,
    intraday_as_of,
    intraday_hash,
    new_intraday,
    session_bars,
    stamped_intraday,
)
from nn_assets.market.quality.gate import GateReport
from nn_assets.market.quality.intraday_cleaning import CleanedIntraday, clean_intraday, inspect_intraday
from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.still_prices import still_price_notices
from nn_assets.operations.asof.decisions import last_decided_session
from nn_assets.operations.asof.halts import INTRADAY_GATE
from nn_assets.operations.asof.intraday_quarantine import intraday_publications
from nn_assets.operations.asof.stored import RAW_INTRADAY, versions_of, with_contradictions
from nn_assets.operations.clock import now_utc, seen_until
from nn_assets.operations.decision_timing import every_decision_late
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_contradicted, append_versions
from nn_assets.operations.intake.intraday_details import append_intraday_details, details_beside
from nn_assets.operations.publication_moments import keep_moments
from nn_assets.settings import IntradaySettings, Strategy
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.limits import Limits
from nn_assets.store.lake.publication import Publication
from nn_assets.versions import version_of

__all__ = [
    "RAW_INTRADAY",
    "VALIDATED_INTRADAY",
    "AuditedIntraday",
    "PublishedIntraday",
    "audit_intraday",
    "cleaned_intraday",
    "ingest_intraday",
    "intraday_notices",
    "publish_intraday",
    "published_intraday",
]

VALIDATED_INTRADAY = INTRADAY_GATE


@dataclass(frozen=True)
class AuditedIntraday:
    """Clean intraday bars and quarantine, what the gate says of them, and the session bars made of them."""

    cleaned: CleanedIntraday
    report: GateReport
    sessions: SessionBars


def _settings(history: History) -> IntradaySettings:
    assert history.strategy.intraday is not None, "asked of a strategy with intraday bars only"
    return history.strategy.intraday


def _published_as(history: History) -> str:
    return intraday_publications(history.strategy.name)


def ingest_intraday(history: History, folder: Path) -> tuple[RevisionCount, int, int]:
    """Read every bar of the sessions that may be seen; append what is new or differs, and what is said beside.

    Returns
    -------
    RevisionCount
    int
        Rows that the files delivered.
    int
        Those of them that were left out: of other symbols, or of sessions that history does not span.
    """
    strategy, settings = history.strategy, _settings(history)
    delivered = read_intraday_files(folder, settings, Limits.of(strategy.source))
    stamped = stamped_intraday(
        delivered,
        strategy.market.calendar,
        settings,
        now_utc(),
        decided_to=last_decided_session(history.stores.ledger, strategy.name),
    )
    wanted = stamped["session"].between(pd.Timestamp(strategy.market.history_starts), history.last_session)
    if strategy.market.symbols:
        wanted &= stamped["symbol"].isin(strategy.market.symbols)
    stored, explicit = _versions(history), stated_in(delivered[wanted])
    seen = stamped[wanted].reset_index(drop=True)
    _refuse_always_late(strategy, stored, seen, explicit)
    append_intraday_details(history, delivered[wanted].reset_index(drop=True), seen, explicit)
    fresh, counted = new_intraday(stored, seen, explicit=explicit)
    append_contradicted(history.stores, strategy.name, RAW_INTRADAY, counted.contradicted)
    append_versions(history.stores, strategy.name, RAW_INTRADAY, stored, fresh)
    return counted, len(delivered), int((~wanted).sum())


def _refuse_always_late(
    strategy: Strategy, stored: IntradayVersions, seen: IntradayVersions, explicit: BoolArray | None
) -> None:
    """Refuse a latency budget that no decision can meet, where bars are taken to be known their lag after their end.

    One bar that states no known_at makes its decision late, whatever the others of that decision state. Files that
    state it of every bar are taken in, late or not: that is what happened, and is counted.
    """
    decisions, settings = strategy.decisions, strategy.intraday
    if decisions is None or settings is None or seen.empty:
        return
    lag = settings.known_at_lag_seconds
    with_moment = 0 if explicit is None else int(explicit.sum())
    if decisions.latency_budget_seconds >= lag + decisions.computing_seconds or with_moment == len(seen):
        return
    if with_moment and not every_decision_late(strategy, pd.concat([stored, seen], ignore_index=True)):
        return
    unstated = f"{len(seen) - with_moment:,} of {len(seen):,} bars delivered state no known_at" if with_moment else ""
    raise SettingsError(
        expected=f"a budget of at least {lag + decisions.computing_seconds} seconds: "
        f"{unstated or 'the files state no known_at'}, so that every decision is sent intraday.known_at_lag_seconds "
        f"{lag} and intraday.decisions.computing_seconds {decisions.computing_seconds} after its bar's close",
        found=f"intraday.decisions.latency_budget_seconds {decisions.latency_budget_seconds}: every decision would be "
        "late and no order sent",
        remedy="raise the budget, or lower known_at_lag_seconds or computing_seconds to what they are"
        + ", or state known_at of every bar" * bool(with_moment),
        key="intraday.decisions.latency_budget_seconds",
    )


def _versions(history: History) -> IntradayVersions:
    lake, name = history.stores.lake, history.strategy.name
    return (
        versions_of(history.stores, name, RAW_INTRADAY)
        if lake.segments(name, RAW_INTRADAY)
        else empty(INTRADAY_VERSIONS)
    )


def audit_intraday(history: History) -> AuditedIntraday:
    """Clean the newest versions known, let the gate judge them, and aggregate what is clean.

    Raises
    ------
    PublicationError
        No bar was taken in.
    """
    strategy, settings = history.strategy, _settings(history)
    market = strategy.market
    seen_at = seen_until(market, history.last_session, now_utc())
    cleaned = cleaned_intraday(history, seen_at)
    if cleaned is None:
        raise PublicationError(
            expected=f"intraday bars from {market.history_starts} to {history.last_session.date()}",
            found="none stored",
            remedy=f"deliver bars of these sessions, then nn-assets check --strategy {strategy.name}",
            strategy=strategy.name,
        )
    report = inspect_intraday(cleaned, market.symbols, settings, strategy.gate)
    return AuditedIntraday(cleaned, report, session_bars(cleaned.bars, market.calendar, settings))


def cleaned_intraday(history: History, seen_at: pd.Timestamp) -> CleanedIntraday | None:
    """Judge the intraday bars as they were known at a moment; None where none was, or the strategy has none.

    Decisions within the session read each bar as it was known first.
    """
    strategy, settings = history.strategy, history.strategy.intraday
    if settings is None:
        return None
    versions = _versions(history)
    known_versions = intraday_as_of(first_known(versions) if settings.decisions else versions, seen_at)
    if known_versions.empty:
        return None
    known_versions = with_contradictions(
        history.stores, strategy.name, RAW_INTRADAY, INTRADAY_FACTS, known_versions, versions
    )
    judged_by = strategy.market.calendar, settings, strategy.cleaning
    return clean_intraday(known_versions, *judged_by, seen_at=seen_at, halts=history.halt_versions)


def publish_intraday(history: History, audited: AuditedIntraday, run_id: str) -> Publication:
    """Switch to the audited bars and record the publication in the ledger.

    Raises
    ------
    PublicationError
        An earlier publication's moment is not what the ledger says of it; the last publication stays.
    """
    sessions, name = history.axis, _published_as(history)
    keep_moments(history.stores.ledger, name, history.stores.publications.unhashed(name), run_id)
    publication = history.stores.publications.publish(
        name,
        audited.cleaned.bars,
        audited.cleaned.quarantine,
        first=sessions[0],
        last=sessions[-1],
        content_hash=intraday_hash(audited.cleaned.bars),
        published_at=now_utc(),
        details={
            "cleaned_by": version_of(clean_intraday, intraday_as_of),
            "quarantined_by_rule": audited.cleaned.counts(),
            "gaps": len(audited.cleaned.gaps),
            "missing_bars": int(audited.cleaned.gaps["missing"].sum()),
        },
    )
    # All of them: a run killed between the switch and this line left its own unrecorded.
    rows = [entry.to_row() for entry in history.stores.publications.history(name)]
    history.stores.ledger.append("publications", rows, run_id=run_id, strategy=name)
    return publication


def published_intraday(history: History, last: pd.Timestamp | None = None) -> IntradayBars:
    """Clean intraday bars as published last.

    Raises
    ------
    PublicationError
        None are published that reach ``last``: the last session that may be seen when left out.
    """
    publication = history.stores.publications.require(_published_as(history), last or history.last_session)
    return history.stores.publications.bars(publication)


def intraday_notices(history: History) -> list[Notice]:
    """Sessions of the intraday bars in force that made no daily bar, and prices that never move.

    None without such bars. The value of the former is the share of the bars due that came. The latter are asked of a
    strategy that decides within the session: daily bars have a rule of their own.
    """
    if history.strategy.intraday is None:
        return []
    publication = history.stores.publications.current(_published_as(history))
    if publication is None:
        return []
    bars = history.stores.publications.bars(publication)
    left_out = session_bars(bars, history.strategy.market.calendar, _settings(history)).left_out
    decisions = history.strategy.decisions
    span = 0 if decisions is None else decisions.every_bars * history.strategy.label.horizon_sessions
    still = [] if decisions is None else still_price_notices(bars, span)
    return still + [
        Notice(
            row.rule,
            row.symbol,
            row.session,
            row.session,
            row.bars / row.due,
            f"no daily bar, {row.value}; {row.remedy}",
        )
        for row in named_rows(left_out)
    ]


class PublishedIntraday:
    """Daily bars made of the intraday bars published last; half-finished sessions are left out.

    Parameters
    ----------
    history : History
    """

    name = "intraday"

    def __init__(self, history: History) -> None:
        self.history = history

    def bars(
        self,
        symbols: tuple[Symbol, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver session bars; see ``Source.bars``.

        Raises
        ------
        PublicationError
            No intraday bars are published that reach ``last``.
        """
        history = self.history
        intraday = published_intraday(history, last)
        details = details_beside(history, intraday)
        aggregated = session_bars(intraday, history.strategy.market.calendar, _settings(history), details)
        return checked_selection(aggregated.bars, self.name, symbols, first, last)
