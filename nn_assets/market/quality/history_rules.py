"""Cleaning rules that judge a row against what came before it, and never by what came after.

A bad tick is often recognised by the next session's return to normal. At the close of session t
that is not yet known, so no rule here uses it: a row is judged for good when it arrives.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, ObjectArray
from nn_assets.market.facts.rows import Rows
from nn_assets.market.quality.odd_prints import odd_print
from nn_assets.market.quality.past import FEWEST_BEFORE, market_moves, trailing, usual_ranges
from nn_assets.market.quality.row_rules import Finding, Rule
from nn_assets.settings import CleaningSettings
from nn_assets.units import bps_to_fraction

LEAST_FACTOR = 50.0
"""Between two closes in a row: no return, unless stated actions account for it. A split, a unit, another share."""

_LOG_100 = np.log(100.0)


def _none_of(rows: Rows) -> Finding:
    """No row: the prices of a binary contract may move by any factor between 0 and 1."""
    return Finding.of(np.zeros(len(rows), dtype=bool), "close")


def _is_hundredfold(price: FloatArray, reference: FloatArray | float, slack: float) -> BoolArray:
    within: BoolArray = np.abs(np.abs(np.log(price / reference)) - _LOG_100) <= slack
    return within


def unit_error_100x(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find prices about 100 times, or a hundredth of, the last close accepted: pence for pounds.

    About is within ``unit_error_slack_log_return`` of the factor, the move of an honest session.
    The reference is the last row *not* found at fault, so that the return to the right unit is no
    second error. A level that stays is no slip: of whole bars in a row on the far side of the
    reference, the ``unit_error_sessions``-th and those after it are let pass, for a person to decide
    on (``unexplained_factor``); those before stay where their day put them. Rows must have four
    positive prices, in the symbol's first shares, so that a stated split moves none of them.
    """
    if settings.binary_prices:
        return _none_of(rows)
    slack, lasting = settings.unit_error_slack_log_return, settings.unit_error_sessions
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
        reference, waiting = float(rows.close[start - 1]), 0  # whole bars in a row on one side of it, signed
        for index in range(start, stop):
            row = np.array([price[index] for price in prices.values()])
            wrong, side = _is_hundredfold(row, reference, slack), _side(row, reference)
            slipped = bool(wrong.any()) or (waiting != 0 and side == np.sign(waiting))
            waiting = 0 if not slipped or side == 0 else side + (waiting if side == np.sign(waiting) else 0)
            if slipped and abs(waiting) < lasting:
                blamed[index] = names[int(wrong.argmax())] if wrong.any() else "close"
            else:
                reference, waiting = float(rows.close[index]), 0
    at_fault = np.zeros(len(rows), dtype=bool)
    at_fault[list(blamed)] = True
    field: ObjectArray = np.array([blamed[index] for index in sorted(blamed)], dtype=object)
    return Finding(at_fault, field)


def _side(row: FloatArray, reference: float) -> int:
    """1 for a whole bar nearer to a hundred times the reference than to it, -1 to a hundredth, 0 for any other."""
    apart = np.log(row / reference)
    return int((apart > _LOG_100 / 2.0).all()) - int((apart < -_LOG_100 / 2.0).all())


def stale_run(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find the n-th equal close in a row and any after it, each with low volume: a feed at a standstill.

    Low is under ``stale_low_volume_fraction`` of the median of the window before. Where instruments trade without
    volume, a bar that does not move at all (open, high, low and close equal) counts instead. The
    first n - 1 rows stay: when they came they were not yet a run.
    """
    repeats = rows.close == rows.previous(rows.close)
    if settings.traded_with_volume:
        # Only repeats in runs that are long enough can count: the others need no look at their volume.
        for index in np.flatnonzero(
            _in_long_runs(repeats, settings.stale_run_sessions - 1)
            & _just_before(rows, settings.stale_run_sessions - 1)
        ):
            usual = trailing(rows, rows.volume, int(index), settings.jump_window_sessions)
            low = settings.stale_low_volume_fraction * np.median(usual) if len(usual) >= FEWEST_BEFORE else 0.0
            repeats[index] = rows.volume[index] < low
    else:
        repeats &= (rows.open == rows.close) & (rows.high == rows.close) & (rows.low == rows.close)
    run = _run_length(repeats)
    at_fault = run >= settings.stale_run_sessions - 1
    return Finding(at_fault, np.full(int(at_fault.sum()), "close", dtype=object))


def copied_bar(rows: Rows, _settings: CleaningSettings) -> Finding:
    """Find bars equal in all five values to one of the same symbol known before: another session's, delivered again.

    Prices that moved within the session and a volume do not come back by chance; a bar without range or volume says
    nothing and is left alone. Which of the two is the copy cannot be known when the second one arrives: the one known
    first stands in what was decided, the other is not used, and both are named.
    """
    moved = np.flatnonzero((rows.high > rows.low) & (rows.volume > 0.0))
    # A volume that comes back is rare, and found without sorting.
    repeated = pd.DataFrame({"symbol": rows.symbol[moved], "volume": rows.volume[moved]}).duplicated(keep=False)
    candidates = moved[repeated.to_numpy()]
    values = [column[candidates] for column in (rows.symbol, rows.open, rows.high, rows.low, rows.close, rows.volume)]
    order = np.lexsort((rows.session[candidates], rows.known_at[candidates], *values))
    same = np.ones(max(len(candidates) - 1, 0), dtype=bool)
    for column in values:
        same &= column[order][1:] == column[order][:-1]
    first = np.maximum.accumulate(
        np.where(np.concatenate([[False], same])[: len(candidates)], 0, np.arange(len(candidates)))
    )
    at_fault = np.zeros(len(rows), dtype=bool)
    at_fault[candidates[order[1:][same]]] = True
    original = np.empty(len(rows), dtype=np.int64)
    original[candidates[order]] = rows.session[candidates][order][first]
    notes = [f"the bar of {pd.Timestamp(int(session)).date()} in all five values" for session in original[at_fault]]
    return Finding(at_fault, np.full(len(notes), "row", dtype=object), np.array(notes, dtype=object))


def isolated_wick(rows: Rows, settings: CleaningSettings) -> Finding:
    """Find a high or low that nothing else of the bar, its past or the market comes near: a bad print.

    Its excess is its log distance from the nearest of open, close and the close before. It is at fault
    from ``wick_minimum_log_distance`` on, if it also exceeds ``wick_range_multiple`` times the usual (median) range of
    the window before, and still does after the median over all symbols of the session is taken off: on 2015-08-24
    the lows of a whole market stood 0.2 away, and they were traded at. A second source that says the same, within
    ``odd_print_minimum_bps``, confirms it.
    """
    if settings.binary_prices:
        return _none_of(rows)
    before = rows.previous(rows.close)
    confirmed = np.abs(rows.beside_second()[0]) <= bps_to_fraction(settings.odd_print_minimum_bps)
    reaches = {
        "low": np.log(np.fmin(np.fmin(rows.open, rows.close), before) / rows.low),
        "high": np.log(rows.high / np.fmax(np.fmax(rows.open, rows.close), before)),
    }
    spread, faults = np.log(rows.high / rows.low), {}
    for name, reach in reaches.items():
        far = rows.of_asked((reach >= settings.wick_minimum_log_distance) & ~confirmed[:, 1 if name == "high" else 2])
        left = reach[far] - market_moves(rows, reach, far)
        ranges = usual_ranges(rows, spread, far, settings.jump_window_sessions)
        least = np.maximum(settings.wick_minimum_log_distance, settings.wick_range_multiple * ranges)
        faults[name] = np.isin(np.arange(len(rows)), far[left >= least])
    at_fault = faults["low"] | faults["high"]
    return Finding(at_fault, np.where(faults["low"], "low", "high").astype(object)[at_fault])


def _just_before(rows: Rows, length: int) -> BoolArray:
    """Rows that a judgement is asked of, and so many rows, with each, that end there."""
    if rows.asked is None:
        return np.ones(len(rows), dtype=bool)
    near = rows.asked.copy()
    for back in range(1, length):
        near[:-back] |= rows.asked[back:]
    return near


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
    index = np.arange(len(holds), dtype=np.int64)
    last_break = np.maximum.accumulate(np.where(holds, -1, index))
    return np.where(holds, index - last_break, 0)


COPIED_BAR, ODD_PRINT = "copied_bar", "odd_print"
IN_SHARES_AS_DELIVERED = (COPIED_BAR, ODD_PRINT)
"""What these compare are values as delivered; the others compare with what came before, stated splits taken out."""

HISTORY_RULES = (
    Rule(
        COPIED_BAR,
        "a bar of its own",
        copied_bar,
        "ask the source which of the two sessions the bar belongs to, and for the other one's",
        reach=None,
    ),
    Rule(
        "unit_error_100x",
        "prices in the unit of those before",
        unit_error_100x,
        "correct the unit at the source, or restate the history in the new one",
        reach=lambda settings: 1,  # noqa: ARG005  the last one kept is the reference
    ),
    Rule(
        ODD_PRINT,
        "prices that the source compared with comes near",
        odd_print,
        "ask both which price stands: if the other's, correct the bar at the source; if it was traded at, raise "
        "cleaning.odd_print_minimum_bps (of a whole bar cleaning.odd_level_minimum_bps), or drop market.compare_with",
        reach=None,
    ),
    Rule(
        "isolated_wick",
        "high and low that the rest of the bar comes near",
        isolated_wick,
        "compare with another source and correct the bar; raise cleaning.wick_minimum_log_distance if it was traded at",
        reach=lambda settings: settings.jump_window_sessions + 1,
    ),
    Rule(
        "stale_run",
        "closes that move, or trading that volume or a range shows",
        stale_run,
        "ask the source whether trading was halted; raise cleaning.stale_run_sessions if trading is merely thin",
        reach=lambda settings: settings.jump_window_sessions + settings.stale_run_sessions,
    ),
)
"""In this order, on the rows that the row rules let pass."""
