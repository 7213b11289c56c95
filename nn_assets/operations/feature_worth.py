"""What each feature was worth to a study's models: measured by the study's run, and only where something changed.

Torch is imported where a month is measured.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nn_assets.arrays import number_bytes
from nn_assets.learning.address import first_needed_row
from nn_assets.operations.history import History
from nn_assets.versions import version_of

if TYPE_CHECKING:
    from nn_assets.operations.explanation import ModelPart

MOST_SAMPLES, REPEATS = 256, 3
"""Rows and symbols of a model's month that its importance is measured on, and how often each feature is dealt out."""


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
        "rises": {name: _mean(values) for name, values in rises.items()},
    }


def _mean(values: Sequence[float]) -> float | None:
    """As JSON has it: None of no value, and of one that is not finite."""
    mean = float(np.mean(values)) if values else math.nan
    return mean if math.isfinite(mean) else None
