"""Refreshes that drift asks for and what comes of them, put on record in the ledger's ``refresh_requests``.

``operations/asof/refreshes.py`` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nn_assets.learning.refresh import RefreshCheck
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.refreshes import (
    DRIFT_ASKS,
    REFRESH_REFUSED,
    REFRESH_TAKEN,
    STUDY_LEAVES,
    event_before_live,
    event_of,
    left_before_live,
)
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.oversight.severity import TradingState
from nn_assets.session.daily_round import Round
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


def request_row(strategy: str, session: pd.Timestamp, reasons: list[str]) -> dict[str, Any]:
    """The request that a session's drift makes."""
    return {
        "event_id": event_of(strategy, session, "drift"),
        "session": session,
        "cause": DRIFT_ASKS,
        "details": {"reasons": reasons},
    }


def record_answer(
    ledger: Ledger, strategy: str, session: pd.Timestamp, model_id: str, check: RefreshCheck, run_id: str
) -> None:
    """Put the outcome of a session's request on record; nothing where that session made none.

    Parameters
    ----------
    model_id : str
        Of the model fitted for it.
    """
    request_id = event_of(strategy, session, "drift")
    if ledger.read("refresh_requests", strategy, where={"event_id": request_id}).empty:
        return
    row = {
        "event_id": event_of(strategy, session, model_id),
        "session": session,
        "cause": REFRESH_TAKEN if check.accepted else REFRESH_REFUSED,
        "details": {"request": request_id, "model_id": model_id, "reason": check.reason},
    }
    ledger.append("refresh_requests", [row], run_id=run_id, strategy=strategy)


def watch_record(trading: TradingState, refresh: RefreshWatch) -> dict[str, Any]:
    """The watch over refreshes and the state by the score alone, as plain values for the ledger.

    :func:`nn_assets.operations.asof.refreshes.recorded_watch` reads them.
    """
    by_score = {
        "state": trading.state,
        "since": str(trading.since.date()),
        "cooldown_left": trading.cooldown_left,
        "reasons": list(trading.reasons),
    }
    return {**refresh.to_record(), "by_score": by_score}


def leave_watch_for_live(ledger: Ledger, strategy: Strategy, rounds: Sequence[Round], run_id: str) -> None:
    """Put on record how a study's watch over drift stood after the session before the first live one.

    With it the request that this session made, where the study ended there and so left it open. Nothing once a
    session is decided, or where the study did not play that session.
    """
    starts = strategy.market.live_starts
    if starts is None or first_undecided(ledger, strategy) is not None:
        return
    last = next(
        (
            session_round
            for session_round in rounds
            if session_round.session < pd.Timestamp(starts) <= _effective(session_round)
        ),
        None,
    )
    if last is None:
        return
    trading, refresh = last.session_state.trading, last.session_state.refresh
    event_id = event_before_live(strategy, last.session)
    says_nothing = refresh.idle and trading.state == "CONTINUE"
    if says_nothing and left_before_live(ledger, strategy, last.session).empty:
        return
    details = {**watch_record(trading, refresh), "score": trading.score}
    rows = [{"event_id": event_id, "session": last.session, "cause": STUDY_LEAVES, "details": details}]
    if last.asks_refresh and last is rounds[-1]:
        rows.append(request_row(strategy.name, last.session, last.refresh_reasons))
    ledger.append("refresh_requests", rows, run_id=run_id, strategy=strategy.name, reason="another study was made")


def _effective(session_round: Round) -> pd.Timestamp:
    return session_round.session_state.trading.effective_session
