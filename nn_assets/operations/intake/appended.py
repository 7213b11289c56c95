"""Versions of facts appended to their table in the lake; ``operations/asof/stored.py`` reads them."""

from __future__ import annotations

import pandas as pd

from nn_assets.operations.stores import Stores

__all__ = ["append_versions"]


def append_versions(stores: Stores, strategy: str, table: str, fresh: pd.DataFrame) -> None:
    """Add versions; none of them with a moment of arrival that is read as another one."""
    if fresh.empty:
        return
    arrived_at = stores.ledger.mended().unlike(fresh["ingested_at"])
    by_arrival = fresh["known_at"] == fresh["ingested_at"]
    stamped = fresh.assign(ingested_at=arrived_at, known_at=fresh["known_at"].where(~by_arrival, arrived_at))
    stores.lake.append_segment(strategy, table, stamped)
