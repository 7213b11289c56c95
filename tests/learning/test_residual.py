"""A residual network begins as the linear model of its seed, which stays as it is, and learns what that leaves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from nn_assets.arrays import Cube
from nn_assets.features.stationarity import apply_transforms
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import estimate
from nn_assets.learning.windows import Windows
from tests.learning.reference_networks import plain_logits
from tests.learning.reference_windows import plain_windows
from tests.learning.tiny import fit_model, tiny_fold, tiny_market, tiny_strategy


def split(state: dict[str, np.ndarray]) -> tuple[np.ndarray, float, dict[str, np.ndarray]]:
    """Linear coefficients, their intercept, and the weights of the network on top."""
    alone = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    return state["coefficients"].astype(np.float64), float(state["intercept"][0]), alone


@pytest.mark.parametrize("kind", ["lstm", "mlp"])
def test_it_is_the_linear_model_of_its_seed_and_a_network_on_top(kind: str) -> None:
    cube, labels = tiny_market()
    strategy = tiny_strategy(network=kind, residual=True)
    fold = tiny_fold(cube, strategy)
    model = fit_model(cube, labels, fold, strategy)
    scaled = _scaled(cube, model)
    windows = Windows(scaled, strategy.learning.lookback)
    made = estimate(model.estimators, windows, fold.calibration)
    inputs = plain_windows(scaled, made.rows, made.columns, strategy.learning.lookback)
    probabilities = []
    for member, linear in zip(model.estimators.members["network"], model.estimators.members["linear"], strict=True):
        coefficients, intercept, alone = split(dict(member.state))
        np.testing.assert_allclose(coefficients, linear.coefficients, rtol=1e-6)
        assert intercept == pytest.approx(linear.intercept, rel=1e-6)
        on_top = plain_logits(alone, inputs, strategy.learning)
        assert np.abs(on_top).max() > 1e-3, "nothing was learned on top"
        probabilities.append(expit(inputs[:, -1].astype(np.float64) @ coefficients + intercept + on_top))
    np.testing.assert_allclose(made.probability["network"], np.mean(probabilities, axis=0), rtol=1e-4)


def test_before_it_learns_it_forecasts_as_the_linear_model_does() -> None:
    cube, labels = tiny_market()
    # nothing is learned at this rate
    strategy = tiny_strategy(network="mlp", residual=True, learning_rate=1e-30, weight_decay=0.0)
    fold = tiny_fold(cube, strategy)
    model = fit_model(cube, labels, fold, strategy)
    made = estimate(model.estimators, Windows(_scaled(cube, model), strategy.learning.lookback), fold.calibration)
    assert np.ptp(made.probability["linear"]) > 0.01
    np.testing.assert_allclose(made.probability["network"], made.probability["linear"], atol=1e-6)


def test_without_the_setting_a_member_starts_from_nothing_and_has_another_address() -> None:
    cube, labels = tiny_market()
    plain, residual = (tiny_strategy(network="mlp", residual=chosen) for chosen in (False, True))
    model = fit_model(cube, labels, tiny_fold(cube, plain), plain)
    other = fit_model(cube, labels, tiny_fold(cube, residual), residual)
    assert model.model_id != other.model_id
    assert "coefficients" not in model.estimators.members["network"][0].state
    for one, two in zip(model.estimators.members["linear"], other.estimators.members["linear"], strict=True):
        assert one.coefficients.tobytes() == two.coefficients.tobytes()


def _scaled(cube: Cube, model: FoldModel) -> np.ndarray:
    return model.scaler.transform(apply_transforms(cube, model.stationarity).values)
