"""Limits on what the names of a book share: the package's own, and those that plug-ins bring beside them.

A limit bounds a sum over names: of sizes (sum of coefficient x |w|), or a net sum (|sum of coefficient x w|). Both
constructions keep to all of them, and the trace names one where it binds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from nn_assets.arrays import FloatArray, Symbol
from nn_assets.errors import PluginError
from nn_assets.plugins import Registry, place_of
from nn_assets.portfolio.constraints import SharedLimit
from nn_assets.portfolio.exposure import net_allowance
from nn_assets.settings import PortfolioSettings
from nn_assets.settings.own import section_of
from nn_assets.settings.section import Section


@dataclass(frozen=True, eq=False)
class BookFacts:
    """What a limit may know of a session's book; arrays of shape (symbols,).

    Attributes
    ----------
    symbols : in order
    risk_distance : fraction of the price that risk is measured by; 0 where it is not known
    market_beta : 1 where it is not known
    equity_usd : may be 0 or less
    groups : by behaviour, a name's own or empty; None where the settings do not ask for them
    greeks : by name, dollars of each for a dollar of each instrument; None where the settings limit none
    """

    symbols: tuple[Symbol, ...]
    risk_distance: FloatArray
    market_beta: FloatArray
    equity_usd: float
    groups: tuple[str, ...] | None = None
    greeks: Mapping[str, FloatArray] | None = None


_TAKEN = re.compile("gross|capacity|risk|net|beta|(sector|group) .*", re.DOTALL)
Sum = tuple[FloatArray, float]
Limit = Callable[..., Sum | Mapping[str, Sum]]
_Limit = TypeVar("_Limit", bound=Limit)


@dataclass(frozen=True)
class Constraint:
    """One kind of limit.

    Parameters
    ----------
    limit : callable
        From the facts, and the settings of its own if it has some, to coefficients (symbols,) and the most that their
        sum may come to, a fraction of capital. A mapping from names to such pairs bounds several sums.
    net : bool
        Whether it bounds a net sum; coefficients of sizes are not negative.
    settings : type of Section, optional
        What ``portfolio.constraints`` must say of it; the package's own read the keys of ``portfolio``.
    """

    limit: Limit
    net: bool = False
    settings: type[Section] | None = None

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of a decision covers: its code, its settings, and whether it bounds a net sum."""
        limit = partial(self.limit, net=self.net)  # never called: what a root is given counts
        return (limit,) if self.settings is None else (limit, self.settings)


def _gross(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    """All sizes, or in dollars the strategy's capacity where that is less."""
    everyone, gross, capacity = np.ones(len(facts.symbols)), settings.gross_limit, settings.capacity_usd
    if capacity is not None and capacity < gross * facts.equity_usd:
        return {"capacity": (everyone, capacity / facts.equity_usd)}
    return {"gross": (everyone, gross)}


def _risk(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    return {"risk": (facts.risk_distance, settings.risk_total_fraction)}


def _sectors(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    """Names of one sector together; those without one, of one group."""
    sectors = [settings.sectors.get(symbol, "") for symbol in facts.symbols]
    kinds = [f"sector {sector}" if sector else "" for sector in sectors]
    if facts.groups is not None:
        kinds = [kind or (f"group {group}" if group else "") for kind, group in zip(kinds, facts.groups, strict=True)]
    return {
        kind: (np.array([name == kind for name in kinds], dtype=np.float64), settings.sector_limit)
        for kind in sorted(set(kinds) - {""})
    }


def _net(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    return {"net": (np.ones(len(facts.symbols)), net_allowance(settings.net_limit))}


def _beta(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    return {"beta": (facts.market_beta, settings.beta_limit)}


def _greeks(facts: BookFacts, settings: PortfolioSettings) -> Mapping[str, Sum]:
    """What the instruments that carry Greeks do to the book together; nothing where none is limited."""
    if settings.greeks is None or facts.greeks is None:
        return {}
    return {name: (facts.greeks[name], limit) for name, limit in settings.greeks.limits.items()}


# Every book keeps to all of the package's own: unlike those of other registries, versions of code follow them.
CONSTRAINTS = Registry[Constraint](
    "constraint",
    {
        "gross_limit": Constraint(_gross, settings=PortfolioSettings),
        "risk_total_fraction": Constraint(_risk, settings=PortfolioSettings),
        "sector_limit": Constraint(_sectors, settings=PortfolioSettings),
        "net_limit": Constraint(_net, net=True, settings=PortfolioSettings),
        "beta_limit": Constraint(_beta, net=True, settings=PortfolioSettings),
        "greeks": Constraint(_greeks, net=True, settings=PortfolioSettings),
    },
)
"""Every kind of limit: the package's own by the key of ``portfolio`` that says it, and what plug-ins register."""


def register_constraint(
    name: str, *, net: bool = False, settings: type[Section] | None = None
) -> Callable[[_Limit], _Limit]:
    """Register a function as a limit on a book, by a name that no other has; see :class:`Constraint`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name.
    """
    return CONSTRAINTS.adding(name, lambda limit: Constraint(limit, net, settings))


def shared_limits(
    facts: BookFacts, settings: PortfolioSettings
) -> tuple[tuple[SharedLimit, ...], tuple[SharedLimit, ...]]:
    """Every limit of a book on sizes, and on net sums: the package's own, then those of ``portfolio.constraints``.

    Raises
    ------
    SettingsError, PluginError
        As :func:`own_limits`.
    """
    return _limits((*CONSTRAINTS.own, *settings.constraints), facts, settings)


def own_limits(
    facts: BookFacts, settings: PortfolioSettings
) -> tuple[tuple[SharedLimit, ...], tuple[SharedLimit, ...]]:
    """Limits of ``portfolio.constraints`` on sizes, and on net sums.

    Raises
    ------
    SettingsError
        The settings of a constraint are not as it states them.
    PluginError
        It gives no coefficients of the shape (symbols,), none that are finite, or a negative limit; no sum at all, or
        one by a name that another limit has.
    """
    return _limits(settings.constraints, facts, settings)


def _limits(
    names: Iterable[str], facts: BookFacts, settings: PortfolioSettings
) -> tuple[tuple[SharedLimit, ...], tuple[SharedLimit, ...]]:
    limits = [(name, limit) for name in names for limit in _limits_of(name, facts, settings)]
    first = {limit.name: name for name, limit in reversed(limits)}
    for name, limit in limits:
        if first[limit.name] != name:
            raise _named_twice(name, limit.name, f"the constraint {first[limit.name]}")
    nets = [CONSTRAINTS[name].net for name, _ in limits]
    return (
        tuple(limit for net, (_, limit) in zip(nets, limits, strict=True) if not net),
        tuple(limit for net, (_, limit) in zip(nets, limits, strict=True) if net),
    )


def _named_twice(name: str, sum_name: str, other: str) -> PluginError:
    return PluginError(
        expected=f"of the constraint {name} sums by names that no other limit has",
        found=f"{sum_name!r}, which is a name of {other}",
        remedy="give the sum another name",
        **place_of(CONSTRAINTS[name].limit),
        key="plugins",
        constraint=name,
    )


def _limits_of(name: str, facts: BookFacts, settings: PortfolioSettings) -> list[SharedLimit]:
    entry, member = CONSTRAINTS[name], f"the constraint {name}"
    if name in CONSTRAINTS.own:
        return _sums(name, entry.limit(facts, settings))
    own = section_of(entry.settings, settings.constraints[name], member=member, key="portfolio.constraints")
    facts_copy = replace(facts, risk_distance=facts.risk_distance.copy(), market_beta=facts.market_beta.copy())
    try:
        limits = _sums(name, entry.limit(facts_copy) if own is None else entry.limit(facts_copy, own))
        if not limits:
            raise ValueError("an empty mapping, which bounds nothing")
    except (Exception, SystemExit) as error:  # whatever a person's function raises
        raise PluginError(
            expected=f"of the constraint {name} coefficients of {len(facts.symbols)} names and a limit",
            found=f"{type(error).__name__}: {error}",
            remedy="let its function return (one coefficient a name, as an array; the limit, a number)",
            **place_of(entry.limit, error),
            key="plugins",
            constraint=name,
        ) from error
    for limit in limits:
        if _TAKEN.fullmatch(limit.name):
            raise _named_twice(name, limit.name, "the package's own")
        _require_sound(limit, name, facts, -np.inf if entry.net else 0.0)
    return limits


def _sums(name: str, answer: object) -> list[SharedLimit]:
    sums = answer if isinstance(answer, Mapping) else {name: answer}
    return [SharedLimit(str(sum_name), *_pair(raw)) for sum_name, raw in sums.items()]


def _pair(raw: object) -> tuple[FloatArray, float]:
    if not isinstance(raw, tuple) or len(raw) != 2:
        raise TypeError(f"{raw!r}, which is no pair of them")
    return np.asarray(raw[0], dtype=np.float64), float(raw[1])


def _require_sound(limit: SharedLimit, name: str, facts: BookFacts, least: float) -> None:
    coefficient = limit.coefficient
    sound = coefficient.shape == (len(facts.symbols),) and bool(np.isfinite(coefficient).all())
    if not sound or (coefficient < least).any() or not (np.isfinite(limit.limit) and limit.limit >= 0.0):
        raise PluginError(
            expected=f"of the constraint {name} a finite{'' if least < 0.0 else ', not negative'} coefficient of each "
            f"of {len(facts.symbols)} names, and a limit of 0 or more",
            found=f"coefficients {coefficient.tolist()}, limit {limit.limit}",
            remedy="mend its function",
            **place_of(CONSTRAINTS[name].limit),
            key="plugins",
            constraint=name,
        )


def require_sound_constraint(name: str, settings: PortfolioSettings) -> None:
    """Refuse a constraint that breaks its contract on books that are made up.

    Raises
    ------
    SettingsError, PluginError
        As :func:`own_limits`; or it says something else of the same book, or of its names in another order.
    """
    facts = BookFacts(
        ("AAA", "BBB", "CCC", "DDD"), np.array([0.02, 0.0, 0.1, 0.05]), np.array([1.0, -0.2, 2.0, 0.8]), 1e6
    )
    turned = replace(
        facts,
        symbols=facts.symbols[::-1],
        risk_distance=facts.risk_distance[::-1],
        market_beta=facts.market_beta[::-1],
    )
    for book in (facts, replace(facts, equity_usd=0.0)):
        own_limits(book, settings)  # names, those of the others among them
        first, second, other = (
            {limit.name: (limit.coefficient[::way].tolist(), limit.limit) for limit in _limits_of(name, of, settings)}
            for of, way in ((book, 1), (book, 1), (replace(turned, equity_usd=book.equity_usd), -1))
        )
        if not first == second == other:
            raise PluginError(
                expected=f"of the constraint {name} the same of the same book, in whatever order its names are",
                found=f"coefficients and limits {first}, {second} and {other}",
                remedy="mend its function",
                **place_of(CONSTRAINTS[name].limit),
                key="plugins",
                constraint=name,
            )


def constraint_roots(settings: PortfolioSettings) -> tuple[Callable[..., Any], ...]:
    """What the version of a decision covers of the constraints that it keeps to."""
    return tuple(root for name in settings.constraints for root in CONSTRAINTS[name].roots)
