"""Calibration of probabilities on a purged slice, and the figures that judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

__all__ = [
    "Calibration",
    "Reliability",
    "expected_calibration_error",
    "fit_calibration",
    "log_loss",
    "reliability",
]

FloatArray = npt.NDArray[np.float64]

# A probability this near to 0 or 1 has no finite logit in float64.
_NEAREST = 1e-12
# Fewer outcomes than this say more about chance than about the network's temperature.
MINIMUM_OUTCOMES = 30
TEMPERATURE_BOUNDS = (0.05, 20.0)
# How far below 1 a temperature is believed before the slice has spoken, as a deviation of log T.
# A few dozen overlapping outcomes that happen to be alike would otherwise turn 0.52 into 0.83, and
# sizes follow probabilities. Shrinking towards 0.5 is safe and needs no such belief.
_SHARPENING_DEVIATION = 0.5
_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Maps probabilities: ``sigmoid(slope x logit(p) + intercept)``.

    A temperature T is the slope 1/T with no intercept (Guo et al. 2017, eq. 9). A network with no
    edge gets a high temperature, and its calibrated probability shrinks to 0.5.
    """

    method: Literal["temperature", "platt", "identity"]
    slope: float
    intercept: float
    outcomes: int  # samples that it was fitted on
    note: str = ""

    @property
    def temperature(self) -> float:
        """1 / slope."""
        return 1.0 / self.slope

    def apply(self, probability: FloatArray) -> FloatArray:
        """Calibrated probabilities, same shape; NaN stays NaN. Identity returns its input's values."""
        if self.method == "identity":
            return probability.copy()
        return np.asarray(expit(self.slope * _logits(probability) + self.intercept), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Calibration:
        """Rebuild what ``to_dict`` described."""
        return cls(**stored)


@dataclass(frozen=True)
class Reliability:
    """How good probabilities are on outcomes: losses in nats a sample, the rest fractions."""

    outcomes: int
    base_rate: float
    log_loss: float
    brier: float
    expected_calibration_error: float


def fit_calibration(
    probability: FloatArray,
    outcome: FloatArray,
    method: Literal["temperature", "platt"] = "temperature",
    *,
    overlap: int = 1,
) -> Calibration:
    """Fit the map that minimises log loss on a slice that training never saw.

    Parameters
    ----------
    probability, outcome : float array, shape (samples,)
        Uncalibrated probabilities of 1, and outcomes 0 or 1; finite.
    method : {'temperature', 'platt'}
        Temperature has one parameter, bounded to 0.05 to 20; below 1, where it sharpens, it pays
        (log T)^2 / (2 x 0.5^2) nats of the slice's whole log likelihood, a prior that a few
        hundred outcomes outweigh. Platt (1999, section 2.2) has a slope and an intercept, fitted
        to his smoothed targets, the slope kept positive so that the order of forecasts survives.
    overlap : int
        Sessions that one label spans: labels of consecutive sessions share all but one of them, so
        a slice tells as much as ``samples / overlap`` separate outcomes.

    Returns
    -------
    Calibration
        Identity, with a note that says why, where the slice has fewer than 30 outcomes or only
        one class.
    """
    count, ones = len(outcome), float(outcome.sum())
    if count < MINIMUM_OUTCOMES:
        note = f"only {count} outcomes, {MINIMUM_OUTCOMES} needed: left as they were"
        return Calibration("identity", 1.0, 0.0, count, note)
    if ones in (0.0, float(count)):
        return Calibration("identity", 1.0, 0.0, count, "all outcomes alike: left as they were")
    logits = _logits(probability)
    if method == "temperature":
        slope, note = _fit_temperature(logits, outcome, separate=count / overlap)
        return Calibration("temperature", slope, 0.0, count, note)
    slope, intercept, note = _fit_platt(logits, outcome, ones)
    return Calibration("platt", slope, intercept, count, note)


def _fit_temperature(logits: FloatArray, outcome: FloatArray, *, separate: float) -> tuple[float, str]:
    def objective(log_temperature: float) -> float:
        sharpening = min(log_temperature, 0.0) / _SHARPENING_DEVIATION
        return _loss(logits / np.exp(log_temperature), outcome) + 0.5 * sharpening**2 / separate

    low, high = np.log(TEMPERATURE_BOUNDS)
    # over log T, where the loss is smooth and both bounds are equally far from 1
    found = minimize_scalar(
        objective,
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))
    if temperature > TEMPERATURE_BOUNDS[1] * 0.99:
        return 1.0 / temperature, "no edge on this slice: probabilities shrink to 0.5"
    if temperature < TEMPERATURE_BOUNDS[0] * 1.01:
        return 1.0 / temperature, "temperature at its lower bound"
    return 1.0 / temperature, ""


def _fit_platt(logits: FloatArray, outcome: FloatArray, ones: float) -> tuple[float, float, str]:
    zeros = len(outcome) - ones
    smoothed = np.where(outcome > 0.5, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))
    bounds = (1.0 / TEMPERATURE_BOUNDS[1], 1.0 / TEMPERATURE_BOUNDS[0])
    found = minimize(
        lambda parts: _loss(parts[0] * logits + parts[1], smoothed),
        x0=np.array([1.0, 0.0]),
        bounds=[bounds, (None, None)],
        method="L-BFGS-B",
    )
    slope, intercept = (float(part) for part in found.x)
    note = "no edge on this slice: probabilities shrink to the base rate" if slope <= bounds[0] else ""
    return slope, intercept, note


def _loss(logits: FloatArray, outcome: FloatArray) -> float:
    # log(1 + exp(z)) - y z, without overflow
    return float(np.mean(np.logaddexp(0.0, logits) - outcome * logits))


def _logits(probability: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(probability, _NEAREST, 1.0 - _NEAREST)), dtype=np.float64)


def log_loss(probability: FloatArray, outcome: FloatArray) -> float:
    """Mean negative log likelihood in nats; arrays of shape (samples,)."""
    return _loss(_logits(probability), outcome)


def expected_calibration_error(probability: FloatArray, outcome: FloatArray) -> float:
    """Mean distance of forecast from frequency over ten equal bins, weighted by samples.

    Guo et al. 2017, eq. 3: bins (0, 0.1], (0.1, 0.2], ...; empty bins weigh nothing.
    """
    place = np.clip(np.ceil(probability * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    error = 0.0
    for bin_number in range(_BINS):
        inside = place == bin_number
        if inside.any():
            error += abs(float(np.sum(outcome[inside] - probability[inside])))
    return error / len(outcome)


def reliability(probability: FloatArray, outcome: FloatArray) -> Reliability:
    """Judge one set of probabilities; arrays of shape (samples,), finite, not empty."""
    return Reliability(
        outcomes=len(outcome),
        base_rate=float(outcome.mean()),
        log_loss=log_loss(probability, outcome),
        brier=float(np.mean((probability - outcome) ** 2)),
        expected_calibration_error=expected_calibration_error(probability, outcome),
    )
