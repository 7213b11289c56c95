"""Bars of the second source that a strategy compares its own with, taken in by version; no bar is ever taken from them.

What the second source lacks, or that it cannot be asked, stops nothing: there is no judgement then, which is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.facts.bitemporal import stated_in
from nn_assets.operations.asof.stored import COMPARED
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_new, stamped_bars
from nn_assets.operations.intake.files_read import UnreadFiles
from nn_assets.operations.intake.sources import source_named
from nn_assets.sources.protocol import cut_to
from nn_assets.sources.tables.files import FilesSource


@dataclass(frozen=True)
class TakenCompared:
    """What the second source delivered: rows, what they added, files read, and why there are none where it failed."""

    delivered: int
    counted: RevisionCount
    failed: str = ""
    files_read: tuple[str, ...] = ()


def ingest_compared(
    history: History, folder: Path, arrived_at: pd.Timestamp, decided_to: pd.Timestamp | None
) -> TakenCompared | None:
    """Ask the second source for every session that may be seen, and append what is new or differs.

    A source of files is asked for those alone that were not read yet, as long as the same is asked of it.
    A bar of a session that was decided counts as known no earlier than it arrived, whatever it states: what is
    decided stands. Symbols that the second source lacks are not judged.

    Returns
    -------
    TakenCompared or None
        None where the strategy compares with nothing.
    """
    market = history.strategy.market
    if market.compare_with is None:
        return None
    first, last = pd.Timestamp(market.history_starts), history.last_session
    try:
        source, unread = source_named(history, folder, market.compare_with), None
        if isinstance(source, FilesSource):
            unread = UnreadFiles.of(history, source, arrived_at, market.compare_with, COMPARED)
        delivered = (source if unread is None else unread).bars((), first, last)
    except SourceError as error:
        return TakenCompared(0, RevisionCount(), str(error))
    delivered = cut_to(delivered, market.symbols, first, last)
    if delivered.empty and (unread is None or not unread.some_were_read_before):
        return TakenCompared(0, RevisionCount(), "no bar of market.symbols")
    before = None if unread is None else unread.taken_before
    counted = RevisionCount()
    if len(delivered):
        stamped = stamped_bars(history, delivered, arrived_at, decided_to)
        if decided_to is not None:
            late = stamped["session"] <= decided_to
            stamped["known_at"] = stamped["known_at"].mask(late & (stamped["known_at"] < arrived_at), arrived_at)
        counted = append_new(history, COMPARED, stamped, stated_in(delivered), before)
    if unread is not None:
        unread.remember()
    files = () if unread is None else tuple(file.name for file in unread.files)
    return TakenCompared(len(delivered), counted, files_read=files)
