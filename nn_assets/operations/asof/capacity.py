"""Which estimate of capacity a session's sizes follow: the newest made of sessions before it, and there in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

CAPACITY = "capacity"
"""Kind of the rows of ``controls`` that hold an estimate of capacity."""


@dataclass(frozen=True)
class CapacityInForce:
    """The estimates of a strategy's capacity, each in force from the session after its last one on."""

    # Last session, when it was recorded (UTC), dollars; None: beyond the replays.
    estimates: tuple[tuple[pd.Timestamp, pd.Timestamp, float | None], ...] = ()

    def on(self, session: pd.Timestamp, recorded_by: pd.Timestamp | None = None) -> float | None:
        """The estimate that a session's sizes follow, dollars; None where none bounds them.

        With ``recorded_by``, a UTC moment, of the estimates that were on record then.
        """
        earlier = [
            capacity
            for last, recorded_at, capacity in self.estimates
            if last < session and (recorded_by is None or recorded_at <= recorded_by)
        ]
        return earlier[-1] if earlier else None

    @property
    def newest(self) -> list[Any] | None:
        """The last estimate, for an address; None where none is in force at all."""
        return [str(self.estimates[-1][0]), self.estimates[-1][2]] if self.estimates else None


def capacity_in_force(ledger: Ledger, strategy: Strategy, recorded_by: pd.Timestamp | None = None) -> CapacityInForce:
    """Read the estimates on record, by the ledger of now or of a UTC moment; none where no size is to follow one."""
    if strategy.portfolio.capacity_share is None:
        return CapacityInForce()
    rows = _rows(ledger, strategy.name, recorded_by)
    return CapacityInForce(
        tuple(
            (pd.Timestamp(details["session"]), recorded_at, details["capacity_usd"])
            for details, recorded_at in zip(rows["details"], rows["recorded_at"], strict=True)
        )
    )


def estimates_of_capacity(
    ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None = None
) -> list[dict[str, Any]]:
    """The details of each estimate on record, in the order in which they were appended."""
    return list(_rows(ledger, strategy, recorded_by)["details"])


def _rows(ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None) -> pd.DataFrame:
    rows = ledger.read("controls", strategy, recorded_by=recorded_by, where={"kind": CAPACITY}, bookkeeping=True)
    return rows.sort_values("sequence")
