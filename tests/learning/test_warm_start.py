"""Networks of a refit that begin with the weights of the refit before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nn_assets.learning.address import model_address
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.settings import Strategy
from tests.learning.tiny import restated, tiny_fold, tiny_market, tiny_strategy


def _fitted(strategy: Strategy, month: str, parent: FoldModel | None = None, **changed: Any) -> FoldModel:
    cube, labels = tiny_market()
    data = FoldData(cube, labels, tiny_fold(cube, strategy, month), **changed)
    if parent is not None:
        data = replace(data, parent_id=parent.model_id, parent=parent)
    (model,) = fit_models([data], strategy)
    return model


def _states(model: FoldModel) -> list[dict[str, np.ndarray]]:
    return [dict(member.state) for member in model.estimators.members["network"]]


@pytest.mark.parametrize("residual", [pytest.param(False, marks=pytest.mark.full), True])
def test_a_refit_begins_with_the_weights_before_it_seed_by_seed_and_names_its_parent(residual: bool) -> None:
    slow = {"network": "gru", "maximum_epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}
    strategy = tiny_strategy(warm_start=True, residual=residual, **slow)
    first = from_files(to_files(_fitted(tiny_strategy(network="gru", residual=residual), "2012-07")))
    warm, cold = _fitted(strategy, "2012-08", first), _fitted(strategy, "2012-08")
    for before, after, fresh in zip(_states(first), _states(warm), _states(cold), strict=True):
        for name, value in before.items():
            if name not in ("coefficients", "intercept"):  # of a residual network: the linear model of these rows
                np.testing.assert_allclose(after[name], value, atol=1e-6)
        assert any(not np.allclose(fresh[name], value, atol=1e-3) for name, value in before.items())
    assert warm.figures["warm_start"] == {"parent": first.model_id}
    assert "warm_start" not in cold.figures
    assert warm.model_id != cold.model_id
    cube, labels = tiny_market()
    address = model_address(cube, labels, warm.fold, strategy, parent=first.model_id)
    assert warm.model_id == address
    assert model_address(cube, labels, warm.fold, strategy, parent="another") != address


def test_of_other_features_or_another_network_it_begins_with_fresh_weights_and_says_so() -> None:
    strategy = tiny_strategy(network="mlp", warm_start=True, maximum_epochs=1)
    cold = to_files(_fitted(strategy, "2012-08"))["weights.safetensors"]
    wider = _fitted(tiny_strategy(network="mlp", hidden=5, maximum_epochs=1), "2012-07")
    made = _fitted(strategy, "2012-08", wider)
    assert made.figures["warm_start"] == {"parent": wider.model_id, "cold": "another network"}
    assert to_files(made)["weights.safetensors"] == cold
    chosen = _fitted(tiny_strategy({"select": True, "maximum_selected": 2}, network="mlp", maximum_epochs=1), "2012-07")
    assert len(chosen.feature_names) < 4
    made = _fitted(strategy, "2012-08", chosen)
    assert "other features" in made.figures["warm_start"]["cold"]
    assert to_files(made)["weights.safetensors"] == cold


@pytest.mark.full
def test_a_warm_chain_is_to_the_bit_the_same_whatever_comes_after_its_use() -> None:
    strategy = tiny_strategy(network="mlp", warm_start=True, maximum_epochs=2)
    (cube, labels), files = tiny_market(), []
    later = tiny_fold(cube, strategy, "2012-08").used_from
    for seen in ((cube, labels), restated(cube, labels, later)):
        parent: FoldModel | None = None
        for month in ("2012-07", "2012-08"):
            data = FoldData(*seen, tiny_fold(cube, strategy, month), parent_id=parent.model_id if parent else "")
            (parent,) = fit_models([replace(data, parent=parent)], strategy)
        files.append(to_files(parent))
    assert files[0] == files[1]
