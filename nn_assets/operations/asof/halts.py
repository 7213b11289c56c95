"""When the gate halted, on record, and when it let data pass again: what it refused is read by no decision."""

from __future__ import annotations

import hashlib

import pandas as pd

from nn_assets.operations.outcomes import kept_text
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["gate_halts", "gate_passes", "last_halt", "record_halt", "record_pass"]

_TABLE, _KIND, _NAME = "outcomes", "gate", "validated_bars"
_HALTED, _PASSED = "HALTED", "PASSED"


def record_halt(ledger: Ledger, strategy: str, moment: pd.Timestamp, why: str, run_id: str) -> None:
    """Put on record that what was stored by a UTC moment did not pass the gate.

    Raises
    ------
    LedgerError
        The ledger cannot be written to.
    """
    _record(ledger, strategy, _HALTED, moment, why, run_id)


def record_pass(ledger: Ledger, strategy: str, moment: pd.Timestamp, run_id: str) -> None:
    """Put on record that what was stored by a UTC moment passed, where the word before was that it did not.

    Raises
    ------
    LedgerError
        The ledger cannot be written to.
    """
    if last_halt(ledger, strategy) is not None:
        _record(ledger, strategy, _PASSED, moment, None, run_id)


def _record(ledger: Ledger, strategy: str, outcome: str, moment: pd.Timestamp, why: str | None, run_id: str) -> None:
    stamp = moment.ceil("us")  # never before what it judged was stored
    told = f"{strategy}|{outcome}|{stamp.isoformat()}"
    row = {
        "outcome_id": f"gate:{hashlib.sha256(told.encode()).hexdigest()[:16]}",
        "kind": _KIND,
        "name": _NAME,
        "outcome": outcome,
        "message": None if why is None else kept_text(why),
        "ended_at": stamp,
        "details": {},
    }
    ledger.append(_TABLE, [row], run_id=run_id, strategy=strategy)


def gate_halts(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate halted, UTC; empty where it never did."""
    return _moments(ledger, strategy, _HALTED)


def gate_passes(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate let data pass after it had halted, UTC, whether or not that made another publication."""
    return _moments(ledger, strategy, _PASSED)


def _moments(ledger: Ledger, strategy: str, outcome: str) -> pd.DatetimeIndex:
    # Each has one version: to rank those of all ticks besides would cost more with every day.
    rows = ledger.read(_TABLE, strategy, where={"kind": _KIND, "outcome": outcome}, every_version=True)
    return pd.DatetimeIndex(ledger.mended().of(rows["ended_at"]))


def last_halt(ledger: Ledger, strategy: str) -> tuple[pd.Timestamp, str] | None:
    """When the gate halted, UTC, as it is read, and why, where nothing passed it since; else None."""
    row = ledger.last_appended(_TABLE, strategy=strategy, kind=_KIND, name=_NAME)
    if row is None or row["outcome"] != _HALTED:
        return None
    return ledger.mended().of_one(pd.Timestamp(row["ended_at"])), str(row["message"])
