"""Simulation of what a drift monitor shows when nothing has changed: the nodes of the critical values.

A stationary Gaussian AR(1) series, its first ``reference`` sessions sorted once, the window slid daily
over what follows. The statistics depend on ranks only, so that the Gaussian marginal is no assumption;
the AR(1) dependence is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, exp, lcm

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import ControlError
from nn_assets.oversight.distance import greatest_distances

Ranks = npt.NDArray[np.int16]

# Denser where the critical value bends. Above 0.9 lie series whose memory is long rather than close.
COEFFICIENTS = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
# Reference lengths between which values are interpolated in 1 / length.
REFERENCES = (20, 30, 40, 60, 90, 126, 180, 250, 360, 500, 750, 1000)
# Drift, in standard deviations of an innovation, that the CUSUM lets pass each session. A shift of
# one standard deviation of a series with AR(1) 0.95 moves its innovations by 0.16.
CUSUM_ALLOWANCE = 0.15

_REPLICATIONS = 4000
_SEED = 20_060_502
_QUIET = exp(-1.0)
# Paths processed at a time by the CUSUM, so that a year of them stays in the processor's cache.
_BATCH = 250


def quiet_level(sessions_per_year: int, rings_per_year: float) -> tuple[int, float]:
    """Span of a pace, in sessions, and the probability 1/e of a span without a ring.

    Raises
    ------
    ControlError
        A pace that is not positive, or faster than one ring a session.
    """
    if not 0.0 < rings_per_year <= sessions_per_year:
        raise ControlError(
            expected=f"a pace above 0 and at most {sessions_per_year} rings a year",
            found=f"{rings_per_year}",
            remedy="set the paces of the oversight section to one and four rings a year, say",
            value=rings_per_year,
        )
    return ceil(sessions_per_year / rings_per_year), _QUIET


def simulation_terms() -> dict[str, object]:
    """What every simulated value depends on, besides the lengths and the code: stored with the values."""
    return {
        "coefficients": list(COEFFICIENTS),
        "references": list(REFERENCES),
        "cusum_allowance": CUSUM_ALLOWANCE,
        "replications": _REPLICATIONS,
        "seed": _SEED,
    }


def simulated_paths(
    coefficient: float, sessions: int, replications: int = _REPLICATIONS, seed: int = _SEED
) -> FloatArray:
    """Stationary Gaussian AR(1) paths of unit variance, (sessions, replications).

    Longer ones begin with the shorter ones: one simulation serves all lengths.
    """
    path = np.random.default_rng(seed).standard_normal((sessions, replications))
    innovation = np.sqrt(1.0 - coefficient * coefficient)
    for step in range(1, sessions):
        path[step] = coefficient * path[step - 1] + innovation * path[step]
    return path


def ranks_within(path: FloatArray, reference: int) -> Ranks:
    """Ranks of the later sessions within each path's first ones, (sessions - reference, replications)."""
    ordered = np.sort(path[:reference].T.copy(), axis=1)
    later = path[reference:].T.copy()
    ranks = np.empty(later.shape, dtype=np.int16)
    for ordered_row, values, row in zip(ordered, later, ranks, strict=True):
        row[:] = np.searchsorted(ordered_row, values)
    return ranks.T.copy()


def critical_distances(
    ranks: Ranks, window: int, reference: int, spans: Sequence[int], seed: int = _SEED
) -> tuple[float, ...]:
    """KS distance that a span of windows stays below with probability 1/e, one for each span.

    Parameters
    ----------
    ranks : int array, shape (at least window - 1 + the longest span, replications)
    window, reference : int
    spans : sequence of int
        In sessions.
    """
    greatest = greatest_distances(ranks, window, reference, spans)
    # Distances lie on a lattice, coarse where the lengths share divisors. Spread over its cells, the
    # quantile falls between two points of it: no rounding decides whether a point rings.
    jitter = np.random.default_rng(seed + 1).uniform(-0.5, 0.5, ranks.shape[1])
    return tuple(float(np.quantile(distances + jitter / lcm(window, reference), _QUIET)) for distances in greatest)


def critical_heights(ranks: Ranks, window: int, reference: int, spans: Sequence[int]) -> tuple[float, ...]:
    """CUSUM height that a span of windows stays below with probability 1/e; as :func:`critical_distances`."""
    heights = sliding_cusum(ranks[: max(spans) + window - 1], window, reference)
    return tuple(float(np.quantile(heights[:span].max(axis=0), _QUIET)) for span in spans)


def sliding_cusum(ranks: Ranks, window: int, reference: int) -> FloatArray:
    """Two-sided CUSUM height at the end of every window, (sessions - window + 1, paths).

    Of normal scores of ranks, restarted at the head of every window; see
    :func:`nn_assets.oversight.monitored.window_cusum`.

    Parameters
    ----------
    ranks : int array, shape (sessions, paths)
    window, reference : int
    """
    from scipy.special import ndtri

    scores_of = ndtri((np.arange(reference + 1) + 0.5) / (reference + 1))
    heights = np.zeros((len(ranks) - window + 1, ranks.shape[1]))
    for start in range(0, ranks.shape[1], _BATCH):
        batch = slice(start, start + _BATCH)
        scores = scores_of[ranks[:, batch]]
        for side in (1.0, -1.0):
            walk = np.zeros((len(scores) + 1, scores.shape[1]))
            np.cumsum(side * scores - CUSUM_ALLOWANCE, axis=0, out=walk[1:])
            rise = walk[window:] - _sliding_minimum(walk, window + 1)
            np.maximum(heights[:, batch], rise, out=heights[:, batch])
    return heights


def _sliding_minimum(rows: FloatArray, length: int) -> FloatArray:
    """Least of every ``length`` consecutive rows, by doubling: log2(length) passes."""
    covered = 1
    while 2 * covered <= length:
        rows, covered = np.minimum(rows[:-covered], rows[covered:]), 2 * covered
    more = length - covered
    return np.minimum(rows[:-more], rows[more:]) if more else rows


STATISTICS: dict[str, Callable[[Ranks, int, int, Sequence[int]], tuple[float, ...]]] = {
    "ks": critical_distances,
    "cusum": critical_heights,
}
"""What gives the critical values of a statistic, by its name."""


@lru_cache(maxsize=2048)
def simulated(
    statistic: str, window: int, reference: int, coefficient: float, sessions_per_year: int, rings_per_year: float
) -> float:
    """Critical value at one node of the grid, by simulation (0.1 to 0.5 s, then remembered).

    Parameters
    ----------
    statistic : str
        ``ks`` or ``cusum``.
    window, reference : int
        Lengths, in sessions.
    coefficient : float
        AR(1) coefficient of the series, in [0, 1).
    sessions_per_year : int
    rings_per_year : float

    Returns
    -------
    float
        A distance in (0, 1], with a standard error of about 0.001 for independent draws and 0.003 at 0.9; or a height
        in standard deviations.
    """
    span, _ = quiet_level(sessions_per_year, rings_per_year)
    path = simulated_paths(coefficient, reference + window - 1 + span)
    return STATISTICS[statistic](ranks_within(path, reference), window, reference, (span,))[0]
