"""Halts of instruments as they were known; halts of the gate are another thing (``operations/asof/halts.py``)."""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import BoolArray, Symbol, named_rows
from nn_assets.contracts import HALTS, empty
from nn_assets.contracts.frames import HaltVersions
from nn_assets.market.facts.trading_halts import halted_on, halts_as_of
from nn_assets.operations.asof.stored import TRADING_HALTS, versions_of
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy

__all__ = ["TRADING_HALTS", "halted_as_decided", "halted_by", "halts_in_words", "read_halt_versions"]


def read_halt_versions(stores: Stores, strategy: Strategy) -> HaltVersions | None:
    """Every version of every halt; None where the strategy names no file of halts."""
    if strategy.halts is None:
        return None
    stored = stores.lake.segments(strategy.name, TRADING_HALTS)
    return versions_of(stores, strategy.name, TRADING_HALTS) if stored else empty(HALTS)


def halted_as_decided(
    strategy: Strategy, versions: HaltVersions | None, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> BoolArray | None:
    """Which symbols each session's decision knew to be halted on it, (sessions, symbols); None without halts."""
    if versions is None or versions.empty:
        return None
    return halted_on(versions, symbols, sessions, as_of_sessions(strategy.market, sessions))


def halted_by(
    versions: HaltVersions | None, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...], moment: pd.Timestamp
) -> BoolArray | None:
    """Which symbols were halted on each session, as known at one moment, UTC; None without halts."""
    if versions is None or versions.empty:
        return None
    return halted_on(versions, symbols, sessions, pd.DatetimeIndex([moment] * len(sessions)))


def halts_in_words(versions: HaltVersions | None, session: pd.Timestamp, moment: pd.Timestamp) -> list[str]:
    """The symbols halted on a session as known at a moment, each with its first session, in order."""
    if versions is None or versions.empty:
        return []
    known = halts_as_of(versions, moment)
    ends = known["resumes"].fillna(pd.Timestamp.max)
    on = known[(known["halted_from"] <= session) & (ends > session)]
    return [f"{row.symbol} since {row.halted_from.date()}" for row in named_rows(on)]
