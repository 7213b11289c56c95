"""A model from the store, and what it knew when it was fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from nn_assets.learning.artifact import from_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.operations.cut import Cut
from nn_assets.operations.stores import Stores
from nn_assets.oversight.reference import DriftReference
from nn_assets.session.drift_watch import model_reference

__all__ = ["drift_references", "load_model"]


def load_model(stores: Stores, model_id: str) -> FoldModel:
    """A model from the store; every file is checked against its hash when first read."""
    return stores.once(("model", model_id), lambda: from_files(stores.models.get(model_id)))


def drift_references(cut: Cut, model_ids: Iterable[str]) -> dict[str, DriftReference]:
    """What each model knew when it was fitted, by the facts of a cut; made once for each model and its rows."""
    return {model_id: _reference(cut, model_id) for model_id in dict.fromkeys(model_ids)}


def _reference(cut: Cut, model_id: str) -> DriftReference:
    facts = cut.facts
    strategy, model = facts.strategy, load_model(facts.stores, model_id)
    # Bars of the rows it reads may be restated: what the cut knows of them decides.
    read = slice(max(0, model.fold.training.start - strategy.learning.lookback), model.fold.calibration.stop)
    members = cut.members
    known = cut.cube.content_hash(read), "" if members is None else hashlib.sha256(members[read].tobytes()).hexdigest()
    address = ("reference", model_id, *known, strategy.content_hash("oversight"), facts.sessions_per_year)
    return facts.stores.once(
        address,
        lambda: model_reference(model, cut.cube, strategy.oversight, facts.sessions_per_year, candidates=members),
    )
