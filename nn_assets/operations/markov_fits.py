"""Markov models of a market, each fitted once: a small record in the lake, under the hash of all that it is made of."""

from __future__ import annotations

import hashlib

from nn_assets.arrays import FloatArray, number_bytes
from nn_assets.errors import PublicationError
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.fingerprint import libraries
from nn_assets.signals.markov import MarkovFit, MarkovModel, fit_markov
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.values import canonical_json, hash_of
from nn_assets.versions import version_of

_FITTED_BY = "nn_assets.signals.markov:fit_markov"

MARKOV_MODELS = "markov_models"
"""Folder in the lake of a strategy: parameters of the Markov models of its market, or why there are none."""


def fitted_once(facts: StoredFacts, returns: FloatArray, states: int) -> MarkovFit:
    """Fit a model to log returns, or read the one that was fitted to the same ones by the same code and libraries.

    A record that is damaged is made again: the same inputs give the same bits.

    Parameters
    ----------
    returns : ndarray, shape (rows,)
        Of the training rows of a fold.
    """
    inputs = hashlib.sha256(number_bytes(returns)).hexdigest()
    content = canonical_json([MARKOV_MODELS, inputs, states, version_of(_FITTED_BY), libraries("numpy")])
    address = hashlib.sha256(content.encode()).hexdigest()
    file = facts.stores.lake.folder(facts.strategy.name, MARKOV_MODELS) / f"{address}.json"
    return facts.stores.once((MARKOV_MODELS, address), lambda: _kept(file) or _keep(file, fit_markov(returns, states)))


def _kept(file: BlobPath) -> MarkovFit | None:
    try:
        record = read_record(file)
        if record is None or record["hash"] != hash_of(record["fit"]):
            return None
        model = record["fit"]["model"]
        return MarkovFit(None if model is None else MarkovModel.from_record(model), record["fit"]["reason"])
    except (KeyError, TypeError, ValueError, PublicationError):
        return None


def _keep(file: BlobPath, fit: MarkovFit) -> MarkovFit:
    record = {"model": None if fit.model is None else fit.model.to_record(), "reason": fit.reason}
    write_record(file, {"fit": record, "hash": hash_of(record)})
    return fit
