"""A chain of models in one scale: each forecast is measured by the model that made it."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from nn_assets.learning.calibration import Calibration, LogitScale
from nn_assets.learning.chain import calibrated, scaled
from nn_assets.learning.forecasts import ForecastArrays

SCALES = {"old": LogitScale(0.0, 0.1), "new": LogitScale(0.5, 0.4), "flat": LogitScale(0.2, 0.0)}


def arrays(probability: np.ndarray) -> ForecastArrays:
    missing = np.full(probability.shape, np.nan)
    spread = np.where(np.isnan(probability), np.nan, 0.02)
    return ForecastArrays(probability, spread, missing, missing, missing, missing, missing)


def test_each_row_is_measured_by_its_own_model_and_a_model_without_scale_gives_the_base_rate() -> None:
    logits = np.array([[0.1, -0.2], [0.9, np.nan], [0.2, 0.2], [0.3, 0.3]])
    made = arrays(expit(logits))
    marks = scaled(made, ["old", "new", "flat", None], SCALES)
    np.testing.assert_allclose(marks.score, [[1.0, -2.0], [1.0, np.nan], [np.nan] * 2, [np.nan] * 2], rtol=1e-9)
    p = expit(0.1)
    np.testing.assert_allclose(marks.dispersion[0, 0], 0.02 / (p * (1 - p)) / 0.1, rtol=1e-9)
    usual = float(marks.dispersion[0, 0]) / 2
    result = calibrated(made, marks, Calibration(0.3, float(logit(0.55)), 0.54, usual, 100, 50.0))
    expected = expit(logit(0.55) + 0.3 * np.array([1.0, -2.0]))
    np.testing.assert_allclose(result.calibrated[0], expected, rtol=1e-9)
    np.testing.assert_allclose(result.calibrated[1], [expected[0], np.nan], rtol=1e-9)
    np.testing.assert_array_equal(result.calibrated[2], [0.54, 0.54])
    np.testing.assert_array_equal(result.base_rate[:3], [[0.54, 0.54], [0.54, np.nan], [0.54, 0.54]])
    assert result.confidence[0, 0] == 0.5
    np.testing.assert_array_equal(result.confidence[2], [1.0, 1.0])
    assert result.probability is made.probability
    assert result.score is marks.score


def test_parts_joined_are_the_whole() -> None:
    made = arrays(np.random.default_rng(0).random((7, 3)))
    again = ForecastArrays.joined([made.at(slice(3)), made.at(slice(3, 7))])
    np.testing.assert_array_equal(again.probability, made.probability)
    np.testing.assert_array_equal(made.at(4).dispersion, made.dispersion[4])
