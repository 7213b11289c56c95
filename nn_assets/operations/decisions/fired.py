"""What a session asks a person to look at: breakers that fired, positions without bars, odd days, no anchor."""

from __future__ import annotations

import pandas as pd

from nn_assets.costs.financing import assumed_funding_warning
from nn_assets.operations.alerts import append_alert
from nn_assets.operations.bar_faults import ALERT_SESSIONS, delisting_line, without_bar
from nn_assets.operations.history import History
from nn_assets.operations.situation import headline_now, unlike_day
from nn_assets.oversight.headline import release_of
from nn_assets.portfolio.breakers import Breaker, named_kinds
from nn_assets.portfolio.records import book_remainder
from nn_assets.session.daily_round import Round


def breakers_fired(history: History, session_round: Round) -> tuple[Breaker, ...]:
    """Breakers latched after a session that were not latched before it, or had been released as it began."""
    before = history.stores.ledger.latest(
        "portfolio_states", history.strategy.name, last=session_round.session - pd.Timedelta(days=1)
    )
    stayed = set() if before.empty else set(named_kinds(before["breaker"].iloc[-1])) - set(session_round.released)
    return tuple(breaker for breaker in session_round.session_state.book.breakers if breaker.kind not in stayed)


def alert_of_breakers(history: History, session_round: Round, run_id: str) -> None:
    """Append an alert for each breaker that fired on a session, once."""
    session = session_round.session.date()
    for breaker in breakers_fired(history, session_round):
        cause, remedy = (
            f"breaker {breaker.kind} fired: {breaker.reason}",
            release_of(breaker.kind, history.strategy.name),
        )
        _alert(history, session_round, run_id, "breaker", f"{session}:{breaker.kind}", cause, remedy)


def alert_of_unquoted(history: History, session_round: Round, run_id: str) -> None:
    """Append an alert, once, for each position with a bar in quarantine, or with none for :data:`ALERT_SESSIONS`."""
    strategy, session = history.strategy, session_round.session
    remainder = book_remainder(session_round.session_state.book)
    in_quarantine, absent = without_bar(history, session, remainder)
    for bar in in_quarantine:
        _alert(history, session_round, run_id, "unused", f"{bar.symbol}:{session.date()}", bar.cause, bar.remedy)
    for position in absent:
        if position.sessions >= ALERT_SESSIONS:
            about, remedy = f"{position.symbol}:{position.since.date()}", delisting_line(strategy, position)
            _alert(history, session_round, run_id, "unquoted", about, position.cause, remedy)


def alert_of_assumed_funding(history: History, session_round: Round, run_id: str) -> None:
    """Append an alert, once, where the funding of what was held on a session was not known."""
    symbols = session_round.session_state.book.funding_assumed
    if symbols:
        cause, remedy = assumed_funding_warning(history.strategy, symbols)
        _alert(history, session_round, run_id, "funding", f"{session_round.session.date()}", cause, remedy)


def alert_of_unlike_day(history: History, session_round: Round, run_id: str) -> None:
    """Append an alert, once, where the session as a whole is unlike those that its model was fitted on."""
    if history.strategy.novelty is None:
        return
    session = session_round.session
    decided = history.stores.ledger.read("decisions", history.strategy.name, session, session)
    for fault in unlike_day(decided["details"].iloc[-1]):
        _alert(history, session_round, run_id, "unlike", str(session.date()), fault.why, fault.remedy)


def alert_of_anchor(history: History, session: pd.Timestamp, run_id: str, cause: str, remedy: str) -> None:
    """Append an alert, once for each fault, where the head of the ledger's chain could not be anchored outside."""
    name = history.strategy.name
    append_alert(
        f"anchor:{cause}",
        lambda: str(headline_now(history)),
        cause=cause,
        remedy=remedy,
        strategy=name,
        session=str(session.date()),
        run_id=run_id,
    )


def _alert(history: History, session_round: Round, run_id: str, kind: str, about: str, cause: str, remedy: str) -> None:
    name = history.strategy.name
    append_alert(
        f"{kind}:{name}:{about}",
        lambda: str(headline_now(history)),
        cause=cause,
        remedy=remedy,
        strategy=name,
        session=str(session_round.session.date()),
        run_id=run_id,
    )
