"""Refreshes that drift asked for, and what came of them, as rows of the ledger's ``refresh_requests``."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

from nn_assets.learning.refresh import RefreshCheck
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["DRIFT_ASKS", "REFRESH_REFUSED", "REFRESH_TAKEN", "record_answer", "request_row"]

DRIFT_ASKS, REFRESH_TAKEN, REFRESH_REFUSED = "prediction drift", "refresh taken", "refresh refused"


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


def _event(strategy: str, session: pd.Timestamp, what: str) -> str:
    return hashlib.sha256(f"{strategy}|{session.date()}|{what}".encode()).hexdigest()[:16]
