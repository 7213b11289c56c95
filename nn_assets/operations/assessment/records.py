"""What the ledger holds of a period, each table read once and in order, and what is said of it: events of controls."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from nn_assets.arrays import values_of
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class Event:
    """One thing that a control did, or that was done to it.

    Attributes
    ----------
    session : the last session decided when it happened, YYYY-MM-DD; empty before the first
    at : UTC moment at which it was put on record
    what : what happened, and what it did
    who, why : by whom and for what reason; empty where no person did it
    """

    session: str
    at: str
    what: str
    who: str = ""
    why: str = ""


@dataclass(frozen=True)
class Assessed:
    """What one control did in the period.

    Attributes
    ----------
    fired : what it acted on
    overridden : what a person released, reset or did without
    looks : how often it looked without any event, where that is on record
    """

    name: str
    purpose: str
    fired: tuple[Event, ...] = ()
    overridden: tuple[Event, ...] = ()
    looks: int = 0

    @property
    def tested(self) -> bool:
        """Whether anything shows that it works: an event, or a look on record."""
        return bool(self.fired or self.overridden or self.looks)


class Records:
    """What the ledger holds of a period, each table read once and in order."""

    def __init__(self, ledger: Ledger, strategy: str, first: pd.Timestamp | None, last: pd.Timestamp | None) -> None:
        self.ledger, self.strategy = ledger, strategy
        decided = ledger.read("decisions", strategy, bookkeeping=True).sort_values("session").reset_index(drop=True)
        ordered = decided.sort_values("sequence")
        self._sequences, self._sessions = list(ordered["sequence"]), list(ordered["session"])
        newest = pd.Timestamp(0) if decided.empty else decided["session"].iloc[-1]
        self.last: pd.Timestamp = newest if last is None else last
        year_before = self.last - pd.DateOffset(years=1) + pd.Timedelta(days=1)
        self.first: pd.Timestamp = year_before if first is None else first
        self.decisions = decided[decided["session"].map(self.in_period)] if len(decided) else decided

    def of_sessions(self, table: str, *, before: bool = True) -> pd.DataFrame:
        """Rows of the period's sessions, in order; with all before it, where a change among them is looked for."""
        first = None if before else self.first
        rows = self.ledger.read(table, self.strategy, first, self.last, bookkeeping=True)
        return rows.sort_values(["session", "sequence"])

    def acts(self, table: str, strategy: str | None = None, **where: object) -> list[dict[str, Any]]:
        """Rows appended in the period, in the order in which they were, with the session that each came after."""
        rows = self.ledger.read(
            table, strategy or self.strategy, where=where or None, every_version=True, bookkeeping=True
        ).sort_values("sequence")
        placed = [{**values_of(row), "after": self._after(int(row["sequence"]))} for _, row in rows.iterrows()]
        return [row for row in placed if self.within(row["after"], row["recorded_at"])]

    def within(self, session: pd.Timestamp | None, recorded_at: pd.Timestamp) -> bool:
        """Whether something that came after a session is of the period."""
        day = recorded_at.tz_localize(None).normalize() if session is None else session
        return bool(self.first <= day <= self.last)

    def _after(self, sequence: int) -> pd.Timestamp | None:
        index = bisect_left(self._sequences, sequence)
        return self._sessions[index - 1] if index else None

    @cached_property
    def states(self) -> pd.DataFrame:
        """The book at each close up to the period's end."""
        return self.of_sessions("portfolio_states")

    @cached_property
    def controls(self) -> list[dict[str, Any]]:
        """What persons set in the period."""
        return self.acts("controls")

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Settings by their hash."""
        rows = self.ledger.read("settings_versions", self.strategy)
        return dict(zip(rows["settings_hash"], rows["settings"], strict=True))

    def in_period(self, session: pd.Timestamp) -> bool:
        """Whether a session is of the period."""
        return bool(self.first <= session <= self.last)
