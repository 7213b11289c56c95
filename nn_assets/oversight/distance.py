"""The Kolmogorov-Smirnov distance, from values and from ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd, lcm

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from nn_assets.arrays import FloatArray

Counts = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int16]

# Paths processed at a time, so that a window of them stays in the processor's cache.
_BATCH = 800


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


def sliding_ks(ranks: Ranks, window: int, reference: int) -> FloatArray:
    """KS distance of every window of a path against one reference that it does not tie with.

    Parameters
    ----------
    ranks : int array, shape (..., sessions)
        How many reference values lie below each value of the path.
    window, reference : int
        Lengths, in sessions.

    Returns
    -------
    array, shape (..., sessions - window + 1)
    """
    ordered = np.sort(sliding_window_view(ranks, window, axis=-1), axis=-1)  # (..., windows, window)
    rank = np.arange(window)
    over = ((rank + 1) / window - ordered / reference).max(axis=-1)
    under = (ordered / reference - rank / window).max(axis=-1)
    largest: FloatArray = np.maximum(over, under)
    return largest


def distances_of_paths(ranks: Ranks, window: int, reference: int) -> FloatArray:
    """Give :func:`sliding_ks` of many paths side by side, to the bit, in half its time.

    Parameters
    ----------
    ranks : int array, shape (sessions, paths)
    window, reference : int

    Returns
    -------
    array, shape (sessions - window + 1, paths)
    """
    rank = np.arange(window)[:, None]
    over_from, under_from = (rank + 1) / window, rank / window
    distances = np.empty((len(ranks) - window + 1, ranks.shape[1]))
    for batch in _batches(ranks.shape[1]):
        # Floats that are not negative are in the order of their own bits.
        shares = np.ascontiguousarray(ranks[:, batch] / reference).view(np.int64)
        gap = np.empty((window, shares.shape[1]))
        for row, bits in enumerate(_sorted_windows(shares, window)):
            ordered = bits.view(np.float64)
            over = np.subtract(over_from, ordered, out=gap).max(axis=0)
            under = np.subtract(ordered, under_from, out=gap).max(axis=0)
            np.maximum(over, under, out=distances[row, batch])
    return distances


def greatest_distances(ranks: Ranks, window: int, reference: int, spans: Sequence[int]) -> FloatArray:
    """Greatest KS distance over the first windows of each path, for several numbers of them.

    The largest of :func:`sliding_ks`, to the bit, in a tenth of its time: distances are multiples of
    1 / lcm(window, reference) and are compared as whole numbers; only the windows that attain the
    greatest are worked out as :func:`sliding_ks` does.

    Parameters
    ----------
    ranks : int array, shape (sessions, paths)
    window, reference : int
    spans : sequence of int
        Numbers of windows, each at most sessions - window + 1.

    Returns
    -------
    array, shape (spans, paths)
    """
    shared = gcd(window, reference)
    small = lcm(window, reference) <= np.iinfo(np.int16).max
    kind: np.dtype[np.signedinteger] = np.dtype(np.int16 if small else np.int32)
    whole = np.empty((max(spans), ranks.shape[1]), dtype=kind)
    steps = (np.arange(1, window + 1) * (reference // shared)).astype(kind)[:, None]
    for batch in _batches(ranks.shape[1]):
        heights = ranks[: max(spans) + window - 1, batch].astype(kind)
        np.multiply(heights, window // shared, out=heights)
        gap = np.empty((window, heights.shape[1]), dtype=kind)
        for row, ordered in enumerate(_sorted_windows(heights, window)):
            np.subtract(steps, ordered, out=gap)
            np.maximum(gap.max(axis=0), reference // shared - gap.min(axis=0), out=whole[row, batch])
    return np.stack([_attained(ranks, window, reference, whole[:span]) for span in spans])


def _attained(ranks: Ranks, window: int, reference: int, whole: npt.NDArray[np.signedinteger]) -> FloatArray:
    """Largest distance of each path, (paths,), from its windows whose whole number is the greatest."""
    row, path = np.nonzero(whole == whole.max(axis=0))
    windows = ranks[row[:, None] + np.arange(window), path[:, None]]
    greatest = np.zeros(ranks.shape[1])
    np.maximum.at(greatest, path, sliding_ks(windows, window, reference)[:, 0])
    return greatest


def _batches(paths: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, paths, _BATCH)]


def _sorted_windows(keys: npt.NDArray[np.signedinteger], window: int) -> Iterator[npt.NDArray[np.signedinteger]]:
    """Slide a window down many paths at once and keep it sorted: one key leaves, one comes in.

    A step is a handful of minima and maxima over all paths, several times faster than sorting anew.

    Parameters
    ----------
    keys : int array, shape (sessions, paths)
        At least 0.
    window : int

    Yields
    ------
    int array, shape (window, paths)
        Ascending along the first axis. The next step writes over it.
    """
    ordered = np.sort(keys[:window], axis=0)
    stay, rest = np.empty_like(ordered), np.empty_like(ordered[1:])
    unsigned = np.dtype(f"u{keys.dtype.itemsize}")
    sign = 8 * keys.dtype.itemsize - 1
    yield ordered
    for leaving, coming in zip(keys, keys[window:], strict=False):
        # Every bit is set where a key is not below the leaving one: read unsigned, above all others.
        np.subtract(leaving - 1, ordered, out=stay)
        np.right_shift(stay, sign, out=stay)
        np.bitwise_or(stay, ordered, out=stay)
        np.minimum(stay[:-1].view(unsigned), ordered[1:].view(unsigned), out=rest.view(unsigned))
        # What is left keeps its place below the coming key and moves up by one above it.
        np.minimum(rest, coming, out=ordered[:-1])
        ordered[-1] = coming
        np.maximum(ordered[1:], rest, out=ordered[1:])
        yield ordered
