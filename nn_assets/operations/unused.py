"""Bars of a session that came and are not used while they are held, and bars that no second source confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.market.calendar.sessions import previous_session
from nn_assets.market.facts.compared import said_by_second
from nn_assets.market.facts.rows import ordered_by_symbol
from nn_assets.market.quality.cleaning import RULES
from nn_assets.operations.asof.stored import COMPARED, versions_of
from nn_assets.operations.clock import has_clock, now_utc
from nn_assets.operations.facts import StoredFacts
from nn_assets.portfolio.records import unmarked_symbols

__all__ = ["Unused", "unchecked", "unused"]

_REMEDIES = {rule.name: rule.remedy for rule in RULES}


@dataclass(frozen=True)
class Unused:
    """A position whose bar of a session came, and waits in quarantine."""

    symbol: str
    session: pd.Timestamp
    rule: str
    value: str  # the field to blame, and what it says
    by_clock: bool = True  # whether sessions are still to come, by the wall clock

    @property
    def told(self) -> str:
        """What is the matter."""
        return (
            f"{self.symbol} is held and its bar of {self.session.date()} is in quarantine ({self.rule}, {self.value}): "
            "no order and no stop of it is tried on that bar"
        )

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        told = f"{_REMEDIES[self.rule]}; the stop is tried on the bar once it is published"
        if self.by_clock:
            return told
        return (
            f"{told}, which in a history that ends in the past must state known_at, a moment before the next session "
            "to be decided: else it counts as known from now on, and no session of that history sees it"
        )


def unused(facts: StoredFacts, session: pd.Timestamp, remainder: str | Mapping[str, Any]) -> list[Unused]:
    """Positions whose bar of a session is in quarantine, by the record of the book after it and what is published."""
    symbols, publication = set(unmarked_symbols(remainder)), facts.publication
    if not symbols or publication is None:
        return []
    rows = facts.stores.publications.quarantine(publication)
    rows = rows[(rows["session"] == session) & rows["symbol"].isin(symbols)].drop_duplicates("symbol")
    by_clock = has_clock(facts.strategy.market, now_utc())
    return [
        Unused(str(row.symbol), session, str(row.rule), f"{row.field} {row.value}", by_clock)
        for row in rows.itertuples()
    ]


def unchecked(facts: StoredFacts, session: pd.Timestamp) -> str | None:
    """Tell that the second source had no bar of a session in time; None where it had one, or none is named.

    A symbol that it lacks while it has others is no fault: it may quote fewer.
    """
    publication = facts.publication
    if facts.strategy.market.compare_with is None or publication is None or not publication.covers(session):
        return None
    days = pd.DatetimeIndex([previous_session(facts.strategy.market.calendar, session), session])
    store = facts.stores.publications
    taken_out = store.quarantine(publication)
    columns = ["symbol", "session", "known_at"]
    rows = pd.concat([store.bars(publication, sessions=days), taken_out[taken_out["session"].isin(days)]])[columns]
    rows = ordered_by_symbol(rows)
    if facts.stores.lake.segments(facts.strategy.name, COMPARED):
        versions = versions_of(facts.stores, facts.strategy.name, COMPARED, sessions=days)
        said = said_by_second(rows, versions)[(rows["session"] == session).to_numpy()]
        if np.isfinite(said).any():
            return None
    return (
        f"no bar of {session.date()} could be held against the second source (market.compare_with), which had none in "
        "time: an odd print of the session would be traded and stopped out on"
    )
