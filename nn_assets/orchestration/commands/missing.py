"""What a strategy names that is not there: files, environment variables, optional packages. Nothing is read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nn_assets.settings import Strategy
from nn_assets.sources.keys import EnvironmentKey

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
    found = {name: getattr(strategy.source, name, None) for name in _VARIABLES}
    return [
        f"source.{name}: the environment variable {variable} is not set"
        for name, variable in found.items()
        if variable and not EnvironmentKey(variable).reveal()
    ]


def _not_installed(strategy: Strategy) -> list[str]:
    kind = strategy.source.kind
    extra: str = kind
    module = _MODULES.get(kind)
    address = EnvironmentKey(str(getattr(strategy.source, "url_env", ""))).reveal()
    if address.startswith(_POSTGRES):
        extra, module = "postgres", "psycopg"
    if module is None or find_spec(module) is not None:
        return []
    return [f"source.kind: {kind} needs the package {module}: pip install 'nn-assets[{extra}]'"]
