"""Brokers by name: the package's own, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nn_assets.execution.broker import OpenBroker
from nn_assets.execution.paper import PaperBroker
from nn_assets.plugins import Registry

__all__ = ["BROKERS", "broker_of", "register_broker"]

_Open = TypeVar("_Open", bound=OpenBroker)

BROKERS: Registry[OpenBroker] = Registry("broker", {"paper": PaperBroker})
"""Every broker, by the name that ``execution.broker`` gives it."""


def register_broker(name: str) -> Callable[[_Open], _Open]:
    """Register what opens a broker on an account: a function, or the class of a :class:`~.broker.Broker`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name.
    """

    def register(opener: _Open) -> _Open:
        BROKERS.add(name, opener, getattr(opener, "__module__", __name__))
        return opener

    return register


def broker_of(name: str) -> OpenBroker:
    """What opens the broker of a name.

    Raises
    ------
    SettingsError
        There is none.
    """
    return BROKERS.require(name, "execution.broker")
