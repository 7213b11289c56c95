"""Bars through their gate: cleaned, judged, published where nothing halts, and reported."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from nn_assets.operations.asof.halts import INTRADAY_GATE
from nn_assets.operations.history import History
from nn_assets.operations.intake.bars import audit_bars, publish_bars
from nn_assets.operations.intake.data_docs import review_bars
from nn_assets.operations.intake.gate_record import recording_halts
from nn_assets.operations.intake.intraday import audit_intraday, publish_intraday
from nn_assets.operations.intake.metadata import (
    gate_checks,
    intraday_publication_metadata,
    publication_metadata,
    suite_checks,
)
from nn_assets.operations.judged import Judged

Judging = Generator[Judged, None, dict[str, Any]]


def bars_through_gate(history: History, run_id: str) -> Judging:
    """Judge the newest bars known and publish them; to be called while the strategy is held alone.

    Yields
    ------
    Judged
        What each check says, before anything is published.

    Returns
    -------
    dict of str to object
        What an operator sees of the publication, by name.

    Raises
    ------
    GateHalted
        They do not pass: the last publication stays, and the halt is on record.
    """
    before = history.stores.publications.current(history.strategy.name)
    audited = audit_bars(history)
    yield from gate_checks(audited.report)
    with recording_halts(history, run_id):
        yield from suite_checks(history.strategy.name, review_bars(history, audited))
        audited.report.raise_if_failed()
        publication = publish_bars(history, audited, run_id)
    return publication_metadata(history, audited, before, publication)


def intraday_through_gate(history: History, run_id: str) -> Judging:
    """Judge the newest bars within the session and publish them; as :func:`bars_through_gate`.

    Raises
    ------
    GateHalted
        They do not pass: the last publication stays, and the halt is on record.
    """
    audited = audit_intraday(history)
    yield from gate_checks(audited.report)
    with recording_halts(history, run_id, INTRADAY_GATE):
        audited.report.raise_if_failed()
        publication = publish_intraday(history, audited, run_id)
    return intraday_publication_metadata(audited, publication)
