"""Cleaning rules that judge a row against what came before it, and never by what came after.

A bad tick is often recognised by the next session's return to normal. At the close of session t
that is not yet known, so no rule here uses it: a row's verdict is final when the row arrives.
"""

from __future__ import annotations

import numpy as np

from nn_assets.market.facts.rows import BoolArray, FloatArray, IntArray, ObjectArray, Rows
from nn_assets.market.quality.row_rules import Finding, Rule
from nn_assets.settings import CleaningSettings

__all__ = ["HISTORY_RULES", "trailing"]

_LOG_100 = np.log(100.0)
_FEWEST_BEFORE = 20


def trailing(rows: Rows, values: FloatArray, place: int, window: int) -> FloatArray:
    """Up to ``window`` values of the same symbol just before a row, oldest first, NaN left out."""
    start = max(place - window, int(np.searchsorted(rows.symbol, rows.symbol[place], side="left")))
    before = values[start:place]
    return before[np.isfinite(before)]


def _is_hundredfold(price: FloatArray, reference: FloatArray | float, slack: float) -> BoolArray:
    return np.abs(np.abs(np.log(price / reference)) - _LOG_100) <= slack


def unit_error_100x(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find prices about 100 times, or a hundredth of, the last close accepted: pence for pounds.

    About is within ``unit_error_slack_log_return`` of the factor, the move of an honest session.
    The reference is the last row *not* found at fault, so that the return to the right unit is no
    second error. A change of unit for good therefore quarantines every row from it on: the gate
    then halts, and a person decides. All rows must have four positive prices.
    """
    slack = settings.unit_error_slack_log_return
    prices = {"open": rows.open, "high": rows.high, "low": rows.low, "close": rows.close}
    before = rows.previous(rows.close)
    suspect = np.zeros(len(rows), dtype=bool)
    for price in prices.values():
        suspect |= _is_hundredfold(price, before, slack)
    blamed: dict[int, str] = {}
    names = list(prices)
    for symbol in np.unique(rows.symbol[suspect]):
        stop = int(np.searchsorted(rows.symbol, symbol, side="right"))
        first = int(np.searchsorted(rows.symbol, symbol, side="left"))
        start = first + int(suspect[first:stop].argmax())
        reference = float(rows.close[start - 1])
        for place in range(start, stop):
            row = np.array([price[place] for price in prices.values()])
            wrong = _is_hundredfold(row, reference, slack)
            if wrong.any():
                blamed[place] = names[int(wrong.argmax())]
            else:
                reference = float(rows.close[place])
    at_fault = np.zeros(len(rows), dtype=bool)
    at_fault[list(blamed)] = True
    field: ObjectArray = np.array([blamed[place] for place in sorted(blamed)], dtype=object)
    return Finding(at_fault, field)


def stale_run(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find the n-th equal close in a row and any after it, each with low volume: a feed at a standstill.

    Low is under ``stale_low_volume_fraction`` of the median of the window before. Where instruments trade without
    volume, a bar that does not move at all (open, high, low and close equal) counts instead. The
    first n - 1 rows stay: when they came they were not yet a run.
    """
    repeats = rows.close == rows.previous(rows.close)
    if settings.traded_with_volume:
        # Only repeats in runs that are long enough can count: the others need no look at their volume.
        for place in np.flatnonzero(_in_long_runs(repeats, settings.stale_run_sessions - 1)):
            usual = trailing(rows, rows.volume, int(place), settings.jump_window_sessions)
            low = settings.stale_low_volume_fraction * np.median(usual) if len(usual) >= _FEWEST_BEFORE else 0.0
            repeats[place] = rows.volume[place] < low
    else:
        repeats &= (rows.open == rows.close) & (rows.high == rows.close) & (rows.low == rows.close)
    run = _run_length(repeats)
    at_fault = run >= settings.stale_run_sessions - 1
    return Finding(at_fault, np.full(int(at_fault.sum()), "close", dtype=object))


def _in_long_runs(holds: BoolArray, length: int) -> BoolArray:
    """Rows that lie in a run of at least ``length`` rows that hold."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]])))
    starts, stops = edges[::2], edges[1::2]
    long = stops - starts >= length
    marks = np.zeros(len(holds) + 1, dtype=np.int64)
    marks[starts[long]], marks[stops[long]] = 1, -1
    return np.cumsum(marks[:-1]) > 0


def _run_length(holds: BoolArray) -> IntArray:
    """How many rows in a row, up to and with each one, hold."""
    place = np.arange(len(holds), dtype=np.int64)
    last_break = np.maximum.accumulate(np.where(holds, -1, place))
    return np.where(holds, place - last_break, 0)


HISTORY_RULES = (
    Rule(
        "unit_error_100x",
        "prices in the unit of those before",
        unit_error_100x,
        "correct the unit at the source, or restate the history in the new one",
    ),
    Rule(
        "stale_run",
        "closes that move, or volume",
        stale_run,
        "ask the source whether trading was halted; raise cleaning.stale_run_sessions if it merely is thin",
    ),
)
"""In this order, on the rows that the row rules let pass."""
