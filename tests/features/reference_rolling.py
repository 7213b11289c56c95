"""Rolling figures window by window, with exactly rounded sums: oracle and slow side."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd


def by_window(values: np.ndarray, window: int, figure) -> np.ndarray:
    """``figure`` of every full window of one column."""
    result = np.full(len(values), np.nan)
    for row in range(window - 1, len(values)):
        stretch = values[row - window + 1 : row + 1]
        if not np.isnan(stretch).any():
            result[row] = figure(stretch)
    return result


def exact_mean(stretch: np.ndarray) -> float:
    return math.fsum(stretch) / len(stretch)


def exact_std(stretch: np.ndarray) -> float:
    mean = exact_mean(stretch)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in stretch) / (len(stretch) - 1))


def lagged_view_std(values: np.ndarray, window: int) -> np.ndarray:
    """The two-pass formula over lagged views, one view after another: (bars, symbols)."""
    rows = len(values) - window + 1
    mean = sum(values[age : age + rows] for age in range(window)) / window
    squares = sum((values[age : age + rows] - mean) ** 2 for age in range(window))
    result = np.full(values.shape, np.nan)
    result[window - 1 :] = np.sqrt(squares / (window - 1))
    return result


def pandas_std(values: np.ndarray, window: int) -> np.ndarray:
    return pd.DataFrame(values).rolling(window).std().to_numpy()
