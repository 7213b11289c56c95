"""A fit and its forecasts read no row that they may not: rows that come later, and parts of the fold not theirs."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.learning.artifact import to_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import cut_cube
from tests.learning.tiny import (
    SPAN,
    fit_model,
    fitted,
    forecast,
    months_of_use,
    restated,
    same_bits,
    tiny_fold,
    tiny_market,
    tiny_strategy,
)


@pytest.mark.full
@pytest.mark.parametrize("network", ["lstm", "mlp"])
def test_nothing_in_a_fit_depends_on_rows_from_its_first_use_on(network: str) -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(network=network)
    fold = tiny_fold(cube, strategy)
    changed = restated(cube, labels, fold.used_from)
    again = fit_model(*changed, fold, strategy)
    assert to_files(again) == to_files(fitted(network))


@pytest.mark.full
def test_a_fit_on_history_that_ends_at_its_first_use_equals_one_on_longer_history() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy()
    cut = tiny_fold(cube, strategy).used_from
    ended = cut_cube(cube, 0, cut)
    targets, returns = np.array(labels.targets[:cut]), np.array(labels.returns[:cut])
    targets[-SPAN:], returns[-SPAN:] = np.nan, np.nan
    short = Labels(targets, returns, labels.realised_row[:cut])
    again = fit_model(ended, short, tiny_fold(ended, strategy), strategy)
    assert to_files(again) == to_files(fitted())


@pytest.mark.full
def test_appending_months_changes_no_earlier_forecast() -> None:
    cube, _ = tiny_market()
    longer, _ = tiny_market(last="2013-06-28")
    model = fitted()
    rows = months_of_use(model, cube)
    same_bits(forecast(model, cube, rows), forecast(model, longer, rows))


def _parts_changed(part: str) -> FoldModel:
    """A fit whose features and labels differ in one part of the fold alone, by far."""
    cube, labels = tiny_market()
    strategy = tiny_strategy()
    fold = tiny_fold(cube, strategy)
    rows = fold.parts()[part]
    values, targets = np.array(cube.values), np.array(labels.targets)
    values[rows] = 5.0 + 3.0 * values[rows]
    targets[rows] = 1.0 - targets[rows]
    changed = Cube(cube.sessions, cube.symbols, cube.names, values)
    return fit_model(changed, Labels(targets, labels.returns, labels.realised_row), fold, strategy)


@pytest.mark.full
@pytest.mark.parametrize("part", ["validation", "calibration"])
def test_scaler_and_stationarity_are_fitted_on_training_rows_alone(part: str) -> None:
    changed, model = _parts_changed(part), fitted()
    assert changed.scaler.to_dict() == model.scaler.to_dict()
    assert changed.stationarity == model.stationarity


@pytest.mark.full
def test_calibration_rows_change_how_a_model_is_judged_and_nothing_else() -> None:
    changed, model = _parts_changed("calibration"), fitted()
    assert changed.figures != model.figures
    assert changed.logit_scales == model.logit_scales
    files, reference = to_files(changed), to_files(model)
    for name in ("weights.safetensors", "baselines.safetensors", "validation.safetensors"):
        assert files[name] == reference[name]


@pytest.mark.full
def test_the_selector_sees_training_rows_alone() -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy({"select": True, "maximum_selected": 2})
    fold = tiny_fold(cube, strategy)
    model = fit_model(cube, labels, fold, strategy)
    assert model.selection is not None
    assert model.feature_names[0] == "alpha"  # the one that the returns follow
    changed = fit_model(*restated(cube, labels, fold.validation.stop), fold, strategy)
    assert changed.selection == model.selection
    assert len(forecast(model, cube, months_of_use(model, cube)))
