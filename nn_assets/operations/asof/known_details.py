"""What sources said of bars beyond prices and volume, as it was known: VWAP, trades, closing quotes."""

from __future__ import annotations

import pandas as pd

from nn_assets.contracts import DETAILS, QUARANTINE, empty
from nn_assets.contracts.frames import BarDetails, Quarantine
from nn_assets.features.catalogue import CATALOGUE, Feature
from nn_assets.market.facts.bitemporal import DETAIL_FACTS
from nn_assets.operations.asof.stored import DETAILS_OF_BARS, versions_of
from nn_assets.operations.plugins import own_features
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy

__all__ = [
    "DETAILS_OF_BARS",
    "DETAILS_QUARANTINE",
    "detail_features",
    "details_as_of",
    "details_left_out",
    "details_quarantine",
    "quarantine_text",
    "read_detail_versions",
]

DETAILS_QUARANTINE = f"{DETAILS_OF_BARS}_quarantine"


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


def details_quarantine(stores: Stores, strategy: str) -> Quarantine:
    """Every detail that was left out, and why: columns of ``QUARANTINE``."""
    if not stores.lake.segments(strategy, DETAILS_QUARANTINE):
        return empty(QUARANTINE)
    return stores.lake.read_segments(strategy, DETAILS_QUARANTINE)


def details_left_out(stores: Stores, strategy: str, of_bars: Quarantine) -> Quarantine:
    """The details that were left out of bars that are used: what is wrong with a bar in quarantine is said of it whole.

    Parameters
    ----------
    of_bars : DataFrame
        The bars in quarantine, columns of ``QUARANTINE``.
    """
    left_out = details_quarantine(stores, strategy)
    if left_out.empty or of_bars.empty:
        return left_out
    bars = pd.MultiIndex.from_frame(of_bars[["symbol", "session"]])
    stays = ~pd.MultiIndex.from_frame(left_out[["symbol", "session"]]).isin(bars)
    return left_out[stays].reset_index(drop=True)


def quarantine_text(rows: int, details: int) -> str:
    """How many rows of bars are in quarantine, and how many details of bars that are used were left out."""
    if not details:
        return str(rows)
    of_bars = "1 detail of a bar" if details == 1 else f"{details:,} details of bars"
    return f"{rows:,} row{'s' * (rows != 1)}, and {of_bars}"
