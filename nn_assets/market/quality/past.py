"""What was usual before a row, and what its market did: what the rules measure a row against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.market.facts.rows import FloatArray, Rows

__all__ = ["FEWEST_BEFORE", "SIMPLE_SPLITS", "WHOLE_SPLITS", "market_moves", "trailing", "usual_range"]

FEWEST_BEFORE = 20
"""Values, without which a past calls nothing unusual."""

WHOLE_SPLITS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 50.0)
"""New shares for one old one."""

SIMPLE_SPLITS = (*WHOLE_SPLITS, 4.0 / 3.0, 1.5, 2.5, *(1.0 / whole for whole in WHOLE_SPLITS))
"""New shares for an old one; splits other than whole ones only ever raise the number of shares."""

_FEWEST_SYMBOLS = 3  # below which their median is no market


def trailing(rows: Rows, values: FloatArray, place: int, window: int) -> FloatArray:
    """Up to ``window`` values of the same symbol just before a row, oldest first, NaN left out."""
    start = max(place - window, int(np.searchsorted(rows.symbol, rows.symbol[place], side="left")))
    before = values[start:place]
    return before[np.isfinite(before)]


def usual_range(ranges: FloatArray) -> float:
    """The median; too short a past can call nothing unusual."""
    return float(np.median(ranges)) if len(ranges) >= FEWEST_BEFORE else float("inf")


def market_moves(rows: Rows, moves: FloatArray, places: npt.NDArray[np.intp]) -> FloatArray:
    """Median over symbols of each asked row's session, shape (places,); 0 where fewer than three have a value.

    What became known after the asked row says nothing of it: its verdict is final when it is known.
    """
    order = np.argsort(rows.session, kind="stable")
    sessions = rows.session[order]
    found = np.zeros(len(places))
    for at, place in enumerate(places):
        low, high = (np.searchsorted(sessions, rows.session[place], side=side) for side in ("left", "right"))
        there = order[low:high]
        others = moves[there[rows.known_at[there] <= rows.known_at[place]]]
        others = others[np.isfinite(others)]
        found[at] = np.median(others) if len(others) >= _FEWEST_SYMBOLS else 0.0
    return found
