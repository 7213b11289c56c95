"""A model's address: the hash of data, code, configuration and seed. Equal addresses, equal bits."""

from __future__ import annotations

import hashlib
import json

from nn_assets.arrays import Cube, number_bytes
from nn_assets.estimators import roots_of_fits
from nn_assets.features.labels import Labels, label_kind
from nn_assets.features.own_bars import sessions_reached
from nn_assets.learning.folds import Fold
from nn_assets.plugins import label_of
from nn_assets.settings import LearningSettings, Strategy
from nn_assets.settings.sections import NETWORKS_OF_ITS_OWN
from nn_assets.versions import version_of, version_within

TRANSFORM_REACH = 60
"""Earlier sessions that a feature's stationarity transform may read; a test holds it to the transforms."""

_DIGITS = 16


def fit_code(strategy: Strategy) -> str:
    """Version of the code that fits a strategy's models, 16 hex digits: its label's, network's and estimators' too."""
    from nn_assets.learning.networks import network_of

    members = *label_kind(strategy.label).roots, *network_of(strategy.learning.network).roots
    return version_of("nn_assets.learning.model:fit_models", *members, *roots_of_fits())


def made_with_plugin(learning: LearningSettings) -> dict[str, str] | None:
    """The file that brought a network, and the version of its definitions there; None for the package's own."""
    if learning.network in NETWORKS_OF_ITS_OWN:
        return None
    from nn_assets.learning.networks import NETWORKS

    if (top := NETWORKS.top_of(learning.network)) is None:
        return None
    return {"file": label_of(top), "code": version_within(top, *NETWORKS[learning.network].roots)}


def first_needed_row(start: int, lookback: int, max_missing_fraction: float) -> int:
    """First row that a window ending at ``start`` can depend on, transforms and missing rows stepped over included."""
    of_window = sessions_reached(lookback, max_missing_fraction) - 1
    return max(0, start - of_window - sessions_reached(TRANSFORM_REACH, max_missing_fraction))


def training_data_hash(cube: Cube, labels: Labels, fold: Fold, lookback: int, max_missing_fraction: float) -> str:
    """Hash of every feature and label that a fit on this fold may read, 64 hex digits.

    Rows before and after do not matter. The fold's row numbers and the first session of the axis
    do, because inference lays its blocks by row number.
    """
    rows = slice(first_needed_row(fold.training.start, lookback, max_missing_fraction), fold.calibration.stop)
    digest = hashlib.sha256(cube.content_hash(rows).encode())
    digest.update(json.dumps(fold.to_dict(), sort_keys=True).encode())
    digest.update(str(cube.sessions[0].date()).encode())
    for part in fold.parts().values():
        digest.update(number_bytes(labels.targets[part]))
        digest.update(number_bytes(labels.returns[part]))
        for values in (labels.values, labels.ranked_against):
            if values is not None:
                digest.update(number_bytes(values[part]))
        if labels.candidates is not None:
            digest.update(labels.candidates[part].tobytes())
    return digest.hexdigest()


def _variance_hash(labels: Labels, fold: Fold) -> str:
    """Hash of what the ensemble of volatility may learn on a fold."""
    digest, learned = hashlib.sha256(), labels.learned_variance()
    for part in fold.parts().values():
        digest.update(number_bytes(learned[part]))
    return digest.hexdigest()


def model_address(
    cube: Cube, labels: Labels, fold: Fold, strategy: Strategy, code: str | None = None, parent: str = ""
) -> str:
    """Address of the model that ``fit_model`` would give for the same arguments, 16 hex digits.

    ``parent`` is the address of the model whose weights it begins with; nothing where it begins with fresh ones.

    With ``code``, that of the model which other code gave, of that version. Where versions were hashes of whole
    files, models of then have their addresses by the same rule.

    What cannot change a weight is left out: the number of processes, what a search has seen, the pace of
    refits, and all that belongs to costs, sizing and execution.
    """
    sections = {
        "features": strategy.features.model_dump(mode="json"),
        "label": strategy.label.model_dump(mode="json"),
        "learning": strategy.learning.model_dump(mode="json", exclude={"processes", "compute", "prior", "knows_until"}),
    }
    if strategy.novelty is not None:
        sections["novelty"] = {}  # its thresholds change no model
    parts = {
        "data": training_data_hash(
            cube, labels, fold, strategy.learning.lookback, strategy.features.max_missing_bars_fraction
        ),
        "code": fit_code(strategy) if code is None else code,
        "configuration": sections,
    }
    if strategy.portfolio.volatility == "network":
        parts["volatility"] = _variance_hash(labels, fold)
    if parent:
        parts["parent"] = parent
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]
