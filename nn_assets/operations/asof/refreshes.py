"""Refreshes that drift asked for, and their outcomes, as rows of the ledger's ``refresh_requests``.

A study leaves there, too, the state of its drift watch when the first live session began: the live round goes on
from it. They are put on record by ``operations/models/refresh_requests.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nn_assets.contracts.frames import RefreshRequestRows
from nn_assets.market.calendar.sessions import next_session
from nn_assets.operations.asof.models import MODEL_SECTIONS
from nn_assets.operations.asof.settings_on_record import part_hashes_in_force
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.oversight.severity import TradingState
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

DRIFT_ASKS, REFRESH_TAKEN, REFRESH_REFUSED = "prediction drift", "refresh taken", "refresh refused"
STUDY_LEAVES = "left by a study before the first live session"


def recorded_watch(
    record: Mapping[str, Any], score: int, session: pd.Timestamp, effective_session: pd.Timestamp
) -> tuple[TradingState, RefreshWatch]:
    """What ``watch_record`` described; it was decided by the score of a session."""
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


def watch_left_for_live(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, recorded_by: pd.Timestamp | None
) -> tuple[TradingState, RefreshWatch] | None:
    """What ``leave_watch_for_live`` put on record of the session before the first live one; None where nothing."""
    rows = left_before_live(ledger, strategy, session, recorded_by)
    if rows.empty:
        return None
    details = rows["details"].iloc[-1]
    return recorded_watch(details, int(details["score"]), session, next_session(strategy.market.calendar, session))


def left_before_live(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, recorded_by: pd.Timestamp | None = None
) -> RefreshRequestRows:
    """What studies under the settings that decide the models left of a session, the newest last."""
    in_force = part_hashes_in_force(ledger, strategy, *MODEL_SECTIONS)
    events = [_before_live(strategy.name, session, settings_hash) for settings_hash in in_force]
    rows = ledger.read("refresh_requests", strategy.name, session, session, recorded_by=recorded_by, bookkeeping=True)
    return rows[rows["event_id"].isin(events)].sort_values("sequence")


def event_before_live(strategy: Strategy, session: pd.Timestamp) -> str:
    """Under the settings that decide the models: a study of others leaves nothing for this one's live round."""
    return _before_live(strategy.name, session, strategy.content_hash(*MODEL_SECTIONS))


def _before_live(strategy: str, session: pd.Timestamp, settings_hash: str) -> str:
    return event_of(strategy, session, f"before live|{settings_hash}")


def event_of(strategy: str, session: pd.Timestamp, what: str) -> str:
    """Id of an event on a session of a strategy: the same whenever it is recorded."""
    return hashlib.sha256(f"{strategy}|{session.date()}|{what}".encode()).hexdigest()[:16]
