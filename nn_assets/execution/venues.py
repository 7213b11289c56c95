"""Venues by name: where accounts live that outlast a round. The package's own, and those of plug-ins.

``execution.broker`` names a member of these or of the brokers (``execution/registry.py``). A broker fills within the
round; a venue is sent to and asked by the driver of its account (``operations/accounts/``), between the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from nn_assets.errors import PluginError, SettingsError
from nn_assets.execution.own_venues import OWN_VENUES
from nn_assets.execution.venue import Venue
from nn_assets.plugins import Registry, load, place_of
from nn_assets.settings import Strategy
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section
from nn_assets.settings.sections import BROKERS_OF_ITS_OWN

OpenVenue = Callable[[str], Venue]
"""Opens the account of a name."""

_Open = TypeVar("_Open", bound=Callable[..., Venue])
PORT = ("send", "cancel", "orders", "fills", "positions", "cash")
"""The methods of both ports: a venue's, and those of a broker."""

VENUES: Registry[WithSettings[Venue]] = Registry("venue", OWN_VENUES)
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
    if name in BROKERS_OF_ITS_OWN:
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
    """The account that a strategy's orders go to, by its own name; None for one whose broker fills within the round.

    Raises
    ------
    PluginError
        The plug-ins that may bring the venue cannot be run.
    """
    execution = strategy.execution
    if execution.broker in BROKERS_OF_ITS_OWN:
        return None
    load(strategy.plugins)
    return (execution.account or strategy.name) if execution.broker in VENUES else None


def ledger_name(account: str) -> str:
    """What the ledger calls an account where it calls others by the name of their strategy."""
    return f"account.{account}"  # a name with a dot is no strategy's


def require_sound_venue(strategy: Strategy) -> None:
    """Refuse a venue that cannot be opened, or lacks a method of its port; nothing is sent to it nor asked of it.

    Raises
    ------
    SettingsError
        There is none of the name, or its settings are not as it states them, or it refuses them itself.
    PluginError
        With the file and, where something was raised, the line that the fault came through.
    """
    name, settings = strategy.execution.broker, strategy.execution.broker_settings
    opener = venue_of(name, settings)
    try:
        venue = opener(account_of(strategy) or strategy.name)
        lacking = [method for method in PORT if not callable(getattr(venue, method, None))]
        if lacking:
            raise TypeError(f"{venue!r}, without {', '.join(lacking)}")
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:  # whatever a person's code raises
        raise PluginError(
            expected=f"a venue {name} that opens an account and has {', '.join(PORT)}, as Venue in "
            "nn_assets/execution/venue.py says them",
            found=f"{type(error).__name__}: {error}",
            remedy="mend what opens it, or the method",
            **place_of(VENUES[name].build, error),
            key="execution.broker",
            venue=name,
        ) from error
