"""The joint verdict: how far three features must stray at once before it means anything.

With twenty features, each ringing once a year on its own, three of them ring together far more often
than once a year, or far less, depending on how they hang together. The reference itself says which:
its rows are resampled in blocks, whole rows at a time, so that the dependence between features stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.oversight.distance import distances_of_paths
from nn_assets.oversight.simulation import quiet_level, sliding_cusum

Ranks = npt.NDArray[np.int16]
Statistic = Callable[[Ranks, int, int], FloatArray]

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
    draws = []
    ranks = _Ranks(complete)
    for _ in range(replications):
        path = stationary_bootstrap(reference, reference + window - 1 + span, window / 2.0, generator)
        draws.append(ranks.drawn(path[:reference], path[reference:], generator))
    path_ranks = np.stack(draws, axis=1)  # (sessions, replications, series)
    distances = _of_paths(distances_of_paths, path_ranks, window, reference)
    heights = _of_paths(sliding_cusum, path_ranks[..., run], window, reference)
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
    quantiles = [np.quantile(greatest[:, i], silent[i]) for i in range(len(silent))]
    # A constant never strays; its own value would be 0 and its ratio undefined.
    return np.maximum(np.array(quantiles, dtype=np.float64), np.finfo(np.float64).tiny)


def _of_paths(statistic: Statistic, ranks: Ranks, window: int, reference: int) -> FloatArray:
    """Give a statistic of all windows of all paths, (replications, span, series)."""
    sessions, replications, series = ranks.shape
    values = statistic(ranks.reshape(sessions, replications * series), window, reference)
    return values.reshape(len(values), replications, series).transpose(1, 0, 2)


class _Ranks:
    """Ranks of resampled rows within other resampled rows, looked up instead of sorted for anew.

    Every resampled value is one of the sample's: how many of the drawn values lie below it is a matter
    of how often each row of the sample was drawn.
    """

    def __init__(self, rows: FloatArray) -> None:
        self._order = np.argsort(rows, axis=0)
        ordered = np.sort(rows, axis=0)
        series = range(rows.shape[1])
        self._below = np.stack([np.searchsorted(ordered[:, i], rows[:, i], side="left") for i in series], axis=1)
        self._upto = np.stack([np.searchsorted(ordered[:, i], rows[:, i], side="right") for i in series], axis=1)

    def drawn(self, reference: IntArray, later: IntArray, generator: np.random.Generator) -> Ranks:
        """Ranks of the later rows within the reference's, both by row number, (later rows, series).

        Resampled rows tie with themselves, which real ones do not: ties are broken at random.
        """
        times = np.bincount(reference, minlength=len(self._order))[self._order]
        drawn = np.concatenate([np.zeros((1, times.shape[1]), times.dtype), np.cumsum(times, axis=0)])
        low = np.take_along_axis(drawn, self._below[later], axis=0)
        high = np.take_along_axis(drawn, self._upto[later], axis=0)
        return generator.integers(low, high, endpoint=True).astype(np.int16)
