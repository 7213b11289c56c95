"""What a calibrated probability promises in a name's own returns, and what share of a change's cost it must earn."""

from __future__ import annotations

import math

import numpy as np

from nn_assets.arrays import FloatArray

NORMAL_SLOPE = math.sqrt(2.0 * math.pi)
"""1 / f(0) of the normal density: beta without evidence."""

_PRIOR_OUTCOMES = 60.0
_LARGEST = 2.0  # times the normal's: beyond it the forecast volatility is at fault, and a size must not grow from that
_NORMAL_QUARTILES = 1.3489795003921634  # interquartile range of the standard normal
_RATE = 1.0 / 9.0  # of the bandwidth of a kernel of order four
_WHOLE_COST = 4.0
_HALF_LIVES = 0.5


def outcome_slope(outcomes: FloatArray, effective_outcomes: float | None = None) -> float:
    """Return beta = 1 / f(0): how many sigma sqrt h an excess probability of one is worth.

    f(0) is a kernel density at the threshold: Gaussian kernel of order four, (3 - u^2) phi(u) / 2 (Wand and
    Schucany 1990), bandwidth n^(-1/9) times the interquartile range in normal units. Only outcomes near the
    threshold weigh, so no tail moves it. Measured on independent outcomes, error (one standard deviation) and bias
    with 250 and 1,000 of them: normal 6%, +3% and 4%, +1%; Student t6 6%, +6% and 4%, +3%; t4 7%, +9% and 4%, +4%.
    The density is averaged with the normal's, which counts as 60 outcomes: without outcomes
    beta is 2.507. It is never above twice that.

    Parameters
    ----------
    outcomes : ndarray, shape (outcomes,)
        Realised outcomes less the label's threshold, in units of the sigma sqrt h forecast for each. NaN is
        missing.
    effective_outcomes : float, optional
        How many independent ones they are worth, where labels overlap or names move together; all by default.
    """
    finite = outcomes[np.isfinite(outcomes)]
    count = float(len(finite)) if effective_outcomes is None else min(float(effective_outcomes), float(len(finite)))
    prior = 1.0 / NORMAL_SLOPE
    if len(finite) == 0 or not count > 0.0:
        return NORMAL_SLOPE
    low, high = np.quantile(finite, [0.25, 0.75])
    spread = float(high - low) / _NORMAL_QUARTILES
    if not spread > 0.0:
        return NORMAL_SLOPE
    bandwidth = spread * count**-_RATE
    u = finite / bandwidth
    density = float((0.5 * (3.0 - u * u) * np.exp(-0.5 * u * u)).mean()) * prior / bandwidth
    mixed = (count * max(density, 0.0) + _PRIOR_OUTCOMES * prior) / (count + _PRIOR_OUTCOMES)
    slope: float = min(1.0 / mixed, _LARGEST * NORMAL_SLOPE)
    return slope


def expected_own_return(
    probability: FloatArray,
    base_rate: FloatArray | float,
    volatility: FloatArray,
    horizon_sessions: int,
    slope: float,
    *,
    confidence: FloatArray | float = 1.0,
    novelty: FloatArray | float = 1.0,
    relative: bool = False,
) -> FloatArray:
    """Return mu = c beta (p - p0) sigma sqrt h: the mean return from fill to fill + h that p speaks of, fraction.

    A probability p of being above the threshold moves a density by (p - p0) / f(0), to first order; confidence c
    multiplies it. Where it is beside the other names, mu_i = n_i (m_i - k): n is the factor of c that
    novelty is, m that return without it, k the mean of m weighted by n. So a name that is less like what its model was
    fitted on has less of a mu of the same sign, whatever the others have, and none at n = 0.

    Parameters
    ----------
    probability : ndarray, shape (symbols,)
        Calibrated. NaN gives NaN.
    base_rate : ndarray, shape (symbols,), or float
        p0, of what was realised before the session; one half to hold the premium in the base rate too. NaN gives
        NaN.
    volatility : ndarray, shape (symbols,)
        Forecast per session of the return that the label is made of, fraction. NaN gives NaN.
    slope : float
        beta, from :func:`outcome_slope`.
    confidence : ndarray, shape (symbols,), or float
        0 to 1, clipped to it; novelty is a factor of it already. NaN gives NaN.
    novelty : ndarray, shape (symbols,), or float
        n, 0 to 1, clipped to it. NaN gives NaN.
    relative : bool
        Whether what a name earns is beside the others: their mean is then taken off, of each name the share
        that its n is of all, so that the returns expected of them sum to 0.
    """
    mean = np.clip(confidence, 0.0, 1.0) * slope * (probability - base_rate) * volatility * math.sqrt(horizon_sessions)
    if not relative:
        return mean
    share = np.clip(np.broadcast_to(novelty, mean.shape), 0.0, 1.0)
    finite = np.isfinite(mean) & np.isfinite(share)
    total = float(share[finite].sum())
    # n m is what mean holds. Without novelty this is the plain mean, to the bit.
    middle = float(mean[finite].sum()) / total if total > 0.0 else 0.0
    return np.asarray(mean - share * middle)


def change_share(forecast_autocorrelation: float) -> float:
    """Return q = min(1, 4 (1 - rho_h)): the share of a change's cost that this decision answers for.

    A forecast that lasts beyond h is paid for once and earned several times. rho_h is the correlation of a
    name's forecast with itself h sessions later; NaN, nothing known, gives 1.
    """
    if math.isnan(forecast_autocorrelation):
        return 1.0
    return min(1.0, _WHOLE_COST * (1.0 - min(forecast_autocorrelation, 1.0)))


def horizon_is_short(forecast_autocorrelation: float) -> bool:
    """Whether the label's horizon is below half the forecast's half-life, -h ln 2 / ln rho_h: a warning."""
    return bool(forecast_autocorrelation > 0.5**_HALF_LIVES)
