"""What a fit learns from: rows of candidates only, while a window may reach back before a membership."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.model import model_address
from nn_assets.oversight import monitored
from nn_assets.oversight.drift import DriftReference, DriftReport
from nn_assets.session.drift_watch import drift_watch, model_references
from tests.learning.tiny import fit_model, tiny_fold, tiny_market, tiny_strategy

CUBE, LABELS = tiny_market()
STRATEGY = tiny_strategy(network="mlp")
FOLD = tiny_fold(CUBE, STRATEGY)
JOINED = FOLD.training.start + 60


def members() -> np.ndarray:
    """The third symbol joins within the training rows."""
    belongs = np.ones((CUBE.session_count, len(CUBE.symbols)), dtype=bool)
    belongs[:JOINED, 2] = False
    return belongs


def fitted(cube: Cube, labels: Labels) -> FoldModel:
    return fit_model(cube, labels, FOLD, STRATEGY)


@pytest.fixture(scope="module")
def model() -> FoldModel:
    return fitted(CUBE, LABELS.of_candidates(members()))


@pytest.mark.full
def test_rows_of_those_that_are_no_candidates_are_not_trained_on(model) -> None:
    everyone = fitted(CUBE, LABELS)
    difference = everyone.figures["samples"]["training"] - model.figures["samples"]["training"]
    assert difference == 60


@pytest.mark.full
def test_their_features_reach_neither_scaler_nor_verdicts(model) -> None:
    values = np.array(CUBE.values)
    values[: JOINED - 10, 2] = 1e6  # well before the first window of a member
    wild = Cube(CUBE.sessions, CUBE.symbols, CUBE.names, values)
    again = fitted(wild, LABELS.of_candidates(members()))
    assert again.scaler.center.tobytes() == model.scaler.center.tobytes()
    assert again.scaler.scale.tobytes() == model.scaler.scale.tobytes()
    assert again.stationarity == model.stationarity
    everyone = fitted(wild, LABELS)
    assert everyone.scaler.scale.tobytes() != model.scaler.scale.tobytes()


@pytest.mark.full
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


def _watched(
    model: FoldModel, cube: Cube, probability: np.ndarray, belongs: np.ndarray | None
) -> tuple[DriftReference, DriftReport | None]:
    """What drift is measured against, and what is found on the last calibration row."""
    reference = model_references(model, cube, STRATEGY.oversight, 252, candidates=belongs)["network"]
    in_force, settings = [model.model_id] * cube.session_count, STRATEGY.oversight
    watch = drift_watch(cube.where(belongs), probability, in_force, {model.model_id: reference}, settings)
    return reference, watch(FOLD.calibration.stop - 1)


def _values_of(reference: DriftReference) -> list[tuple[object, ...]]:
    return [
        (
            entry.name,
            entry.ordered.tobytes(),
            entry.critical,
            entry.retraining_critical,
            entry.cusum_critical,
            entry.memory,
        )
        for entry in (*reference.forecasts, *reference.features)
    ]


@pytest.mark.full
def test_no_figure_of_drift_knows_of_a_symbol_that_is_no_member(model, monkeypatch) -> None:
    belongs = np.ones((CUBE.session_count, 3), dtype=bool)
    belongs[:, 2] = False
    values = np.array(CUBE.values)
    values[::2, 2] *= 3.0
    wild = Cube(CUBE.sessions, CUBE.symbols, CUBE.names, values)
    probability = np.full((CUBE.session_count, 3), np.nan)
    probability[:, :2] = 0.5 + 0.1 * np.tanh(values[:, :2, 0])
    kept = model.validation_forecasts
    of_two = replace(model, validation_forecasts=kept[kept["symbol"] != "CCC"])
    plain, report = _watched(of_two, CUBE, probability, belongs)
    loud, again = _watched(of_two, wild, probability, belongs)
    assert len(plain.features) == len(CUBE.names)
    assert _values_of(loud) == _values_of(plain)
    assert report is not None
    assert report.statistics
    assert again == report
    everyone, other = _watched(of_two, wild, probability, None)
    assert _values_of(everyone) != _values_of(plain)
    assert other != report
    # Two members are no panel with a spread, though three were enough for one.
    monkeypatch.setattr(monitored, "SPREAD_SYMBOLS", 3)
    assert _values_of(_watched(of_two, CUBE, probability, belongs)[0]) == _values_of(plain)
    assert len(_watched(of_two, CUBE, probability, None)[0].features) == 2 * len(CUBE.names)


@pytest.mark.full
def test_no_figure_of_drift_knows_what_a_member_was_while_it_was_none(model) -> None:
    belongs = np.ones((CUBE.session_count, 3), dtype=bool)
    left, back = FOLD.training.stop - 100, FOLD.training.stop - 20
    belongs[left:back, 2] = False
    values = np.array(CUBE.values)
    # Up to ten sessions before it is back: the windows of a member may reach back that far.
    values[left : back - 10, 2] = 50.0 * np.where(np.arange(left, back - 10) % 2, 1.0, -1.0)[:, None]
    wild = Cube(CUBE.sessions, CUBE.symbols, CUBE.names, values)
    plain = model_references(model, CUBE, STRATEGY.oversight, 252, candidates=belongs)["network"]
    loud = model_references(model, wild, STRATEGY.oversight, 252, candidates=belongs)["network"]
    assert _values_of(loud) == _values_of(plain)
    everyone = _values_of(model_references(model, wild, STRATEGY.oversight, 252)["network"])
    assert all(one != other for one, other in zip(everyone, _values_of(plain), strict=True))


@pytest.mark.full
def test_everyone_a_member_is_watched_as_without_a_universe(model) -> None:
    probability = 0.5 + 0.1 * np.tanh(np.asarray(CUBE.values)[:, :, 0])
    plain, report = _watched(model, CUBE, probability, None)
    same, again = _watched(model, CUBE, probability, np.ones((CUBE.session_count, 3), dtype=bool))
    assert _values_of(same) == _values_of(plain)
    assert again == report


def test_who_the_candidates_are_is_part_of_a_models_address() -> None:
    addresses = {
        model_address(CUBE, labels, FOLD, STRATEGY)
        for labels in (LABELS, LABELS.of_candidates(members()), LABELS.of_candidates(np.ones_like(members())))
    }
    assert len(addresses) == 3


def test_without_a_universe_labels_and_features_stay_what_they_are() -> None:
    assert LABELS.of_candidates(None) is LABELS
    assert CUBE.where(None) is CUBE
