"""What a strategy names that is not there: files, environment variables, optional packages. Nothing is read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nn_assets.settings import Strategy
from nn_assets.settings.sources import SourceSettings
from nn_assets.sources.keys import EnvironmentKey, how_to_install

__all__ = ["missing_of"]

_VARIABLES = ("url_env", "key_env", "secret_env")
# Kind of source to the module it needs beyond the package's own; the extra has the kind's name.
_MODULES = {"massive": "httpx", "alpaca": "httpx", "yfinance": "yfinance", "ccxt": "ccxt"}
_POSTGRES = ("postgres://", "postgresql://", "postgresql+psycopg://")


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
    source = strategy.source
    named = {
        "source.path": getattr(source, "path", None),
        "source.actions_path": source.actions_path,
        "market.compare_with.path": getattr(strategy.market.compare_with, "path", None),
        **{f"series.{place}.path": getattr(each, "path", None) for place, each in enumerate(strategy.series)},
        "universe.path": strategy.universe.path if strategy.universe else None,
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
    found = [
        (f"{key}.{name}", getattr(source, name, None)) for key, source in _sources(strategy) for name in _VARIABLES
    ]
    return [
        f"{name}: the environment variable {variable} is not set"
        for name, variable in found
        if variable and not EnvironmentKey(variable).reveal()
    ]


def _sources(strategy: Strategy) -> list[tuple[str, SourceSettings]]:
    second = strategy.market.compare_with
    return [("source", strategy.source)] + ([] if second is None else [("market.compare_with", second)])


def _not_installed(strategy: Strategy) -> list[str]:
    needed: list[tuple[str, str, str]] = []  # key and its value, extra, module
    for key, source in _sources(strategy):
        if source.kind in _MODULES:
            needed.append((f"{key}.kind: {source.kind}", source.kind, _MODULES[source.kind]))
        if EnvironmentKey(str(getattr(source, "url_env", ""))).reveal().startswith(_POSTGRES):
            needed.append((f"{key}.kind: {source.kind}", "postgres", "psycopg"))
    funding = [place for place, each in enumerate(strategy.series) if each.kind == "ccxt_funding"]
    needed += [(f"series.{place}.kind: ccxt_funding", "ccxt", "ccxt") for place in funding]
    return [
        f"{told} needs the package {module}: {how_to_install(extra)}"
        for told, extra, module in needed
        if find_spec(module) is None
    ]
