"""Splits and dividends as they lie in the lake, and the hash of bars and actions together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.facts.actions import action_hash
from nn_assets.market.facts.bars import content_hash
from nn_assets.operations.asof.stored import ACTIONS
from nn_assets.operations.stores import Stores

__all__ = ["ACTIONS", "data_hash_of", "read_action_versions", "with_actions"]


def read_action_versions(stores: Stores, strategy: str, segments: Sequence[str]) -> ActionVersions | None:
    """Every version of every action in some segments, columns of ``ACTION_VERSIONS``; None without segments."""
    if not segments:
        return None

    def read() -> pd.DataFrame:
        parts = [stores.lake.read_table(strategy, ACTIONS, address) for address in segments]
        return pd.concat(parts, ignore_index=True)

    return stores.ledger.mended().of_versions(stores.newest(("versions", strategy, ACTIONS), tuple(segments), read))


def data_hash_of(bars: DailyBars, actions: ActionVersions | None) -> str:
    """Content hash of bars and actions, 64 hex digits; that of the bars alone where there are no actions."""
    return with_actions(content_hash(bars), actions)


def with_actions(bars_hash: str, actions: ActionVersions | None) -> str:
    """The content hash of bars, and of actions where there are any, 64 hex digits."""
    if actions is None or actions.empty:
        return bars_hash
    return hashlib.sha256(f"{bars_hash}|{action_hash(actions)}".encode()).hexdigest()
