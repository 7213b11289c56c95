"""Every feature by name: its formula, its source, how far it reaches back, and how it is computed."""

from __future__ import annotations

from nn_assets.features.catalogue.beside_bars import SERIES_FEATURES, SeriesFeature, with_series_features
from nn_assets.features.catalogue.compute import (
    CATALOGUE,
    available_features,
    compute_features,
    refuse_features_beyond,
)
from nn_assets.features.catalogue.definition import Feature, MarketContext

__all__ = [
    "CATALOGUE",
    "SERIES_FEATURES",
    "Feature",
    "MarketContext",
    "SeriesFeature",
    "available_features",
    "compute_features",
    "refuse_features_beyond",
    "with_series_features",
]
