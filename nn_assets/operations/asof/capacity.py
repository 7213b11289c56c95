"""Which estimate of capacity a session's sizes follow: the newest made of sessions before it, and there in time.

One made under the settings in force goes before any other. Without one the newest of other settings bounds the sizes
still, and the first line says so: another bound is safer than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.operations.asof.settings_on_record import hashes_of_capacity
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

CAPACITY = "capacity"
"""Kind of the rows of ``controls`` that hold an estimate of capacity."""


@dataclass(frozen=True)
class CapacityInForce:
    """The estimates of a strategy's capacity, each in force from the session after its last one on."""

    # Last session, when it was recorded (UTC), dollars (None: beyond the replays), whether of the settings in force.
    estimates: tuple[tuple[pd.Timestamp, pd.Timestamp, float | None, bool], ...] = ()

    def on(self, session: pd.Timestamp, recorded_by: pd.Timestamp | None = None) -> float | None:
        """The estimate that a session's sizes follow, dollars; None where none bounds them.

        With ``recorded_by``, a UTC moment, of the estimates that were on record then.
        """
        earlier = [
            (is_own, capacity)
            for last, recorded_at, capacity, is_own in self.estimates
            if last < session and (recorded_by is None or recorded_at <= recorded_by)
        ]
        own = [one for one in earlier if one[0]] or earlier
        return own[-1][1] if own else None

    @property
    def newest(self) -> list[Any] | None:
        """The last estimate, for an address; None where none is in force at all."""
        own = [one for one in self.estimates if one[3]] or self.estimates
        return [str(own[-1][0]), own[-1][2]] if own else None


def capacity_in_force(ledger: Ledger, strategy: Strategy, recorded_by: pd.Timestamp | None = None) -> CapacityInForce:
    """Read the estimates on record, by the ledger of now or of a UTC moment; none where no size is to follow one."""
    if strategy.portfolio.capacity_share is None:
        return CapacityInForce()
    rows = _rows(ledger, strategy.name, recorded_by)
    own = hashes_of_capacity(ledger, strategy) if len(rows) else frozenset()
    return CapacityInForce(
        tuple(
            (pd.Timestamp(details["session"]), recorded_at, details["capacity_usd"], _hash_of(details) in own)
            for details, recorded_at in zip(rows["details"], rows["recorded_at"], strict=True)
        )
    )


def only_of_other_settings(ledger: Ledger, strategy: Strategy) -> bool:
    """Whether there are estimates, and none of them was made under the settings in force."""
    hashes = {_hash_of(details) for details in estimates_of_capacity(ledger, strategy.name)}
    return bool(hashes) and not hashes & hashes_of_capacity(ledger, strategy)


def _hash_of(details: dict[str, Any]) -> str:
    return str(details.get("settings_hash"))


def estimates_of_capacity(
    ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None = None
) -> list[dict[str, Any]]:
    """The details of each estimate on record, in the order in which they were appended."""
    return list(_rows(ledger, strategy, recorded_by)["details"])


def _rows(ledger: Ledger, strategy: str, recorded_by: pd.Timestamp | None) -> pd.DataFrame:
    rows = ledger.read("controls", strategy, recorded_by=recorded_by, where={"kind": CAPACITY}, bookkeeping=True)
    return rows.sort_values("sequence")
