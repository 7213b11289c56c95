"""What moved the forecasts of a session: explained by the run that decides it, kept beside its page, and read there.

Torch is imported where something is explained, and not to read what was.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.operations.history import History
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import read_record, write_record

LARGEST = 5
"""Symbols of a session that are explained: those of the largest targets and, of equal ones, the strongest signals.

With nothing to be held, those whose forecasts before calibration moved most since the session before.
"""
MOST_MOVES = 10
"""Symbols explained on a session's page, those whose direction changed among them."""
_COIN = 0.5


def keep_moves(
    history: History, session: pd.Timestamp, frames: Mapping[str, pd.DataFrame], decision: str, log: logging.Logger
) -> None:
    """Explain the forecasts of a decided session, and keep what the session's page says of it.

    What cannot be explained is kept as the reason, and asked again when the session is run again.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        The session's records: target_positions and signals are read.
    decision : str
        Hash of the decision's content; what was explained of the same one is left.
    """
    before = kept_moves(history, session)
    if before is not None and before["decision"] == decision and not before["absent"]:
        return
    try:
        record = _moves(history, session, frames)
    except Exception as error:  # whatever a network does, the session is decided and has its page
        log.exception("the forecasts of %s are not explained", session.date())
        record = {"absent": f"{type(error).__name__}: {error}", "rows": []}
    reports_root().mkdir(parents=True, exist_ok=True)
    write_record(_moves_file(history, session), {"decision": decision, **record})


def kept_moves(history: History, session: pd.Timestamp) -> dict[str, Any] | None:
    """What was kept of a session's explanation; None where nothing was."""
    return read_record(_moves_file(history, session))


def _moves_file(history: History, session: pd.Timestamp) -> Path:
    return reports_root() / f"{history.strategy.name}-{session.date()}-moves.json"


def _moves(history: History, session: pd.Timestamp, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    from nn_assets.learning.explanation import COMPLETE
    from nn_assets.operations.explanation import moved_forecasts

    reasons, left_out = _chosen(history, session, frames)
    moved = moved_forecasts(history, session, reasons.keys())
    move = moved.move
    rows = [
        {
            "symbol": symbol,
            "why": reasons[symbol],
            "before": _known(move.before[move.symbols.index(symbol)]),
            "after": _known(move.after[move.symbols.index(symbol)]),
            "parts": dict(zip(move.features, map(_known, move.parts[move.symbols.index(symbol)]), strict=True)),
            "missed": _known(move.missed[move.symbols.index(symbol)]),
        }
        for symbol in reasons
        if symbol in move.symbols
    ]
    return {
        "absent": "",
        "before": str(moved.before.date()),
        "model_id": moved.model_id,
        "refitted": moved.refitted,
        "complete": COMPLETE,
        "rows": rows,
        "without_window": [symbol for symbol in reasons if symbol not in move.symbols],
        "left_out": left_out,
    }


def _chosen(
    history: History, session: pd.Timestamp, frames: Mapping[str, pd.DataFrame]
) -> tuple[dict[Symbol, str], int]:
    """The symbols to explain, each with the reason, and how many more changed their direction."""
    targets = frames["target_positions"].set_index("symbol")["target_weight"]
    signals = frames["signals"].set_index("symbol")
    strength = (signals["calibrated_probability"] - _COIN).abs()
    sessions = history.sessions(session)
    earlier = history.stores.ledger.read("signals", history.strategy.name, sessions[-2], sessions[-2])
    earlier = earlier.set_index("symbol").reindex(signals.index)
    moved = (signals["probability"] - earlier["probability"]).abs()
    nothing_held = not targets.any()
    ranked = pd.DataFrame({"target": targets.abs(), "strength": (moved if nothing_held else strength)})
    ranked = ranked.reindex(targets.index)
    largest = ranked.sort_values(["target", "strength"], ascending=False, kind="stable").index[:LARGEST]
    without = "no target, and moved most" if nothing_held and moved.notna().any() else "no target"
    reasons = {
        str(symbol): f"target {weight:+.2%}" if weight else without for symbol, weight in targets[largest].items()
    }
    were = earlier["direction"]
    turned = signals.index[(were * signals["direction"] < 0).to_numpy(dtype=bool)]
    order = strength[turned].sort_values(ascending=False, kind="stable").index.astype(str)
    others = [symbol for symbol in order if symbol not in reasons]
    room = max(0, MOST_MOVES - len(reasons))
    for symbol in order:
        if symbol in reasons:
            reasons[symbol] += ", direction changed"
    return {**reasons, **dict.fromkeys(others[:room], "direction changed")}, len(others[room:])


def _known(value: float) -> float | None:
    """A figure as JSON has it."""
    return float(value) if math.isfinite(value) else None
