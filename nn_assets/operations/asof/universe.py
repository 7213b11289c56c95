"""The universe of a strategy as it was known: who was a candidate when, and who has no bars."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nn_assets.arrays import BoolArray, Symbol
from nn_assets.contracts import MEMBERSHIP, empty
from nn_assets.contracts.frames import DailyBars, MembershipVersions
from nn_assets.market.facts.membership import (
    members_of_sessions,
    members_without_bars,
    membership_as_of,
    several_spells,
)
from nn_assets.operations.asof.stored import UNIVERSE, versions_of
from nn_assets.operations.clock import as_of_session, as_of_sessions
from nn_assets.operations.stores import Stores
from nn_assets.settings import Strategy

__all__ = [
    "UNIVERSE",
    "candidates_of",
    "current_members",
    "read_membership_versions",
    "survivorship_facts",
    "universe_facts",
    "unseen_members",
]


def read_membership_versions(stores: Stores, strategy: Strategy) -> MembershipVersions | None:
    """Every version of the spells of the universe that the strategy names now; None where it names none."""
    if strategy.universe is None:
        return None
    lake, name = stores.lake, strategy.name
    stored = versions_of(stores, name, UNIVERSE) if lake.segments(name, UNIVERSE) else empty(MEMBERSHIP)
    return stored[stored["universe"] == strategy.universe.name]


def candidates_of(
    strategy: Strategy, versions: MembershipVersions | None, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...]
) -> BoolArray | None:
    """Who may be trained on, forecast and held: the members of each session, (sessions, symbols).

    None where the strategy names no universe: then every symbol always may.
    """
    if strategy.universe is None or versions is None:
        return None
    decided_at = as_of_sessions(strategy.market, sessions)
    return members_of_sessions(versions, symbols, sessions, decided_at, strategy.universe.renamed)


def current_members(
    strategy: Strategy, versions: MembershipVersions | None, symbols: tuple[Symbol, ...], session: pd.Timestamp
) -> tuple[str, ...]:
    """Which of the symbols should have bars on a session: its members, or all without a universe."""
    members = candidates_of(strategy, versions, pd.DatetimeIndex([session]), symbols)
    if members is None:
        return symbols
    return tuple(symbol for symbol, belongs in zip(symbols, members[0], strict=True) if belongs)


def unseen_members(
    strategy: Strategy, versions: MembershipVersions | None, bars: DailyBars, sessions: pd.DatetimeIndex
) -> pd.DataFrame:
    """Year by year, how many members have no bars: survivorship, in numbers; empty without a universe."""
    if strategy.universe is None or versions is None:
        return pd.DataFrame({"year": [], "members": [], "without_bars": []}, dtype="int64")
    spells = membership_as_of(versions, as_of_session(strategy.market, sessions[-1]))
    return members_without_bars(spells, bars, sessions[0], sessions[-1], strategy.universe.renamed)


def survivorship_facts(
    strategy: Strategy, versions: MembershipVersions | None, bars: DailyBars, sessions: pd.DatetimeIndex
) -> dict[str, str]:
    """What a study says of members without bars: one line, or none without a universe."""
    if strategy.universe is None:
        return {}
    counted = unseen_members(strategy, versions, bars, sessions)
    by_year = [f"{row.without_bars} of {row.members} in {row.year}" for row in counted.itertuples()]
    return {"Members without data": "; ".join(by_year)}


def universe_facts(strategy: Strategy, versions: MembershipVersions, session: pd.Timestamp) -> dict[str, Any]:
    """What the universe holds as known at a session: spells, members, tickers that need a second look."""
    assert strategy.universe is not None
    spells = membership_as_of(versions, as_of_session(strategy.market, session))
    member = (spells["member_from"] <= session) & (spells["member_to"].isna() | (spells["member_to"] > session))
    renamed = strategy.universe.renamed
    return {
        "spells": len(spells),
        "symbols": int(spells["symbol"].nunique()),
        "members": int(spells["symbol"][member].nunique()),
        "session": str(session.date()),
        "several_spells": ", ".join(several_spells(spells)) or "none",
        "renamed": ", ".join(f"{old} is {new}" for old, new in sorted(renamed.items())) or "none stated",
    }
