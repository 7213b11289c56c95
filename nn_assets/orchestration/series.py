"""Other series taken in and stored by version, and read back as a session's decision knew them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.frames import QUARANTINE, SERIES, conform, empty
from nn_assets.market.bars import RevisionCount
from nn_assets.market.other_series import KnownSeries, known_series, new_observations
from nn_assets.market.series_intake import JudgedSeries, judge_series
from nn_assets.orchestration.clock import as_of_session, as_of_sessions, now_utc
from nn_assets.orchestration.workplace import Workplace
from nn_assets.sources.series_files import read_series_file

__all__ = ["OTHER_SERIES", "TakenSeries", "ingest_series", "read_known_series", "series_versions"]

OTHER_SERIES, _QUARANTINE = "other_series", "series_quarantine"


@dataclass(frozen=True)
class TakenSeries:
    """What one delivery of one series held, and what it added."""

    name: str
    symbol: str
    judged: JudgedSeries
    counted: RevisionCount


def ingest_series(workplace: Workplace) -> list[TakenSeries]:
    """Read every series that the strategy names; append what is new or differs, keep the quarantine.

    Raises
    ------
    SourceError
        A file is absent or faulty; nothing of this delivery is stored then.
    """
    strategy = workplace.strategy
    stored = series_versions(workplace)
    decided = workplace.ledger.read("decisions", strategy.name)["session"]
    decided_at = None if decided.empty else as_of_session(strategy.market, decided.max())
    arrived = now_utc()
    taken, fresh = [], []
    for settings in strategy.series:
        calendar = strategy.market.calendar
        delivered = read_series_file(workplace.folder, settings, settings.calendar or calendar)
        judged = judge_series(delivered, settings, calendar)
        new, counted = new_observations(stored, judged.observations, arrived, decided_at=decided_at)
        fresh.append(new)
        taken.append(TakenSeries(settings.name, settings.symbol, judged, counted))
    added = pd.concat(fresh, ignore_index=True)
    if len(added):
        workplace.lake.append_segment(strategy.name, OTHER_SERIES, conform(added, SERIES))
    quarantined = pd.concat([each.judged.quarantine for each in taken], ignore_index=True)
    workplace.lake.write_table(strategy.name, _QUARANTINE, conform(quarantined, QUARANTINE))
    return taken


def series_versions(workplace: Workplace) -> pd.DataFrame:
    """Every version of every observation stored; none before the first delivery."""
    lake, name = workplace.lake, workplace.strategy.name
    if not lake.segments(name, OTHER_SERIES):
        return empty(SERIES)
    return lake.read_segments(name, OTHER_SERIES)


def read_known_series(
    workplace: Workplace, name: str, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> KnownSeries:
    """The newest value of a series known at each session's decision, (sessions, symbols).

    Raises
    ------
    SettingsError
        The strategy names no such series, or it was never taken in.
    """
    market = workplace.strategy.market
    named = [each for each in workplace.strategy.series if each.name == name]
    if not named:
        raise SettingsError(
            expected=f"a series among {', '.join(each.name for each in workplace.strategy.series) or 'none named'}",
            found=repr(name),
            remedy="name it under series in the strategy file",
            key="series",
        )
    return known_series(
        series_versions(workplace),
        name,
        symbols,
        sessions,
        as_of_sessions(market, sessions),
        stale_after_sessions=max(each.stale_after_sessions for each in named),
    )
