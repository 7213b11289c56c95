"""Brokers by name: the package's own, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from nn_assets.costs.model import cost_model_from
from nn_assets.errors import PluginError, SettingsError
from nn_assets.execution.broker import Account, Bar, Broker, Liquidity, OpenBroker
from nn_assets.execution.orders import Orders, joined_orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.execution.venues import PORT, VENUES, venue_of
from nn_assets.plugins import Registry, place_of
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.fills import FillArrays
from nn_assets.settings import Strategy
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
        The name is taken, by a venue too, or is not a name, or the settings are no class of fields.
    """
    if name in VENUES.own:
        raise PluginError(
            expected="a broker of a name that is not taken",
            found=f"{name!r}, which is a venue's",
            remedy="give it another name, and name that in the strategy",
            key="plugins",
        )
    return BROKERS.adding(name, lambda opener: WithSettings(opener, settings))


def broker_of(name: str, settings: Mapping[str, Any] = MappingProxyType({})) -> OpenBroker:
    """What opens the broker of a name, with what ``execution.broker_settings`` say; of a venue's the paper broker.

    What a strategy of a venue did is given to its rounds (``execution/recorded.py``); what it would have done is
    filled on paper.

    Raises
    ------
    SettingsError
        There is none, or a key or value is not as its settings say.
    """
    member, key = f"the broker {name}", "execution.broker_settings"
    if name in VENUES:
        venue_of(name, settings)
        return PaperBroker
    return BROKERS.require(name, "execution.broker").filled(settings, member=member, key=key)


def require_sound_broker(strategy: Strategy) -> None:
    """Refuse a broker that cannot be opened on a flat account, or lacks or breaks a method of its port.

    It is sent a batch of no orders and asked to cancel none: what it opens may be a venue where an order costs money.

    Raises
    ------
    SettingsError
        There is none of the name, or its settings are not as it states them.
    PluginError
        With the file and the line that the fault came through.
    """
    name, symbols = strategy.execution.broker, strategy.market.symbols or ("AAA", "BBB")
    price, none = np.full(len(symbols), 50.0), joined_orders(())
    account = Account(
        strategy,
        cost_model_from(strategy.costs),
        pd.Timestamp(strategy.market.history_starts),
        Bar(price, price, price, price, np.full(len(symbols), 1e6)),
        Liquidity(np.full(len(symbols), 5e7), np.full(len(symbols), 0.02)),
        empty_book(symbols, 1e6),
    )
    opener = broker_of(name, strategy.execution.broker_settings)
    try:
        broker = opener(account)
        lacking = [method for method in PORT if not callable(getattr(broker, method, None))]
        if lacking:
            raise TypeError(f"{broker!r}, without {', '.join(lacking)}")
        broker.send(none)
        broker.cancel(())
        fills, orders, positions, cash = broker.fills(), broker.orders(), broker.positions(), broker.cash()
        if not (isinstance(fills, FillArrays) and isinstance(orders, Orders)):
            raise TypeError(f"fills as {type(fills).__name__} and orders as {type(orders).__name__}")
        if np.shape(positions) != price.shape or np.ndim(float(cash)):
            raise TypeError(f"positions of shape {np.shape(positions)} for {len(symbols)} symbols")
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:  # whatever a person's code raises
        raise PluginError(
            expected=f"a broker {name} that opens on an account and has {', '.join(PORT)}, as Broker in "
            "nn_assets/execution/broker.py says them",
            found=f"{type(error).__name__}: {error}",
            remedy="mend what opens it, or the method",
            **place_of(BROKERS[name].build, error),
            key="execution.broker",
            broker=name,
        ) from error
