"""Bars taken in, cleaned, judged at the gate, and published."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nn_assets.frames import BAR_VERSIONS, empty
from nn_assets.market.bars import RevisionCount, content_hash, new_versions, with_assumed_known_at
from nn_assets.market.bars import as_of as known_bars
from nn_assets.market.cleaning import Cleaned, clean
from nn_assets.market.gate import GateReport, inspect
from nn_assets.orchestration.clock import as_of_session, now_utc
from nn_assets.orchestration.intraday import PublishedIntraday
from nn_assets.orchestration.universe import current_members
from nn_assets.orchestration.workplace import RAW_BARS, Workplace
from nn_assets.sources.bundled import BundledSource
from nn_assets.sources.files import FilesSource
from nn_assets.sources.protocol import Source
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.store.publication import Publication

__all__ = ["Audited", "audit_bars", "ingest_bars", "publish_bars", "source_of"]


def source_of(workplace: Workplace) -> Source:
    """The source that the strategy names."""
    settings = workplace.strategy.source
    if workplace.strategy.intraday is not None:
        return PublishedIntraday(workplace)
    if settings.kind == "files":
        assert settings.path is not None, "settings demand it"
        volume = workplace.strategy.cleaning.traded_with_volume
        return FilesSource(workplace.folder / settings.path, requires_volume=volume)
    if settings.kind == "simulator":
        market = workplace.strategy.market
        return SimulatedSource(
            calendar=market.calendar,
            history_starts=market.history_starts,
            history_ends=market.history_ends,
            seed=settings.seed,
            planted_rank_ic=settings.planted_rank_ic,
            signal_persistence=settings.signal_persistence,
        )
    return BundledSource()


def ingest_bars(workplace: Workplace) -> tuple[RevisionCount, int]:
    """Ask the source for every session up to the last that may be seen; append what is new or differs.

    Returns
    -------
    RevisionCount
    int
        Rows that the source delivered.
    """
    market = workplace.strategy.market
    delivered = source_of(workplace).bars(market.symbols, pd.Timestamp(market.history_starts), workplace.last_session)
    decided = workplace.ledger.read("decisions", workplace.strategy.name)["session"]
    stamped = with_assumed_known_at(
        delivered,
        market.calendar,
        market.known_at_lag_minutes,
        now_utc(),
        decided_to=None if decided.empty else decided.max(),
    )
    has_bars = bool(workplace.lake.segments(workplace.strategy.name, RAW_BARS))
    stored = workplace.raw_versions() if has_bars else empty(BAR_VERSIONS)
    fresh, counted = new_versions(stored, stamped)
    if len(fresh):
        workplace.lake.append_segment(workplace.strategy.name, RAW_BARS, fresh.reset_index(drop=True))
    return counted, len(delivered)


@dataclass(frozen=True)
class Audited:
    """Clean bars and quarantine, with what the gate says of them."""

    cleaned: Cleaned
    report: GateReport
    versions: pd.DataFrame


def audit_bars(workplace: Workplace) -> Audited:
    """Clean the newest versions known, and let the gate judge them."""
    market = workplace.strategy.market
    moment = max(as_of_session(market, workplace.last_session), now_utc())
    known = known_bars(workplace.raw_versions(), moment)
    cleaned = clean(known, market.calendar, workplace.strategy.cleaning)
    due = market.symbols or tuple(sorted(cleaned.bars["symbol"].unique()))
    due = current_members(workplace.strategy, workplace.lake, due, workplace.last_session)
    report = inspect(cleaned, due, workplace.sessions(), workplace.strategy.gate)
    return Audited(cleaned, report, known)


def publish_bars(workplace: Workplace, audited: Audited, run_id: str) -> Publication:
    """Switch to the audited bars and record the publication in the ledger."""
    sessions = workplace.sessions()
    publication = workplace.publications.publish(
        workplace.strategy.name,
        audited.cleaned.bars,
        audited.cleaned.quarantine,
        first=sessions[0],
        last=sessions[-1],
        content_hash=content_hash(audited.cleaned.bars),
        published_at=now_utc(),
        details={
            "quarantined_by_rule": audited.cleaned.counts(),
            "notices": [f"{notice.symbol}: {notice.message}" for notice in audited.cleaned.notices],
        },
    )
    workplace.ledger.append("publications", [publication.to_row()], run_id=run_id, strategy=workplace.strategy.name)
    return publication
