"""The gate's results on what is stored, put on record; ``operations/asof/halts.py`` reads it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from nn_assets.errors import GateHalted, LedgerError, SchemaError
from nn_assets.operations.asof.halts import DAILY_GATE, HALTED, KIND, PASSED, TABLE, last_halt
from nn_assets.operations.clock import now_utc
from nn_assets.operations.history import History
from nn_assets.operations.outcomes import kept_text
from nn_assets.store.ledger.ledger import Ledger

_log = logging.getLogger(__name__)


@contextmanager
def recording_halts(history: History, run_id: str, gate: str = DAILY_GATE) -> Iterator[None]:
    """Put on record that what is stored was refused, where what is done within raises that it is; else that it passed.

    A ledger that refuses is logged, and changes nothing of what is raised.
    """
    ledger, name = history.stores.ledger, history.strategy.name
    try:
        yield
    except (GateHalted, SchemaError) as halted:
        try:
            record_halt(ledger, name, now_utc(), halted.found, run_id, gate)
        except LedgerError as error:
            _log.error("that the gate halted is not on record: %s", error)
        raise
    record_pass(ledger, name, now_utc(), run_id, gate)


def record_halt(
    ledger: Ledger, strategy: str, moment: pd.Timestamp, why: str, run_id: str, gate: str = DAILY_GATE
) -> None:
    """Put on record that what was stored by a UTC moment did not pass a gate.

    Raises
    ------
    LedgerError
        The ledger cannot be written to.
    """
    _record(ledger, strategy, gate, HALTED, moment, why, run_id)


def record_pass(ledger: Ledger, strategy: str, moment: pd.Timestamp, run_id: str, gate: str = DAILY_GATE) -> None:
    """Put on record that what was stored by a UTC moment passed, where the word before was that it did not.

    Raises
    ------
    LedgerError
        The ledger cannot be written to.
    """
    if last_halt(ledger, strategy, (gate,)) is not None:
        _record(ledger, strategy, gate, PASSED, moment, None, run_id)


def _record(
    ledger: Ledger, strategy: str, gate: str, outcome: str, moment: pd.Timestamp, why: str | None, run_id: str
) -> None:
    stamp = moment.ceil("us")  # never before what it judged was stored
    content = f"{strategy}|{gate}|{outcome}|{stamp.isoformat()}"
    row: dict[str, Any] = {
        "outcome_id": f"gate:{hashlib.sha256(content.encode()).hexdigest()[:16]}",
        "kind": KIND,
        "name": gate,
        "outcome": outcome,
        "message": None if why is None else kept_text(why),
        "ended_at": stamp,
        "details": {},
    }
    ledger.append(TABLE, [row], run_id=run_id, strategy=strategy)
