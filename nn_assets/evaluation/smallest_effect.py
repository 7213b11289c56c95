"""The smallest effect worth finding: what a forecast must foretell before trading on it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from nn_assets.arrays import FloatArray
from nn_assets.market.calendar.sessions import bars_of_session
from nn_assets.settings import Strategy
from nn_assets.units import fraction_to_bps

PANEL_RANK_IC = 0.02
"""Rank IC on the label's horizon below which no panel's edge is of interest: the least the field reports."""

NET_SHARPE = 0.5
"""A year, after costs: what a book must earn for its forecasts to be worth having."""

_ROWS_FOR_A_SPREAD = 20
_EARNS = f"at which a net Sharpe of {NET_SHARPE} is earned"


@dataclass(frozen=True)
class SmallestEffect:
    """An excess over chance (rank IC, or AUC above 0.5), how it was derived, and the bets of a session."""

    value: float
    derivation: str
    breadth: float  # independent instruments of a session


def auc_of_ic(ic: float) -> float:
    """AUC of a forecast whose correlation with a normal return is ``ic``, to the first order.

    The forecast's means on rises and falls lie 2 ic sqrt(2 / pi) of its deviations apart, so that it ranks a rise
    above a fall with probability Phi(2 ic / sqrt(pi)).
    """
    return float(ndtr(2.0 * ic / math.sqrt(math.pi)))


def forecast_persistence(forecasts: FloatArray, horizon: int) -> float:
    """Correlation of a name's forecast with itself ``horizon`` sessions later, pooled over names.

    Parameters
    ----------
    forecasts : ndarray, shape (sessions, symbols)
        Already less what a book does not trade on, such as the session's mean. Pairs with a NaN are left out.

    Returns
    -------
    float
        Within 0 and 1; 0 where it cannot be had.
    """
    before, after = forecasts[:-horizon], forecasts[horizon:]
    both = np.isfinite(before) & np.isfinite(after)
    earlier, later = before[both], after[both]
    if len(earlier) < _ROWS_FOR_A_SPREAD or np.ptp(earlier) == 0.0 or np.ptp(later) == 0.0:
        return 0.0
    return float(np.clip(np.corrcoef(earlier, later)[0, 1], 0.0, 1.0))


def smallest_effect(
    forecasts: FloatArray,
    returns: FloatArray,
    *,
    across_symbols: bool,
    linear_cost: float,
    horizon: int,
    sessions_per_year: int,
    configured_effect: float | None = None,
) -> SmallestEffect:
    """The effect at which a book in proportion to the forecasts earns a net Sharpe ratio of 0.5.

    Parameters
    ----------
    forecasts, returns : ndarray, shape (sessions, symbols)
        Probabilities, and the label's own returns over the horizon, fractions; NaN unknown.
    across_symbols : bool
        A panel, judged by rank IC within its sessions; else by the AUC of its instruments.
    linear_cost : float
        Half-spread, at the names' usual volatility where that widens it, and commission; fraction of the value
        traded. Impact, which depends on the capital, is left out: the true bar lies higher.
    horizon : int
        Sessions that a label looks ahead.
    sessions_per_year : int
    configured_effect : float, optional
        The settings' own, in place of the derived one.

    Notes
    -----
    The book holds weights proportional to forecast / volatility, N independent names, renewed once a horizon. Over a
    horizon it earns ic N before costs with a risk of sqrt(N), in units of the weights: Grinold (1989), "The
    fundamental law of active management", Journal of Portfolio Management 15. It trades E|change| = 2 / sqrt(pi) x
    sqrt(1 - rho) / sigma a name, forecasts being normal with correlation rho from one horizon to the next. With
    A horizons a year the net Sharpe ratio is sqrt(N A) (ic - (2 / sqrt(pi)) sqrt(1 - rho) cost / sigma), hence

        ic = 0.5 / sqrt(N A) + (2 / sqrt(pi)) sqrt(1 - rho) cost / sigma

    In a panel N is its names less one, for the mean they share; else N / (1 + (N - 1) r), r the mean
    correlation of their returns. No limit is taken to bind.
    """
    own = _less_mean(returns, 1) if across_symbols else returns
    centred = _less_mean(forecasts, 1 if across_symbols else 0)
    names = _names(forecasts)
    breadth = max(names - 1.0, 1.0) if across_symbols else names / (1.0 + (names - 1.0) * _mean_correlation(returns))
    if configured_effect is not None:
        return SmallestEffect(configured_effect, "stated in the settings", breadth)
    sigma, rho = _usual_volatility(own), forecast_persistence(centred, horizon)
    bets = breadth * sessions_per_year / horizon
    reward = NET_SHARPE / math.sqrt(bets)
    cost = 0.0 if sigma is None else 2.0 / math.sqrt(math.pi) * math.sqrt(1.0 - rho) * linear_cost / sigma
    ic = reward + cost
    volatility = "unknown volatility" if sigma is None else f"a volatility of {sigma:.4f} over the horizon"
    derived = (
        f"IC {ic:.4f} = {NET_SHARPE} / sqrt({bets:.0f} bets a year) + {cost:.4f} for costs of "
        f"{fraction_to_bps(linear_cost):.1f} bps at {volatility} and a forecast that keeps {rho:.2f} over it"
    )
    if not across_symbols:
        excess = auc_of_ic(ic) - 0.5
        return SmallestEffect(excess, f"AUC {0.5 + excess:.4f}, {_EARNS}: {derived}", breadth)
    if ic > PANEL_RANK_IC:
        return SmallestEffect(ic, f"rank IC {ic:.4f}, {_EARNS}: {derived}", breadth)
    return SmallestEffect(PANEL_RANK_IC, f"rank IC {PANEL_RANK_IC}, above that {_EARNS}: {derived}", breadth)


def usual_daily_volatility(returns: FloatArray, strategy: Strategy) -> float:
    """Volatility of the median name over one day, as a fraction: that over the label's horizon by the root of time.

    What a model's half-spread is widened by where one figure stands for every name.

    Parameters
    ----------
    returns : ndarray, shape (sessions, symbols)
        Over the horizon, fractions; NaN unknown.

    Returns
    -------
    float
        0 where no name has returns enough to tell.
    """
    days = strategy.label.horizon_sessions / bars_of_session(strategy.market.calendar)
    return (_usual_volatility(returns) or 0.0) / math.sqrt(days)


def _less_mean(values: FloatArray, axis: int) -> FloatArray:
    """Values less their mean along an axis; NaN stays."""
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=axis, keepdims=True), 1)
    excess: FloatArray = values - np.where(finite, values, 0.0).sum(axis=axis, keepdims=True) / count
    return excess


def _names(forecasts: FloatArray) -> float:
    """Names with a forecast in the median session that has any."""
    counts = np.isfinite(forecasts).sum(axis=1)
    return float(np.median(counts[counts > 0])) if (counts > 0).any() else float(max(forecasts.shape[1], 1))


def _usual_volatility(returns: FloatArray) -> float | None:
    """Standard deviation of the median name."""
    columns = [column[np.isfinite(column)] for column in returns.T]
    spreads = [float(column.std(ddof=1)) for column in columns if len(column) >= _ROWS_FOR_A_SPREAD]
    middle = float(np.median(spreads)) if spreads else 0.0
    return middle if middle > 0.0 else None


def _mean_correlation(returns: FloatArray) -> float:
    """Mean correlation of two names' returns, within 0 and 1; 0 for a single one."""
    complete = returns[np.isfinite(returns).all(axis=1)]
    if returns.shape[1] < 2 or len(complete) < _ROWS_FOR_A_SPREAD or (complete.std(axis=0) == 0.0).any():
        return 0.0
    matrix = np.asarray(np.corrcoef(complete, rowvar=False))
    names = len(matrix)
    return float(np.clip((matrix.sum() - names) / (names * (names - 1)), 0.0, 1.0))
