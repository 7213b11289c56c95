"""The premium in a base rate: what a name earns whatever is forecast; held by setting only, reported apart."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray

_EVEN = 0.5


def traded_probability(probability: FloatArray, base_rate: FloatArray, *, hold_premium: bool) -> FloatArray:
    """Return the probability that a name is sized by, (symbols,).

    With the premium held it is the calibrated one. Without, it is 1/2 + p - p0: a forecast that knows nothing says
    the base rate p0, and is worth nothing.

    Parameters
    ----------
    probability, base_rate : ndarray, shape (symbols,)
        p, calibrated, and p0. One outside 0..1, or NaN, gives NaN; a base rate is not read where the premium is held.
    """
    if hold_premium:
        return probability
    possible = (probability >= 0.0) & (probability <= 1.0) & (base_rate >= 0.0) & (base_rate <= 1.0)
    return np.where(possible, np.clip(_EVEN + probability - base_rate, 0.0, 1.0), np.nan)


def premium_share(probability: FloatArray, base_rate: FloatArray, *, hold_premium: bool) -> FloatArray:
    """Return the share of a name's expected return that its base rate promises by itself, 0 to 1, (symbols,).

    (p0 - 1/2) / (p - 1/2), cut to 0..1: 0 where the position is against the premium or the premium is not held, 1
    where the forecast takes from it. NaN counts as 0.
    """
    if not hold_premium:
        return np.zeros(len(probability))
    excess, premium = probability - _EVEN, base_rate - _EVEN
    finite = np.isfinite(excess) & np.isfinite(premium) & (excess != 0.0)
    share = np.divide(premium, excess, out=np.zeros_like(excess), where=finite)
    return np.clip(share, 0.0, 1.0)


def held_premium(weights: FloatArray, share: FloatArray) -> float:
    """Return the share of a book's gross that is premium, 0 to 1; 0 for a book of nothing."""
    gross = float(np.abs(weights).sum())
    return float((np.abs(weights) * share).sum()) / gross if gross > 0.0 else 0.0
