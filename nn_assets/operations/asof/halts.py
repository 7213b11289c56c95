"""When the gate halted, and when it let data pass again, as ``operations/intake/gate_record.py`` put it on record.

What it refused is read by no decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nn_assets.store.ledger.ledger import Ledger

__all__ = ["GATE", "HALTED", "PASSED", "TABLE", "gate_halts", "gate_passes", "last_halt", "passed_since"]

TABLE = "outcomes"
GATE = {"kind": "gate", "name": "validated_bars"}
HALTED, PASSED = "HALTED", "PASSED"
"""What the table has a row of the gate by, and its two outcomes."""


def gate_halts(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate halted, UTC; empty where it never did."""
    return _moments(ledger, strategy, HALTED)


def gate_passes(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate let data pass after it had halted, UTC, whether or not that made another publication."""
    return _moments(ledger, strategy, PASSED)


def _moments(ledger: Ledger, strategy: str, outcome: str) -> pd.DatetimeIndex:
    # Each has one version: to rank those of all ticks besides would cost more with every day.
    rows = ledger.read(TABLE, strategy, where={"kind": GATE["kind"], "outcome": outcome}, every_version=True)
    return pd.DatetimeIndex(ledger.mended().of(rows["ended_at"]))


def last_halt(ledger: Ledger, strategy: str) -> tuple[pd.Timestamp, str] | None:
    """When the gate halted, UTC, as it is read, and why, where nothing passed it since; else None."""
    row = ledger.last_appended(TABLE, strategy=strategy, **GATE)
    if row is None or row["outcome"] != HALTED:
        return None
    return ledger.mended().of_one(pd.Timestamp(row["ended_at"])), str(row["message"])


def passed_since(ledger: Ledger, strategy: str, run: Mapping[str, Any]) -> bool:
    """Whether data passed the gate after what it said in a run, by the order on record.

    Parameters
    ----------
    run : mapping
        Its last row, of :data:`TABLE`.
    """
    passed = ledger.last_appended(TABLE, strategy=strategy, **GATE, outcome=PASSED)
    if passed is None:
        return False
    # The end of a run may be put on record long after the gate halted in it.
    halted = ledger.last_appended(TABLE, strategy=strategy, **GATE, outcome=HALTED, run_id=run["outcome_id"])
    return bool(passed["sequence"] > (run if halted is None else halted)["sequence"])
