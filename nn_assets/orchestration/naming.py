"""Keys, groups and tags of a strategy's assets, in one place."""

from __future__ import annotations

from typing import TypedDict

import dagster as dg

from nn_assets.plugins import code_of
from nn_assets.settings import Strategy
from nn_assets.versions import Root, version_of

STRATEGY_TAG = "nn_assets/strategy"
PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Dagster's own tags of a run over one partition, and over a range: its first and its last."""
ROOM_TAG = "nn_assets/room"
"""Tag of an asset: which step of the business it belongs to. Its group is the strategy."""


def asset_key(strategy: Strategy, name: str) -> dg.AssetKey:
    """Key of one of a strategy's assets."""
    return dg.AssetKey([strategy.name, name])


class Described(TypedDict):
    """What every asset of a strategy has, by the names of ``dg.asset``."""

    key: dg.AssetKey
    group_name: str
    owners: list[str]
    code_version: str
    kinds: set[str]
    tags: dict[str, str]


def described(strategy: Strategy, name: str, room: str, kinds: set[str], *made_by: Root) -> Described:
    """Key, group, owner, version of the code that makes it, kinds and tags of one of a strategy's assets.

    Parameters
    ----------
    *made_by : callable or str
        What its version covers, as :func:`~nn_assets.versions.version_of` takes it.
    """
    return {
        "key": asset_key(strategy, name),
        "group_name": strategy.name,
        "owners": [strategy.owner],
        "code_version": version_of(*made_by, also=code_of(strategy.plugins) or None),
        "kinds": kinds,
        "tags": {STRATEGY_TAG: strategy.name, ROOM_TAG: room},
    }
