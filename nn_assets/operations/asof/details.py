"""What sources said of bars beyond prices and volume, as it was known: VWAP, trades, closing quotes."""

from __future__ import annotations

import pandas as pd

from nn_assets.contracts import DETAILS
from nn_assets.contracts.frames import BarDetails
from nn_assets.features.catalogue import CATALOGUE, Feature
from nn_assets.market.facts.bitemporal import DETAIL_FACTS
from nn_assets.operations.asof.stored import DETAILS_OF_BARS, versions_of
from nn_assets.operations.plugins import own_features
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy

__all__ = ["DETAILS_OF_BARS", "detail_features", "details_as_of", "read_detail_versions"]


def detail_features(strategy: Strategy) -> list[Feature]:
    """The features of a strategy that read details of bars; none of most."""
    entries = [CATALOGUE[name] for name in strategy.features.names or own_features(strategy) if name in CATALOGUE]
    return [entry for entry in entries if not set(entry.fields).isdisjoint(DETAILS)]


def read_detail_versions(stores: Stores, strategy: Strategy) -> BarDetails | None:
    """Every version of the details of bars from the first session on; None where no source ever gave any."""
    if not stores.lake.segments(strategy.name, DETAILS_OF_BARS):
        return None
    versions = versions_of(stores, strategy.name, DETAILS_OF_BARS)
    return versions[versions["session"] >= pd.Timestamp(strategy.market.history_starts)].reset_index(drop=True)


def details_as_of(versions: BarDetails, moment: pd.Timestamp, *, ingested_by: pd.Timestamp | None = None) -> BarDetails:
    """The details as known at a moment, UTC, one row a bar; NaN for what contradicts itself, or was faulty."""
    return DETAIL_FACTS.as_of(versions, moment, ingested_by=ingested_by)
