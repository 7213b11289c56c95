"""Other series taken in and stored by version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts import QUARANTINE, SERIES, conform, empty
from nn_assets.errors import SourceError
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.facts.series import new_observations
from nn_assets.market.facts.series_intake import JudgedSeries, judge_series
from nn_assets.operations.asof.decisions import last_decided_session
from nn_assets.operations.asof.series import OTHER_SERIES, read_series_versions
from nn_assets.operations.clock import as_of_session, now_utc
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_versions
from nn_assets.operations.intake.funding import FundingRequest, asked_before, remember_asked
from nn_assets.settings import FundingSeriesSettings
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.series_files import read_series_file

_QUARANTINE = "series_quarantine"


@dataclass(frozen=True)
class TakenSeries:
    """What one delivery of one series held, and what it added."""

    name: str
    symbols: tuple[Symbol, ...]
    judged: JudgedSeries
    counted: RevisionCount

    @property
    def summary(self) -> dict[str, Any]:
        """One line of what was taken in."""
        judged = self.judged
        intervals = ", ".join(f"{count} of {minutes} min" for minutes, count in judged.intervals_minutes.items())
        return {
            "series": f"{self.name} {', '.join(self.symbols)}".strip(),
            "observations": len(judged.observations),
            "added": self.counted.added,
            "revised": self.counted.revised,
            "quarantined": len(judged.quarantine),
            "equal_rows": judged.equal_rows,
            "later": judged.later,
            "snapped": judged.snapped,
            "outside_range": judged.outside_range,
            "gaps": judged.gaps,
            "intervals": intervals,
        }


def ingest_series(history: History, folder: Path, tell: Callable[[str], None] = lambda _: None) -> list[TakenSeries]:
    """Read every series that the strategy names; append what is new or differs, keep the quarantine.

    An exchange is asked for nothing that is later than the decision on the last session that may be seen; of a
    file nothing is taken in that was not known by then.

    Parameters
    ----------
    folder : Path
        That relative paths start from.
    tell : callable
        Told a line before and after an exchange is asked.

    Raises
    ------
    SourceError
        A file is absent or faulty, or an exchange's answer is; nothing of this delivery is stored then.
    """
    strategy, lake, last_session = history.strategy, history.stores.lake, history.last_session
    stored = read_series_versions(history.stores, strategy.name)
    decided = last_decided_session(history.stores.ledger, strategy.name)
    decided_at = None if decided is None else as_of_session(strategy.market, decided)
    arrived = now_utc()
    series_folder = lake.folder(strategy.name, OTHER_SERIES)
    taken, fresh, quarantined = [], [], []
    for settings in strategy.series:
        calendar = strategy.market.calendar
        if isinstance(settings, FundingSeriesSettings):
            again = asked_before(series_folder, strategy, settings)
            request = FundingRequest.of(strategy, settings, stored if again else empty(SERIES), last_session)
            delivered = request.deliver(tell)
            if again:
                quarantined.append(request.not_asked(lake.read_table(strategy.name, _QUARANTINE)))
            judged = judge_series(delivered, settings, calendar)
        else:
            limits = Limits.of(strategy.source)
            delivered = read_series_file(folder, settings, settings.calendar or calendar, limits)
            judged = judge_series(delivered, settings, calendar, until=as_of_session(strategy.market, last_session))
        if judged.observations.empty and settings.name in strategy.features.series.values():
            _require_stored(settings.name, stored, delivered, judged)
        new, counted = new_observations(stored, judged.observations, arrived, decided_at=decided_at)
        fresh.append(new)
        quarantined.append(judged.quarantine)
        taken.append(TakenSeries(settings.name, settings.stored_symbols, judged, counted))
    added = pd.concat(fresh, ignore_index=True)
    append_versions(history.stores, strategy.name, OTHER_SERIES, stored, conform(added, SERIES))
    lake.write_table(strategy.name, _QUARANTINE, conform(pd.concat(quarantined, ignore_index=True), QUARANTINE))
    remember_asked(series_folder, strategy)
    return taken


def _require_stored(name: str, stored: pd.DataFrame, delivered: pd.DataFrame, judged: JudgedSeries) -> None:
    """Refuse a series that features read, of which no sound observation was ever delivered.

    Raises
    ------
    SourceError
        With how many rows there are, and why none of them counts.
    """
    if (stored["name"] == name).any():
        return
    rules = ", ".join(f"{count} {rule}" for rule, count in judged.quarantine["rule"].value_counts().items())
    later = f"{judged.later} later than may be seen" if judged.later else ""
    why = ", ".join(filter(None, (rules, later)))
    raise SourceError(
        expected=f"an observation of the series {name}, which features read",
        found=f"none that is sound among {len(delivered)} rows{why and ': '}{why}",
        remedy="correct what is delivered, or take out the series and the features that read it",
        series=name,
    )
