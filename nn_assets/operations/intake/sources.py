"""The source that a strategy's settings name."""

from __future__ import annotations

from pathlib import Path

from nn_assets.features.catalogue import refuse_features_beyond
from nn_assets.operations.history import History
from nn_assets.operations.intake.intraday import PublishedIntraday
from nn_assets.settings import SourceSection, Strategy
from nn_assets.sources.protocol import Source
from nn_assets.sources.registry import SOURCES, SourceContext, source_member


def source_of(history: History, folder: Path) -> Source:
    """The source of the strategy's bars. Nothing is asked yet, and no key is read."""
    if history.strategy.intraday is not None:
        return PublishedIntraday(history)
    if history.strategy.closes_only:
        features = history.strategy.features
        refuse_features_beyond(("close",), features.names, market_symbol=features.market_symbol)
    volume = history.strategy.cleaning.traded_with_volume
    return source_named(history, folder, history.strategy.source, requires_volume=volume)


def source_named(history: History, folder: Path, settings: SourceSection, *, requires_volume: bool = False) -> Source:
    """A source by its settings, for the strategy's market. Nothing is asked yet, and no key is read."""
    built_for = SourceContext(history.strategy.market, folder, requires_volume)
    return source_member(settings.kind).build(settings, built_for)


def source_roots(strategy: Strategy) -> tuple[str, ...]:
    """The members that deliver a strategy's bars, as ``module:name``: of the registry, versions follow those alone."""
    second = strategy.market.compare_with
    kinds = dict.fromkeys((strategy.source.kind, *([] if second is None else [second.kind])))
    return tuple(str(SOURCES.own[kind]) for kind in kinds if kind in SOURCES.own)
