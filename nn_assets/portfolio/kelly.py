"""How large a bet is: edge after costs, and the Kelly criterion with its oracle-tested growth rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_return", "growth_rate", "kelly_bet", "kelly_weight", "shrunk_probability"]

FloatArray = npt.NDArray[np.float64]


def kelly_bet(probability: npt.ArrayLike, odds: npt.ArrayLike) -> FloatArray:
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
    payable = np.where(b > 0.0, b, 1.0)
    bet = np.maximum((p * payable - (1.0 - p)) / payable, 0.0)
    return np.where(np.isnan(b), np.nan, np.where(b > 0.0, bet, 0.0 * bet))


def growth_rate(bet: npt.ArrayLike, probability: npt.ArrayLike, odds: npt.ArrayLike) -> FloatArray:
    """Return the expected log growth per bet, p log(1 + b f) + q log(1 - f) (Kelly 1956)."""
    f = np.asarray(bet, dtype=np.float64)
    p = np.asarray(probability, dtype=np.float64)
    return p * np.log1p(np.asarray(odds, dtype=np.float64) * f) + (1.0 - p) * np.log1p(-f)


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


def kelly_weight(
    probability: npt.ArrayLike,
    mean_win: npt.ArrayLike,
    mean_loss: npt.ArrayLike,
    cost: npt.ArrayLike,
    kelly_fraction: float,
) -> FloatArray:
    """Position weight of a fraction of Kelly, fraction * f* / (L + c) with b = (G - c) / (L + c).

    Parameters
    ----------
    probability, mean_win, mean_loss : array_like
        p, G and L; G and L positive fractions over the horizon.
    cost : array_like
        c, the round trip's cost, fraction.
    kelly_fraction : float
        0.5 for half Kelly.

    Returns
    -------
    ndarray
        Fraction of capital, at least zero; zero where the cost eats the whole win; NaN stays NaN.
    """
    c = np.asarray(cost, dtype=np.float64)
    stake = np.asarray(mean_loss, dtype=np.float64) + c
    risked = np.where(stake > 0.0, stake, np.nan)
    odds = (np.asarray(mean_win, dtype=np.float64) - c) / risked
    return kelly_fraction * kelly_bet(probability, odds) / risked
