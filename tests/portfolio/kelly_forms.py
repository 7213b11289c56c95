"""Kelly's bet and the growth it gives, as published."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def kelly_bet(probability: npt.ArrayLike, odds: npt.ArrayLike) -> np.ndarray:
    """Fraction of capital to stake, f* = (p b - q) / b (Kelly 1956; Thorp 2006, equation 2.1).

    Parameters
    ----------
    probability : array_like
        p of winning; q = 1 - p.
    odds : array_like
        b, the win per unit staked; zero or below gives a bet of zero.

    Returns
    -------
    ndarray
        Never below zero: a bet with no edge is not made. NaN stays NaN.
    """
    p = np.asarray(probability, dtype=np.float64)
    b = np.asarray(odds, dtype=np.float64)
    unpayable = b <= 0.0
    payable = np.where(unpayable, 1.0, b)
    bet = np.maximum((p * payable - (1.0 - p)) / payable, 0.0)
    return np.where(unpayable, 0.0 * bet, bet)


def growth_rate(bet: npt.ArrayLike, probability: npt.ArrayLike, odds: npt.ArrayLike) -> np.ndarray:
    """Return the expected log growth per bet, p log(1 + b f) + q log(1 - f) (Kelly 1956)."""
    f = np.asarray(bet, dtype=np.float64)
    p = np.asarray(probability, dtype=np.float64)
    return p * np.log1p(np.asarray(odds, dtype=np.float64) * f) + (1.0 - p) * np.log1p(-f)
