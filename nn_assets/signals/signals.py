"""Forecasts made into signals, with the win and loss statistics that were known at the time.

Every figure of row t uses rows whose label was realised at or before t, and is the same to the
bit whether the history ends at t or later: sums run forward from the first row, in one order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray, IntArray, Symbol
from nn_assets.contracts import SIGNALS, framed
from nn_assets.contracts.frames import SignalRows
from nn_assets.errors import SchemaError
from nn_assets.learning.evidence import effective_outcomes, less_the_median
from nn_assets.learning.forecasts import ForecastArrays

EWMA_SPAN_SESSIONS = 20
EWMA_WINDOW_SESSIONS = 60
_COIN_TOSS = 0.5
_UNSTORED = frozenset({"symbols", "novelty"})  # no columns: the confidence that is stored has the factor in it


@dataclass(frozen=True)
class Outcomes:
    """What following the forecasts brought, as known at one row; NaN where there is nothing to average."""

    mean_win: float  # positive, in units of the name's own volatility over the horizon
    mean_loss: float  # likewise
    count: float  # independent outcomes that they are worth
    sessions: int  # sessions with any outcome


@dataclass(frozen=True)
class OutcomeStatistics:
    """The same for every row, pooled over symbols; arrays of shape (bars,)."""

    mean_win: FloatArray
    mean_loss: FloatArray
    count: FloatArray
    sessions: IntArray

    def at(self, row: int) -> Outcomes:
        """Return the statistics known at a row."""
        return Outcomes(
            float(self.mean_win[row]), float(self.mean_loss[row]), float(self.count[row]), int(self.sessions[row])
        )


@dataclass(frozen=True)
class SessionSignals:
    """Signals of one session as arrays of shape (symbols,): the hot path's twin of the signals frame."""

    symbols: tuple[Symbol, ...]
    probability: FloatArray  # ensemble mean, uncalibrated
    dispersion: FloatArray  # standard deviation of the members' probabilities
    calibrated_probability: FloatArray
    base_rate: FloatArray  # p0: what the calibration says of a forecast that knows nothing
    direction: IntArray  # -1, 0, 1; 0 also where the probability is missing
    expected_return: FloatArray  # signed fraction over the horizon
    mean_win: FloatArray  # positive fraction over the horizon
    mean_loss: FloatArray  # likewise
    outcomes: IntArray  # whole independent ones behind them
    outcome_sessions: IntArray  # sessions that had any
    forecast_volatility: FloatArray  # fraction per session
    confidence: FloatArray  # 0..1, times novelty where that is asked for
    novelty: FloatArray  # that factor of it, 0..1; 1 where it is not asked for


def outcome_statistics(
    probability: FloatArray,
    label_returns: FloatArray,
    realised_row: npt.ArrayLike,
    volatility: FloatArray,
    horizon_sessions: int,
    relative: bool = False,  # noqa: FBT001, FBT002
) -> OutcomeStatistics:
    """Mean win, mean loss and number of outcomes known at every row.

    An outcome is the label's own return over sigma x sqrt(h), sigma the name's volatility as forecast at the
    decision, taken in the direction that the forecast took: long above one half, short below, none at exactly one
    half; where labels are relative, the session's median forecast takes the place of one half. So a calm name and a
    wild one share their statistics, and each gets its own win and loss from them. A win is an outcome above zero; an
    outcome of exactly zero counts as a loss of size zero, as the label counts it.

    Parameters
    ----------
    probability : ndarray, shape (bars, symbols)
        Out-of-sample forecasts only, before calibration: their outcomes depend on no later calibration. NaN:
        no forecast, no outcome.
    label_returns : ndarray, shape (bars, symbols)
        Return from fill to fill + horizon, fraction. NaN: no label, no outcome.
    realised_row : array_like of int, shape (bars,)
        First row at which the label of each row is known; negative: never.
    volatility : ndarray, shape (bars, symbols)
        Fraction per session. NaN or zero: no outcome.
    horizon_sessions : int
        h.
    relative : bool
        Whether the label's own return is less the cross-section's median.

    Returns
    -------
    OutcomeStatistics
        Row t pools all symbols of all rows with ``0 <= realised_row <= t``; NaN before the first
        win (or loss). ``count`` is that of :func:`~nn_assets.learning.evidence.effective_outcomes`.

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """
    returns = np.ascontiguousarray(label_returns, dtype=np.float64)
    forecasts = np.ascontiguousarray(probability, dtype=np.float64)
    sigma = np.ascontiguousarray(volatility, dtype=np.float64)
    realised = np.asarray(realised_row, dtype=np.int64)
    if not forecasts.shape == returns.shape == sigma.shape or realised.shape != returns.shape[:1]:
        raise SchemaError(
            expected="forecasts, returns and volatilities of one shape (bars, symbols) and realised rows (bars,)",
            found=f"{forecasts.shape}, {returns.shape}, {sigma.shape}, {realised.shape}",
            remedy="align the four on one session axis",
        )
    unit = np.where(sigma > 0.0, sigma, np.nan) * np.sqrt(horizon_sessions)
    moved = returns / unit
    side = np.sign(_less_the_median_of(forecasts, moved) if relative else forecasts - _COIN_TOSS)
    outcome = side * moved
    counted = np.isfinite(outcome) & (side != 0.0)
    won = counted & (outcome > 0.0)
    lost = counted & ~won
    bars = returns.shape[0]
    never = (realised < 0) | (realised >= bars)
    # Rows in the order in which their labels became known; ties keep the order of the sessions.
    order = np.argsort(np.where(never, bars, realised), kind="stable")
    known_count = np.searchsorted(np.where(never, bars, realised)[order], np.arange(bars), side="right")

    def by_row(mask: npt.NDArray[np.bool_], values: FloatArray) -> FloatArray:
        total = np.zeros(bars)
        for symbol in range(returns.shape[1]):  # one order of addition, whatever the memory layout
            total += np.where(mask[:, symbol], values[:, symbol], 0.0)
        return total[order]

    def running(values: FloatArray) -> FloatArray:
        return np.concatenate(([0.0], np.cumsum(values)))[known_count]

    ones = np.ones_like(outcome)
    wins, losses = by_row(won, ones), by_row(lost, ones)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_win = running(by_row(won, outcome)) / running(wins)
        mean_loss = running(by_row(lost, -outcome)) / running(losses)
    has_outcome = wins + losses > 0.0
    sessions = running(has_outcome.astype(np.float64)).astype(np.int64)
    worth = effective_outcomes(wins[has_outcome], (wins + losses)[has_outcome], horizon_sessions)
    return OutcomeStatistics(mean_win, mean_loss, np.concatenate(([0.0], worth))[sessions], sessions)


def _less_the_median_of(forecasts: FloatArray, outcomes: FloatArray) -> FloatArray:
    """Forecasts less the median of those of their session that have an outcome."""
    return less_the_median(np.where(np.isfinite(outcomes), forecasts, np.nan))


def ewma_volatility(log_returns: FloatArray) -> FloatArray:
    """Forecast volatility per session: an exponentially weighted root mean square of log returns.

    sigma_t^2 = sum_k w_k r_(t-k)^2 / sum_k w_k over k = 0..59 with w_k = lambda^k and
    lambda = 1 - 2 / (20 + 1), the exponential twin of sigma_20 (RiskMetrics 1996, section 5.2, with
    a span of 20 for its decay of 0.94). The window is fixed, so that a value does not depend on
    where the history starts; the weight left out is lambda^60 = 0.25%.

    Parameters
    ----------
    log_returns : ndarray, shape (bars, symbols)
        NaN returns are left out and the other weights take their place.

    Returns
    -------
    ndarray, shape (bars, symbols)
        Fraction per session; NaN with fewer than 20 returns in the window.
    """
    returns = np.asarray(log_returns, dtype=np.float64)
    present = np.isfinite(returns)
    squares = np.where(present, returns, 0.0) ** 2
    decay = 1.0 - 2.0 / (EWMA_SPAN_SESSIONS + 1.0)
    total, weight, count = (np.zeros_like(squares) for _ in range(3))
    for lag in range(min(EWMA_WINDOW_SESSIONS, len(returns))):
        rows = slice(lag, None)
        until = len(returns) - lag
        total[rows] += decay**lag * squares[:until]
        weight[rows] += decay**lag * present[:until]
        count[rows] += present[:until]
    enough = count >= EWMA_SPAN_SESSIONS
    return np.where(enough, np.sqrt(total / np.where(enough, weight, 1.0)), np.nan)


def make_signals(
    symbols: tuple[Symbol, ...],
    forecasts: ForecastArrays,
    outcomes: Outcomes,
    forecast_volatility: FloatArray,
    horizon_sessions: int,
) -> SessionSignals:
    """Signals of one session.

    Direction is the side of one half on which the calibrated probability lies. Mean win and mean loss are the
    record's, in units of sigma x sqrt(h), times the name's own. The expected return is direction x
    (p G - (1 - p) L) with p the probability of that side, before costs.

    Parameters
    ----------
    forecasts : ForecastArrays, arrays of shape (symbols,)
        Calibrated, of one estimator. NaN stays NaN; a missing calibrated probability gives direction 0.
    outcomes : Outcomes
        Statistics known at this session.
    forecast_volatility : ndarray, shape (symbols,)
        sigma, fraction per session. NaN stays NaN; 0, of a price that has stood still, is none.
    horizon_sessions : int
        h.
    """
    calibrated, volatility = forecasts.calibrated, np.asarray(forecast_volatility, dtype=np.float64)
    volatility = np.where(volatility > 0.0, volatility, np.nan)
    direction = np.nan_to_num(np.sign(calibrated - _COIN_TOSS)).astype(np.int64)
    unit = volatility * np.sqrt(horizon_sessions)
    mean_win, mean_loss = outcomes.mean_win * unit, outcomes.mean_loss * unit
    of_side = np.maximum(calibrated, 1.0 - calibrated)
    size = of_side * mean_win - (1.0 - of_side) * mean_loss
    return SessionSignals(
        symbols=symbols,
        probability=forecasts.probability,
        dispersion=forecasts.dispersion,
        calibrated_probability=calibrated,
        base_rate=forecasts.base_rate,
        direction=direction,
        expected_return=np.where(direction == 0, 0.0 * calibrated, direction * size),
        mean_win=mean_win,
        mean_loss=mean_loss,
        outcomes=np.full(len(symbols), int(outcomes.count), dtype=np.int64),
        outcome_sessions=np.full(len(symbols), outcomes.sessions, dtype=np.int64),
        forecast_volatility=volatility,
        confidence=forecasts.confidence,
        novelty=forecasts.novelty,
    )


def signals_frame(
    signals: SessionSignals,
    *,
    session: pd.Timestamp,
    model_id: str,
    data_hash: str,
    code_version: str,
    known_at: pd.Timestamp,
) -> SignalRows:
    """Return the signals of a session as the frame that crosses rooms.

    One row per symbol with a forecast, in symbol order; a symbol without one has no signal.
    """
    forecast = np.isfinite(signals.calibrated_probability) & np.isfinite(signals.confidence)
    arrays = {name: getattr(signals, name)[forecast] for name in signals.__dataclass_fields__ if name not in _UNSTORED}
    made_of = {"model_id": model_id, "data_hash": data_hash, "code_version": code_version, "known_at": known_at}
    symbols = list(compress(signals.symbols, forecast))
    return framed(SIGNALS, len(symbols), symbol=symbols, session=session, **arrays, **made_of)
