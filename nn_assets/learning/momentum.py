"""The plainest forecast there is: what rose goes on to rise, or to fall, judged as the other baselines are.

A member's score is the past log return over k sessions, over its volatility, or the negative of it; k and the sign are
those with the largest mean rank IC on its training sessions. Jegadeesh and Titman (1993) for momentum, Jegadeesh (1990)
for reversal, Barroso and Santa-Clara (2015) for the division by volatility.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import Cube, FloatArray, IntArray
from nn_assets.errors import TrainingError
from nn_assets.features.labels import MINIMUM_CROSS_SECTION
from nn_assets.learning.baselines import Baseline, draws_of, fit_line
from nn_assets.learning.fitted import Arrays, FitInputs, Fitted
from nn_assets.learning.heads import SIGN, Head
from nn_assets.learning.windows import Samples, Windows
from nn_assets.measures import rank_ic
from nn_assets.settings import LearningSettings

SPANS = (1, 5, 20, 60)
"""Sessions over which a past return is taken."""

RETURN_FEATURES = ("log_return_1", "candle_close")
"""Features that are a session's log return: the rule reads the first that a strategy has, before any transform."""

_VOLATILITY_SESSIONS = 20
_FEWEST_RETURNS = 10  # of those, below which there is no volatility
_CLIP = 10.0  # as scaled features are: how far beyond says nothing


def past_returns(cube: Cube) -> FloatArray | None:
    """Log return of each session, (bars, symbols), from an untransformed cube; None where no feature is one."""
    for name in RETURN_FEATURES:
        if name in cube.names:
            return np.asarray(cube.values[:, :, cube.names.index(name)], dtype=np.float64)
    return None


def momentum_scores(windows: Windows, rows: IntArray, columns: IntArray) -> FloatArray:
    """Past return over its volatility, for each of `SPANS`.

    Parameters
    ----------
    windows : Windows
        With ``past_returns``.
    rows, columns : int arrays, shape (samples,)
        Decision rows on the full session axis, and symbols.

    Returns
    -------
    float array, shape (spans, samples)
        ``sum of the last k log returns / (sigma sqrt(k))``, sigma the root mean square of the last 20, cut at +-10.
        A session without a return adds none: where features step over a missing bar, the next return holds its part.
        0, which says nothing, where fewer than 10 of 20 are known, sigma is zero, or the history is shorter than k.
        The same bits for a sample whichever are with it.

    Raises
    ------
    TrainingError
        No feature of the strategy is a session's return.
    """
    returns = _required(windows)
    local = rows - windows.first_row
    total, squares, known = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    sums = []
    for back in range(max(SPANS)):
        # return by return: a sum over slices may round by their layout
        there = local >= back
        value = np.where(there, returns[np.maximum(local - back, 0), columns], np.nan)
        finite = np.isfinite(value)
        total += np.where(finite, value, 0.0)
        if back < _VOLATILITY_SESSIONS:
            squares += np.where(finite, value * value, 0.0)
            known += finite
        if back + 1 in SPANS:
            sums.append(np.where(there, total, np.nan))
    sigma = np.sqrt(squares / np.maximum(known, 1.0))
    usable = (known >= _FEWEST_RETURNS) & (sigma > 0.0)
    scale = np.where(usable, sigma, np.nan)
    scores = np.array([line / (scale * np.sqrt(span)) for span, line in zip(SPANS, sums, strict=True)])
    return np.clip(np.where(np.isfinite(scores), scores, 0.0), -_CLIP, _CLIP)


def _required(windows: Windows) -> FloatArray:
    if windows.past_returns is None:
        raise TrainingError(
            expected=f"a feature that is a session's return, for the momentum rule: {' or '.join(RETURN_FEATURES)}",
            found="none among the strategy's features",
            remedy="name one under features.names, or leave momentum out of learning.baselines",
            key="learning.baselines",
        )
    return windows.past_returns


@dataclass(frozen=True)
class MomentumRule(Baseline):
    """``intercept + slope x sign x score over span sessions``, slope never below 0; a logit where a sign is learned."""

    span: int  # sessions, one of `SPANS`
    sign: int  # 1: momentum, -1: reversal
    slope: float  # outputs per standard deviation of the past return
    intercept: float
    inverse_strength: float

    def output(self, features: FloatArray) -> FloatArray:
        """Output for scores over this rule's span, unsigned; (samples,)."""
        return self.intercept + self.slope * self.sign * features

    @classmethod
    def outputs(
        cls,
        members: Sequence[MomentumRule],
        settings: LearningSettings,  # noqa: ARG003  as every estimator's
        windows: Windows,
        rows: IntArray,
        columns: IntArray,
    ) -> FloatArray:
        """Outputs of shape (members, samples)."""
        scores = momentum_scores(windows, rows, columns)
        return np.array([member.output(scores[SPANS.index(member.span)]) for member in members])

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay the rule out as named arrays."""
        return {"rule": np.array([self.span, self.sign, self.slope, self.intercept, self.inverse_strength])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, number: int) -> MomentumRule:  # noqa: ARG003  as every estimator's
        """Rebuild the rule that ``to_arrays`` laid out."""
        span, sign, slope, intercept, strength = (float(value) for value in arrays["rule"])
        return cls(int(span), int(sign), slope, intercept, strength)


def fit_momentum_rules(inputs: FitInputs) -> Fitted:
    """Fit an ensemble of momentum rules, each to sessions drawn anew: see :func:`fit_momentum`.

    The figures are ``momentum``: the span and sign of each member.
    """
    members = tuple(
        fit_momentum(inputs.windows, drawn, inputs.validation, inputs.head) for drawn, _ in draws_of(inputs)
    )
    return Fitted(members, {"momentum": [{"span": rule.span, "sign": rule.sign} for rule in members]})


def fit_momentum(windows: Windows, training: Samples, validation: Samples, head: Head = SIGN) -> MomentumRule:
    """Choose span and sign by the training sessions, and fit slope and intercept as the linear model's are.

    Raises
    ------
    TrainingError
        The training rows hold one class only, or one value, no feature is a return, or no past return varies.
    """
    head.require_learnable(training.targets, "the momentum rule")
    scores = momentum_scores(windows, training.rows, training.columns)
    ics = np.array([_mean_ic(line, training, windows.shape[1]) for line in scores])
    if not np.isfinite(ics).any():
        raise TrainingError(
            expected="past returns that vary, for the momentum rule",
            found=f"the same on all of {training.count} training rows",
            remedy="look at the closes of this fold, or leave momentum out of learning.baselines",
        )
    chosen = int(np.nanargmax(np.abs(ics)))  # of equals the shortest
    span, sign = SPANS[chosen], 1 if ics[chosen] >= 0.0 else -1
    judged = momentum_scores(windows, validation.rows, validation.columns)[chosen]
    line = fit_line(sign * scores[chosen][:, np.newaxis], training, sign * judged[:, np.newaxis], validation, head)
    # against its own sign the rule says nothing: the sign is that of the rank IC
    return MomentumRule(span, sign, max(float(line.coefficients[0]), 0.0), line.intercept, line.inverse_strength)


def _mean_ic(score: FloatArray, samples: Samples, symbols: int) -> float:
    """Mean over drawn sessions of the rank IC with the outcome; of fewer than 5 symbols the correlation over time."""
    if symbols < MINIMUM_CROSS_SECTION:
        varies = score.std() > 0.0 and samples.targets.std() > 0.0
        return float(np.corrcoef(score, samples.targets)[0, 1]) if varies else float("nan")
    _, row = np.unique(samples.rows, return_inverse=True)
    forecast, outcome = np.full((2, int(row.max()) + 1, symbols), np.nan)
    times = np.zeros(forecast.shape)
    np.add.at(times, (row, samples.columns), 1.0)  # a session drawn twice counts twice
    forecast[row, samples.columns], outcome[row, samples.columns] = score, samples.targets
    ic = rank_ic(forecast, outcome, MINIMUM_CROSS_SECTION)
    ranked = np.isfinite(ic)
    return float(np.average(ic[ranked], weights=times.max(axis=1)[ranked])) if ranked.any() else float("nan")
