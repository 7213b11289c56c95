"""The plain way to windows: one Python slice a sample. What the views must equal, and outrun."""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray


def plain_windows(values: FloatArray, rows: FloatArray, columns: FloatArray, lookback: int) -> FloatArray:
    """float32 (samples, lookback, features), each the ``lookback`` rows that end with its own."""
    return np.stack(
        [
            values[row - lookback + 1 : row + 1, column].astype(np.float32)
            for row, column in zip(rows, columns, strict=True)
        ]
    )


def plain_samples(values: FloatArray, targets: FloatArray, rows: slice, lookback: int) -> list[tuple[int, int]]:
    """(row, symbol) of each sample: a window without a hole and a label."""
    samples = []
    for row in range(max(rows.start, lookback - 1), rows.stop):
        for column in range(values.shape[1]):
            window = values[row - lookback + 1 : row + 1, column]
            if np.isfinite(window).all() and np.isfinite(targets[row, column]):
                samples.append((row, column))
    return samples
