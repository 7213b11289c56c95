"""Other series taken in and stored by version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.frames import QUARANTINE, SERIES, conform, empty
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.facts.series import new_observations
from nn_assets.market.facts.series_intake import JudgedSeries, judge_series
from nn_assets.operations.asof.series import OTHER_SERIES, series_versions
from nn_assets.operations.asof.stored import last_decided_session
from nn_assets.operations.clock import as_of_session, now_utc
from nn_assets.operations.intake.funding import FundingRequest, asked_before, remember_asked
from nn_assets.settings import FundingSeriesSettings, Strategy
from nn_assets.sources.tables.series_files import read_series_file
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["TakenSeries", "ingest_series"]

_QUARANTINE = "series_quarantine"


@dataclass(frozen=True)
class TakenSeries:
    """What one delivery of one series held, and what it added."""

    name: str
    symbols: tuple[str, ...]
    judged: JudgedSeries
    counted: RevisionCount


def ingest_series(
    strategy: Strategy,
    lake: Lake,
    ledger: Ledger,
    folder: Path,
    last_session: pd.Timestamp,
    tell: Callable[[str], None] = lambda _: None,
) -> list[TakenSeries]:
    """Read every series that the strategy names; append what is new or differs, keep the quarantine.

    Parameters
    ----------
    folder : Path
        That relative paths start from.
    last_session : Timestamp
        An exchange is asked for nothing that is later than the decision on it; of a file nothing is
        taken in that was not known by then.
    tell : callable
        Told a line before and after an exchange is asked.

    Raises
    ------
    SourceError
        A file is absent or faulty, or an exchange's answer is; nothing of this delivery is stored then.
    """
    stored = series_versions(strategy, lake)
    decided = last_decided_session(ledger, strategy.name)
    decided_at = None if decided is None else as_of_session(strategy.market, decided)
    arrived = now_utc()
    place = lake.folder(strategy.name, OTHER_SERIES)
    taken, fresh, quarantined = [], [], []
    for settings in strategy.series:
        calendar = strategy.market.calendar
        if isinstance(settings, FundingSeriesSettings):
            again = asked_before(place, strategy, settings)
            request = FundingRequest.of(strategy, settings, stored if again else empty(SERIES), last_session)
            delivered = request.deliver(tell)
            if again:
                quarantined.append(request.not_asked(lake.read_table(strategy.name, _QUARANTINE)))
            judged = judge_series(delivered, settings, calendar)
        else:
            delivered = read_series_file(folder, settings, settings.calendar or calendar)
            judged = judge_series(delivered, settings, calendar, until=as_of_session(strategy.market, last_session))
        new, counted = new_observations(stored, judged.observations, arrived, decided_at=decided_at)
        fresh.append(new)
        quarantined.append(judged.quarantine)
        taken.append(TakenSeries(settings.name, settings.stored_symbols, judged, counted))
    added = pd.concat(fresh, ignore_index=True)
    if len(added):
        lake.append_segment(strategy.name, OTHER_SERIES, conform(added, SERIES))
    lake.write_table(strategy.name, _QUARANTINE, conform(pd.concat(quarantined, ignore_index=True), QUARANTINE))
    remember_asked(place, strategy)
    return taken
