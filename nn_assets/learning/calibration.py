"""Calibration of forecasts on the record of a strategy's chain of models, and the figures that judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit, logit, ndtr

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.learning.evidence import effective_outcomes, less_the_median

# A probability this near to 0 or 1 has no finite logit in float64.
_NEAREST = 1e-12
_BINS = 10
# Logits that differ by less than this differ by rounding: the model gives one forecast for everything.
_SAME = 1e-9
# A prior of less is no prior: a record of hits alone would have no finite slope.
_LEAST_PRIOR_OUTCOMES = 1.0
_STEPS = 50
_GRADIENT = 1e-11


@dataclass(frozen=True)
class LogitScale:
    """How a model's logits lie on its own validation slice: what makes models of other scale and level comparable.

    The level is taken off as well as the scale, by what was measured: 10 names, six years, yearly refits, true logit
    0.15 z, models that say twice of it, seeds 1 to 20, Brier score against the base rate's. Where each refit has a
    level of its own, normal with 0.25, 0.5, 1 and 2 spreads, centring gains 14.1e-4 throughout, scores without it
    13.6, 12.1, 7.5 and -2.0e-4 (without a shift 14.07 and 14.03). Where the level is true instead, and known to the
    model before its year began, centring costs 0.9, 3.1, 11.4 and 43.2e-4 of what could be had: it never falls below
    the base rate, as the other does. A model is fitted on the past and labels are mostly relative, so that a level is
    its own far more often than it is news.
    """

    centre: float
    spread: float  # standard deviation; 0 for a model that forecasts the same throughout

    @classmethod
    def of(cls, probability: FloatArray) -> Self:
        """Measure it on the model's own forecasts of validation rows, shape (samples,), finite."""
        logits = _logits(probability)
        if len(logits) == 0:
            return cls(0.0, 0.0)
        spread = float(logits.std())
        return cls(float(logits.mean()), spread if spread > _SAME else 0.0)

    def score(self, probability: FloatArray) -> FloatArray:
        """Logits less their centre, in units of their spread, same shape; NaN without a forecast or a spread."""
        return (_logits(probability) - self.centre) / (self.spread or np.nan)

    def dispersion(self, probability: FloatArray, dispersion: FloatArray) -> FloatArray:
        """Spread of the members' probabilities in the units of :meth:`score`: s / (p (1 - p)) / spread."""
        slope = np.maximum(probability * (1.0 - probability), _NEAREST)
        return dispersion / slope / (self.spread or np.nan)


@dataclass(frozen=True)
class Calibration:
    """What a score was worth in the past, and the base rate beside it.

    ``sigmoid(slope x score + intercept)`` is the probability that a label is 1. Where values are learned, the line is
    E[z | score] itself, and the probability Phi of it: see :class:`~nn_assets.learning.heads.Head`.
    """

    slope: float  # never below 0: a forecast is not turned round
    intercept: float
    base_rate: float  # p0, mean probability that it gives on its own record; the forecast of who knows nothing
    usual_dispersion: float | None  # median of the members' dispersion on the record, in units of the score
    outcomes: int  # rows of symbol and session that it was fitted on
    effective_outcomes: float  # independent ones that they are worth
    of_values: bool = False  # whether the line is of values

    def apply(self, score: FloatArray) -> FloatArray:
        """Calibrated probabilities, same shape; NaN stays NaN."""
        line = self.slope * score + self.intercept
        return np.asarray(ndtr(line) if self.of_values else expit(line), dtype=np.float64)

    def confidence(self, dispersion: FloatArray) -> FloatArray:
        """Confidence of a forecast, min(1, usual / its own dispersion), same shape; its median on the record is 1.

        1 where the members agree entirely, and where nothing is known yet of what is usual. NaN stays NaN.
        """
        if self.usual_dispersion is None:
            return np.where(np.isnan(dispersion), np.nan, 1.0)
        more = dispersion > self.usual_dispersion
        return np.where(
            more, self.usual_dispersion / np.where(more, dispersion, 1.0), np.where(dispersion >= 0, 1, np.nan)
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; of a calibration of probabilities as before there was another."""
        return {name: value for name, value in asdict(self).items() if name != "of_values" or value}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
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
    score: FloatArray,
    dispersion: FloatArray,
    targets: FloatArray,
    *,
    horizon_sessions: int,
    half_life_sessions: float,
    prior_outcomes: float,
    relative: bool = False,
    values: FloatArray | None = None,
) -> Calibration:
    """Fit slope and intercept on every outcome of a record, its prior at the base rate.

    Rows weigh 2^(-age / half-life), and all of them together n effective outcomes
    (:func:`~nn_assets.learning.evidence.effective_outcomes` of hits, a hit being a score above zero before a 1 or
    below before a 0; where labels are relative, above the session's median or below it). The prior is worth
    ``prior_outcomes`` more of the same scores, whose outcomes are the base rate q whatever the score: slope 0 around
    q. Both together are a logistic regression on the targets y* = (n y + n0 q) / (n + n0), so that without evidence
    every forecast is q, and the slope is about n / (n + n0) of what the record alone says (data augmentation priors:
    Bedrick, Christensen and Johnson 1996, section 2).
    q is the share of ones among all labels there are, with a forecast or not, by Laplace's rule.

    With ``values`` the line is that of least squares on z* = (n z + n0 q) / (n + n0) by the same weights, so that its
    slope is n / (n + n0) of the record's own; q is then the mean of all values there are and two more of 0. Hits, and
    so n, are still those of the targets.

    Parameters
    ----------
    score, dispersion : float array, shape (bars, symbols)
        Of out-of-sample forecasts, as :class:`LogitScale` gives them; NaN where there is none.
    targets : float array, shape (bars, symbols)
        Labels as known when the calibration comes into force: 1, 0, NaN where not realised by then.
    horizon_sessions : int
        Sessions that one label spans.
    half_life_sessions : float
        Age at which a row weighs half as much as the newest.
    prior_outcomes : float
        n0, effective outcomes that the prior is worth; less than 1 counts as 1.
    relative : bool
        Whether a label is one where the name did better than the cross-section's median.
    values : float array, shape (bars, symbols), optional
        Where those are learned: finite where the targets are.

    Returns
    -------
    Calibration
    """
    labelled = np.isfinite(targets)
    outcomes = targets if values is None else values
    pseudo = 1.0 if values is None else 0.0
    long_run = (float(outcomes[labelled].sum()) + pseudo) / (float(labelled.sum()) + 2.0)
    known_dispersion = dispersion[np.isfinite(dispersion)]
    usual = float(np.median(known_dispersion)) if len(known_dispersion) else None
    usable = labelled & np.isfinite(score)
    count = int(usable.sum())
    if count == 0:
        if values is not None:
            return Calibration(0.0, long_run, float(ndtr(long_run)), usual, 0, 0.0, of_values=True)
        return Calibration(0.0, float(logit(long_run)), long_run, usual, 0, 0.0)
    by_bar = 2.0 ** (np.arange(len(score)) / half_life_sessions - len(score) / half_life_sessions)
    side = less_the_median(np.where(usable, score, np.nan)) if relative else score
    effective = _evidence(side, targets, usable & (side != 0.0) if relative else usable, by_bar, horizon_sessions)
    believed = effective / (effective + max(prior_outcomes, _LEAST_PRIOR_OUTCOMES))
    weight = np.broadcast_to(by_bar[:, None], score.shape)[usable]
    weight = weight / weight.sum()
    aim = believed * outcomes[usable] + (1.0 - believed) * long_run
    if values is not None:
        intercept, slope = _least_squares(score[usable], aim, weight)
        base_rate = float(ndtr(np.sum(weight * aim)))
        return Calibration(slope, intercept, base_rate, usual, count, effective, of_values=True)
    intercept, slope = _logistic(score[usable], aim, weight)
    return Calibration(slope, intercept, float(np.sum(weight * aim)), usual, count, effective)


def _evidence(side: FloatArray, targets: FloatArray, usable: BoolArray, by_bar: FloatArray, horizon: int) -> float:
    right = usable & ((side > 0.0) == (targets > 0.5))
    names = usable.sum(axis=1)
    there = names > 0
    if not there.any():
        return 0.0  # no session's forecasts differ
    return float(effective_outcomes(right.sum(axis=1)[there], names[there], horizon, by_bar[there])[-1])


def _least_squares(score: FloatArray, aim: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Intercept and slope, the slope at least 0, of a regression; weights sum to 1."""
    mean, middle = float(np.sum(weight * aim)), float(np.sum(weight * score))
    away = score - middle
    spread = float(np.sum(weight * away**2))
    slope = max(float(np.sum(weight * away * (aim - mean))) / spread, 0.0) if spread > _SAME**2 else 0.0
    return mean - slope * middle, slope


def _logistic(score: FloatArray, aim: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Intercept and slope, the slope at least 0, of a logistic regression on targets between 0 and 1.

    Newton's method, a step halved until the gradient is smaller than before; weights sum to 1.
    """
    mean = float(np.sum(weight * aim))
    middle = float(np.sum(weight * score))
    away = score - middle
    coefficients = np.array([float(logit(mean)), 0.0])
    gradient, bend = _slopes(coefficients, away, aim, weight)
    if gradient[1] <= 0.0:
        return float(logit(mean)), 0.0  # the likelihood is concave: its best slope is not above 0 either
    for _ in range(_STEPS):
        if np.abs(gradient).max() < _GRADIENT or bend[0, 0] * bend[1, 1] <= bend[0, 1] ** 2:
            break
        step = np.linalg.solve(bend, gradient)
        for _ in range(_STEPS):
            tried = _slopes(coefficients + step, away, aim, weight)
            if np.abs(tried[0]).max() < np.abs(gradient).max():
                break
            step /= 2.0
        else:
            break
        coefficients, (gradient, bend) = coefficients + step, tried
    return float(coefficients[0] - coefficients[1] * middle), max(float(coefficients[1]), 0.0)


def _slopes(
    coefficients: FloatArray, away: FloatArray, aim: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient and negative Hessian of the log likelihood at intercept and slope."""
    probability = expit(coefficients[0] + coefficients[1] * away)
    error = weight * (aim - probability)
    first = weight * probability * (1.0 - probability)
    second = first * away
    both = float(np.sum(second))
    gradient = np.array([np.sum(error), np.sum(error * away)])
    return gradient, np.array([[np.sum(first), both], [both, np.sum(second * away)]])


def _logits(probability: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(probability, _NEAREST, 1.0 - _NEAREST)), dtype=np.float64)


def log_loss(probability: FloatArray, outcome: FloatArray) -> float:
    """Mean negative log likelihood in nats; arrays of shape (samples,)."""
    logits = _logits(probability)
    # log(1 + exp(z)) - y z, without overflow
    return float(np.mean(np.logaddexp(0.0, logits) - outcome * logits))


def expected_calibration_error(probability: FloatArray, outcome: FloatArray) -> float:
    """Mean distance of forecast from frequency over ten equal bins, weighted by samples.

    Guo et al. 2017, eq. 3: bins (0, 0.1], (0.1, 0.2], ...; empty bins weigh nothing.
    """
    bin_index = np.clip(np.ceil(probability * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    error = 0.0
    for bin_number in range(_BINS):
        inside = bin_index == bin_number
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
