"""Networks: layers only. Each takes (batch, lookback, features) and gives one logit a row, (batch,)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch

from nn_assets.learning.networks.lstm import LongShortTermMemory
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.learning.networks.residual import Residual
from nn_assets.settings import LearningSettings
from nn_assets.versions import Registry

__all__ = ["NETWORKS", "LongShortTermMemory", "Perceptron", "Residual", "build_network", "forward_and_back"]


def build_network(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a fresh network of the kind that ``settings`` name, by torch's global generator."""
    network = NETWORKS[settings.network](settings, features)
    return Residual(network, features) if settings.residual else network


def forward_and_back(
    network: torch.nn.Module,
) -> Callable[[torch.Tensor], tuple[torch.Tensor, Callable[[torch.Tensor], None]]] | None:
    """A network's own way to logits and back, see :meth:`Perceptron.forward_and_back`; None: autograd's is needed."""
    alone = network.network if isinstance(network, Residual) else network
    return getattr(network, "forward_and_back", None) if hasattr(alone, "forward_and_back") else None


def _perceptron(settings: LearningSettings, features: int) -> torch.nn.Module:
    return Perceptron(lookback=settings.lookback, features=features, **_sizes(settings))


def _lstm(settings: LearningSettings, features: int) -> torch.nn.Module:
    return LongShortTermMemory(features=features, **_sizes(settings))


def _sizes(settings: LearningSettings) -> dict[str, Any]:
    return {"hidden": settings.hidden, "layers": settings.layers, "dropout": settings.dropout}


NETWORKS: Registry[Callable[[LearningSettings, int], torch.nn.Module]] = MappingProxyType(
    {"mlp": _perceptron, "lstm": _lstm}
)
"""What builds each kind of network, by the name that ``learning.network`` gives it."""
