"""When a gate halted, and when it let data pass again, as ``operations/intake/gate_record.py`` put it on record.

What it refused is read by no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nn_assets.store.ledger.ledger import Ledger

TABLE, KIND = "outcomes", "gate"
DAILY_GATE, INTRADAY_GATE = "validated_bars", "validated_intraday_bars"
HALTED, PASSED = "HALTED", "PASSED"
"""What the table has a row of a gate by, its name, and its two outcomes."""


def gate_of(step: object) -> str | None:
    """The gate that a step of a run, or a check, is of; None of any other."""
    name = str(step).partition(".")[0].rpartition("__")[2]
    return name if name in (DAILY_GATE, INTRADAY_GATE) else None


def gate_halts(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When the gate of daily bars halted, UTC; empty where it never did."""
    return _moments(ledger, strategy, HALTED)


def gate_passes(ledger: Ledger, strategy: str) -> pd.DatetimeIndex:
    """When that gate let data pass after it had halted, UTC, whether or not that made another publication."""
    return _moments(ledger, strategy, PASSED)


def _moments(ledger: Ledger, strategy: str, outcome: str) -> pd.DatetimeIndex:
    # Each has one version: to rank those of all ticks besides would cost more with every day.
    where = {"kind": KIND, "name": DAILY_GATE, "outcome": outcome}
    rows = ledger.read(TABLE, strategy, where=where, every_version=True)
    return pd.DatetimeIndex(ledger.mended().of(rows["ended_at"]))


def last_halt(
    ledger: Ledger, strategy: str, gates: Sequence[str] = (DAILY_GATE, INTRADAY_GATE)
) -> tuple[pd.Timestamp, str] | None:
    """When one of some gates halted last, UTC, as it is read, and why, where nothing passed it since; else None."""
    rows = [ledger.last_appended(TABLE, strategy=strategy, kind=KIND, name=gate) for gate in gates]
    halts = [row for row in rows if row is not None and row["outcome"] == HALTED]
    if not halts:
        return None
    row = max(halts, key=lambda halt: int(halt["sequence"]))
    return ledger.mended().of_one(pd.Timestamp(row["ended_at"])), str(row["message"])


def passed_since(ledger: Ledger, strategy: str, run: Mapping[str, Any], gate: str) -> bool:
    """Whether data passed a gate after what it said in a run, by the order on record.

    Parameters
    ----------
    run : mapping
        Its last row, of :data:`TABLE`.
    """
    gate_run = {"strategy": strategy, "kind": KIND, "name": gate}
    passed = ledger.last_appended(TABLE, **gate_run, outcome=PASSED)
    if passed is None:
        return False
    # The end of a run may be put on record long after the gate halted in it.
    halted = ledger.last_appended(TABLE, **gate_run, outcome=HALTED, run_id=run["outcome_id"])
    return bool(passed["sequence"] > (run if halted is None else halted)["sequence"])
