"""What was usual before a row, and what its market did: what the rules measure a row against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.market.facts.rows import Rows

FEWEST_BEFORE = 20
"""Values, without which a past calls nothing unusual."""

WHOLE_SPLITS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 50.0)
"""New shares for one old one."""

SIMPLE_SPLITS = (*WHOLE_SPLITS, 4.0 / 3.0, 1.5, 2.5, *(1.0 / whole for whole in WHOLE_SPLITS))
"""New shares for an old one; splits other than whole ones only ever raise the number of shares."""

_AT_ONCE = 32_768  # rows whose histories are gathered at once
_FEWEST_SYMBOLS = 3  # below which their median is no market


def trailing(rows: Rows, values: FloatArray, index: int, window: int) -> FloatArray:
    """Up to ``window`` values of the same symbol just before a row, oldest first, NaN left out."""
    first = int(np.searchsorted(rows.symbol, rows.symbol[index], side="left"))
    start = max(index - window, first)
    if rows.cut is not None:
        rows.cut.note(rows.symbol[[index]], np.array([index - window <= first]))  # the first has no row before it
    before = values[start:index]
    return before[np.isfinite(before)]


def usual_range(ranges: FloatArray) -> float:
    """The median; too short a past can call nothing unusual."""
    return float(np.median(ranges)) if len(ranges) >= FEWEST_BEFORE else float("inf")


def usual_ranges(rows: Rows, values: FloatArray, indices: npt.NDArray[np.intp], window: int) -> FloatArray:
    """``usual_range`` of what ``trailing`` gives for each place, shape (places,); all at once, to the same bits."""
    ranges = np.full(len(indices), np.inf)
    back = np.arange(-window, 0)
    for low in range(0, len(indices), _AT_ONCE):
        batch = indices[low : low + _AT_ONCE]
        first = np.searchsorted(rows.symbol, rows.symbol[batch], side="left")
        if rows.cut is not None:
            rows.cut.note(rows.symbol[batch], batch - window <= first)
        index = batch[:, None] + back
        past = np.where(index >= first[:, None], values[np.maximum(index, 0)], np.nan)
        past[~np.isfinite(past)] = np.nan
        past.sort(axis=1)  # NaN last
        count, row = np.isfinite(past).sum(axis=1), np.arange(len(batch))
        median = (past[row, (count - 1) // 2] + past[row, np.minimum(count // 2, window - 1)]) / 2.0
        ranges[low : low + _AT_ONCE] = np.where(count >= FEWEST_BEFORE, median, np.inf)
    return ranges


def market_moves(rows: Rows, moves: FloatArray, indices: npt.NDArray[np.intp]) -> FloatArray:
    """Median over symbols of each asked row's session, shape (places,); 0 where fewer than three have a value.

    What became known after the asked row says nothing of it: it is judged for good when it is known.
    """
    order = np.argsort(rows.session, kind="stable")
    sessions = rows.session[order]
    # Rows of a session that became known at once have one answer: a market is asked once, not once a symbol.
    pairs, which = np.unique(
        np.column_stack([rows.session[indices], rows.known_at[indices]]), axis=0, return_inverse=True
    )
    lows, highs = (np.searchsorted(sessions, pairs[:, 0], side=side) for side in ("left", "right"))
    medians = np.zeros(len(pairs))
    for number, (known_at, low, high) in enumerate(zip(pairs[:, 1], lows, highs, strict=True)):
        rows_of_pair = order[low:high]
        others = moves[rows_of_pair[rows.known_at[rows_of_pair] <= known_at]]
        others = others[np.isfinite(others)]
        medians[number] = np.median(others) if len(others) >= _FEWEST_SYMBOLS else 0.0
    return medians[which.reshape(-1)]
