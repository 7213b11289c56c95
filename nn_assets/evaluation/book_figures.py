"""Figures of a book's daily returns: reward, risk, and how far the Sharpe ratio can be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.evaluation.deflated import (
    deflated_sharpe,
    minimum_track_record,
    null_sharpe_variance,
    probabilistic_sharpe,
)
from nn_assets.evaluation.figure_set import BOOK_NAMES
from nn_assets.evaluation.track import BookTrack
from nn_assets.measures import hit_ratio, maximum_drawdown, sharpe, win_loss_ratio

_MINIMUM_RETURNS = 5
"""Returns below which no ratio is formed; a month's fold has about twenty."""

_TRIALS_FOR_A_SPREAD = 10

FLAT_COST = 0.001
"""10 bps of the value traded, a fraction: what net figures are also shown at, whatever the cost model says."""


@dataclass(frozen=True)
class StudyTerms:
    """What figures need to know beside the record."""

    horizon_sessions: int
    sessions_per_year: int
    trials: int = 1
    trial_sharpes: tuple[float, ...] = ()  # net, per session
    cash_rate_per_session: float | FloatArray = 0.0  # an array is of shape (sessions,)


def spread_of_trials(trial_sharpes: tuple[float, ...], observations: int) -> float:
    """Variance of the trials' per-session Sharpe ratios.

    Measured (ddof 1) where at least ten are on record and finite; else that of worthless trials of
    this length, `null_sharpe_variance`, which a handful of similar trials would understate.
    """
    finite = np.array([value for value in trial_sharpes if math.isfinite(value)])
    if len(finite) >= _TRIALS_FOR_A_SPREAD:
        return float(finite.var(ddof=1))
    return null_sharpe_variance(observations)


def book_figures(
    track: BookTrack, rows: BoolArray, terms: StudyTerms
) -> tuple[dict[str, float | int | None], dict[str, str]]:
    """Figures of a book over some sessions, and for those that cannot be had, why.

    Parameters
    ----------
    track : BookTrack, arrays of shape (sessions,)
    rows : ndarray of bool, shape (sessions,)
        Sessions to count; those without a net return must be out.
    terms : StudyTerms

    Returns
    -------
    figures : dict
        Net ones also at other costs, of the book as it was traded: net - (gross - net), costs doubled, and
        gross - 0.001 turnover. By the names of `nn_assets.evaluation.figures.Figures`; never NaN.
    absent : dict
        Reasons of the ``None`` among them.
    """
    net, gross, turnover = track.net[rows], track.gross[rows], track.turnover[rows]
    per_year = terms.sessions_per_year
    values: dict[str, float | int | None] = dict.fromkeys(BOOK_NAMES)
    values["return_sessions"] = len(net)
    if len(net) < _MINIMUM_RETURNS:
        return values, dict.fromkeys(BOOK_NAMES, f"{len(net)} returns; ratios need {_MINIMUM_RETURNS}")
    cash = np.broadcast_to(np.asarray(terms.cash_rate_per_session, dtype=np.float64), track.net.shape)[rows]
    excess = net - cash
    dearer, flat = net - (gross - net), gross - FLAT_COST * turnover
    values |= {
        "return_per_year_costs_x2": _finite(dearer.mean() * per_year),
        "return_per_year_10_bps": _finite(flat.mean() * per_year),
        "return_per_year": _finite(net.mean() * per_year),
        "volatility_per_year": _finite(net.std(ddof=1) * math.sqrt(per_year)),
        "max_drawdown": _finite(maximum_drawdown(net)),
        "turnover_per_year": _finite(float(np.nanmean(turnover)) * per_year) if np.isfinite(turnover).any() else None,
    }
    if np.ptp(excess) <= 1e-12:
        why = "the book held no position: its return is the same in every session"
    else:
        values |= _ratios(excess, gross - cash, terms)
        values |= {
            "sharpe_net_costs_x2": _finite(sharpe(dearer - cash, per_year)),
            "sharpe_net_10_bps": _finite(sharpe(flat - cash, per_year)),
        }
        why = "it is not defined for these returns"
    absent = {name: why for name, value in values.items() if value is None}
    sharpe_net = values["sharpe_net"]
    if sharpe_net is not None and sharpe_net <= 0.0:
        absent["minimum_track_record_sessions"] = "the Sharpe ratio is not above 0: no record is long enough"
    return values, absent


def _ratios(excess: FloatArray, gross: FloatArray, terms: StudyTerms) -> dict[str, float | None]:
    count, per_year = len(excess), terms.sessions_per_year
    annual = sharpe(excess, per_year)
    single = annual / math.sqrt(per_year)
    skew, kurtosis = _moments(excess)
    spread = spread_of_trials(terms.trial_sharpes, count)
    held = excess[np.abs(excess) > 1e-12]
    return {
        "sharpe_net": _finite(annual),
        "sharpe_gross": _finite(sharpe(gross, per_year)),
        "hit_ratio": _finite(hit_ratio(held)),
        "win_loss_ratio": _finite(win_loss_ratio(held)),
        "probabilistic_sharpe": _finite(probabilistic_sharpe(single, 0.0, count, skew, kurtosis)),
        "deflated_sharpe": _finite(deflated_sharpe(single, count, terms.trials, spread, skew, kurtosis)),
        "minimum_track_record_sessions": _finite(minimum_track_record(single, 0.0, 0.95, skew, kurtosis)),
    }


def _moments(returns: FloatArray) -> tuple[float, float]:
    """Skew and plain kurtosis, the moments about the mean over powers of the population variance."""
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    return float((centred**3).mean()) / variance**1.5, float((centred**4).mean()) / variance**2


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
