"""The registry of networks: the package's own, and what takes in those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from nn_assets.learning.networks.lstm import LongShortTermMemory
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.plugins import Registry
from nn_assets.settings import LearningSettings
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section

Build = Callable[..., torch.nn.Module]
_Build = TypeVar("_Build", bound=Build)


def _perceptron(settings: LearningSettings, features: int) -> torch.nn.Module:
    return Perceptron(lookback=settings.lookback, features=features, **_sizes(settings))


def _lstm(settings: LearningSettings, features: int) -> torch.nn.Module:
    return LongShortTermMemory(features=features, **_sizes(settings))


def _sizes(settings: LearningSettings) -> dict[str, Any]:
    return {"hidden": settings.hidden, "layers": settings.layers, "dropout": settings.dropout}


NETWORKS: Registry[WithSettings[torch.nn.Module]] = Registry(
    "network", {"lstm": WithSettings(_lstm), "mlp": WithSettings(_perceptron)}
)
"""Every kind of network, by the name that ``learning.network`` gives it."""


def register_network(name: str, *, settings: type[Section] | None = None) -> Callable[[_Build], _Build]:
    """Register a function as the one that builds a kind of network, by a name that no other has.

    It takes the learning settings and the number of features, and gives fresh layers, by torch's global generator: they
    take (batch, lookback, features), float32, and give one logit a row, (batch,).

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    settings : type of Section, optional
        What ``learning.network_settings`` must be for it; their values come as a third argument.

    Raises
    ------
    PluginError
        The name is taken, or is not a name, or the settings are no class of fields.
    """

    def register(build: _Build) -> _Build:
        NETWORKS.add(name, WithSettings(build, settings), getattr(build, "__module__", __name__))
        return build

    return register


def network_of(name: str) -> WithSettings[torch.nn.Module]:
    """The kind of network of a name.

    Raises
    ------
    SettingsError
        There is none.
    """
    return NETWORKS.require(name, "learning.network")


def builder_of(learning: LearningSettings) -> Build:
    """What builds the network, with what ``learning.network_settings`` say.

    Raises
    ------
    SettingsError
        There is no such network, a key or value is not as its settings say, or it has none and some are stated.
    """
    member, key = f"the network {learning.network}", "learning.network_settings"
    return network_of(learning.network).filled(learning.network_settings, member=member, key=key)
