"""Every feature by name: its formula, its source, how far it reaches back, and how it is computed."""

from __future__ import annotations

from nn_assets.features.catalogue.compute import (
    available_features,
    compute_features,
    fault_of_series,
    refuse_features_beyond,
    refuse_missing_details,
)
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.own_series import PATTERNS, feature_of_own_series, names_of_own_series
from nn_assets.features.catalogue.registry import CATALOGUE, STANDARD, register_feature

__all__ = [
    "CATALOGUE",
    "PATTERNS",
    "STANDARD",
    "Context",
    "Feature",
    "available_features",
    "compute_features",
    "fault_of_series",
    "feature_of_own_series",
    "names_of_own_series",
    "refuse_features_beyond",
    "refuse_missing_details",
    "register_feature",
]
