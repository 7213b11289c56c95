"""A model from the store, and what it knew when it was fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from nn_assets.arrays import BoolArray, Cube
from nn_assets.errors import ModelError, PublicationError
from nn_assets.learning.artifact import from_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.fingerprint import libraries
from nn_assets.operations.stores import Stores
from nn_assets.oversight.reference import DriftReference
from nn_assets.session.drift_watch import model_references
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.values import canonical_json, hash_of
from nn_assets.versions import version_of

_REFERRED_BY = "nn_assets.session.drift_watch:model_references"

REFERENCES = "drift_references"
"""Folder in the lake of a strategy: what models knew when they were fitted, each a second's work, made once."""


def load_model(stores: Stores, model_id: str) -> FoldModel:
    """A model from the store; every file is checked against its hash when first read, and all against the ledger.

    Raises
    ------
    ModelError
        It is missing or damaged, or its files are other ones than those the ledger has on record.
    """
    return stores.once(("model", model_id), lambda: from_files(_as_recorded(stores, model_id)))


def _as_recorded(stores: Stores, model_id: str) -> dict[str, bytes]:
    files, digest = stores.models.get(model_id), stores.models.artifact_sha256(model_id)
    recorded = set(stores.ledger.read("models", where={"model_id": model_id})["artifact_sha256"])
    if recorded and digest not in recorded:
        path = stores.models.folder(model_id)
        raise ModelError(
            expected=f"artifact {', '.join(sorted(recorded))}, which the ledger has on record",
            found=f"artifact {digest}, each file as its manifest says: the folder was replaced as a whole",
            remedy=f"restore {path} from a backup, or move it away: nn-assets study, for the months that use it, then "
            "fits the model again, and the same inputs give the same bits",
            file=str(path),
            model_id=model_id,
        )
    return files


def drift_references(
    facts: StoredFacts, cube: Cube, members: BoolArray | None, model_ids: Iterable[str]
) -> dict[str, dict[str, DriftReference]]:
    """What each estimator that a model holds knew when it was fitted, by a cut's features; made once for their rows.

    Parameters
    ----------
    cube : Cube
        At least the rows that the models were fitted on.
    members : array of bool, shape (bars, symbols), optional
        Of the universe, on the rows of the cube.

    Returns
    -------
    dict of estimator to dict of model id to DriftReference
        None at all where decisions fall within the session: their drift is not watched. What a quiet series reaches
        once a year was simulated for a year of sessions, not for one of bars.
    """
    if facts.strategy.decisions is not None:
        return {}
    by_model = {model_id: _references(facts, cube, members, model_id) for model_id in dict.fromkeys(model_ids)}
    by_estimator: dict[str, dict[str, DriftReference]] = {}
    for model_id, references in by_model.items():
        for name, reference in references.items():
            by_estimator.setdefault(name, {})[model_id] = reference
    return by_estimator


def _references(facts: StoredFacts, cube: Cube, members: BoolArray | None, model_id: str) -> dict[str, DriftReference]:
    strategy, model = facts.strategy, load_model(facts.stores, model_id)
    # Bars of the rows it reads may be restated: what the cut knows of them decides.
    read = slice(max(0, model.fold.training.start - model.lookback), model.fold.calibration.stop)
    input_hashes = (
        cube.content_hash(read),
        "" if members is None else hashlib.sha256(members[read].tobytes()).hexdigest(),
    )
    address = ("references", model_id, *input_hashes, strategy.content_hash("oversight"), facts.sessions_per_year)

    def made() -> dict[str, DriftReference]:
        return model_references(model, cube, strategy.oversight, facts.sessions_per_year, members)

    # The code and the libraries that compute them: what others made is made again.
    content = canonical_json([*address, version_of(_REFERRED_BY), libraries()])
    name = hashlib.sha256(content.encode()).hexdigest()
    file = facts.stores.lake.folder(strategy.name, REFERENCES) / f"{name}.json"
    return facts.stores.once(address, lambda: _kept(file) or _keep(file, made()))


def _kept(file: BlobPath) -> dict[str, DriftReference] | None:
    """References as they were made before, in whatever process; None where there are none, or damaged ones."""
    try:
        record = read_record(file)
        if record is None or record["hash"] != hash_of(record["references"]):
            return None
        return {name: DriftReference.from_record(kept) for name, kept in record["references"].items()}
    except (KeyError, TypeError, ValueError, PublicationError):
        return None


def _keep(file: BlobPath, references: dict[str, DriftReference]) -> dict[str, DriftReference]:
    record = {name: reference.to_record() for name, reference in references.items()}
    write_record(file, {"references": record, "hash": hash_of(record)})
    return references
