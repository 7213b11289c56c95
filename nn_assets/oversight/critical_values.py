"""Critical values under which a daily drift monitor rings at a stated pace when nothing has changed.

A *ring*: the statistic of the sliding window lies above the critical value on at least one session.
"One ring a year" is the pace of a Poisson clock: over a span of ``sessions_per_year / rings_per_year``
consecutive sessions the monitor stays silent with probability 1/e = 0.368. The critical value is
therefore the 1/e quantile of the span's greatest statistic. (Counting up-crossings instead would
count one wander around the threshold many times; counting sessions above it, more often still.)

The spans are simulated at the nodes of a grid (:mod:`nn_assets.oversight.simulation`); between nodes
values are linear in the AR(1) coefficient and in 1 / reference. The nodes of the usual windows are stored
(:mod:`nn_assets.oversight.critical_table`); those of any other window are simulated where first asked for.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf

import numpy as np

from nn_assets.oversight.critical_table import Key, stored_values
from nn_assets.oversight.simulation import COEFFICIENTS, REFERENCES, simulated

MINIMUM_REFERENCE = REFERENCES[0]


@lru_cache(maxsize=8192)
def critical_value(
    statistic: str,
    window: int,
    reference: int,
    coefficient: float,
    sessions_per_year: int = 252,
    rings_per_year: float = 1.0,
) -> float:
    """What the statistic of a window of an unchanged series exceeds at the stated pace.

    Parameters
    ----------
    statistic : str
        ``ks``, the distance of the window of a series from its reference, or ``cusum``, the height of a window of
        innovations.
    window : int
        Sessions of the sliding window.
    reference : int
        Sessions of the reference series. Above 1,000 the value at 1,000 is used (it is larger).
    coefficient : float
        AR(1) coefficient, or what is used in its place (:func:`nn_assets.oversight.monitored.window_memory`); of
        innovations the one that is left in them. Below 0 the value at 0 is used (it is larger); above 0.98 that at
        0.98.
    sessions_per_year : int
    rings_per_year : float

    Returns
    -------
    float
        A distance in (0, 1], or a height in standard deviations; infinity where the reference is shorter than
        :data:`MINIMUM_REFERENCE` sessions or the coefficient is NaN: nothing can be said, so nothing rings.
    """
    if reference < MINIMUM_REFERENCE or np.isnan(coefficient):
        return inf
    stored = stored_values().get(Key(statistic, window, sessions_per_year, rings_per_year))

    def node(row: int, column: int) -> float:
        length = REFERENCES[row]
        if stored is not None:
            return stored[length][column]
        return simulated(statistic, window, length, COEFFICIENTS[column], sessions_per_year, rings_per_year)

    bounded = min(max(coefficient, COEFFICIENTS[0]), COEFFICIENTS[-1])
    low, high, share = _bracket(COEFFICIENTS, bounded)
    # Ascending in the negated inverse, in which the value is nearly linear.
    inverse = tuple(-1.0 / length for length in REFERENCES)
    short, long, weight = _bracket(inverse, -1.0 / min(reference, REFERENCES[-1]))

    def along(row: int) -> float:
        left = node(row, low)
        return left if low == high else left + share * (node(row, high) - left)

    start = along(short)
    return start if short == long else start + weight * (along(long) - start)


def _bracket(nodes: tuple[float, ...], value: float) -> tuple[int, int, float]:
    """Places of the nodes on either side of a value within them, and how far between it lies."""
    right = int(np.searchsorted(nodes, value))
    if nodes[right] == value:
        return right, right, 0.0
    return right - 1, right, (value - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
