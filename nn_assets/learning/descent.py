"""How weights move: AdamW with clipped gradients, and a rate that falls where the validation loss stops falling.

torch's own optimisers give the same bits; they go weight by weight, which costs a small network more than its
arithmetic, and they import a compiler, which costs every process seconds. Tests hold these to torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Moments' decay and the guard against division by zero: the authors' defaults, and torch's.
_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8
_CLIP_GUARD = 1e-6
_GAIN = 1e-4  # a loss less than this share below the best is no gain
_ALIGNED = 16  # float32 in 64 bytes: where torch would begin a tensor of its own, so that sums round alike


class AdamW:
    """Loshchilov and Hutter (2019), algorithm 2, over all weights of a network laid end to end.

    Parameters
    ----------
    network : Module
        Its float32 weights become views of one vector, ``network`` stays what it is.
    rate : float
        Learning rate; may be set anew between steps.
    decay : float
        Share of ``rate`` by which every weight shrinks a step.
    """

    def __init__(self, network: torch.nn.Module, rate: float, decay: float) -> None:
        self.rate, self._decay, self._steps = rate, decay, 0
        parameters = list(network.parameters())
        offsets = [0]
        for parameter in parameters:
            offsets.append(offsets[-1] + math.ceil(parameter.numel() / _ALIGNED) * _ALIGNED)
        self._weights, self._gradient, self._first, self._second = torch.zeros(4, offsets[-1])
        self._gradients = []
        for parameter, start in zip(parameters, offsets, strict=False):
            part = slice(start, start + parameter.numel())
            self._weights[part].view_as(parameter).copy_(parameter.detach())
            parameter.data = self._weights[part].view_as(parameter)
            parameter.grad = self._gradient[part].view_as(parameter)
            self._gradients.append(parameter.grad)

    def descend(self, back: Callable[[], object], largest_norm: float) -> float:
        """Take one step down a gradient, cut to a norm; ``back`` adds it to the weights' ``grad``, zero until then.

        Returns the gradient's norm before it is cut; where that is not finite, no step is taken.
        """
        self._gradient.zero_()
        back()
        # the norm of the tensors' norms, as torch clips: one sum over all would round otherwise
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(gradient) for gradient in self._gradients])
        )
        if not math.isfinite(length := float(norm)):
            return length
        share = largest_norm / (norm + _CLIP_GUARD)
        if share < 1.0:
            self._gradient.mul_(share)
        self._step()
        return length

    def _step(self) -> None:
        self._steps += 1
        self._weights.mul_(1.0 - self.rate * self._decay)
        self._first.lerp_(self._gradient, 1.0 - _FIRST)
        self._second.mul_(_SECOND).addcmul_(self._gradient, self._gradient, value=1.0 - _SECOND)
        spread = (self._second.sqrt() / (1.0 - _SECOND**self._steps) ** 0.5).add_(_EPSILON)
        self._weights.addcdiv_(self._first, spread, value=-(self.rate / (1.0 - _FIRST**self._steps)))


@dataclass
class Plateau:
    """Epochs without a gain, and what they do to the rate.

    torch's ReduceLROnPlateau with its default relative threshold, and no smallest step of the rate.
    """

    patience: int
    factor: float
    best: float = math.inf
    without_gain: int = 0

    def rate_after(self, loss: float, rate: float) -> float:
        """The rate of the next epoch, after an epoch's validation loss."""
        if loss < self.best * (1.0 - _GAIN):
            self.best, self.without_gain = loss, 0
        else:
            self.without_gain += 1
        if self.without_gain <= self.patience:
            return rate
        self.without_gain = 0
        return rate * self.factor
