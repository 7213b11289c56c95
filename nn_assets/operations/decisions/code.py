"""By which code sessions are decided, kept by its version, so that a later one can name what of it changed."""

from __future__ import annotations

from nn_assets.errors import PublicationError
from nn_assets.operations.derived import trading_roots
from nn_assets.operations.history import History
from nn_assets.settings import Strategy
from nn_assets.store.lake.files import exists, read_record, write_record
from nn_assets.store.lake.port import BlobPath
from nn_assets.versions import changed_definitions, definitions_behind, version_of

CODE = "decision_code"
"""Folder in the lake of a strategy: the definitions behind each version of the code that decided a session."""

_DECIDED_BY = "nn_assets.operations.decisions.rounds:decide_session"


def decision_code(strategy: Strategy) -> str:
    """Version of the code that decides a strategy's sessions, that of its features too, 16 hex digits."""
    return version_of(_DECIDED_BY, *trading_roots(strategy))


def keep_code(history: History) -> None:
    """Keep what is behind the code in force, where it is not kept yet."""
    if not exists(file := _file(history, decision_code(history.strategy))):
        write_record(file, definitions_behind(_DECIDED_BY, *trading_roots(history.strategy)))


def changed_since(history: History, version: str) -> str:
    """Name what changed between a version of the code and the one in force; nothing where that is not known."""
    try:
        then = read_record(_file(history, version))
    except PublicationError:  # damaged: it is needed for a sentence alone
        then = None
    now = definitions_behind(_DECIDED_BY, *trading_roots(history.strategy))
    return "" if then is None else changed_definitions(then, now)


def _file(history: History, version: str) -> BlobPath:
    return history.stores.lake.folder(history.strategy.name, CODE) / f"{version}.json"
