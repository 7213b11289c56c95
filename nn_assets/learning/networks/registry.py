"""The registry of networks: the package's own, and what takes in those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from nn_assets.learning.networks.candlestick import ImageSettings, build_candlestick
from nn_assets.learning.networks.mlp import build_mlp
from nn_assets.learning.networks.recurrent import build_gru, build_lstm, build_rnn
from nn_assets.learning.networks.tcn import ConvolutionSettings, build_tcn
from nn_assets.learning.networks.transformer import AttentionSettings, build_transformer
from nn_assets.plugins import Registry
from nn_assets.settings import LearningSettings
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section

Build = Callable[..., torch.nn.Module]
_Build = TypeVar("_Build", bound=Build)


NETWORKS: Registry[WithSettings[torch.nn.Module]] = Registry(
    "network",
    {
        "candlestick": WithSettings(build_candlestick, ImageSettings),
        "gru": WithSettings(build_gru),
        "lstm": WithSettings(build_lstm),
        "mlp": WithSettings(build_mlp),
        "rnn": WithSettings(build_rnn),
        "tcn": WithSettings(build_tcn, ConvolutionSettings),
        "transformer": WithSettings(build_transformer, AttentionSettings),
    },
)
"""Every kind of network, by the name that ``learning.network`` gives it."""


def register_network(name: str, *, settings: type[Section] | None = None) -> Callable[[_Build], _Build]:
    """Register a function as the one that builds a kind of network, by a name that no other has.

    It takes the learning settings and the number of features, and gives fresh layers, by torch's global generator: they
    take (batch, lookback, features), float32, and give one logit a row, (batch,). Layers that have a method
    ``set_inputs`` are handed the names of the features and their scaler before they are trained.

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
    return NETWORKS.adding(name, lambda build: WithSettings(build, settings))


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
