"""What a fit learns from: rows of candidates only, while a window may reach back before a membership."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.features.cube import FeatureCube
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.model import fit_model, model_address
from tests.learning.tiny import tiny_fold, tiny_market, tiny_strategy

CUBE, LABELS = tiny_market()
STRATEGY = tiny_strategy(network="mlp")
FOLD = tiny_fold(CUBE, STRATEGY)
JOINED = FOLD.training.start + 60


def members() -> np.ndarray:
    """The third symbol joins within the training rows."""
    belongs = np.ones((CUBE.bars, len(CUBE.symbols)), dtype=bool)
    belongs[:JOINED, 2] = False
    return belongs


def fitted(cube: FeatureCube, labels: Labels) -> FoldModel:
    return fit_model(cube, labels, FOLD, STRATEGY)


@pytest.fixture(scope="module")
def model() -> FoldModel:
    return fitted(CUBE, LABELS.of_candidates(members()))


def test_rows_of_those_that_are_no_candidates_are_not_trained_on(model) -> None:
    everyone = fitted(CUBE, LABELS)
    difference = everyone.figures["samples"]["training"] - model.figures["samples"]["training"]
    assert difference == 60


def test_their_features_reach_neither_scaler_nor_verdicts(model) -> None:
    values = np.array(CUBE.values)
    values[: JOINED - 10, 2] = 1e6  # well before the first window of a member
    wild = FeatureCube(CUBE.sessions, CUBE.symbols, CUBE.names, values)
    again = fitted(wild, LABELS.of_candidates(members()))
    assert again.scaler.center.tobytes() == model.scaler.center.tobytes()
    assert again.scaler.scale.tobytes() == model.scaler.scale.tobytes()
    assert again.stationarity == model.stationarity
    everyone = fitted(wild, LABELS)
    assert everyone.scaler.scale.tobytes() != model.scaler.scale.tobytes()


def test_what_drift_is_measured_against_holds_forecasts_of_candidates_only(model) -> None:
    belongs = members()
    left = FOLD.validation.start + 10
    belongs[left:, 1] = False
    again = fitted(CUBE, LABELS.of_candidates(belongs))
    last = again.validation_forecasts.groupby("symbol")["session"].max()
    assert last["BBB"] == CUBE.sessions[left - 1]
    assert last["AAA"] == last["CCC"] == CUBE.sessions[FOLD.validation.stop - 1]
    both = model.validation_forecasts
    assert len(both) == 3 * 3 * (FOLD.validation.stop - FOLD.validation.start)


def test_who_the_candidates_are_is_part_of_a_models_address() -> None:
    addresses = {
        model_address(CUBE, labels, FOLD, STRATEGY)
        for labels in (LABELS, LABELS.of_candidates(members()), LABELS.of_candidates(np.ones_like(members())))
    }
    assert len(addresses) == 3


def test_without_a_universe_labels_and_features_stay_what_they_are() -> None:
    assert LABELS.of_candidates(None) is LABELS
    assert CUBE.where(None) is CUBE
