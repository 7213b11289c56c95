"""Bars of the second source that a strategy compares its own with, taken in by version; no bar is ever taken from them.

What the second source lacks, or that it cannot be asked, stops nothing: there is no judgement then, and that is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.market.facts.bars import RevisionCount, new_versions, with_assumed_known_at
from nn_assets.operations.asof.stored import COMPARED
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_versions
from nn_assets.operations.intake.sources import source_named
from nn_assets.sources.protocol import cut_to

__all__ = ["TakenCompared", "ingest_compared"]


@dataclass(frozen=True)
class TakenCompared:
    """What the second source delivered: rows, what they added, and why there are none where it failed."""

    delivered: int
    counted: RevisionCount
    failed: str = ""


def ingest_compared(
    history: History, folder: Path, arrived_at: pd.Timestamp, decided_to: pd.Timestamp | None
) -> TakenCompared | None:
    """Ask the second source for every session that may be seen, and append what is new or differs.

    A bar of a session that was decided counts as known no earlier than it arrived, whatever it states: what is
    decided stands. Symbols that the second source lacks are not judged.

    Returns
    -------
    TakenCompared or None
        None where the strategy compares with nothing.
    """
    strategy, market = history.strategy, history.strategy.market
    if market.compare_with is None:
        return None
    first, last = pd.Timestamp(market.history_starts), history.last_session
    try:
        delivered = source_named(history, folder, market.compare_with).bars((), first, last)
    except SourceError as error:
        return TakenCompared(0, RevisionCount(), str(error))
    delivered = cut_to(delivered, market.symbols, first, last)
    if delivered.empty:
        return TakenCompared(0, RevisionCount(), "no bar of market.symbols")
    stated = delivered["known_at"].notna().to_numpy() if "known_at" in delivered.columns else None
    stamped = with_assumed_known_at(
        delivered, market.calendar, market.known_at_lag_minutes, arrived_at, decided_to=decided_to
    )
    if decided_to is not None:
        late = stamped["session"] <= decided_to
        stamped["known_at"] = stamped["known_at"].mask(late & (stamped["known_at"] < arrived_at), arrived_at)
    fresh, counted = new_versions(history.compared_versions, stamped, stated=stated)
    append_versions(history.stores, strategy.name, COMPARED, fresh)
    return TakenCompared(len(delivered), counted)
