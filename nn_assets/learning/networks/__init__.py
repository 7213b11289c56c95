"""Networks: layers only. Each takes (batch, lookback, features) and gives one logit a row, (batch,)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nn_assets.errors import SettingsError
from nn_assets.features.scaling import Scaler
from nn_assets.learning.networks.candlestick import levels_read
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.learning.networks.registry import (
    NETWORKS,
    builder_of,
    network_of,
    register_network,
)
from nn_assets.learning.networks.residual import Residual
from nn_assets.settings import LearningSettings

__all__ = [
    "NETWORKS",
    "Perceptron",
    "Residual",
    "build_network",
    "builder_of",
    "forward_and_back",
    "has_steps",
    "levels_read",
    "network_of",
    "register_network",
    "set_inputs",
]


def build_network(settings: LearningSettings, features: int) -> torch.nn.Module:
    """Build a fresh network of the kind that ``settings`` name, by torch's global generator.

    Raises
    ------
    SettingsError
        There is no such kind, its own settings are not as it states them, or it has no output at each step where
        ``dense_targets`` asks for one.
    """
    network = builder_of(settings)(settings, features)
    if settings.dense_targets and not hasattr(network, "steps"):
        raise SettingsError(
            expected="a network with an output at each step, for learning.dense_targets: rnn, lstm, gru, tcn, or one "
            "with a method `steps`",
            found=settings.network,
            remedy="leave learning.dense_targets out, or choose one of these",
            key="learning.dense_targets",
        )
    return Residual(network, features) if settings.residual else network


def has_steps(settings: LearningSettings, features: int) -> bool:
    """Whether the network that ``settings`` name has an output at each step, for dense targets."""
    return hasattr(builder_of(settings)(settings, features), "steps")


def set_inputs(network: torch.nn.Module, names: Sequence[str], scaler: Scaler | None) -> None:
    """Hand a network the names of its features and their scaler, where it has a ``set_inputs`` that takes them.

    What it keeps of them in its buffers is stored with its weights.
    """
    alone = network.network if isinstance(network, Residual) else network
    if scaler is not None and hasattr(alone, "set_inputs"):
        alone.set_inputs(names, scaler)  # type: ignore[operator]


def forward_and_back(
    network: torch.nn.Module,
) -> Callable[[torch.Tensor], tuple[torch.Tensor, Callable[[torch.Tensor], None]]] | None:
    """A network's own way to logits and back, see :meth:`Perceptron.forward_and_back`; None: autograd's is needed."""
    alone = network.network if isinstance(network, Residual) else network
    return getattr(network, "forward_and_back", None) if hasattr(alone, "forward_and_back") else None
