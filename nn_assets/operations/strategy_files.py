"""Strategies read with the settings models of the members that they name, so that every key of them is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nn_assets.settings import Strategy, UncheckedSource
from nn_assets.settings import load_strategy as load_stated
from nn_assets.settings import parse_strategy as parse_stated
from nn_assets.settings.sources import PLUGINS, SOURCE_MODELS
from nn_assets.sources.registry import source_model


def load_strategy(path: Path) -> Strategy:
    """Read a strategy file; see :func:`nn_assets.settings.load_strategy`.

    Raises
    ------
    SettingsError
        As there, or what the model of the source's kind refuses, all in one.
    """
    return load_stated(path, source_model)


def parse_strategy(text: str, *, file: str = "<text>") -> Strategy:
    """Read a strategy from YAML text; see :func:`nn_assets.settings.parse_strategy`, and :func:`load_strategy`."""
    return parse_stated(text, file=file, models=source_model)


def make_strategy(settings: Any) -> Strategy:
    """Make a strategy of plain values, as YAML gives them.

    Raises
    ------
    pydantic.ValidationError
        A key is unknown, ill-typed or contradictory.
    """
    plugins = tuple(settings.get(PLUGINS, ())) if isinstance(settings, Mapping) else ()
    return Strategy.model_validate(settings, context={SOURCE_MODELS: source_model, PLUGINS: plugins})


def with_checked_source(strategy: Strategy) -> Strategy:
    """The strategy, its source and the one it is compared with as the models of their kinds have checked them.

    Raises
    ------
    pydantic.ValidationError
        A model refuses a key, or its values contradict another section.
    """
    market = strategy.market
    if not isinstance(strategy.source, UncheckedSource) and not isinstance(market.compare_with, UncheckedSource):
        return strategy
    settings = {name: getattr(strategy, name) for name in strategy.model_fields_set}
    if market.compare_with is not None:
        context = {SOURCE_MODELS: source_model, PLUGINS: strategy.plugins}
        settings["market"] = type(market).model_validate(
            {name: getattr(market, name) for name in market.model_fields_set}, context=context
        )
    return make_strategy(settings)
