"""The plain way to a critical value: scipy's two-sample test on every window of every path."""

from __future__ import annotations

import numpy as np
from scipy import stats


def plain_sliding_ks(path: np.ndarray, window: int, reference: int) -> np.ndarray:
    """KS distance of each window of ``path`` after its first ``reference`` sessions, from those."""
    later = path[reference:]
    return np.array(
        [
            stats.ks_2samp(later[stop - window : stop], path[:reference], method="asymp").statistic
            for stop in range(window, len(later) + 1)
        ]
    )


def plain_window_cusum(window: np.ndarray, reference: np.ndarray, allowance: float) -> float:
    """Page's recursion, value by value, on normal scores of mid-ranks."""
    up = down = 0.0
    for value in window:
        place = np.sum(reference < value) + 0.5 * np.sum(reference == value)
        score = stats.norm.ppf((place + 0.5) / (len(reference) + 1))
        up = max(0.0, up + score - allowance)
        down = max(0.0, down - score - allowance)
    return max(up, down)
