"""What a strategy names but is missing: files, environment variables, optional packages. Nothing is read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nn_assets.settings import FundingSeriesSettings, SourceSection, Strategy
from nn_assets.sources.keys import EnvironmentKey, how_to_install
from nn_assets.sources.registry import source_member


def missing_of(strategy: Strategy, folder: Path) -> list[str]:
    """What a run of the strategy would look for in vain, one line each; empty when all is there.

    Parameters
    ----------
    folder : Path
        That relative paths start from.

    Returns
    -------
    list of str
        Names variables; never says what one holds.
    """
    named = {
        **{f"{key}.{name}": path for key, source in _sources(strategy) for name, path in source.files_named().items()},
        **{f"series.{index}.path": getattr(series, "path", None) for index, series in enumerate(strategy.series)},
        "universe.path": strategy.universe.path if strategy.universe else None,
        "halts.path": strategy.halts.path if strategy.halts else None,
        "intraday.path": strategy.intraday.path if strategy.intraday else None,
        "market.calendar_overrides": strategy.market.calendar_overrides,
    }
    files = [
        f"{key}: nothing at {folder / path}" for key, path in named.items() if path and not _is_there(folder, path)
    ]
    return [*files, *_unset(strategy), *_not_installed(strategy)]


def _is_there(folder: Path, path: str) -> bool:
    if (folder / path).exists():
        return True
    return not Path(path).is_absolute() and bool(set(path) & set("*?[")) and any(folder.glob(path))


def _unset(strategy: Strategy) -> list[str]:
    return [
        f"{key}.{name}: the environment variable {variable} is not set"
        for key, source in _sources(strategy)
        for name, variable in source.variables_named().items()
        if not EnvironmentKey(variable).reveal()
    ]


def _sources(strategy: Strategy) -> list[tuple[str, SourceSection]]:
    second = strategy.market.compare_with
    return [("source", strategy.source)] + ([] if second is None else [("market.compare_with", second)])


def _not_installed(strategy: Strategy) -> list[str]:
    needed = [
        (f"{key}.kind: {source.kind}", source_member(source.kind).needs(source)) for key, source in _sources(strategy)
    ]
    for index, series in enumerate(strategy.series):
        if isinstance(series, FundingSeriesSettings):
            needed.append((f"series.{index}.kind: {series.kind}", source_member(series.asked_of).extra))
    return [
        f"{setting} needs the package {extra.module}: {how_to_install(extra.name)}"
        for setting, extra in needed
        if extra is not None and find_spec(extra.module) is None
    ]
