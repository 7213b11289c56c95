"""Simulation of what a drift monitor shows when nothing has changed: the nodes of the critical values.

A stationary Gaussian AR(1) series, its first ``reference`` sessions sorted once, the window slid daily
over what follows. The statistics depend on ranks only, so that the Gaussian marginal is no assumption;
the AR(1) dependence is.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, exp, lcm

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from nn_assets.errors import ControlError
from nn_assets.oversight.distance import sliding_ks

__all__ = [
    "COEFFICIENTS",
    "CUSUM_ALLOWANCE",
    "REFERENCES",
    "chance_above",
    "quiet_level",
    "simulated_cusum",
    "simulated_ks",
]

FloatArray = npt.NDArray[np.float64]

# Denser where the critical value bends. Above 0.9 lie series whose memory is long rather than close.
COEFFICIENTS = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)
# Reference lengths between which values are interpolated in 1 / length.
REFERENCES = (20, 30, 40, 60, 90, 126, 180, 250, 360, 500, 750, 1000)
# Drift, in standard deviations of an innovation, that the CUSUM lets pass each session. A shift of
# one standard deviation of a series with AR(1) 0.95 moves its innovations by 0.16.
CUSUM_ALLOWANCE = 0.15

_REPLICATIONS = 4000
_SEED = 20_060_502


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
    return ceil(sessions_per_year / rings_per_year), exp(-1.0)


def _places(
    window: int, reference: int, coefficient: float, span: int, replications: int, seed: int
) -> npt.NDArray[np.int16]:
    """Ranks of simulated paths within their own references, (replications, window - 1 + span)."""
    generator = np.random.default_rng(seed)
    length = reference + window - 1 + span
    path = generator.standard_normal((length, replications))
    innovation = np.sqrt(1.0 - coefficient * coefficient)
    for step in range(1, length):
        path[step] = coefficient * path[step - 1] + innovation * path[step]
    ordered = np.sort(path[:reference], axis=0).T.copy()
    later = path[reference:].T.copy()
    found = [np.searchsorted(ordered[i], later[i]) for i in range(replications)]
    return np.stack(found).astype(np.int16)


@lru_cache(maxsize=1024)
def simulated_ks(
    window: int,
    reference: int,
    coefficient: float,
    sessions_per_year: int,
    rings_per_year: float,
    replications: int = _REPLICATIONS,
    seed: int = _SEED,
) -> float:
    """Critical KS distance at one node of the grid, by simulation (0.2 to 1 s, then remembered).

    Parameters
    ----------
    window, reference : int
        Lengths, in sessions.
    coefficient : float
        AR(1) coefficient of the series, in [0, 1).
    sessions_per_year : int
    rings_per_year : float
    replications, seed : int
        The standard error at the defaults is about 0.001 for independent draws and 0.003 at 0.9.

    Returns
    -------
    float
        In (0, 1].
    """
    span, level = quiet_level(sessions_per_year, rings_per_year)
    places = _places(window, reference, coefficient, span, replications, seed)
    greatest = np.array([sliding_ks(row, window, reference).max() for row in places])
    # Distances lie on a lattice, coarse where the lengths share divisors. Spread over its cells, the
    # quantile falls between two points of it: no rounding decides whether a point rings.
    jitter = np.random.default_rng(seed + 1).uniform(-0.5, 0.5, replications)
    return float(np.quantile(greatest + jitter / lcm(window, reference), level))


@lru_cache(maxsize=1024)
def simulated_cusum(
    window: int,
    reference: int,
    coefficient: float,
    sessions_per_year: int,
    rings_per_year: float,
) -> float:
    """Critical CUSUM height at one node of the grid, by simulation (about a second, then remembered).

    The two-sided CUSUM of normal scores of ranks, restarted at the head of every window; see
    :func:`nn_assets.oversight.series.window_cusum`. Parameters as in :func:`simulated_ks`.

    Returns
    -------
    float
        In standard deviations.
    """
    span, level = quiet_level(sessions_per_year, rings_per_year)
    places = _places(window, reference, coefficient, span, _REPLICATIONS, _SEED).T
    scores = ndtri((np.arange(reference + 1) + 0.5) / (reference + 1))[places]  # (sessions, replications)
    greatest = np.zeros(scores.shape[1])
    for side in (1.0, -1.0):
        walk = np.zeros((len(scores) + 1, scores.shape[1]))
        np.cumsum(side * scores - CUSUM_ALLOWANCE, axis=0, out=walk[1:])
        for stop in range(window, len(walk)):
            rise = walk[stop] - walk[stop - window : stop + 1].min(axis=0)
            greatest = np.maximum(greatest, rise)
    return float(np.quantile(greatest, level))


def chance_above(
    distance: float,
    window: int,
    reference: int,
    coefficient: float,
    replications: int = _REPLICATIONS,
    seed: int = _SEED,
) -> float:
    """Probability that one window of an unchanged AR(1) series lies farther than ``distance``."""
    places = _places(window, reference, coefficient, 1, replications, seed)
    first = np.array([sliding_ks(row, window, reference)[0] for row in places])
    return float(np.mean(first > distance))
