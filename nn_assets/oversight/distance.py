"""The Kolmogorov-Smirnov distance, from values and from ranks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["counts_within", "distance_of_counts", "sliding_ks"]

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def counts_within(values: FloatArray, ordered: FloatArray) -> tuple[Counts, Counts]:
    """How many values of a sorted reference lie below, and at or below, each value."""
    below: Counts = np.searchsorted(ordered, values, side="left")
    upto: Counts = np.searchsorted(ordered, values, side="right")
    return below, upto


def distance_of_counts(below: Counts, upto: Counts, reference: int) -> float:
    """KS distance of a window from the counts of its values, which come sorted.

    F_window steps at its own values only: the difference is extreme at one of them, or just before.

    Parameters
    ----------
    below, upto : int array, shape (window,)
        As :func:`counts_within` gives them, ascending.
    reference : int
        Length of the reference.
    """
    rank = np.arange(below.size)
    over = ((rank + 1) / below.size - upto / reference).max()
    under = (below / reference - rank / below.size).max()
    return float(max(over, under))


def sliding_ks(places: npt.NDArray[np.int16], window: int, reference: int) -> FloatArray:
    """KS distance of every window of a path against one reference that it does not tie with.

    Parameters
    ----------
    places : int array, shape (..., sessions)
        How many reference values lie below each value of the path.
    window, reference : int
        Lengths, in sessions.

    Returns
    -------
    array, shape (..., sessions - window + 1)
    """
    ordered = np.sort(sliding_window_view(places, window, axis=-1), axis=-1)  # (..., windows, window)
    rank = np.arange(window)
    over = ((rank + 1) / window - ordered / reference).max(axis=-1)
    under = (ordered / reference - rank / window).max(axis=-1)
    largest: FloatArray = np.maximum(over, under)
    return largest
