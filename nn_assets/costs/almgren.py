"""The impact model of Almgren, Thum, Hauptmann and Li (2005), kept as a reference to compare with.

"Direct estimation of equity market impact", Risk, July 2005: permanent impact (equation 12) is
linear in size with a liquidity factor, temporary impact grows with the 0.6 power of the trading rate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray

GAMMA = 0.314
ETA = 0.142
_LIQUIDITY_POWER = 0.25
_RATE_POWER = 0.6


def permanent_impact(
    shares: npt.ArrayLike,
    daily_volume_shares: npt.ArrayLike,
    shares_outstanding: npt.ArrayLike,
    daily_volatility: npt.ArrayLike,
) -> FloatArray:
    """Permanent impact I = gamma sigma (X/V) (Theta/V)^(1/4), signed like the order.

    Parameters
    ----------
    shares, daily_volume_shares, shares_outstanding : array_like
        X, V and Theta, all in shares.
    daily_volatility : array_like
        sigma, fraction per day.

    Returns
    -------
    ndarray
        Fraction of the price, broadcast shape. NaN stays NaN.
    """
    size = np.asarray(shares, dtype=np.float64)
    volume = np.asarray(daily_volume_shares, dtype=np.float64)
    turnover = np.asarray(shares_outstanding, dtype=np.float64) / volume
    sigma = np.asarray(daily_volatility, dtype=np.float64)
    return GAMMA * sigma * (size / volume) * turnover**_LIQUIDITY_POWER


def realised_impact(
    shares: npt.ArrayLike,
    daily_volume_shares: npt.ArrayLike,
    shares_outstanding: npt.ArrayLike,
    daily_volatility: npt.ArrayLike,
    days: npt.ArrayLike,
) -> FloatArray:
    """Cost of an order worked over ``days``: J = I/2 + sign(X) eta sigma |X/(V T)|^0.6.

    Arguments as in :func:`permanent_impact`; ``days`` is T, as a fraction of the trading day.

    Returns
    -------
    ndarray
        Fraction of the price, broadcast shape. NaN stays NaN.
    """
    size = np.asarray(shares, dtype=np.float64)
    rate = size / (np.asarray(daily_volume_shares, dtype=np.float64) * np.asarray(days, dtype=np.float64))
    sigma = np.asarray(daily_volatility, dtype=np.float64)
    temporary = np.sign(size) * ETA * sigma * np.abs(rate) ** _RATE_POWER
    lasting = permanent_impact(shares, daily_volume_shares, shares_outstanding, daily_volatility)
    return lasting / 2.0 + temporary
