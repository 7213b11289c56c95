"""The registry of networks: the package's own, and what takes in those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from nn_assets.errors import PluginError
from nn_assets.learning.networks.lstm import LongShortTermMemory
from nn_assets.learning.networks.mlp import Perceptron
from nn_assets.plugins import Registry
from nn_assets.settings import LearningSettings
from nn_assets.settings.own import section_of
from nn_assets.settings.section import Section

__all__ = ["NETWORKS", "Network", "network_of", "register_network", "settings_of_its_own"]

Build = Callable[..., torch.nn.Module]
_Build = TypeVar("_Build", bound=Build)


@dataclass(frozen=True)
class Network:
    """One kind of network.

    Parameters
    ----------
    build : callable
        From the learning settings and the number of features to fresh layers, by torch's global generator: they take
        (batch, lookback, features), float32, and give one logit a row, (batch,). With ``settings``, their values come
        as a third argument.
    settings : type of Section, optional
        What ``learning.network_settings`` must be for it.
    """

    build: Build
    settings: type[Section] | None = None

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of a model made with it covers."""
        return (self.build,) if self.settings is None else (self.build, self.settings)


def _perceptron(settings: LearningSettings, features: int) -> torch.nn.Module:
    return Perceptron(lookback=settings.lookback, features=features, **_sizes(settings))


def _lstm(settings: LearningSettings, features: int) -> torch.nn.Module:
    return LongShortTermMemory(features=features, **_sizes(settings))


def _sizes(settings: LearningSettings) -> dict[str, Any]:
    return {"hidden": settings.hidden, "layers": settings.layers, "dropout": settings.dropout}


NETWORKS: Registry[Network] = Registry("network", {"lstm": Network(_lstm), "mlp": Network(_perceptron)})
"""Every kind of network, by the name that ``learning.network`` gives it."""


def register_network(name: str, *, settings: type[Section] | None = None) -> Callable[[_Build], _Build]:
    """Register a function as the one that builds a kind of network, by a name that no other has; see :class:`Network`.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    settings : type of Section, optional
        Its own settings, with their defaults.

    Raises
    ------
    PluginError
        The name is taken, or is not a name.
    """
    if settings is not None and not (isinstance(settings, type) and issubclass(settings, Section)):
        raise PluginError(
            expected="settings of a network as a class that extends nn_assets.settings.section.Section",
            found=repr(settings),
            remedy="derive the class from it: frozen, and unknown keys refused",
            key="plugins",
            value=name,
        )

    def register(build: _Build) -> _Build:
        NETWORKS.add(name, Network(build, settings), getattr(build, "__module__", __name__))
        return build

    return register


def network_of(name: str) -> Network:
    """The kind of network of a name.

    Raises
    ------
    SettingsError
        There is none.
    """
    return NETWORKS.require(name, "learning.network")


def settings_of_its_own(learning: LearningSettings) -> Section | None:
    """What ``learning.network_settings`` says, as the network's own settings; None for a network that has none.

    Raises
    ------
    SettingsError
        There is no such network, a key or value is not as its settings say, or it has none and some are stated.
    """
    member, key = f"the network {learning.network}", "learning.network_settings"
    return section_of(network_of(learning.network).settings, learning.network_settings, member=member, key=key)
