"""The kinds of source that a strategy may name, by ``kind``: what each states of itself.

A vendor is one module of ``nn_assets/sources/vendors`` named as its kind, whose ``SOURCE`` is a member. One from
outside is registered by :func:`register_source`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

import pandas as pd

from nn_assets.contracts.frames import DeliveredSeries
from nn_assets.errors import SettingsError
from nn_assets.market.facts.bars import known_after
from nn_assets.plugins import Registry, imported, is_running
from nn_assets.settings.sections import MarketSettings
from nn_assets.settings.sources import SourceSection, name_source, source_modules
from nn_assets.sources.answers import Scope
from nn_assets.sources.protocol import Source

Settings = TypeVar("Settings", bound=SourceSection)
Delivery = Literal["bars", "actions", "known_at", "funding_rates"]
"""What a source may deliver: bars, splits and dividends, when each bar became known, funding rates."""


@dataclass(frozen=True)
class Extra:
    """An optional extra of the package, and the module that is there once it is installed."""

    name: str
    module: str


@dataclass(frozen=True)
class SourceContext:
    """What a source is built for, beside its own settings.

    Parameters
    ----------
    market : MarketSettings
    folder : Path
        That relative paths start from: the strategy's.
    requires_volume : bool
        Whether bars without a column of volume are refused.
    """

    market: MarketSettings
    folder: Path
    requires_volume: bool = False

    @property
    def scope(self) -> Scope:
        """What is asked for where a request leaves it open."""
        return Scope(self.market.calendar, self.market.symbols, self.market.history_starts)

    def known_on(self, day: pd.Timestamp) -> pd.Timestamp:
        """The moment from which a bar of a day counts as known, where neither source nor row states it."""
        return known_after(self.market.calendar, [day], self.market.known_at_lag_minutes)[0]


class FundingSource(Protocol):
    """Where funding rates of perpetuals come from."""

    @property
    def name(self) -> str:
        """Of the source."""
        ...

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        ...

    def funding_rates(
        self, symbols: tuple[str, ...] = (), first: pd.Timestamp | None = None, last: pd.Timestamp | None = None
    ) -> DeliveredSeries:
        """Deliver rates by symbol and moment, as :meth:`CcxtSource.funding_rates` does."""
        ...


@dataclass(frozen=True)
class SourceMember(Generic[Settings]):
    """One kind of source.

    Parameters
    ----------
    kind : str
        As a strategy states it.
    settings : type
        The keys of its own, a model that inherits ``SourceSection``.
    build : callable
        Makes the source of its settings and what it is built for. Nothing is asked and no key is read yet.
    label : str
        What a report says of where the bars come from.
    delivers : tuple of str
        What it delivers.
    extra : Extra, optional
        The optional extra that it needs.
    extra_of : callable, optional
        Which extra a source with some settings needs, where that depends on them.
    may_end : bool
        Whether its bars may simply end, so that a strategy on them should state ``market.history_ends``.
    simulated : bool
        Whether its market is made up, and proves nothing.
    funding : callable, optional
        Makes what asks an exchange, by its id, for funding rates; the address is None for the exchange's own.
    """

    kind: str
    settings: type[Settings]
    build: Callable[[Settings, SourceContext], Source]
    label: str
    delivers: tuple[Delivery, ...] = ("bars",)
    extra: Extra | None = None
    extra_of: Callable[[Settings], Extra | None] | None = None
    may_end: bool = False
    simulated: bool = False
    funding: Callable[[Scope, str, str | None], FundingSource] | None = None

    def needs(self, settings: Settings) -> Extra | None:
        """The optional extra that a source of some settings needs; None where there is none."""
        return self.extra if self.extra_of is None else self.extra_of(settings)


SOURCES: Registry[str | SourceMember[Any]] = Registry(
    "source", {kind: f"{module}:SOURCE" for kind, module in source_modules().items()}
)
"""Every kind of source by name; the package's own by where it stands, which is imported once it is asked for."""


def source_member(kind: str) -> SourceMember[Any]:
    """The member of a kind; its module is imported.

    Raises
    ------
    SettingsError
        There is no such kind.
    """
    member = SOURCES.require(kind, "source.kind")
    return imported(member) if isinstance(member, str) else member


def source_model(kind: str) -> type[SourceSection]:
    """The settings model of a kind of source."""
    return source_member(kind).settings


def register_source(
    kind: str,
    settings: type[Settings],
    build: Callable[[Settings, SourceContext], Source],
    *,
    label: str,
    delivers: tuple[Delivery, ...] = ("bars",),
    **more: Any,
) -> None:
    """Let strategies name a kind of source that does not come with the package.

    Registered again from the same file, as where it is read anew, the later member counts.

    Parameters
    ----------
    kind, settings, build, label, delivers, **more
        As of :class:`SourceMember`.

    Raises
    ------
    SettingsError
        The kind belongs to another, the settings model does not fit it, or it delivers what there is not.
    """
    if not delivers or not set(delivers) <= set(get_args(Delivery)):
        raise SettingsError(
            expected=f"what a source may deliver: {', '.join(get_args(Delivery))}",
            found=", ".join(delivers) or "nothing",
            remedy=f"correct delivers of register_source({kind!r}, ...)",
            key="source.kind",
            value=kind,
        )
    default = settings.model_fields["kind"].default if issubclass(settings, SourceSection) else None
    if default != kind:
        raise SettingsError(
            expected=f"settings that inherit SourceSection and state kind: Literal[{kind!r}] = {kind!r}",
            found=f"{settings.__name__} of kind {default!r}",
            remedy="give the source a kind of its own, and its settings model the same",
            key="source.kind",
            value=kind,
        )
    SOURCES.add(kind, SourceMember(kind, settings, build, label, delivers, **more), settings.__module__)
    if not is_running():  # else it is there for the strategies that name the plug-in, and for no other
        name_source(kind)
