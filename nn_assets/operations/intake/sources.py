"""The source that a strategy's settings name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from nn_assets.features.catalogue import refuse_features_beyond
from nn_assets.market.facts.bars import known_after
from nn_assets.operations.history import History
from nn_assets.operations.intake.intraday import PublishedIntraday
from nn_assets.settings.sources import (
    AlpacaSettings,
    CcxtSettings,
    FilesSettings,
    MassiveSettings,
    SimulatorSettings,
    SourceSettings,
    SqlSettings,
    YfinanceSettings,
)
from nn_assets.sources.answers import Scope
from nn_assets.sources.bundled import BundledSource
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.protocol import Source
from nn_assets.sources.simulated import SimulatedSource
from nn_assets.sources.sql import SqlSource
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.vendors.alpaca import AlpacaSource
from nn_assets.sources.vendors.ccxt import CcxtSource
from nn_assets.sources.vendors.massive import MassiveSource
from nn_assets.sources.vendors.yfinance import YfinanceSource

__all__ = ["source_named", "source_of"]


def source_of(history: History, folder: Path) -> Source:
    """The source of the strategy's bars. Nothing is asked yet, and no key is read."""
    if history.strategy.intraday is not None:
        return PublishedIntraday(history)
    if history.strategy.closes_only:
        features = history.strategy.features
        refuse_features_beyond(("close",), features.names, market_symbol=features.market_symbol)
    volume = history.strategy.cleaning.traded_with_volume
    return source_named(history, folder, history.strategy.source, requires_volume=volume)


def source_named(history: History, folder: Path, settings: SourceSettings, *, requires_volume: bool = False) -> Source:
    """A source by its settings, for the strategy's market. Nothing is asked yet, and no key is read."""
    market = history.strategy.market
    scope = Scope(market.calendar, market.symbols, market.history_starts)
    if isinstance(settings, FilesSettings):
        assert settings.path is not None, "settings demand it"
        return FilesSource(
            folder / settings.path,
            requires_volume=requires_volume,
            member=settings.member,
            known_on=partial(_known_on, history) if settings.known_at_from == "file_name" else None,
            closes_only=settings.closes_only,
            limits=Limits.of(settings),
        )
    if isinstance(settings, SimulatorSettings):
        return SimulatedSource(
            calendar=market.calendar,
            history_starts=market.history_starts,
            history_ends=market.history_ends,
            seed=settings.seed,
            planted_rank_ic=settings.planted_rank_ic,
            signal_persistence=settings.signal_persistence,
        )
    if isinstance(settings, SqlSettings):
        return SqlSource(
            scope,
            EnvironmentKey(settings.url_env),
            settings.query,
            settings.actions_query,
            settings.maximum_rows,
            requires_volume=requires_volume,
        )
    if isinstance(settings, MassiveSettings):
        return MassiveSource(scope, EnvironmentKey(settings.key_env), settings.base_url)
    if isinstance(settings, AlpacaSettings):
        keys = EnvironmentKey(settings.key_env), EnvironmentKey(settings.secret_env)
        return AlpacaSource(scope, *keys, feed=settings.feed, base_url=settings.base_url)
    if isinstance(settings, CcxtSettings):
        return CcxtSource(scope, settings.exchange, settings.base_url)
    if isinstance(settings, YfinanceSettings):
        return YfinanceSource(scope, settings.base_url)
    return BundledSource()


def _known_on(history: History, day: pd.Timestamp) -> pd.Timestamp:
    market = history.strategy.market
    return known_after(market.calendar, [day], market.known_at_lag_minutes)[0]
