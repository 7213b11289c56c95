"""Halts of a strategy's instruments taken in and stored by version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nn_assets.arrays import BoolArray, Symbol
from nn_assets.contracts import HALTS, empty
from nn_assets.market.facts.bitemporal import RevisionCount, known_from
from nn_assets.market.facts.trading_halts import new_halts
from nn_assets.operations.asof.decisions import last_decided_session
from nn_assets.operations.asof.trading_halts import TRADING_HALTS, halts_in_words, read_halt_versions
from nn_assets.operations.clock import as_of_session, now_utc, seen_until
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import append_versions
from nn_assets.sources.tables.halts_file import read_halts_file
from nn_assets.sources.tables.limits import Limits


def ingest_halts(history: History, folder: Path) -> RevisionCount:
    """Read the strategy's file of halts and append what is new or differs; withdraw what it no longer holds.

    A halt that begins after the last session that may be seen, and was not known by then, is left for later.

    Raises
    ------
    SourceError
        The file is absent or faulty; nothing is stored then.
    """
    strategy = history.strategy
    assert strategy.halts is not None, "asked of a strategy that names a file of halts"
    stored = read_halt_versions(history.stores, strategy)
    stored = empty(HALTS) if stored is None else stored
    delivered = read_halts_file(folder, strategy.halts.path, Limits.of(strategy.source))
    known_at = known_from(delivered, delivered["halted_from"].dt.tz_localize("UTC"))
    ahead = (delivered["halted_from"] > history.last_session) & (
        known_at > as_of_session(strategy.market, history.last_session)
    )
    decided = last_decided_session(history.stores.ledger, strategy.name)
    fresh, counted = new_halts(
        stored,
        delivered[~ahead].reset_index(drop=True),
        now_utc(),
        decided_at=None if decided is None else as_of_session(strategy.market, decided),
    )
    append_versions(history.stores, strategy.name, TRADING_HALTS, stored, fresh)
    return counted


def halted_by_symbol(history: History, symbols: tuple[Symbol, ...]) -> dict[Symbol, BoolArray]:
    """Of each symbol that ever was halted, as known now, the sessions on which it was, (sessions,)."""
    halted = history.halted_as_now(history.axis, symbols)
    if halted is None:
        return {}
    return {symbol: halted[:, column] for column, symbol in enumerate(symbols) if halted[:, column].any()}


def halts_metadata(history: History, counted: RevisionCount) -> dict[str, Any]:
    """What a delivery of halts brought, and who is halted."""
    versions, last = read_halt_versions(history.stores, history.strategy), history.last_session
    moment = seen_until(history.strategy.market, last, now_utc())
    return {
        "added": counted.added,
        "revised": counted.revised,
        "unchanged": counted.unchanged,
        "halted": ", ".join(halts_in_words(versions, last, moment)) or "none",
    }
