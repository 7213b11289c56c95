"""Ranks within the universe under the drift watch: a name that is halted is no drift of anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import CATALOGUE, compute_features, register_feature
from nn_assets.features.catalogue.definition import Context
from nn_assets.features.labels import make_labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import Panel
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.reference import DriftReference
from nn_assets.oversight.severity import severity
from nn_assets.session.drift_watch import drift_watch, model_references
from tests.features.panels import random_panel
from tests.learning.tiny import fit_model, tiny_fold, tiny_strategy

SESSIONS = sessions_between("XNYS", "2011-01-03", "2012-12-31")
STRATEGY = tiny_strategy(
    network="mlp", lookback=1, hidden=1, layers=1, maximum_epochs=1, ensemble=1, plateau_patience=1
)
RANKS = tuple(name for name, entry in CATALOGUE.own.items() if entry.ranked)
OTHERS = ("log_return_1", "range_over_close", "rsi_14")
OWN = "own_place"
HALTED = 3
HALTED_ROWS = 70


def _body(panel: Panel, _: Context) -> np.ndarray:
    return panel.close - panel.open


@pytest.fixture
def own_rank() -> Iterator[str]:
    """A plug-in's feature that ranks, by a name that tells nothing of it."""
    register_feature(OWN, reach_sessions=0, fields=("open", "close"), ranked=True)(_body)
    yield OWN
    CATALOGUE.drop("tests")


def _market(names: tuple[str, ...]) -> tuple[Cube, Cube, FoldModel]:
    """Noise in which nothing changes, the same with one name halted towards its end, and a model of its beginning."""
    panel = replace(random_panel(len(SESSIONS), 12), sessions=SESSIONS)
    cube = compute_features(panel, names)
    fold = tiny_fold(cube, STRATEGY)
    model = fit_model(cube, make_labels(panel, STRATEGY.label), fold, STRATEGY)
    values = np.array(panel.close)
    values[-HALTED_ROWS:, HALTED] = np.nan
    halted = compute_features(replace(panel, close=values), names)
    return cube, halted, model


def _last_report(reference: DriftReference, cube: Cube) -> DriftReport:
    probability = np.random.default_rng(1).normal(0.5, 0.01, cube.values.shape[:2])
    in_force, references = ["m"] * cube.session_count, {"m": reference}
    report = drift_watch(cube, probability, in_force, references, STRATEGY.oversight)(cube.session_count - 1)
    assert report is not None
    return report


def test_a_name_halted_in_noise_raises_no_joint_drift_by_the_ranks_of_the_others(own_rank: str) -> None:
    cube, halted, model = _market((*RANKS, own_rank, *OTHERS))
    reference = model_references(model, cube, STRATEGY.oversight, 252)["network"]
    usual, after = (_last_report(reference, watched) for watched in (cube, halted))
    assert not usual.features_drifted_jointly
    assert not after.features_drifted_jointly
    assert not any("features drifted jointly" in reason for reason in severity(after).reasons)
    monitored = {test.feature for test in after.statistics if test.layer == "feature"}
    assert monitored == set(OTHERS)
