"""The joint verdict: how far three features must stray at once before it means anything.

With twenty features, each ringing once a year on its own, three of them ring together far more often
than once a year, or far less, depending on how they hang together. The reference itself says which:
its rows are resampled in blocks, whole rows at a time, so that the dependence between features stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtri

from nn_assets.oversight.distance import sliding_ks
from nn_assets.oversight.simulation import CUSUM_ALLOWANCE, quiet_level

__all__ = ["JOINT_FEATURES", "joint_multiplier", "nth_largest_by_feature", "stationary_bootstrap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

JOINT_FEATURES = 3
_MINIMUM_ROWS = 60
_SEED = 19_940_301


def stationary_bootstrap(rows: int, length: int, mean_block: float, generator: np.random.Generator) -> IntArray:
    """Row numbers of a stationary bootstrap path: blocks of geometric length, wrapped at the end.

    Source: Politis and Romano (1994), "The stationary bootstrap", JASA 89.

    Parameters
    ----------
    rows : int
        Rows of the sample.
    length : int
        Rows of the path.
    mean_block : float
        Mean block length, at least 1.
    generator : Generator

    Returns
    -------
    int array, shape (length,)
        In [0, rows).
    """
    starts = generator.random(length) < 1.0 / mean_block
    starts[0] = True
    fresh = generator.integers(0, rows, size=length)
    step = np.arange(length)
    begun = np.maximum.accumulate(np.where(starts, step, 0))
    path: IntArray = (fresh[begun] + step - begun) % rows
    return path


def nth_largest_by_feature(ratios: FloatArray, features: Sequence[str], nth: int = JOINT_FEATURES) -> FloatArray:
    """Find the nth largest ratio over features, a feature counting by the largest of its series.

    Parameters
    ----------
    ratios : array, shape (..., series)
        Statistic over critical value; NaN counts as 0.
    features : sequence of str, length series
    nth : int

    Returns
    -------
    array, shape (...)
        0 where there are fewer than ``nth`` features.
    """
    filled = np.where(np.isnan(ratios), 0.0, ratios)
    distinct = list(dict.fromkeys(features))
    if len(distinct) < nth:
        return np.zeros(filled.shape[:-1])
    columns = {name: [i for i, owner in enumerate(features) if owner == name] for name in distinct}
    best = np.stack([filled[..., columns[name]].max(axis=-1) for name in distinct], axis=-1)
    largest: FloatArray = np.sort(best, axis=-1)[..., -nth]
    return largest


def joint_multiplier(
    tested: FloatArray,
    features: Sequence[str],
    critical: FloatArray,
    cusum_critical: FloatArray,
    *,
    window: int,
    sessions_per_year: int = 252,
    rings_per_year: float = 1.0,
    replications: int = 120,
) -> float:
    """Factor on the individual critical values at which three features stray at the stated pace.

    Reference and monitored path are both resampled (stationary bootstrap, mean block half a window)
    from the rows. Joints between blocks loosen a persistent series, so that its resampled statistics
    run small; they are therefore held against critical values of their own, from the same paths, and
    against the ones in force. The factor is the larger of the two 1/e quantiles, over replications, of
    the greatest third-largest ratio in a span of ``sessions_per_year / rings_per_year`` sessions.

    Parameters
    ----------
    tested : array, shape (reference sessions, series)
        What the statistics are computed on. Rows with a NaN are left out.
    features : sequence of str, length series
    critical, cusum_critical : array, shape (series,)
        Individual values; infinity where a test is not run.
    window, sessions_per_year : int
    rings_per_year : float
    replications : int
        At 120 the factor's standard error is about 0.02.

    Returns
    -------
    float
        Infinity with fewer than three features. With fewer than 60 complete rows 1, the factor
        of perfectly dependent features.
    """
    if len(set(features)) < JOINT_FEATURES:
        return inf
    complete = tested[np.isfinite(tested).all(axis=1)]
    if len(complete) < _MINIMUM_ROWS:
        return 1.0
    span, level = quiet_level(sessions_per_year, rings_per_year)
    generator = np.random.default_rng(_SEED)
    reference = len(complete)
    run = np.isfinite(cusum_critical)
    distances = np.empty((replications, span, len(features)))
    heights = np.empty((replications, span, int(run.sum())))
    for number in range(replications):
        path = stationary_bootstrap(reference, reference + window - 1 + span, window / 2.0, generator)
        places = _places(complete[path], reference, generator)
        distances[number] = sliding_ks(places.T, window, reference).T
        heights[number] = _sliding_cusum(places[:, run], window, reference)
    # A series under two tests has half the pace for each: exp(-1/2) of its spans are silent.
    silent = np.where(run, np.sqrt(level), level)
    own = _own_quantiles(distances, silent), _own_quantiles(heights, silent[run])
    factors = []
    for ks_unit, cusum_unit in (own, (critical, cusum_critical[run])):
        ratios = distances / ks_unit
        ratios[..., run] = np.maximum(ratios[..., run], heights / cusum_unit)
        greatest = nth_largest_by_feature(ratios, features).max(axis=1)
        factors.append(float(np.quantile(greatest, level)))
    return max(factors)


def _own_quantiles(statistics: FloatArray, silent: FloatArray) -> FloatArray:
    """Critical values of resampled statistics (replications, span, series), one per series."""
    greatest = statistics.max(axis=1)
    found = [np.quantile(greatest[:, i], silent[i]) for i in range(len(silent))]
    # A constant never strays; its own value would be 0 and its ratio undefined.
    return np.maximum(np.array(found, dtype=np.float64), np.finfo(np.float64).tiny)


def _places(path: FloatArray, reference: int, generator: np.random.Generator) -> npt.NDArray[np.int16]:
    """Ranks of the monitored rows within the resampled reference, (window - 1 + span, series).

    Resampled rows tie with themselves, which real ones do not: ties are broken at random.
    """
    ordered = np.sort(path[:reference], axis=0)
    later = path[reference:]
    low, high = np.empty(later.shape, np.int64), np.empty(later.shape, np.int64)
    for column in range(path.shape[1]):
        low[:, column] = np.searchsorted(ordered[:, column], later[:, column], side="left")
        high[:, column] = np.searchsorted(ordered[:, column], later[:, column], side="right")
    return generator.integers(low, high, endpoint=True).astype(np.int16)


def _sliding_cusum(places: npt.NDArray[np.int16], window: int, reference: int) -> FloatArray:
    """Two-sided CUSUM height at the end of every window, (span, series)."""
    scores = ndtri((np.arange(reference + 1) + 0.5) / (reference + 1))[places]
    span = len(places) - window + 1
    highest = np.zeros((span, places.shape[1]))
    for side in (1.0, -1.0):
        walk = np.zeros((len(scores) + 1, places.shape[1]))
        np.cumsum(side * scores - CUSUM_ALLOWANCE, axis=0, out=walk[1:])
        lowest = sliding_window_view(walk, window + 1, axis=0).min(axis=-1)
        highest = np.maximum(highest, walk[window:] - lowest)
    return highest
