"""Features of the published bars, computed and stored."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube, number_bytes
from nn_assets.errors import PublicationError
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.operations.cut import PublishedCut
from nn_assets.operations.derived import (
    FEATURES,
    feature_codes,
    features_on_record,
    made_with,
    names_code,
    record_of,
    values_from,
)
from nn_assets.operations.history import History


def store_features(history: History) -> tuple[Cube, dict[str, str], tuple[str, ...]]:
    """Store the features of the bars in force under the hash of their content, and compute those that must be.

    Where bars and axes are those of the features stored before, each of these is taken over whose code is in force:
    a feature that is new, or whose code changed, is computed alone.

    What they were derived from is put on record after them: killed in between, the record still names the
    features before, which are still there. To be called while the strategy is held alone.

    Returns
    -------
    Cube
    dict of str to str
        data_hash of the publication, code_version, made_with, the address of the cube; and of each feature the
        version of its code and the hash of its values, as JSON.
    tuple of str
        The features that were computed.
    """
    name, lake = history.strategy.name, history.stores.lake
    data_hash = history.covering(history.last_session).content_hash
    cut = PublishedCut(history, history.last_session)
    names = cut.feature_names
    codes, facts = feature_codes(names), values_from(history, names, data_hash)
    wanted = {feature: {"code": codes[feature], "made_from": facts[feature]} for feature in names}
    reused = _taken_over(history, cut, wanted)
    computed_names = tuple(feature for feature in names if feature not in reused)
    values = np.empty((len(cut.sessions), len(cut.symbols), len(names)))
    if computed_names:
        computed = cut.compute_cube(names=computed_names)
        values[:, :, [names.index(feature) for feature in computed_names]] = computed.values  # noqa: PD011  no pandas object
    for feature, plane in reused.items():
        values[:, :, names.index(feature)] = plane
    cube = Cube(cut.sessions, cut.symbols, names, values)
    record = {
        "data_hash": data_hash,
        "code_version": hashlib.sha256(json.dumps(codes).encode()).hexdigest()[:16],
        "made_with": made_with(history),
        "address": lake.write_cube(name, FEATURES, cube),
        "names_code": names_code(history.strategy),
        "features": json.dumps(
            {feature: {**origin, "hash": _hash_of(cube.feature(feature))} for feature, origin in wanted.items()}
        ),
    }
    lake.write_table(name, record_of(FEATURES), pd.DataFrame([record]))
    return cube, record, computed_names


def _taken_over(
    history: History, cut: PublishedCut, wanted: dict[str, dict[str, str]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Features stored before, (bars, symbols) each, that are what would be computed now: same facts, same code."""
    lake, name = history.stores.lake, history.strategy.name
    reused: dict[str, npt.NDArray[np.float64]] = {}
    with suppress(PublicationError):  # there are none
        record = lake.read_table(name, record_of(FEATURES)).iloc[-1]
        on_record = features_on_record(record)
        for feature in (
            feature
            for feature, now in wanted.items()
            if feature in on_record and on_record[feature].items() >= now.items()
        ):
            with suppress(PublicationError):  # its file is gone or damaged
                stored = lake.read_cube(name, FEATURES, str(record["address"]), (feature,))
                matches = (
                    feature in stored.names and stored.symbols == cut.symbols and stored.sessions.equals(cut.sessions)
                )
                if matches and _hash_of(stored.feature(feature)) == on_record[feature]["hash"]:
                    reused[feature] = stored.feature(feature)
    return reused


def _hash_of(values: npt.NDArray[np.float64]) -> str:
    return hashlib.sha256(number_bytes(values)).hexdigest()


def features_metadata(cube: Cube, record: dict[str, str], computed_names: tuple[str, ...]) -> dict[str, Any]:
    """What an operator sees of what :func:`store_features` gives, by name."""
    catalogue = pd.DataFrame(
        [(name, CATALOGUE[name].group, CATALOGUE[name].formula) for name in cube.names],
        columns=["feature", "group", "formula"],
    )
    return {
        "sessions": cube.session_count,
        "symbols": len(cube.symbols),
        "features": len(cube.names),
        "computed": len(computed_names),
        "data_hash": record["data_hash"],
        "address": record["address"],
        "catalogue": catalogue,
    }
