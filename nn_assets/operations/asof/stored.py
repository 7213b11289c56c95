"""Which sessions were decided, and versions read once for every session of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["decided_sessions", "last_decided_session", "read_once"]


def decided_sessions(ledger: Ledger, strategy: str) -> list[pd.Timestamp]:
    """Sessions with a decision on record, in order."""
    return sorted(ledger.read("decisions", strategy)["session"])


def last_decided_session(ledger: Ledger, strategy: str) -> pd.Timestamp | None:
    """The last session with a decision on record; None before the first."""
    decided = ledger.latest("decisions", strategy)["session"]
    return None if decided.empty else decided.max()


def read_once(lake: Lake, strategy: str, table: str, segments: Sequence[str]) -> pd.DataFrame:
    """Some segments of a table as one frame, in their order; whoever asks again gets the same frame, to be read only.

    Raises
    ------
    PublicationError
        No segments, or one is missing or damaged.
    """
    return _read(lake.root, strategy, table, tuple(segments)) if segments else lake.read_segments(strategy, table)


# What is read by its content's address cannot change.
@lru_cache(maxsize=8)
def _read(root: Path, strategy: str, table: str, segments: tuple[str, ...]) -> pd.DataFrame:
    lake = Lake(root)
    return pd.concat([lake.read_table(strategy, table, address) for address in segments], ignore_index=True)
