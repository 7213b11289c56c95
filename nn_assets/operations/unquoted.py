"""Positions without a bar: since when, and what a person does about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.market.calendar.sessions import next_session, sessions_between
from nn_assets.operations.clock import has_clock, now_utc
from nn_assets.portfolio.records import unmarked_symbols
from nn_assets.settings import Strategy

ALERT_SESSIONS = 3
"""Sessions in a row without a bar of what is held after which a person is alerted; the page reports the first."""


@dataclass(frozen=True)
class Unquoted:
    """A position whose symbol had no bar on the last sessions."""

    symbol: Symbol
    since: pd.Timestamp  # first session without
    sessions: int

    @property
    def cause(self) -> str:
        """What is the matter."""
        count = f"{self.sessions} session{'s' * (self.sessions > 1)}"
        return f"{self.symbol} is held and has had no bar for {count}, since {self.since.date()}: it cannot be closed"


def unquoted(strategy: Strategy, session: pd.Timestamp, remainder: str | Mapping[str, Any]) -> list[Unquoted]:
    """Positions without a bar on a session, by the record of the book after it."""
    calendar = strategy.market.calendar
    positions = []
    for symbol, marked in unmarked_symbols(remainder).items():
        first = next_session(calendar, marked)
        positions.append(Unquoted(symbol, first, len(sessions_between(calendar, first, session))))
    return positions


def delisting_line(strategy: Strategy, position: Unquoted) -> str:
    """The line of the actions file that closes a position which was delisted, and where it goes."""
    path = strategy.source.actions_path
    destination = "a file that source.actions_path names" if path is None else f"{path} (source.actions_path)"
    column = (
        ""
        if has_clock(strategy.market, now_utc())
        else (" (and known_at, a moment before the next session to be decided, since this history ends in the past)")
    )
    return (
        f"if it was delisted, write {position.symbol},{position.since.date()},delisting,CASH to {destination}, under "
        f"symbol,ex_session,kind,value{column}, where CASH is dollars per share, or 0, and run again; else "
        "have the source deliver its bars"
    )
