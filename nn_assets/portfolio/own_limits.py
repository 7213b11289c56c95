"""Limits that plug-ins bring to the sizing of a book, beside those of the settings.

A limit bounds a sum over names: of sizes (sum of coefficient x |w|), or a net sum (|sum of coefficient x w|). Both
constructions keep to it as to gross, sectors or beta, and the trace names it where it binds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nn_assets.errors import PluginError
from nn_assets.plugins import Registry, place_of
from nn_assets.portfolio.constraints import SharedLimit
from nn_assets.settings import PortfolioSettings
from nn_assets.settings.own import section_of
from nn_assets.settings.section import Section

__all__ = [
    "CONSTRAINTS",
    "BookFacts",
    "Constraint",
    "constraint_roots",
    "own_limits",
    "register_constraint",
    "require_constraints",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BookFacts:
    """What a limit may know of a session's book; arrays of shape (symbols,).

    Attributes
    ----------
    symbols : in order
    risk_distance : fraction of the price that risk is measured by; 0 where it is not known
    market_beta : 1 where it is not known
    equity_usd : may be 0 or less
    """

    symbols: tuple[str, ...]
    risk_distance: FloatArray
    market_beta: FloatArray
    equity_usd: float


Limit = Callable[..., tuple[FloatArray, float]]
_Limit = TypeVar("_Limit", bound=Limit)


@dataclass(frozen=True)
class Constraint:
    """One kind of limit.

    Parameters
    ----------
    limit : callable
        From the facts, and the settings of its own if it has some, to coefficients (symbols,) and the most that their
        sum may come to, a fraction of capital.
    net : bool
        Whether it bounds a net sum; coefficients of sizes are not negative.
    settings : type of Section, optional
        What ``portfolio.constraints`` must say of it.
    """

    limit: Limit
    net: bool = False
    settings: type[Section] | None = None

    @property
    def roots(self) -> tuple[Callable[..., Any], ...]:
        """What the version of a decision covers: its code, its settings, and whether it bounds a net sum."""
        limit = partial(self.limit, net=self.net)  # never called: what a root is given counts
        return (limit,) if self.settings is None else (limit, self.settings)


CONSTRAINTS: Registry[Constraint] = Registry("constraint", {})
"""Every kind of limit that ``portfolio.constraints`` may name."""


def register_constraint(
    name: str, *, net: bool = False, settings: type[Section] | None = None
) -> Callable[[_Limit], _Limit]:
    """Register a function as a limit on a book, by a name that no other has; see :class:`Constraint`.

    Raises
    ------
    PluginError
        The name is taken, or is none.
    """

    def register(limit: _Limit) -> _Limit:
        CONSTRAINTS.add(name, Constraint(limit, net, settings), getattr(limit, "__module__", __name__))
        return limit

    return register


def own_limits(
    facts: BookFacts, settings: PortfolioSettings
) -> tuple[tuple[SharedLimit, ...], tuple[SharedLimit, ...]]:
    """Limits of ``portfolio.constraints`` on sizes, and on net sums.

    Raises
    ------
    SettingsError
        The settings of a constraint are not as it states them.
    PluginError
        It gives no coefficients of the shape (symbols,), none that are finite, or a negative limit.
    """
    limits = [(CONSTRAINTS[name].net, _limit(name, facts, settings)) for name in settings.constraints]
    return tuple(limit for net, limit in limits if not net), tuple(limit for net, limit in limits if net)


def _limit(name: str, facts: BookFacts, settings: PortfolioSettings) -> SharedLimit:
    entry, member = CONSTRAINTS[name], f"the constraint {name}"
    own = section_of(entry.settings, settings.constraints[name], member=member, key="portfolio.constraints")
    facts_copy = replace(facts, risk_distance=facts.risk_distance.copy(), market_beta=facts.market_beta.copy())
    try:
        answer = entry.limit(facts_copy) if own is None else entry.limit(facts_copy, own)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(f"{answer!r}, which is no pair of them")
        raw_coefficient, raw_limit = answer
        coefficient, limit = np.asarray(raw_coefficient, dtype=np.float64), float(raw_limit)
    except (Exception, SystemExit) as error:  # whatever a person's function raises
        raise PluginError(
            expected=f"of the constraint {name} coefficients of {len(facts.symbols)} names and a limit",
            found=f"{type(error).__name__}: {error}",
            remedy="let its function return (one coefficient a name, as an array; the limit, a number)",
            **place_of(entry.limit, error),
            key="plugins",
            constraint=name,
        ) from error
    least = -np.inf if entry.net else 0.0
    sound = coefficient.shape == (len(facts.symbols),) and bool(np.isfinite(coefficient).all())
    if not sound or (coefficient < least).any() or not (np.isfinite(limit) and limit >= 0.0):
        raise PluginError(
            expected=f"of the constraint {name} a finite{'' if entry.net else ', not negative'} coefficient of each of "
            f"{len(facts.symbols)} names, and a limit of 0 or more",
            found=f"coefficients {coefficient.tolist()}, limit {limit}",
            remedy="mend its function",
            **place_of(entry.limit),
            key="plugins",
            constraint=name,
        )
    return SharedLimit(name, coefficient, limit)


def require_constraints(settings: PortfolioSettings) -> None:
    """Refuse constraints that break their contract on books that are made up.

    Raises
    ------
    SettingsError, PluginError
        As :func:`own_limits`; or a constraint says something else of the same book, or of its names in another order.
    """
    for name in settings.constraints:
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
            first, second = _limit(name, book, settings), _limit(name, book, settings)
            turned_limit = _limit(name, replace(turned, equity_usd=book.equity_usd), settings)
            if (
                not np.array_equal(first.coefficient, second.coefficient)
                or not np.array_equal(first.coefficient, turned_limit.coefficient[::-1])
                or not first.limit == second.limit == turned_limit.limit
            ):
                raise PluginError(
                    expected=f"of the constraint {name} the same of the same book, in whatever order its names are",
                    found=f"{first.coefficient.tolist()} and {turned_limit.coefficient[::-1].tolist()}, "
                    f"limits {first.limit}, {second.limit} and {turned_limit.limit}",
                    remedy="mend its function",
                    **place_of(CONSTRAINTS[name].limit),
                    key="plugins",
                    constraint=name,
                )


def constraint_roots(settings: PortfolioSettings) -> tuple[Callable[..., Any], ...]:
    """What the version of a decision covers of the constraints that it keeps to."""
    return tuple(root for name in settings.constraints for root in CONSTRAINTS[name].roots)
