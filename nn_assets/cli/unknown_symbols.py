"""Symbols that a strategy's settings name and its data do not have: what they say limits or maps nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from nn_assets.errors import did_you_mean
from nn_assets.settings import Strategy


def unknown_symbols(strategy: Strategy, symbols: Collection[str]) -> list[str]:
    """A line for each key that names symbols which are not among those of the data: the key, the name, what to do.

    Of settings that a plug-in's limit has of its own, a list or mapping counts that is called ``symbols`` or names at
    least one symbol of the data.
    """
    return [
        f"{key} names {name}, which is no symbol of these data, and has no effect: "
        f"{did_you_mean(name, symbols)}correct the name, or take it out"
        for key, names in _named(strategy, symbols)
        for name in names
        if name and name not in symbols
    ]


def _named(strategy: Strategy, symbols: Collection[str]) -> Iterator[tuple[str, Iterable[str]]]:
    """Keys that name symbols, with the symbols named."""
    yield "portfolio.sectors", strategy.portfolio.sectors
    for constraint, settings in strategy.portfolio.constraints.items():
        for key, value in settings.items():
            names = _texts(value)
            if key == "symbols" or any(name in symbols for name in names):
                yield f"portfolio.constraints.{constraint}.{key}", names
    for index, series in enumerate(strategy.series):
        yield f"series.{index}", series.stored_symbols


def _texts(value: object) -> list[str]:
    """Texts of a list, or keys of a mapping; none of anything else."""
    if not isinstance(value, Collection) or isinstance(value, str):
        return []
    return [name for name in value if isinstance(name, str)]
