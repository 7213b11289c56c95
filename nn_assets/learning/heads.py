"""What is learned of a label: a loss, its slope, and what an output means. One object each; networks stay layers.

Every estimator gives one *output* a row. Its head says what the output is of: a logit (``sign``), a standardised value
(``value``) or the log of a variance in units of the name's own recent one (``volatility``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr

from nn_assets.arrays import Float32Array, FloatArray, IntArray
from nn_assets.errors import TrainingError

if TYPE_CHECKING:
    import torch


class Head(ABC):
    """One thing that can be learned of a label. Stateless, so that it goes to another process as it is.

    A target that is NaN is none: :func:`~nn_assets.learning.windows.find_samples` leaves it out before any loss.

    Attributes
    ----------
    name : str
        As a kind of label names it, ``learns``.
    exploded : float
        A mean loss above it is a diverged network, not a bad epoch.
    loss, loss_unit : str
        What a table calls it, and what it is measured in.
    probabilities : bool
        Whether forecasts are probabilities that the own return is above zero; else they are volatilities.
    """

    name: str
    exploded: float
    loss: str
    loss_unit: str
    probabilities: bool = True

    @abstractmethod
    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample, (batch,)."""

    @abstractmethod
    def slope(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Derivative of each sample's loss by its output, (batch,), for networks that go back by their own way."""

    @abstractmethod
    def mean_loss(self, outputs: FloatArray, targets: FloatArray) -> float:
        """Mean of ``losses`` in float64; arrays of shape (samples,)."""

    @abstractmethod
    def forecast(self, outputs: FloatArray) -> FloatArray:
        """From outputs to forecasts, same shape; NaN stays NaN."""

    @abstractmethod
    def forecast_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """As ``forecast``, differentiable."""

    def share(self, forecasts: FloatArray) -> FloatArray:
        """Forecasts as numbers between 0 and 1, as they are stored, same shape: probabilities as they are."""
        return forecasts

    @abstractmethod
    def constant(self, residuals: FloatArray) -> float:
        """The constant that, added to outputs, has the least mean loss; of targets less outputs, (samples,)."""

    def __reduce__(self) -> tuple[object, ...]:
        return _head, (self.name,)  # another process has its own one of each

    def require_learnable(self, targets: FloatArray | Float32Array | IntArray, model: str) -> None:
        """Refuse targets that are all the same.

        Raises
        ------
        TrainingError
        """
        if not len(targets) or targets.min() == targets.max():
            raise TrainingError(
                expected=f"training rows whose labels differ for {model}",
                found=f"{len(targets)} rows, all {targets[0] if len(targets) else 'missing'}",
                remedy="look at the labels of this fold; a series that never moves has none to learn from",
            )


class _Sign(Head):
    """Binary cross-entropy on logits, in nats; targets are 1 and 0. Chance is 0.69."""

    name, exploded, loss, loss_unit = "sign", 20.0, "cross-entropy", "nats"

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits  # who forecasts by plain arrays needs no torch

        return binary_cross_entropy_with_logits(outputs, targets, reduction="none")

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.sigmoid().sub_(targets)

    def mean_loss(self, outputs: FloatArray, targets: FloatArray) -> float:
        return float(np.mean(np.logaddexp(0.0, outputs) - targets * outputs))

    def forecast(self, outputs: FloatArray) -> FloatArray:
        return np.asarray(expit(outputs), dtype=np.float64)

    def forecast_of(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.sigmoid()

    def constant(self, residuals: FloatArray) -> float:
        raise NotImplementedError("logits have no residuals: fit a logistic regression")

    def require_learnable(self, targets: FloatArray | Float32Array | IntArray, model: str) -> None:
        if len(np.unique(targets)) < 2:
            raise TrainingError(
                expected=f"training rows of both classes for {model}",
                found=f"{len(targets)} rows of one class",
                remedy="look at the labels of this fold; a longer training part may hold both",
            )


class _Value(Head):
    """Squared error on a standardised value z, half of it, so that the slope is the error itself.

    The output is E[z]. Its forecast is Phi(E[z]), the probability that z is above zero if it is normal around its
    expectation with the spread that it is standardised to: forecasts of every head but volatility are probabilities,
    go through one calibration, and are read back as Phi^-1(p).
    """

    name, exploded, loss, loss_unit = "value", 1_000.0, "squared error", "squared standard deviations"

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square().mul(0.5)

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs - targets

    def mean_loss(self, outputs: FloatArray, targets: FloatArray) -> float:
        return float(np.mean(0.5 * (outputs - targets) ** 2))

    def forecast(self, outputs: FloatArray) -> FloatArray:
        return np.asarray(ndtr(outputs), dtype=np.float64)

    def forecast_of(self, outputs: torch.Tensor) -> torch.Tensor:
        return (outputs * -math.sqrt(0.5)).erfc() * 0.5

    def constant(self, residuals: FloatArray) -> float:
        return float(residuals.mean())


class _Volatility(Head):
    """QLIKE on log variances: v / exp(s) - ln(v / exp(s)) - 1 = exp(y - s) - (y - s) - 1 (Patton 2011, equation 5).

    The target y is ln(realised variance / own recent variance), the output s the log of the variance forecast in the
    same unit, so that an output of 0 is the recent volatility itself. The loss knows no unit: the same is added to y
    and s by another. Its forecast is exp(s / 2), the volatility forecast in units of the recent one.
    """

    name, exploded, loss, loss_unit = "volatility", 1_000.0, "QLIKE", "QLIKE"
    probabilities = False

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        excess = targets - outputs
        return excess.expm1() - excess

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (targets - outputs).expm1().neg_()

    def mean_loss(self, outputs: FloatArray, targets: FloatArray) -> float:
        excess = targets - outputs
        with np.errstate(over="ignore"):
            return float(np.mean(np.expm1(excess) - excess))

    def forecast(self, outputs: FloatArray) -> FloatArray:
        return np.asarray(np.exp(0.5 * outputs), dtype=np.float64)

    def forecast_of(self, outputs: torch.Tensor) -> torch.Tensor:
        return (outputs * 0.5).exp()

    def share(self, forecasts: FloatArray) -> FloatArray:
        """As v / (1 + v) of the variance v: the logit of what is stored is the log of the variance."""
        variance = forecasts**2
        return variance / (1.0 + variance)

    def constant(self, residuals: FloatArray) -> float:
        highest = float(residuals.max())
        return highest + math.log(float(np.exp(residuals - highest).mean()))


SIGN: Head = _Sign()
VALUE: Head = _Value()
VOLATILITY: Head = _Volatility()

HEADS = MappingProxyType({head.name: head for head in (SIGN, VALUE, VOLATILITY)})
"""Every head, by the name that a kind of label gives as what it ``learns``."""


def _head(name: str) -> Head:
    return HEADS[name]
