"""Refreshes that drift asked for, and what came of them, as rows of the ledger's ``refresh_requests``.

A study leaves there, too, how its watch over drift stood when the first live session began: the live round goes on
from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nn_assets.learning.refresh import RefreshCheck
from nn_assets.market.calendar.sessions import next_session
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.models import MODEL_SECTIONS
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.oversight.severity import TradingState
from nn_assets.session.daily_round import Round
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

__all__ = [
    "DRIFT_ASKS",
    "REFRESH_REFUSED",
    "REFRESH_TAKEN",
    "STUDY_LEAVES",
    "leave_watch_for_live",
    "record_answer",
    "recorded_watch",
    "request_row",
    "watch_left_for_live",
    "watch_record",
]

DRIFT_ASKS, REFRESH_TAKEN, REFRESH_REFUSED = "prediction drift", "refresh taken", "refresh refused"
STUDY_LEAVES = "left by a study before the first live session"


def request_row(strategy: str, session: pd.Timestamp, reasons: list[str]) -> dict[str, Any]:
    """The request that a session's drift makes."""
    return {
        "event_id": _event(strategy, session, "drift"),
        "session": session,
        "cause": DRIFT_ASKS,
        "details": {"reasons": reasons},
    }


def record_answer(
    ledger: Ledger, strategy: str, session: pd.Timestamp, model_id: str, check: RefreshCheck, run_id: str
) -> None:
    """Put on record what came of the request of a session; nothing where that session made none.

    Parameters
    ----------
    model_id : str
        Of the model fitted for it.
    """
    asked = _event(strategy, session, "drift")
    if ledger.read("refresh_requests", strategy, where={"event_id": asked}).empty:
        return
    row = {
        "event_id": _event(strategy, session, model_id),
        "session": session,
        "cause": REFRESH_TAKEN if check.accepted else REFRESH_REFUSED,
        "details": {"request": asked, "model_id": model_id, "reason": check.reason},
    }
    ledger.append("refresh_requests", [row], run_id=run_id, strategy=strategy)


def watch_record(trading: TradingState, refresh: RefreshWatch) -> dict[str, Any]:
    """The watch over refreshes and the state by the score alone, as plain values for the ledger."""
    by_score = {
        "state": trading.state,
        "since": str(trading.since.date()),
        "cooldown_left": trading.cooldown_left,
        "reasons": list(trading.reasons),
    }
    return {**refresh.to_record(), "by_score": by_score}


def recorded_watch(
    record: Mapping[str, Any], score: int, session: pd.Timestamp, effective_session: pd.Timestamp
) -> tuple[TradingState, RefreshWatch]:
    """What :func:`watch_record` described; it was decided by the score of a session."""
    by_score = record["by_score"]
    trading = TradingState(
        state=by_score["state"],
        score=score,
        reasons=tuple(by_score["reasons"]),
        session=session,
        since=pd.Timestamp(by_score["since"]).as_unit("ns"),
        cooldown_left=int(by_score["cooldown_left"]),
        effective_session=effective_session,
    )
    return trading, RefreshWatch.from_record(record)


def leave_watch_for_live(ledger: Ledger, strategy: Strategy, rounds: Sequence[Round], run_id: str) -> None:
    """Put on record how a study's watch over drift stood after the session before the first live one.

    With it the request that this session made, where the study ended there and so left it open. Nothing once a
    session is decided, or where the study did not play that session.
    """
    starts = strategy.market.live_starts
    if starts is None or first_undecided(ledger, strategy) is not None:
        return
    last = next((done for done in rounds if done.session < pd.Timestamp(starts) <= _effective(done)), None)
    if last is None:
        return
    trading, refresh = last.standing.trading, last.standing.refresh
    event_id = _event_before_live(strategy, last.session)
    says_nothing = refresh.idle and trading.state == "CONTINUE"
    if says_nothing and ledger.read("refresh_requests", strategy.name, where={"event_id": event_id}).empty:
        return
    details = {**watch_record(trading, refresh), "score": trading.score}
    rows = [{"event_id": event_id, "session": last.session, "cause": STUDY_LEAVES, "details": details}]
    if last.asks_refresh and last is rounds[-1]:
        rows.append(request_row(strategy.name, last.session, last.refresh_reasons))
    ledger.append("refresh_requests", rows, run_id=run_id, strategy=strategy.name, reason="another study was made")


def watch_left_for_live(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, recorded_by: pd.Timestamp | None
) -> tuple[TradingState, RefreshWatch] | None:
    """What :func:`leave_watch_for_live` put on record of the session before the first live one; None where nothing."""
    where = {"event_id": _event_before_live(strategy, session)}
    rows = ledger.read("refresh_requests", strategy.name, recorded_by=recorded_by, where=where)
    if rows.empty:
        return None
    details = rows["details"].iloc[0]
    return recorded_watch(details, int(details["score"]), session, next_session(strategy.market.calendar, session))


def _event_before_live(strategy: Strategy, session: pd.Timestamp) -> str:
    """Under the settings that decide the models: a study of others leaves nothing for this one's live round."""
    return _event(strategy.name, session, f"before live|{strategy.content_hash(*MODEL_SECTIONS)}")


def _effective(done: Round) -> pd.Timestamp:
    return done.standing.trading.effective_session


def _event(strategy: str, session: pd.Timestamp, what: str) -> str:
    return hashlib.sha256(f"{strategy}|{session.date()}|{what}".encode()).hexdigest()[:16]
