"""Networks: layers only. Each takes (batch, lookback, features) and gives one logit a row, (batch,)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nn_assets.learning.networks.lstm import LongShortTermMemory
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.learning.networks.residual import Residual
from nn_assets.settings import LearningSettings

__all__ = ["LongShortTermMemory", "Perceptron", "Residual", "build_network", "forward_and_back"]


def build_network(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a fresh network of the kind that ``settings`` name, by torch's global generator."""
    network = _alone(settings, features)
    return Residual(network, features) if settings.residual else network


def _alone(settings: LearningSettings, features: int) -> torch.nn.Module:
    shape = {"hidden": settings.hidden, "layers": settings.layers}
    if settings.network == "lstm":
        return LongShortTermMemory(features=features, dropout=settings.dropout, **shape)
    return Perceptron(lookback=settings.lookback, features=features, dropout=settings.dropout, **shape)


def forward_and_back(
    network: torch.nn.Module,
) -> Callable[[torch.Tensor], tuple[torch.Tensor, Callable[[torch.Tensor], None]]] | None:
    """A network's own way to logits and back, see :meth:`Perceptron.forward_and_back`; None: autograd's is needed."""
    alone = network.network if isinstance(network, Residual) else network
    if isinstance(alone, Perceptron):
        return network.forward_and_back  # type: ignore[return-value]
    return None
