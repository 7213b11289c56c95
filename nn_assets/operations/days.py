"""The sessions of a daily run in order: each is decided, its alerts are appended, and its page is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.operations.accounts.of_the_day import after_round, before_round
from nn_assets.operations.asof.models import models_in_force, require_models
from nn_assets.operations.decisions.fired import (
    alert_of_assumed_funding,
    alert_of_breakers,
    alert_of_unlike_day,
    alert_of_unquoted,
)
from nn_assets.operations.decisions.intact_ledger import on_intact_ledger
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.history import History
from nn_assets.operations.session_moves import keep_moves
from nn_assets.operations.session_page import bound_by, write_daily_page
from nn_assets.reports.plots import drift_statistics
from nn_assets.reports.tables import sized_positions, why_frame

Figures = dict[str, dict[str, Any]]

COMPARED = "compared_with_the_record"
"""Name of what a session's report says of one that other code decided."""


def play_days(
    history: History, sessions: Iterable[pd.Timestamp], run_id: str, log: logging.Logger
) -> Iterator[tuple[DecidedSession, Figures]]:
    """Decide sessions in order, on a ledger that is intact; write each one's page, and append its alerts.

    Of a strategy that trades at a venue, what its account did is collected and compared before, and what was decided is
    sent after. The caller must hold the strategy's lock. A session that is not closed yet is skipped. A page that fails
    is reported: the decision is kept.

    Yields
    ------
    DecidedSession
    dict of asset to dict
        What an operator sees of it, as :func:`session_metadata` gives it.

    Raises
    ------
    AuditError
        A row of the ledger is not as it was appended: nothing is decided.
    ModelError
        A session that would be decided has no model: nothing is decided.
    DecisionError, SettingsError, ClockError, LedgerError
        As :func:`nn_assets.operations.decisions.rounds.decide_session`.
    """
    with on_intact_ledger(history, run_id):
        closed = []
        for session in sessions:
            if session > history.last_session:
                log.info("%s is not closed yet, and is left out", session.date())
            else:
                closed.append(session)
        undecided = [session for session in closed if history.decided_at(session) is None]
        require_models(models_in_force(history.stores.ledger, history.strategy), undecided)
        if undecided:
            before_round(history, run_id, log)
        for session in closed:
            decided = decide_session(history, session, run_id)
            log.info(decided.sentence)
            if decided.differs:  # its alerts and its page are those of what is on record
                yield decided, {"daily_report": {"report": "left as it is", COMPARED: decided.sentence}}
                continue
            alert_of_breakers(history, decided.round, run_id)
            alert_of_unquoted(history, decided.round, run_id)
            alert_of_assumed_funding(history, decided.round, run_id)
            alert_of_unlike_day(history, decided.round, run_id)
            yield decided, session_metadata(decided, *_page(history, decided, log))
        if closed:
            after_round(history, run_id, log)


def _page(history: History, decided: DecidedSession, log: logging.Logger) -> tuple[Path | str, bytes | None]:
    """Write the session's page; its file, or why there is none, and its plot of drift where there is one."""
    drift = decided.frames["drift"]
    try:
        plot = drift_statistics(drift) if len(drift) else None
        session, decision = decided.round.session, decided.provenance["content_hash"]
        keep_moves(history, session, decided.frames, decision, log)
        return write_daily_page(history, decided.round, decided.frames, decided.provenance, plot), plot
    except Exception as error:  # whatever is wrong with a page, what it shows is decided
        day = decided.round.session.date()
        log.exception("the page of %s could not be written; run the session again for it", day)
        return f"not written: {error!r}", None


def session_metadata(decided: DecidedSession, page: Path | str, plot: bytes | None) -> Figures:
    """What an operator sees of a session, by asset and name: numbers, sentences, frames, and its page.

    Parameters
    ----------
    page : Path or str
        The page's file, or why there is none.
    plot : bytes, optional
        The plot of drift as PNG.
    """
    frames, state = decided.frames, decided.round.state
    positions = sized_positions(frames["target_positions"], frames["position_steps"], bound_by(decided.round, frames))
    order = [position.symbol for position in positions]
    trading = frames["trading_states"].iloc[0]  # the state in force, as the ledger and the page have it
    return {
        "fills": {
            "fills": len(frames["fills"]),
            "loss_beyond_stops_usd": decided.round.loss_beyond_stops_usd,
            "ended_without_a_whole_fill": len(decided.round.ended),
            "table": frames["fills"].drop(columns=["known_at"]),
        },
        "portfolio_state": {
            "equity_usd": state.equity_usd,
            "gross_fraction": state.gross_fraction,
            "drawdown_fraction": state.drawdown_fraction,
            "breaker": state.breaker or "none",
        },
        "daily_signals": {
            "model_id": decided.provenance["model_id"],
            "table": _ordered(frames["signals"], order)[
                ["symbol", "calibrated_probability", "direction", "expected_return", "confidence"]
            ],
        },
        "target_positions": {
            "verdict": decided.provenance["verdict"],
            "table": _ordered(frames["target_positions"], order)[
                ["symbol", "current_quantity", "target_quantity", "target_weight"]
            ],
            "why": why_frame(positions),
        },
        "orders": {
            "orders": len(frames["orders"]),
            "denied": int((frames["orders"]["status"] == "denied").sum()),
            "table": frames["orders"][["symbol", "side", "quantity", "status", "reason_code"]],
        },
        "drift_report": {
            "trading_state": str(trading["state"]),
            "score": float(trading["score"]),
            "reasons": "; ".join(trading["reasons"]) or "none",
            **({} if plot is None else {"drift": plot}),
        },
        "daily_report": {"report": page, **({} if decided.compared is None else {COMPARED: decided.sentence})},
    }


def _ordered(frame: pd.DataFrame, symbols: list[Symbol]) -> pd.DataFrame:
    """The rows of a frame in an order of symbols: what is held or changes first."""
    return frame.set_index("symbol", drop=False).reindex(symbols).dropna(subset="symbol")
