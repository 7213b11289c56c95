"""The catalogue: the package's own features, and what takes in those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nn_assets.contracts import DETAILS
from nn_assets.errors import PluginError
from nn_assets.features.catalogue.beside_bars import BESIDE_BARS
from nn_assets.features.catalogue.candles import CANDLES
from nn_assets.features.catalogue.cross_market import CROSS_MARKET
from nn_assets.features.catalogue.definition import Feature, Formula
from nn_assets.features.catalogue.factors import FACTORS
from nn_assets.features.catalogue.odds import ODDS
from nn_assets.features.catalogue.own_series import feature_of_own_series
from nn_assets.features.catalogue.profile import PROFILE
from nn_assets.features.catalogue.ranks import RANKS
from nn_assets.features.catalogue.returns import RETURNS
from nn_assets.features.catalogue.series import SERIES
from nn_assets.features.catalogue.spreads import SPREADS
from nn_assets.features.catalogue.trend import TREND
from nn_assets.features.catalogue.volatility import VOLATILITY
from nn_assets.features.catalogue.volume import VOLUME
from nn_assets.features.catalogue.vwap_and_spreads import OF_DETAILS
from nn_assets.market.panel import FIELDS
from nn_assets.plugins import Registry

_Formula = TypeVar("_Formula", bound=Formula)

_STANDARD = (*RETURNS, *VOLATILITY, *VOLUME, *TREND, *CROSS_MARKET, *BESIDE_BARS)
_ON_REQUEST = (*CANDLES, *SPREADS, *PROFILE, *SERIES, *OF_DETAILS, *RANKS, *FACTORS, *ODDS)

STANDARD: Registry[Feature] = Registry("standard feature", {entry.name: entry for entry in _STANDARD})
"""What a strategy that names no features has, in the order of its cube. What the catalogue gets later is not added
here, so that an upgrade changes no strategy's inputs: a strategy names it."""

CATALOGUE: Registry[Feature] = Registry(
    "feature", {entry.name: entry for entry in (*_STANDARD, *_ON_REQUEST)}, by_pattern=feature_of_own_series
)
"""Every feature by name; those of a strategy's own series are had by their names, and not listed."""


def register_feature(
    name: str,
    *,
    reach_sessions: int,
    fields: Sequence[str] = ("close",),
    needs_market: bool = False,
    role: str = "",
    ranked: bool = False,
    group: str = "own",
    formula: str = "",
    source: str = "",
) -> Callable[[_Formula], _Formula]:
    """Register a function as a feature, by a name that no other has; what it states is that of :class:`Feature`.

    Parameters
    ----------
    name : str
        A plain text, so that it can be read without running the file.
    reach_sessions : int
        Bars before its own that a value needs: a mean of 20 closes has 19.
    fields : sequence of str
        Of ``open``, ``high``, ``low``, ``close`` and ``volume``, and of ``DETAILS``, those that it reads.
    needs_market, role, ranked, group, formula, source
        As of :class:`Feature`.

    Raises
    ------
    PluginError
        The name is taken, or is not a name; the reach is negative; a field is not one of a bar.

    Examples
    --------
    >>> @register_feature("gap", reach_sessions=1, fields=("open", "close"))  # doctest: +SKIP
    ... def gap(panel, context):
    ...     return panel.open / lagged(panel.close, 1) - 1.0
    """
    unknown = sorted(set(fields) - {*FIELDS, *DETAILS})
    if unknown or not fields or reach_sessions < 0:
        raise PluginError(
            expected=f"a reach of zero or more sessions, and fields among {', '.join((*FIELDS, *DETAILS))}",
            found=f"reach_sessions {reach_sessions}, fields {', '.join(fields) or 'none'}",
            remedy=f"correct what register_feature({name!r}, ...) states",
            key="plugins",
            feature=name,
        )
    return CATALOGUE.adding(
        name,
        lambda compute: Feature(
            name, group, reach_sessions, compute, formula, tuple(fields), source, needs_market, role, ranked=ranked
        ),
    )
