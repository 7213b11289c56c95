"""The covariance of returns over the horizon: a few factors and a diagonal, shrunk, never as a full matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import SettingsError

FEWEST_RETURNS = 20
"""Returns below which a name has no variance of its own, and no covariance."""

LEAST_SPECIFIC_SHARE = 0.3
"""Least specific variance as a share of a name's own variance.

Stated with the contract's reference optimiser (section 12, Capture). Campbell, Lettau, Malkiel and Xu (2001),
"Have individual stocks become more volatile?", table II, find firm-level variance to be well over half of a US
stock's; less than 0.3 left over is more likely an overfitted factor than a diversified name, and an optimiser
would lean on it."""

_SHORTEST, _LONGEST = 60, 250
_MOST_FACTORS = 3
_NORMAL_KURTOSIS = 3.0
_NO_VARIANCE = 1e-12  # of the names' median: what rounding leaves of a constant series


@dataclass(frozen=True, eq=False)
class FactorCovariance:
    """S = B B' + diag(d) over the horizon.

    Attributes
    ----------
    loadings : B, shape (symbols, factors), fraction of the price over the horizon; 0 where unknown
    specific : d, shape (symbols,), squared fraction; positive, NaN for a name without a covariance
    """

    loadings: FloatArray
    specific: FloatArray

    @property
    def variance(self) -> FloatArray:
        """The diagonal of S, shape (symbols,); NaN for a name without a covariance."""
        diagonal: FloatArray = (self.loadings**2).sum(axis=1) + self.specific
        return diagonal

    def times(self, weights: FloatArray) -> FloatArray:
        """S w, shape (symbols,); a weight of zero needs no covariance."""
        own = np.where(weights == 0.0, 0.0, self.specific) * weights
        return self.loadings @ (self.loadings.T @ weights) + own


def factor_covariance(returns: FloatArray, horizon_sessions: int, sessions: int = 120) -> FactorCovariance:
    """Estimate S from the latest session returns.

    Variances are shrunk towards each other: their logarithms are normal around a common mean, known with an
    error of (kurtosis - 1) / n each, kurtosis the names' median (empirical Bayes, Efron and Morris 1973). The
    correlations' principal components are shrunk as a spiked covariance's: eigenvalue l' = l c^2 + 1 - c^2 in
    units of the noise, the components below the Marchenko-Pastur edge left out (Donoho, Gavish and Johnstone
    2018, "Optimal shrinkage of eigenvalues in the spiked covariance model", Frobenius norm). What a name's
    components leave of its variance is specific, and at least :data:`LEAST_SPECIFIC_SHARE` of it.

    Parameters
    ----------
    returns : ndarray, shape (at least 0 sessions, symbols)
        Session returns, fraction, oldest first. What is not finite is missing and counts as the name's mean.
    horizon_sessions : int
        h: S is that of one session times h.
    sessions : int
        The latest rows used, 60 to 250.

    Returns
    -------
    FactorCovariance
        At most three factors, and at most one for two names. Positive definite over the names that have a
        covariance. A name with fewer than 20 returns, or whose returns never change, has none: NaN.

    Raises
    ------
    SettingsError
        ``sessions`` outside 60 to 250.
    """
    if not _SHORTEST <= sessions <= _LONGEST:
        raise SettingsError(
            expected=f"{_SHORTEST} to {_LONGEST} sessions",
            found=str(sessions),
            remedy="change the sessions that the covariance is estimated on",
            value=sessions,
        )
    latest = returns[-sessions:]
    symbols = latest.shape[1]
    present = np.isfinite(latest)
    count = present.sum(axis=0)
    centred, variance = _centred(latest, present, count)
    with np.errstate(invalid="ignore"):
        usual = np.median(variance[count >= FEWEST_RETURNS]) if (count >= FEWEST_RETURNS).any() else 0.0
        known = (count >= FEWEST_RETURNS) & (variance > _NO_VARIANCE * usual) & (variance > 0.0)
    loadings, specific = np.zeros((symbols, _MOST_FACTORS)), np.full(symbols, np.nan)
    if known.any():
        believed = _shrunk_variances(centred[:, known], variance[known], count[known])
        scaled = centred[:, known] / np.sqrt(variance[known] * count[known])  # unit length: a correlation's diagonal
        common = _components(scaled, len(latest))
        left = np.maximum(1.0 - (common**2).sum(axis=1), LEAST_SPECIFIC_SHARE)
        over_horizon = believed * horizon_sessions
        loadings[known, : common.shape[1]] = common * np.sqrt(over_horizon)[:, None]
        specific[known] = left * over_horizon
    return FactorCovariance(loadings, specific)


def _centred(returns: FloatArray, present: npt.NDArray[np.bool_], count: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns less their mean, 0 where missing, and each name's variance."""
    safe = np.maximum(count, 1)
    values = np.where(present, returns, 0.0)
    centred = np.where(present, values - values.sum(axis=0) / safe, 0.0)
    return centred, (centred**2).sum(axis=0) / safe


def _shrunk_variances(centred: FloatArray, variance: FloatArray, count: FloatArray) -> FloatArray:
    if len(variance) == 1:
        return variance
    kurtosis = np.median((centred**4).sum(axis=0) / (count * variance**2))
    error = (max(float(kurtosis), _NORMAL_KURTOSIS) - 1.0) / count
    logarithm = np.log(variance)
    spread = max(float(logarithm.var(ddof=1)) - float(error.mean()), 0.0)
    weight = 1.0 / (spread + error)
    mean = float((weight * logarithm).sum() / weight.sum())
    believed: FloatArray = np.exp((spread * logarithm + error * mean) / (spread + error))
    return believed


def _components(scaled: FloatArray, sessions: int) -> FloatArray:
    """Shrunk principal components of the correlations, (names, factors); columns of ``scaled`` have length one."""
    names = scaled.shape[1]
    factors = min(_MOST_FACTORS, names // 2, sessions - 1)
    if factors == 0:
        return np.zeros((names, 0))
    few = names <= sessions
    values, vectors = np.linalg.eigh(scaled.T @ scaled if few else scaled @ scaled.T)
    top, vectors = values[::-1][:factors], vectors[:, ::-1][:, :factors]
    noise = (names - float(top.sum())) / (names - factors)
    # Where every name moves with the factors alone there is no noise to shrink by.
    strength = top if noise <= _NO_VARIANCE else noise * _spikes(top / noise, names / sessions)
    if not few:
        vectors = scaled.T @ vectors / np.sqrt(np.maximum(top, np.finfo(float).tiny))
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(factors)]
    components: FloatArray = vectors * np.where(largest < 0.0, -1.0, 1.0) * np.sqrt(np.maximum(strength, 0.0))
    return components


def _spikes(eigenvalues: FloatArray, ratio: float) -> FloatArray:
    """What eigenvalues in units of the noise are worth above it: (l - 1) c^2, 0 below the edge."""
    above = eigenvalues > (1.0 + np.sqrt(ratio)) ** 2
    observed = np.where(above, eigenvalues, (2.0 + np.sqrt(ratio)) ** 2)
    half = observed + 1.0 - ratio
    spike = (half + np.sqrt(half**2 - 4.0 * observed)) / 2.0
    cosine = (1.0 - ratio / (spike - 1.0) ** 2) / (1.0 + ratio / (spike - 1.0))
    return np.where(above, (spike - 1.0) * cosine, 0.0)
