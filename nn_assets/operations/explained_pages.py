"""Explanations on the pages: made in the run that has the models at hand, kept beside the pages, and only read there.

Torch is imported where something is explained, and not to read what was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol, number_bytes
from nn_assets.learning.address import first_needed_row
from nn_assets.operations.history import History
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.versions import version_of

if TYPE_CHECKING:
    from nn_assets.operations.explanation import ModelPart

LARGEST = 5
"""Symbols of a session that are explained: those of the largest targets and, of equal ones, the strongest signals.

With nothing to be held, those whose forecasts before calibration moved most since the session before.
"""
MOST_MOVES = 10
"""Symbols explained on a session's page, those whose direction changed among them."""
MOST_SAMPLES, REPEATS = 256, 3
"""Rows and symbols of a model's month that its importance is measured on, and how often each feature is dealt out."""

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


def measured_importance(
    history: History,
    sessions: pd.DatetimeIndex,
    model_by_row: Sequence[str | None],
    rows: range,
    kept: Mapping[str, Any] | None,
    log: logging.Logger,
) -> dict[str, Any]:
    """What each feature was worth to the models of a study, month by month, on rows that they were not fitted on.

    A month measured before, by the same loss, whose models are the same and whose labels were all realised, is taken
    over, as long as its features, its labels and the code are the same.

    Parameters
    ----------
    sessions : DatetimeIndex
        The axis of the study.
    model_by_row : sequence of str or None
        Address of the model that forecast each row.
    rows : range
        Those that the study judges.
    kept : mapping, optional
        What this gave for the study before.
    log : Logger
        Told how long it took, or why it was not measured.
    """
    from nn_assets.operations.explanation import loss_of

    begun, months = time.monotonic(), dict[str, Any]()
    loss, unit = loss_of(history.strategy)
    before = {} if kept is None or kept.get("loss", "log loss") != loss else kept["months"]
    absent, taken_over = "", 0
    try:
        for month, parts in _parts_of_study(sessions, model_by_row, rows).items():
            entry = before.get(month)
            read = _read_by(history, parts)
            same = entry is not None and entry["parts"] == _addressed(parts) and entry.get("read") == read
            if entry is not None and entry["whole"] and same:
                months[month], taken_over = entry, taken_over + 1
            else:
                months[month] = {**_importance_of_month(history, parts), "read": read}
    except Exception as error:  # a study stands without it, and its page says why
        log.exception("the importance of features is not measured")
        absent = f"{type(error).__name__}: {error}"
    else:
        seconds, measured = time.monotonic() - begun, len(months) - taken_over
        words = "importance of features: %d months in %.0f s, %d as measured before"
        log.info(words, measured, seconds, taken_over)
    return {"months": months, "most_samples": MOST_SAMPLES, "absent": absent, "loss": loss, "unit": unit}


def _parts_of_study(
    sessions: pd.DatetimeIndex, model_by_row: Sequence[str | None], rows: range
) -> dict[str, list[ModelPart]]:
    from nn_assets.operations.explanation import parts_of

    def model_of(row: int) -> str | None:
        return model_by_row[row] if row in rows else None

    months = dict.fromkeys(sessions[rows.start : rows.stop].strftime("%Y-%m"))
    by_month = {month: list(parts_of(month, sessions, model_of)) for month in months}
    return {month: parts for month, parts in by_month.items() if parts}


def _addressed(parts: Sequence[ModelPart]) -> list[list[object]]:
    return [[part.model_id, part.rows.start, part.rows.stop] for part in parts]


def _read_by(history: History, parts: Sequence[ModelPart]) -> str:
    """Hash of what a month's importance follows from, beside its models: features and labels as known now, and code."""
    view, strategy = history.view(), history.strategy
    lookbacks = {strategy.learning.lookback}
    if strategy.search is not None and (varied := strategy.search.space.get("learning.lookback")) is not None:
        lookbacks |= {int(lookback) for lookback in varied.ends}
    measured_by = version_of("nn_assets.operations.explanation:importance_of_parts")
    digest = hashlib.sha256(json.dumps([measured_by, MOST_SAMPLES, REPEATS]).encode())
    for part in parts:
        first = first_needed_row(part.rows.start, max(lookbacks), strategy.features.max_missing_bars_fraction)
        digest.update(view.cube.content_hash(slice(first, part.rows.stop)).encode())
        digest.update(number_bytes(view.labels.targets[part.rows]))
        digest.update(number_bytes(view.labels.learned[part.rows]))
    return digest.hexdigest()[:16]


def _importance_of_month(history: History, parts: Sequence[ModelPart]) -> dict[str, Any]:
    from nn_assets.operations.explanation import importance_of_parts

    view = history.view()
    rises: dict[str, list[float]] = {}
    sessions = 0
    for one in importance_of_parts(history, parts, repeats=REPEATS, most_samples=MOST_SAMPLES):
        sessions += len(one.rise)
        for column, name in enumerate(one.features):
            rises.setdefault(name, []).extend(one.rise[:, column].tolist())
    return {
        "parts": _addressed(parts),
        "whole": bool(view.labels.realised_row[parts[-1].rows.stop - 1] <= view.row),
        "sessions": sessions,
        "rises": {name: _known(float(np.mean(values))) if values else None for name, values in rises.items()},
    }


def _known(value: float) -> float | None:
    """A figure as JSON has it."""
    return float(value) if math.isfinite(value) else None
