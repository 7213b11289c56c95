"""What a stored cube comes from: how features follow from the facts, and the record of that beside the cube.

Each feature has a version of its own: of the code that lays out the facts, and of the functions that compute it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Cube
from nn_assets.contracts import DETAILS
from nn_assets.features.catalogue import CATALOGUE, available_features, compute_features
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.operations.asof.known_details import DETAILS_OF_BARS, detail_features
from nn_assets.operations.asof.series import OTHER_SERIES
from nn_assets.operations.asof.trading_halts import TRADING_HALTS
from nn_assets.operations.asof.universe import UNIVERSE
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.fingerprint import libraries
from nn_assets.operations.plugins import broker_roots, own_features, plugin_roots, prepare
from nn_assets.settings import Strategy
from nn_assets.versions import Root, version_of

FEATURES = "features"


_HERE = "nn_assets.operations.derived"
_FACTS = (
    "nn_assets.market.facts.actions:actions_as_of",
    "nn_assets.market.quality.unexplained_factors:with_unexplained_factors",
    "nn_assets.market.panel:panel_from_bars",
    "nn_assets.operations.asof.trading_halts:halted_as_decided",
    f"{_HERE}:prices_for_features",
)
"""What lays out the facts that every feature is computed from."""


def record_of(table: str) -> str:
    """Name of the table that says what a cube was derived from."""
    return f"{table}_record"


def made_with(facts: StoredFacts) -> str:
    """What features depend on beside the published bars, 16 hex digits: settings, axes, series and members as read."""
    strategy, lake = facts.strategy, facts.stores.lake
    beside = [lake.segments(strategy.name, table) for table in (OTHER_SERIES, UNIVERSE)]
    settings = strategy.content_hash("features", "universe", "series")
    beside += [lake.segments(strategy.name, DETAILS_OF_BARS)] * bool(detail_features(strategy))
    beside += _halts(facts)
    lag = [strategy.market.known_at_lag_minutes] if strategy.series else []  # until when a session's series are read
    return _hash((settings, _axes(facts), beside, *lag, *_mended(facts)))  # nothing more where no moment was mended


def _axes(facts: StoredFacts) -> tuple[object, ...]:
    market = facts.strategy.market
    return facts.symbols, str(facts.axis[0]), market.calendar, market.adjustment_convention


def _halts(facts: StoredFacts) -> list[tuple[str, ...]]:
    """What is stored of halts, where the strategy names any: nothing more where it does not."""
    if facts.strategy.halts is None:
        return []
    return [facts.stores.lake.segments(facts.strategy.name, TRADING_HALTS)]


def _mended(facts: StoredFacts) -> list[tuple[Any, Any]]:
    return sorted(facts.stores.ledger.mended().read_as.items())


def _hash(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def values_from(facts: StoredFacts, names: Sequence[str], data_hash: str) -> dict[str, str]:
    """What the values of each of some features follow from, but for its code, 16 hex digits.

    Which other features there are is no part of it, nor, for one that reads bars alone, what any series says.

    Parameters
    ----------
    data_hash : str
        Of the published bars.
    """
    strategy = facts.strategy
    settings = strategy.behaviour("features", "series")
    del settings["features"]["names"]
    series = settings.pop("series", None), settings["features"].pop("series", None)
    factors = settings["features"].pop("factors", ())
    computed_by = libraries("numpy", "pandas", "scipy")
    beside = *_mended(facts), *_halts(facts)
    of_bars = data_hash, settings, strategy.closes_only, _axes(facts), str(facts.axis[-1]), computed_by, *beside
    read_until = strategy.market.known_at_lag_minutes
    segments = facts.stores.lake.segments(strategy.name, OTHER_SERIES)
    of_series = of_bars, facts.sessions_per_year, series, segments, read_until
    of_bars_and_details = of_bars, facts.stores.lake.segments(strategy.name, DETAILS_OF_BARS)
    spells = facts.stores.lake.segments(strategy.name, UNIVERSE)
    of_members = of_bars, strategy.behaviour("universe"), spells, read_until

    def made_from(name: str) -> object:
        if name not in CATALOGUE:
            return of_bars
        entry = CATALOGUE[name]
        if entry.ranked:
            return of_members
        if entry.factors:
            return of_series, factors
        if entry.role:
            return of_series
        return of_bars_and_details if _reads_details(name) else of_bars

    return {name: _hash(made_from(name)) for name in names}


def _reads_details(name: str) -> bool:
    return name in CATALOGUE and not set(CATALOGUE[name].fields).isdisjoint(DETAILS)


def features_on_record(record: pd.Series) -> dict[str, dict[str, str]]:
    """What a record of a cube says of each feature: its ``code``, what its values are ``made_from``, their ``hash``.

    None where the record is of a time when all features had one version.
    """
    text = record.get("features")
    return json.loads(text) if isinstance(text, str) else {}


def feature_codes(names: Sequence[str]) -> dict[str, str]:
    """Version of the code that makes each of some features, 16 hex digits; none for one that the catalogue lacks.

    What a feature states of itself counts, too.
    """
    roots = {name: made_by for name in names if (made_by := feature_roots(name))}
    return {name: version_of(*made_by, also=CATALOGUE[name].version_inputs) for name, made_by in roots.items()}


def feature_roots(name: str) -> tuple[Root, ...]:
    """The functions that a feature is made by, from versions of bars and series on; none that the catalogue lacks."""
    if name not in CATALOGUE:
        return ()
    entry = CATALOGUE[name]
    series_roots = ("nn_assets.operations.asof.series:known_by_role",) if entry.reads_series else ()
    member_roots = ("nn_assets.operations.asof.universe:candidates_of",) if entry.ranked else ()
    detail_roots = ("nn_assets.operations.asof.known_details:details_as_of",) if _reads_details(name) else ()
    return (*_FACTS, *series_roots, *member_roots, *detail_roots, f"{_HERE}:features_of", entry.compute)


def member_roots(strategy: Strategy) -> tuple[Root, ...]:
    """The members that a strategy uses of the registries that versions do not follow: its features, and the networks.

    For all that is made of features and forecasts.
    """
    prepare(strategy)
    names, catalogue = (
        strategy.features.names or own_features(strategy),
        "nn_assets.features.catalogue.registry:STANDARD",
    )
    series_root = "nn_assets.operations.asof.series:known_by_role"
    every = () if strategy.features.names else (*_FACTS, series_root, f"{_HERE}:features_of", catalogue)
    return (*every, *(root for name in names for root in feature_roots(name)), *plugin_roots(strategy))


def trading_roots(strategy: Strategy) -> tuple[Root, ...]:
    """As :func:`member_roots`, for what trades on it: the broker, too."""
    return (*member_roots(strategy), *broker_roots(strategy.execution.broker))


def prices_for_features(panel: Panel, strategy: Strategy) -> Panel:
    """Prices that features are computed from, (bars, symbols): of total returns; of closes alone where that is all."""
    prices = panel.total_return()
    if not strategy.closes_only:
        return prices
    nothing = np.full(prices.close.shape, np.nan)  # open, high and low of closes alone are no prices of the session
    return replace(prices, open=nothing, high=nothing, low=nothing)


def feature_names(prices: Panel, strategy: Strategy, members: BoolArray | None) -> tuple[str, ...]:
    """The features that the settings name, or every one whose inputs exist, in the catalogue's order."""
    settings = strategy.features
    return settings.names or available_features(
        prices,
        market_symbol=settings.market_symbol,
        candidates=members,
        roles=settings.series,
        own=own_features(strategy),
    )


def names_code(strategy: Strategy) -> str:
    """Version of what finds the names of the features, where the settings name none."""
    name_roots = f"{_HERE}:feature_names", "nn_assets.operations.asof.universe:candidates_of"
    return "" if strategy.features.names else version_of(*name_roots, also=own_features(strategy) or None)


def features_of(
    prices: Panel,
    strategy: Strategy,
    series: Mapping[str, KnownSeries],
    sessions_per_year: int,
    names: Sequence[str],
    members: BoolArray | None = None,
) -> Cube:
    """Some features in their order, (bars, symbols, features); ``series`` as known at each session, by role.

    ``members`` are those of the universe on each session, among whom a feature that ranks does.
    """
    settings = strategy.features
    if not names:
        return Cube(prices.sessions, prices.symbols, (), np.empty((*prices.close.shape, 0)))
    return compute_features(
        prices,
        names,
        market_symbol=settings.market_symbol,
        series=series,
        factors=settings.factors,
        sessions_per_year=sessions_per_year,
        candidates=members,
        max_missing_fraction=settings.max_missing_bars_fraction,
        bridge=settings.missing_bars == "bridge",
    )
