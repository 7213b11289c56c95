"""The forecasts of a strategy's chain of models in one scale, and what a calibration makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.learning.calibration import Calibration, LogitScale
from nn_assets.learning.forecasts import ForecastArrays


@dataclass(frozen=True, eq=False)
class ScaledForecasts:
    """Logits and dispersions, each in units of its own model; (sessions, symbols), NaN without a forecast.

    NaN as well where a model forecasts the same throughout: it has no unit, and says nothing.
    """

    score: FloatArray
    dispersion: FloatArray


def scaled(
    arrays: ForecastArrays, model_ids: Sequence[str | None], scales: Mapping[str, LogitScale]
) -> ScaledForecasts:
    """Measure one estimator's forecasts by the models that made them.

    Parameters
    ----------
    arrays : ForecastArrays, shape (sessions, symbols)
    model_ids : sequence of str or None, length sessions
    scales : mapping of model id to LogitScale
        Of the models that hold the estimator.
    """
    score, dispersion = np.full_like(arrays.probability, np.nan), np.full_like(arrays.probability, np.nan)
    made_by = np.array(model_ids, dtype=object)
    for model_id in dict.fromkeys(model_id for model_id in model_ids if model_id):
        if (scale := scales.get(model_id)) is None:
            continue  # a model of before this estimator: it has no forecast of it
        rows = made_by == model_id
        score[rows] = scale.score(arrays.probability[rows])
        dispersion[rows] = scale.dispersion(arrays.probability[rows], arrays.dispersion[rows])
    return ScaledForecasts(score, dispersion)


def calibrated(arrays: ForecastArrays, forecasts: ScaledForecasts, calibration: Calibration) -> ForecastArrays:
    """One estimator's forecasts with what a calibration makes of them; all arrays of one shape.

    A forecast of a model without a scale is the base rate.
    """
    forecast, scored = np.isfinite(arrays.probability), np.isfinite(forecasts.score)
    probability = np.where(scored, calibration.apply(forecasts.score), calibration.base_rate)
    confidence = np.where(scored, calibration.confidence(forecasts.dispersion), 1.0)
    return ForecastArrays(
        probability=arrays.probability,
        dispersion=arrays.dispersion,
        calibrated=np.where(forecast, probability, np.nan),
        base_rate=np.where(forecast, calibration.base_rate, np.nan),
        confidence=np.where(forecast, confidence, np.nan),
        novelty=np.where(forecast, 1.0, np.nan),
        score=forecasts.score,
    )
