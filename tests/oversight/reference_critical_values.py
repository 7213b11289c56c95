"""The plain way to a critical value: both distribution functions, on every window of every path."""

from __future__ import annotations

import numpy as np
from scipy import stats


def plain_ks(window: np.ndarray, reference: np.ndarray) -> float:
    """The largest gap between the two distribution functions, tried at every value of either."""
    points = np.concatenate([window, reference])[:, None]
    gaps = (window <= points).mean(axis=1) - (reference <= points).mean(axis=1)
    return float(np.abs(gaps).max())


def plain_sliding_ks(path: np.ndarray, window: int, reference: int) -> np.ndarray:
    """KS distance of each window of ``path`` after its first ``reference`` sessions, from those."""
    later = path[reference:]
    stops = range(window, len(later) + 1)
    return np.array([plain_ks(later[stop - window : stop], path[:reference]) for stop in stops])


def plain_window_cusum(window: np.ndarray, reference: np.ndarray, allowance: float) -> float:
    """Page's recursion, value by value, on normal scores of mid-ranks."""
    up = down = 0.0
    for value in window:
        rank = np.sum(reference < value) + 0.5 * np.sum(reference == value)
        score = stats.norm.ppf((rank + 0.5) / (len(reference) + 1))
        up = max(0.0, up + score - allowance)
        down = max(0.0, down - score - allowance)
    return max(up, down)
