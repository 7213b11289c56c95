"""Intraday bars taken in, judged, published; and the daily bars that are made of those published."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.frames import INTRADAY_VERSIONS, empty
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.facts.intraday import (
    SessionBars,
    intraday_as_of,
    intraday_hash,
    new_intraday,
    session_bars,
    stamped_intraday,
)
from nn_assets.market.quality.gate import GateReport
from nn_assets.market.quality.intraday_cleaning import CleanedIntraday, clean_intraday, inspect_intraday
from nn_assets.operations.asof.stored import last_decided_session
from nn_assets.operations.clock import now_utc, seen_until
from nn_assets.operations.workplace import Workplace
from nn_assets.settings import IntradaySettings
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.store.lake.publication import Publication

__all__ = [
    "RAW_INTRADAY",
    "VALIDATED_INTRADAY",
    "AuditedIntraday",
    "PublishedIntraday",
    "audit_intraday",
    "ingest_intraday",
    "intraday_notices",
    "publish_intraday",
    "published_intraday",
]

RAW_INTRADAY, VALIDATED_INTRADAY = "raw_intraday_bars", "validated_intraday_bars"


@dataclass(frozen=True)
class AuditedIntraday:
    """Clean intraday bars and quarantine, what the gate says of them, and the session bars made of them."""

    cleaned: CleanedIntraday
    report: GateReport
    sessions: SessionBars


def _settings(workplace: Workplace) -> IntradaySettings:
    assert workplace.strategy.intraday is not None, "asked of a strategy with intraday bars only"
    return workplace.strategy.intraday


def _published_as(workplace: Workplace) -> str:
    """Name of the publications of intraday bars; no strategy's, since those hold no point."""
    return f"{workplace.strategy.name}.intraday"


def ingest_intraday(workplace: Workplace) -> tuple[RevisionCount, int]:
    """Read every bar of the sessions that may be seen; append what is new or differs.

    Returns
    -------
    RevisionCount
    int
        Rows that the files delivered.
    """
    strategy, settings = workplace.strategy, _settings(workplace)
    delivered = read_intraday_files(workplace.folder, settings)
    stamped = stamped_intraday(
        delivered,
        strategy.market.calendar,
        settings,
        now_utc(),
        decided_to=last_decided_session(workplace.ledger, strategy.name),
    )
    wanted = stamped["session"].between(pd.Timestamp(strategy.market.history_starts), workplace.last_session)
    if strategy.market.symbols:
        wanted &= stamped["symbol"].isin(strategy.market.symbols)
    fresh, counted = new_intraday(_versions(workplace), stamped[wanted].reset_index(drop=True))
    if len(fresh):
        workplace.lake.append_segment(strategy.name, RAW_INTRADAY, fresh)
    return counted, len(delivered)


def _versions(workplace: Workplace) -> pd.DataFrame:
    lake, name = workplace.lake, workplace.strategy.name
    return lake.read_segments(name, RAW_INTRADAY) if lake.segments(name, RAW_INTRADAY) else empty(INTRADAY_VERSIONS)


def audit_intraday(workplace: Workplace) -> AuditedIntraday:
    """Clean the newest versions known, let the gate judge them, and aggregate what is clean.

    Raises
    ------
    PublicationError
        No bar was taken in.
    """
    strategy, settings = workplace.strategy, _settings(workplace)
    market = strategy.market
    seen_at = seen_until(market, workplace.last_session, now_utc())
    known = intraday_as_of(_versions(workplace), seen_at)
    if known.empty:
        raise PublicationError(
            expected=f"intraday bars from {market.history_starts} to {workplace.last_session.date()}",
            found="none stored",
            remedy=f"deliver bars of these sessions, and materialise {strategy.name}/{RAW_INTRADAY}",
            strategy=strategy.name,
        )
    cleaned = clean_intraday(known, market.calendar, settings, strategy.cleaning, seen_at=seen_at)
    report = inspect_intraday(cleaned, market.symbols, settings, strategy.gate)
    return AuditedIntraday(cleaned, report, session_bars(cleaned.bars, market.calendar, settings))


def publish_intraday(workplace: Workplace, audited: AuditedIntraday, run_id: str) -> Publication:
    """Switch to the audited bars and record the publication in the ledger."""
    sessions, name = workplace.sessions(), _published_as(workplace)
    publication = workplace.publications.publish(
        name,
        audited.cleaned.bars,
        audited.cleaned.quarantine,
        first=sessions[0],
        last=sessions[-1],
        content_hash=intraday_hash(audited.cleaned.bars),
        published_at=now_utc(),
        details={
            "quarantined_by_rule": audited.cleaned.counts(),
            "gaps": len(audited.cleaned.gaps),
            "missing_bars": int(audited.cleaned.gaps["missing"].sum()),
            "notices": audited.sessions.notices(),
        },
    )
    # All of them: a run killed between the switch and this line left its own unrecorded.
    rows = [each.to_row() for each in workplace.publications.history(name)]
    workplace.ledger.append("publications", rows, run_id=run_id, strategy=name)
    return publication


def published_intraday(workplace: Workplace, last: pd.Timestamp | None = None) -> pd.DataFrame:
    """Clean intraday bars as published last.

    Raises
    ------
    PublicationError
        None are published that reach ``last``: the last session that may be seen when left out.
    """
    publication = workplace.publications.require(_published_as(workplace), last or workplace.last_session)
    return workplace.publications.bars(publication)


def intraday_notices(workplace: Workplace) -> list[str]:
    """Sessions of the intraday bars in force that made no daily bar, a line each; none without such bars."""
    if workplace.strategy.intraday is None:
        return []
    publication = workplace.publications.current(_published_as(workplace))
    return [] if publication is None else list(publication.details.get("notices", ()))


class PublishedIntraday:
    """Daily bars made of the intraday bars published last; half-finished sessions are left out.

    Parameters
    ----------
    workplace : Workplace
    """

    name = "intraday"

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Deliver session bars; see ``Source.bars``.

        Raises
        ------
        PublicationError
            No intraday bars are published that reach ``last``.
        """
        workplace = self.workplace
        intraday = published_intraday(workplace, last)
        made = session_bars(intraday, workplace.strategy.market.calendar, _settings(workplace))
        return checked_selection(made.bars, self.name, symbols, first, last)
