"""Every feature by name: its formula, its source, how far it reaches back, and how it is computed."""

from __future__ import annotations

from nn_assets.features.catalogue.compute import CATALOGUE, available_features, compute_features
from nn_assets.features.catalogue.definition import Feature, MarketContext

__all__ = ["CATALOGUE", "Feature", "MarketContext", "available_features", "compute_features"]
