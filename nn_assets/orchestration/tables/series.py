"""Other series taken in and stored by version, and read back as a session's decision knew them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.frames import QUARANTINE, SERIES, conform, empty
from nn_assets.market.bars import RevisionCount
from nn_assets.market.other_series import KnownSeries, known_series, new_observations
from nn_assets.market.series_intake import JudgedSeries, judge_series
from nn_assets.orchestration.clock import as_of_session, as_of_sessions, now_utc
from nn_assets.orchestration.tables.stored import last_decided_session, read_once
from nn_assets.settings import Strategy
from nn_assets.sources.series_files import read_series_file
from nn_assets.store.lake import Lake
from nn_assets.store.ledger import Ledger

__all__ = [
    "OTHER_SERIES",
    "TakenSeries",
    "ingest_series",
    "known_by_role",
    "read_known_series",
    "series_versions",
]

OTHER_SERIES, _QUARANTINE = "other_series", "series_quarantine"


@dataclass(frozen=True)
class TakenSeries:
    """What one delivery of one series held, and what it added."""

    name: str
    symbol: str
    judged: JudgedSeries
    counted: RevisionCount


def ingest_series(strategy: Strategy, lake: Lake, ledger: Ledger, folder: Path) -> list[TakenSeries]:
    """Read every series that the strategy names; append what is new or differs, keep the quarantine.

    Raises
    ------
    SourceError
        A file is absent or faulty; nothing of this delivery is stored then.
    """
    stored = series_versions(strategy, lake)
    decided = last_decided_session(ledger, strategy.name)
    decided_at = None if decided is None else as_of_session(strategy.market, decided)
    arrived = now_utc()
    taken, fresh = [], []
    for settings in strategy.series:
        calendar = strategy.market.calendar
        delivered = read_series_file(folder, settings, settings.calendar or calendar)
        judged = judge_series(delivered, settings, calendar)
        new, counted = new_observations(stored, judged.observations, arrived, decided_at=decided_at)
        fresh.append(new)
        taken.append(TakenSeries(settings.name, settings.symbol, judged, counted))
    added = pd.concat(fresh, ignore_index=True)
    if len(added):
        lake.append_segment(strategy.name, OTHER_SERIES, conform(added, SERIES))
    quarantined = pd.concat([each.judged.quarantine for each in taken], ignore_index=True)
    lake.write_table(strategy.name, _QUARANTINE, conform(quarantined, QUARANTINE))
    return taken


def series_versions(strategy: Strategy, lake: Lake) -> pd.DataFrame:
    """Every version of every observation stored; none before the first delivery."""
    segments = lake.segments(strategy.name, OTHER_SERIES)
    return read_once(lake, strategy.name, OTHER_SERIES, segments) if segments else empty(SERIES)


def known_by_role(
    strategy: Strategy, lake: Lake, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> dict[str, KnownSeries]:
    """The series that features read, by what they are to them."""
    return {
        role: read_known_series(strategy, lake, name, sessions, symbols)
        for role, name in strategy.features.series.items()
    }


def read_known_series(
    strategy: Strategy, lake: Lake, name: str, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> KnownSeries:
    """The newest value of a series known at each session's decision, (sessions, symbols).

    Raises
    ------
    SettingsError
        The strategy names no such series, or it was never taken in.
    """
    named = [each for each in strategy.series if each.name == name]
    if not named:
        raise SettingsError(
            expected=f"a series among {', '.join(each.name for each in strategy.series) or 'none named'}",
            found=repr(name),
            remedy="name it under series in the strategy file",
            key="series",
        )
    return known_series(
        series_versions(strategy, lake),
        name,
        symbols,
        sessions,
        as_of_sessions(strategy.market, sessions),
        stale_after_sessions=max(each.stale_after_sessions for each in named),
    )
