"""How large a bet is: edge after costs, and the Kelly criterion."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray

_HALVINGS = 50


def expected_return(probability: npt.ArrayLike, mean_win: npt.ArrayLike, mean_loss: npt.ArrayLike) -> FloatArray:
    """Return p G - (1 - p) L, fraction over the horizon, before costs. NaN stays NaN."""
    p = np.asarray(probability, dtype=np.float64)
    gain, loss = np.asarray(mean_win, dtype=np.float64), np.asarray(mean_loss, dtype=np.float64)
    return p * gain - (1.0 - p) * loss


def shrunk_probability(
    probability: npt.ArrayLike, mean_win: npt.ArrayLike, mean_loss: npt.ArrayLike, shrink: npt.ArrayLike
) -> FloatArray:
    """Probability whose expected return is ``shrink`` times that of ``probability``.

    p moved towards the break-even probability L / (G + L), so that edge and Kelly bet are shrunk
    by one and the same number. NaN where G + L is not positive.
    """
    p = np.asarray(probability, dtype=np.float64)
    total = np.asarray(mean_win, dtype=np.float64) + np.asarray(mean_loss, dtype=np.float64)
    even = np.asarray(mean_loss, dtype=np.float64) / np.where(total > 0.0, total, np.nan)
    return even + np.asarray(shrink, dtype=np.float64) * (p - even)


def kelly_sizes(
    probability: FloatArray, mean_win: FloatArray, mean_loss: FloatArray, kelly_fraction: float, usable: BoolArray
) -> Callable[[FloatArray], FloatArray]:
    """Return the weight of a fraction of Kelly, fraction * f* / (L + c) with b = (G - c) / (L + c), by the cost c.

    Parameters
    ----------
    probability, mean_win, mean_loss : ndarray, shape (symbols,)
        p, G and L; G and L positive fractions over the horizon.
    kelly_fraction : float
        0.5 for half Kelly.
    usable : ndarray, shape (symbols,)
        Names that have a bet at all.

    Returns
    -------
    callable
        Of the round trip's cost (fraction, at least 0) to fractions of capital, at least zero: zero for names that
        are not usable, where the cost eats the whole win, and where anything is NaN.
    """
    losing = 1.0 - probability

    def sizes(cost: FloatArray) -> FloatArray:
        # f* = (p b - q) / b (Kelly 1956; Thorp 2006, equation 2.1), in half the time of that form:
        # a size is asked for fifty times a name and session.
        risked = mean_loss + cost
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = (mean_win - cost) / risked
            bet = np.fmax((probability * odds - losing) / odds, 0.0)
            return np.where(usable & (odds > 0.0), kelly_fraction * bet / risked, 0.0)

    return sizes


def affordable_size(
    size_at: Callable[[FloatArray], FloatArray], cost_of: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return the largest sizes that are worth their own cost: w = size_at(cost_of(w)), (symbols,).

    The dearer the smaller and the larger the dearer, so there is one such size, between 0 and the one that the
    first dollar's cost allows; halving finds it to 1e-15 of that.

    Parameters
    ----------
    size_at : callable
        Cost (fraction) to size, falling; at least 0. NaN gives a size of 0.
    cost_of : callable
        Size to cost, rising.
    """
    most = np.nan_to_num(size_at(cost_of(np.zeros(1))), nan=0.0)
    low, high = np.zeros_like(most), most
    if not most.any():
        return most
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        enough = size_at(cost_of(middle)) >= middle
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return np.where(size_at(cost_of(most)) >= most, most, low)


def edge_scale(
    kelly_fraction: float,
    mean_win: FloatArray,
    mean_loss: FloatArray,
    volatility: FloatArray,
    horizon_sessions: int,
    usual_volatility: float,
) -> float:
    """Return s, by which s x edge / volatility is the fraction of Kelly at the strategy's usual volatility.

    Before costs a fraction k of Kelly is k mu / (G L), and G L = g l sigma^2 h with g and l of the record, in the
    name's own volatility; mu = edge x h. So s = k / (g l x usual volatility). It falls by 1 / sigma where Kelly's
    falls by 1 / sigma^2: names calmer than usual are the ones it bounds.

    Parameters
    ----------
    mean_win, mean_loss, volatility : ndarray, shape (symbols,)
        G and L over the horizon, and sigma per session; fractions. g l is the names' median: the record's is one.
    usual_volatility : float
        Per session, known at the decision.

    Returns
    -------
    float
        NaN where nothing is known of it.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        product = mean_win * mean_loss / (volatility**2 * horizon_sessions)
    finite = product[np.isfinite(product) & (product > 0.0)]
    if len(finite) == 0 or not usual_volatility > 0.0 or not math.isfinite(usual_volatility):
        return math.nan
    return kelly_fraction / (float(np.median(finite)) * usual_volatility)
