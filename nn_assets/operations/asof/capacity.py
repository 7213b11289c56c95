"""Which estimate of capacity a session's sizes follow: the newest one made of sessions before it."""

from __future__ import annotations

from collections.abc import Sequence
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

    estimates: tuple[tuple[pd.Timestamp, float | None], ...] = ()  # last session, dollars; None: beyond the replays

    def on(self, session: pd.Timestamp) -> float | None:
        """The estimate that a session's sizes follow, dollars; None where none bounds them."""
        earlier = [capacity for last, capacity in self.estimates if last < session]
        return earlier[-1] if earlier else None

    @property
    def newest(self) -> list[Any] | None:
        """The last estimate, for an address; None where none is in force at all."""
        return [str(self.estimates[-1][0]), self.estimates[-1][1]] if self.estimates else None


def capacity_in_force(ledger: Ledger, strategy: Strategy, recorded_by: pd.Timestamp | None = None) -> CapacityInForce:
    """Read the estimates on record, by the ledger of now or of a UTC moment; none where no size is to follow one."""
    if strategy.portfolio.capacity_share is None:
        return CapacityInForce()
    return CapacityInForce(_of(estimates_of_capacity(ledger, strategy.name, recorded_by)))


def estimates_of_capacity(
    ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None = None
) -> list[dict[str, Any]]:
    """The details of each estimate on record, in the order in which they were appended."""
    rows = ledger.read("controls", strategy, recorded_by=recorded_by, where={"kind": CAPACITY}, bookkeeping=True)
    return list(rows.sort_values("sequence")["details"])


def _of(details: Sequence[dict[str, Any]]) -> tuple[tuple[pd.Timestamp, float | None], ...]:
    return tuple((pd.Timestamp(one["session"]), one["capacity_usd"]) for one in details)
