"""Which sessions were decided, and when each was put on record."""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.market.calendar.sessions import next_session, previous_session
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


def decided_sessions(ledger: Ledger, strategy: str) -> list[pd.Timestamp]:
    """Sessions with a decision on record, in order."""
    return sorted(ledger.read("decisions", strategy, columns=("session",))["session"])


def last_decided_session(ledger: Ledger, strategy: str) -> pd.Timestamp | None:
    """The last session with a decision on record; None before the first."""
    decided = ledger.latest("decisions", strategy)["session"]
    return None if decided.empty else decided.max()


def undecided_sessions(ledger: Ledger, strategy: Strategy, live_sessions: pd.DatetimeIndex) -> list[pd.Timestamp]:
    """Live sessions so far without a decision on record, in order; none where no live start is stated."""
    if strategy.market.live_starts is None:
        return []
    return list(live_sessions.difference(pd.DatetimeIndex(decided_sessions(ledger, strategy.name))))


def first_undecided(ledger: Ledger, strategy: Strategy) -> pd.Timestamp | None:
    """The session after the last decided one; None where none is decided."""
    decided = last_decided_session(ledger, strategy.name)
    return None if decided is None else next_session(strategy.market.calendar, decided)


def decision_moments(ledger: Ledger, strategy: str) -> pd.Series:
    """When each decided session was put on record, UTC, by session in order."""
    decided = ledger.read("decisions", strategy, columns=("session", "recorded_at"))
    return decided.set_index("session")["recorded_at"].sort_index()


def ended_orders(
    ledger: Ledger, strategy: Strategy, sessions: pd.DatetimeIndex
) -> dict[pd.Timestamp, dict[str, list[str]]]:
    """Orders under way that ended without a whole fill on some decided sessions: their symbols, by session and reason.

    A session without any is not there.
    """
    first, last = sessions[0], sessions[-1]
    decisions = ledger.read("decisions", strategy.name, first, last, columns=("session", "details"))
    ended = {row.session: row.details.get("ended_orders") or {} for row in named_rows(decisions)}
    if not any(ended.values()):
        return {}
    # Each was sent on the session before.
    sent = ledger.read("orders", strategy.name, previous_session(strategy.market.calendar, first), last)
    symbols = dict(zip(sent["client_order_id"], sent["symbol"], strict=True))
    by_session: dict[pd.Timestamp, dict[str, list[str]]] = {}
    for session, reasons in ended.items():
        for symbol, reason in sorted((symbols[order], reason) for order, reason in reasons.items()):
            by_session.setdefault(session, {}).setdefault(str(reason), []).append(str(symbol))
    return by_session
