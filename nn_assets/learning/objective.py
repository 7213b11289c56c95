"""What a configuration's forecasts were worth after costs: the figure that a search of hyper-parameters compares by."""

from __future__ import annotations

import math

import numpy as np

from nn_assets.arrays import FloatArray

_LARGEST_SCORE = 3.0  # no single forecast weighs more than this many of its model's spreads


def book_returns(
    score: FloatArray, returns: FloatArray, horizon_sessions: int, cost_fraction: float, *, neutral: bool
) -> FloatArray:
    """Net return of each session's cohort in a plain book of overlapping holdings, (sessions,).

    A session's cohort holds each symbol in proportion to its score, cut at three spreads, for the horizon; the book
    is the mean of the cohorts alive, so that a session trades what its cohort differs by from the one that it takes
    the place of (Jegadeesh and Titman 1993, Journal of Finance 48, section I). No calibration, limit or impact of
    size enters: it compares configurations, and is no record.

    Parameters
    ----------
    score : ndarray, shape (sessions, symbols)
        Forecasts in units of their model's spread; NaN where there is none: nothing is held.
    returns : ndarray, shape (sessions, symbols), fraction over the horizon
        What is earned from the fill to the horizon; NaN where it is not known: nothing is held.
    horizon_sessions : int
    cost_fraction : float
        Of every dollar traded: half spread and commission.
    neutral : bool
        Whether a cohort is long as much as short.
    """
    held = np.isfinite(score) & np.isfinite(returns)
    weights = np.where(held, np.clip(np.nan_to_num(score), -_LARGEST_SCORE, _LARGEST_SCORE), 0.0)
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    if neutral:
        weights = np.where(held, weights - weights.sum(axis=1, keepdims=True) / count, 0.0)
    weights = weights / count
    before = np.zeros_like(weights)
    before[horizon_sessions:] = weights[:-horizon_sessions]
    earned = (weights * np.where(held, returns, 0.0)).sum(axis=1)
    return np.asarray(earned - cost_fraction * np.abs(weights - before).sum(axis=1), dtype=np.float64)


def net_sharpe(net: FloatArray, horizon_sessions: int, sessions_per_year: float) -> float:
    """Annual Sharpe ratio of cohorts' net returns, which each span the horizon; NaN without any spread among them.

    Mean over standard deviation times the square root of the horizons in a year (Lo 2002, Financial Analysts Journal
    58, equation 8, as of returns that do not overlap).

    Parameters
    ----------
    net : ndarray, shape (sessions,), fraction over the horizon
    """
    if len(net) < 2:
        return math.nan
    spread = float(net.std(ddof=1))
    mean = float(net.mean())
    if not math.isfinite(spread) or spread <= 1e-12 * max(abs(mean), 1e-12):
        return math.nan
    return mean / spread * math.sqrt(sessions_per_year / horizon_sessions)
