"""Venues by name: where accounts live that outlast a round. The package's own, and those of plug-ins.

``execution.broker`` names a member of these or of the brokers (``execution/registry.py``). A broker fills within the
round; a venue is sent to and asked by the driver of its account (``operations/accounts/``), between the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from nn_assets.errors import PluginError
from nn_assets.execution.venue import Venue
from nn_assets.plugins import Registry
from nn_assets.settings import Strategy
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section

OpenVenue = Callable[[str], Venue]
"""Opens the account of a name."""

_Open = TypeVar("_Open", bound=Callable[..., Venue])

VENUES: Registry[WithSettings[Venue]] = Registry("venue", {})
"""Every venue, by the name that ``execution.broker`` gives it."""


def register_venue(name: str, *, settings: type[Section] | None = None) -> Callable[[_Open], _Open]:
    """Register what opens an account at a venue: takes the account's name, and gives a :class:`~.venue.Venue`.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    settings : type of Section, optional
        What ``execution.broker_settings`` must be for it; their values come as a second argument.

    Raises
    ------
    PluginError
        The name is taken, by a broker too, or is not a name, or the settings are no class of fields.
    """
    from nn_assets.execution.registry import BROKERS

    if name in BROKERS.own:
        raise PluginError(
            expected="a venue of a name that is not taken",
            found=f"{name!r}, which is a broker's",
            remedy="give it another name, and name that in the strategy",
            key="plugins",
        )
    return VENUES.adding(name, lambda opener: WithSettings(opener, settings))


def venue_of(name: str, settings: Mapping[str, Any] = MappingProxyType({})) -> OpenVenue:
    """What opens accounts at the venue of a name, with what ``execution.broker_settings`` say.

    Raises
    ------
    SettingsError
        There is none, or a key or value is not as its settings say.
    """
    member, key = f"the venue {name}", "execution.broker_settings"
    return VENUES.require(name, "execution.broker").filled(settings, member=member, key=key)


def account_of(strategy: Strategy) -> str | None:
    """The account that a strategy's orders go to, by its own name; None for one whose broker fills within the round."""
    execution = strategy.execution
    return (execution.account or strategy.name) if execution.broker in VENUES else None


def ledger_name(account: str) -> str:
    """What the ledger calls an account where it calls others by the name of their strategy."""
    return f"account.{account}"  # a name with a dot is no strategy's
