from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import _sigmoid_calibration
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from nn_assets.learning.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    log_loss,
    reliability,
)


def _drawn(temperature: float, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts whose logits are ``temperature`` times too large, and outcomes of the truth."""
    random = np.random.default_rng(seed)
    truth = random.normal(scale=0.7, size=count)
    outcome = (random.random(count) < expit(truth)).astype(float)
    return expit(truth * temperature), outcome


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    found = fit_calibration(*_drawn(temperature))
    assert found.method == "temperature"
    assert found.temperature == pytest.approx(temperature, rel=0.06)


def test_a_network_without_an_edge_is_shrunk_to_a_half() -> None:
    random = np.random.default_rng(1)
    probability = expit(random.normal(size=20_000))
    outcome = (probability < 0.5).astype(float)  # worse than no edge: always wrong
    found = fit_calibration(probability, outcome)
    assert found.temperature == pytest.approx(20.0, rel=0.01)
    assert found.note == "no edge on this slice: probabilities shrink to 0.5"
    assert np.abs(found.apply(probability) - 0.5).max() < 0.06


def test_a_few_outcomes_that_happen_to_be_alike_do_not_sharpen_a_forecast() -> None:
    random = np.random.default_rng(2)
    probability = expit(random.normal(loc=0.08, scale=0.02, size=120))  # about 0.52 throughout
    outcome = (random.random(120) < 0.75).astype(float)
    calibrated = fit_calibration(probability, outcome, overlap=5).apply(probability)
    assert calibrated.max() < 0.56


def test_temperature_stays_within_its_bounds_even_where_forecasts_are_perfect() -> None:
    outcome = np.repeat([0.0, 1.0], 100_000)
    found = fit_calibration(np.where(outcome > 0.5, 0.5005, 0.4995), outcome)
    assert found.temperature == pytest.approx(0.05, rel=0.01)
    assert found.note == "temperature at its lower bound"


def test_platt_equals_scikit_learns_sigmoid_calibration() -> None:
    probability, outcome = _drawn(2.0, count=3000, seed=4)
    shifted = expit(np.log(probability / (1 - probability)) + 0.5)
    found = fit_calibration(shifted, outcome, "platt")
    slope, intercept = _sigmoid_calibration(np.log(shifted / (1 - shifted)), outcome)  # of -(a f + b)
    assert found.slope == pytest.approx(-slope, rel=1e-3)
    assert found.intercept == pytest.approx(-intercept, abs=1e-3)


@pytest.mark.parametrize(
    ("outcome", "note"),
    [
        (np.tile([0.0, 1.0], 14), "only 28 outcomes, 30 needed: left as they were"),
        (np.ones(50), "all outcomes alike: left as they were"),
        (np.zeros(50), "all outcomes alike: left as they were"),
        (np.zeros(0), "only 0 outcomes, 30 needed: left as they were"),
    ],
)
def test_a_slice_too_small_or_of_one_class_leaves_probabilities_as_they_are_and_says_so(
    outcome: np.ndarray, note: str
) -> None:
    probability = np.linspace(0.1, 0.9, len(outcome))
    found = fit_calibration(probability, outcome)
    assert (found.method, found.note) == ("identity", note)
    np.testing.assert_array_equal(found.apply(probability), probability)


@given(
    values=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30),
    slope=st.floats(0.05, 20.0),
    intercept=st.floats(-2.0, 2.0),
)
@settings(deadline=None, max_examples=60)
def test_calibration_never_changes_the_order_of_forecasts(values: list[float], slope: float, intercept: float) -> None:
    probability = np.sort(np.array(values))
    calibrated = Calibration("platt", slope, intercept, 100).apply(probability)
    assert (np.diff(calibrated) >= 0).all()
    assert ((calibrated >= 0) & (calibrated <= 1)).all()


def test_a_missing_probability_stays_missing() -> None:
    calibrated = Calibration("temperature", 0.5, 0.0, 100).apply(np.array([0.2, np.nan]))
    assert np.isnan(calibrated).tolist() == [False, True]


def test_figures_equal_scikit_learns_and_a_count_by_hand() -> None:
    probability, outcome = _drawn(1.5, count=500, seed=5)
    found = reliability(probability, outcome)
    assert found.brier == pytest.approx(brier_score_loss(outcome, probability), rel=1e-12)
    assert found.log_loss == pytest.approx(sklearn_log_loss(outcome, probability), rel=1e-9)
    assert found.base_rate == outcome.mean()
    # three forecasts in (0.1, 0.2] of which one came true, one in (0.8, 0.9] that did not
    error = expected_calibration_error(np.array([0.15, 0.2, 0.16, 0.9]), np.array([0.0, 1.0, 0.0, 0.0]))
    assert error == pytest.approx((abs(1 - 0.51) + 0.9) / 4)


def test_certainty_that_proves_wrong_costs_much_but_not_infinitely() -> None:
    assert 20 < log_loss(np.array([1.0]), np.array([0.0])) < 30
