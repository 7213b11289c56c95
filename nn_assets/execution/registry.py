"""Brokers by name: the package's own, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from nn_assets.execution.broker import Broker, OpenBroker
from nn_assets.execution.paper import PaperBroker
from nn_assets.plugins import Registry
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section

_Open = TypeVar("_Open", bound=Callable[..., Broker])

BROKERS: Registry[WithSettings[Broker]] = Registry("broker", {"paper": WithSettings(PaperBroker)})
"""Every broker, by the name that ``execution.broker`` gives it."""


def register_broker(name: str, *, settings: type[Section] | None = None) -> Callable[[_Open], _Open]:
    """Register what opens a broker on an account: a function, or the class of a :class:`~.broker.Broker`.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    settings : type of Section, optional
        What ``execution.broker_settings`` must be for it; their values come as a second argument.

    Raises
    ------
    PluginError
        The name is taken, or is not a name, or the settings are no class of fields.
    """

    def register(opener: _Open) -> _Open:
        BROKERS.add(name, WithSettings(opener, settings), getattr(opener, "__module__", __name__))
        return opener

    return register


def broker_of(name: str, settings: Mapping[str, Any] = MappingProxyType({})) -> OpenBroker:
    """What opens the broker of a name, with what ``execution.broker_settings`` say.

    Raises
    ------
    SettingsError
        There is none, or a key or value is not as its settings say.
    """
    member, key = f"the broker {name}", "execution.broker_settings"
    return BROKERS.require(name, "execution.broker").filled(settings, member=member, key=key)
