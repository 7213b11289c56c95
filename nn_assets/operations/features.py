"""Features of the published bars, computed and stored."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import CATALOGUE, SERIES_FEATURES, Feature, SeriesFeature
from nn_assets.learning.address import code_version
from nn_assets.operations.cut import PublishedCut
from nn_assets.operations.derived import FEATURES, made_with, record_of
from nn_assets.operations.history import History

__all__ = ["store_features", "told_of_features"]


def store_features(history: History) -> tuple[Cube, dict[str, str]]:
    """Compute the features of the bars in force, and store them under the hash of their content.

    What they were derived from is put on record after them: killed in between, the record still names the
    features before, which are still there. To be called while the strategy is held alone.

    Returns
    -------
    Cube
    dict of str to str
        data_hash of the publication, code_version, made_with, and the address of the cube.
    """
    data_hash = history.covering(history.last_session).content_hash
    cube = PublishedCut(history, history.last_session).compute_cube()
    name, lake = history.strategy.name, history.stores.lake
    address = lake.write_cube(name, FEATURES, cube)
    record = {
        "data_hash": data_hash,
        "code_version": code_version(),
        "made_with": made_with(history),
        "address": address,
    }
    lake.write_table(name, record_of(FEATURES), pd.DataFrame([record]))
    return cube, record


def told_of_features(cube: Cube, record: dict[str, str]) -> dict[str, Any]:
    """What an operator sees of what :func:`store_features` gives, by name."""
    entries: dict[str, Feature | SeriesFeature] = {**CATALOGUE, **SERIES_FEATURES}
    catalogue = pd.DataFrame(
        [(name, entries[name].group, entries[name].formula) for name in cube.names],
        columns=["feature", "group", "formula"],
    )
    return {
        "sessions": cube.bars,
        "symbols": len(cube.symbols),
        "features": len(cube.names),
        "data_hash": record["data_hash"],
        "address": record["address"],
        "catalogue": catalogue,
    }
