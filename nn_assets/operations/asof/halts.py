"""When the gate halted, on record: what it refused is read by no decision."""

from __future__ import annotations

import hashlib

import pandas as pd

from nn_assets.operations.outcomes import kept_text
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["gate_halts", "last_halt", "record_halt"]

_TABLE, _KIND, _NAME = "outcomes", "gate", "validated_bars"


def record_halt(ledger: Ledger, strategy: str, moment: pd.Timestamp, why: str, run_id: str) -> None:
    """Put on record that what was stored by a UTC moment did not pass the gate.

    Raises
    ------
    LedgerError
        The ledger cannot be written to.
    """
    stamp = moment.ceil("us")  # never before what it judged was stored
    row = {
        "outcome_id": f"gate:{hashlib.sha256(f'{strategy}|{stamp.isoformat()}'.encode()).hexdigest()[:16]}",
        "kind": _KIND,
        "name": _NAME,
        "outcome": "HALTED",
        "message": kept_text(why),
        "ended_at": stamp,
        "details": {},
    }
    ledger.append(_TABLE, [row], run_id=run_id, strategy=strategy)


def gate_halts(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate halted, UTC; empty where it never did."""
    halts = ledger.read(_TABLE, strategy, where={"kind": _KIND}, every_version=True)  # each has one
    return pd.DatetimeIndex(halts["ended_at"])


def last_halt(ledger: Ledger, strategy: str) -> tuple[pd.Timestamp, str] | None:
    """When the gate halted last, UTC, and why; None where it never did."""
    row = ledger.last_appended(_TABLE, strategy=strategy, kind=_KIND, name=_NAME)
    return None if row is None else (pd.Timestamp(row["ended_at"]), str(row["message"]))
