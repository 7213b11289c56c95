"""Critical values under which a daily drift monitor rings at a stated pace when nothing has changed.

A *ring*: the statistic of the sliding window lies above the critical value on at least one session.
"One ring a year" is the pace of a Poisson clock: over a span of ``sessions_per_year / rings_per_year``
consecutive sessions the monitor stays silent with probability 1/e = 0.368. The critical value is
therefore the 1/e quantile of the span's greatest statistic. (Counting up-crossings instead would
count one wander around the threshold many times; counting sessions above it, more often still.)

The spans are simulated: a stationary Gaussian AR(1) series, its first ``reference`` sessions sorted
once, the window slid daily over what follows. Kolmogorov-Smirnov depends on ranks only, so that the
Gaussian marginal is no assumption; the AR(1) dependence is.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, exp, inf, lcm

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from nn_assets.errors import ControlError
from nn_assets.oversight.critical_table import SIMULATED
from nn_assets.oversight.distance import sliding_ks

__all__ = [
    "COEFFICIENTS",
    "CUSUM_ALLOWANCE",
    "MINIMUM_REFERENCE",
    "REFERENCES",
    "chance_above",
    "cusum_critical_value",
    "ks_critical_value",
    "quiet_level",
    "simulated_value",
]

FloatArray = npt.NDArray[np.float64]

# Denser where the critical value bends; above 0.9 series are prewhitened and never looked up.
COEFFICIENTS = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
# Reference lengths between which values are interpolated in 1 / length.
REFERENCES = (20, 30, 40, 60, 90, 126, 180, 250, 360, 500, 750, 1000)
MINIMUM_REFERENCE = REFERENCES[0]
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
def simulated_value(
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
        AR(1) coefficient of the series, in [0, 0.9].
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


def _node(window: int, reference: int, coefficient: float, per_year: int, rings: float) -> float:
    shipped = SIMULATED.get((window, per_year, rings))
    if shipped is not None and reference in shipped:
        return shipped[reference][COEFFICIENTS.index(coefficient)]
    return simulated_value(window, reference, coefficient, per_year, rings)


def _bracket(nodes: tuple[float, ...], value: float) -> tuple[int, int]:
    """Places of the nodes on either side of a value that lies within them."""
    right = int(np.searchsorted(nodes, value))
    if right < len(nodes) and nodes[right] == value:
        return right, right
    return right - 1, right


def _between(left: float, right: float, share: float) -> float:
    return left + share * (right - left)


@lru_cache(maxsize=4096)
def ks_critical_value(
    window: int,
    reference: int,
    coefficient: float,
    sessions_per_year: int = 252,
    rings_per_year: float = 1.0,
) -> float:
    """KS distance that a window of an unchanged series exceeds at the stated pace.

    Simulated at the nodes of :data:`COEFFICIENTS` x :data:`REFERENCES` (the default window's are
    shipped); between them linear in the coefficient and in 1 / reference.

    Parameters
    ----------
    window : int
        Sessions of the sliding window.
    reference : int
        Sessions of the reference series. Above 1,000 the value at 1,000 is used (it is larger).
    coefficient : float
        AR(1) coefficient. Below 0 the value at 0 is used (it is larger); above 0.9 the value at 0.9,
        which is too small: such series are to be prewhitened.
    sessions_per_year : int
    rings_per_year : float

    Returns
    -------
    float
        In (0, 1]; infinity where the reference is shorter than :data:`MINIMUM_REFERENCE` sessions or
        the coefficient is NaN: nothing can be said, so nothing rings.
    """
    if reference < MINIMUM_REFERENCE or np.isnan(coefficient):
        return inf
    asked = min(max(coefficient, COEFFICIENTS[0]), COEFFICIENTS[-1])
    length = min(reference, REFERENCES[-1])
    low, high = _bracket(COEFFICIENTS, asked)
    share = 0.0 if low == high else (asked - COEFFICIENTS[low]) / (COEFFICIENTS[high] - COEFFICIENTS[low])
    short, long = _bracket(tuple(float(node) for node in REFERENCES), float(length))

    def along(place: int) -> float:
        left = _node(window, REFERENCES[place], COEFFICIENTS[low], sessions_per_year, rings_per_year)
        right = _node(window, REFERENCES[place], COEFFICIENTS[high], sessions_per_year, rings_per_year)
        return _between(left, right, share)

    if short == long:
        return along(short)
    ends = 1.0 / REFERENCES[short], 1.0 / REFERENCES[long]
    return _between(along(short), along(long), (ends[0] - 1.0 / length) / (ends[0] - ends[1]))


@lru_cache(maxsize=64)
def cusum_critical_value(
    window: int,
    reference: int,
    sessions_per_year: int = 252,
    rings_per_year: float = 1.0,
    allowance: float = CUSUM_ALLOWANCE,
) -> float:
    """Two-sided CUSUM height that independent innovations exceed at the stated pace.

    The CUSUM (Page 1954) of normal scores of ranks within the reference, restarted at the head of
    every window; see :func:`nn_assets.oversight.series.window_cusum`.

    Parameters
    ----------
    window, reference : int
        Lengths, in sessions. Above 1,000 reference sessions the value at 1,000 is used.
    sessions_per_year : int
    rings_per_year : float
    allowance : float
        In standard deviations, taken from every step.

    Returns
    -------
    float
        In standard deviations; infinity where the reference is shorter than
        :data:`MINIMUM_REFERENCE` sessions.
    """
    if reference < MINIMUM_REFERENCE:
        return inf
    # One simulation per node, not per length: the height hardly depends on the reference.
    node = max(known for known in REFERENCES if known <= reference)
    span, level = quiet_level(sessions_per_year, rings_per_year)
    places = _places(window, node, 0.0, span, _REPLICATIONS, _SEED)
    scores = ndtri((np.arange(node + 1) + 0.5) / (node + 1))[places]  # (replications, sessions)
    greatest = np.zeros(len(scores))
    for side in (1.0, -1.0):
        walk = np.zeros((len(scores), scores.shape[1] + 1))
        np.cumsum(side * scores - allowance, axis=1, out=walk[:, 1:])
        for stop in range(window, walk.shape[1]):
            rise = walk[:, stop] - walk[:, stop - window : stop + 1].min(axis=1)
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
