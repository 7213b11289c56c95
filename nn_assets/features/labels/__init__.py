"""Labels: the sign of what a position earns from its fill to the horizon, by the kind that ``label.kind`` names."""

from __future__ import annotations

from nn_assets.features.labels.compute import Labels, make_labels
from nn_assets.features.labels.definition import LabelFacts, LabelKind, forward_returns
from nn_assets.features.labels.registry import LABELS, label_kind, register_label, settings_of_its_own
from nn_assets.features.labels.relative import MINIMUM_CROSS_SECTION, less_the_median

__all__ = [
    "LABELS",
    "MINIMUM_CROSS_SECTION",
    "LabelFacts",
    "LabelKind",
    "Labels",
    "forward_returns",
    "label_kind",
    "less_the_median",
    "make_labels",
    "register_label",
    "settings_of_its_own",
]
