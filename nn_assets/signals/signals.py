"""Forecasts made into signals, with the win and loss statistics that were known at the time.

Every figure of row t uses rows whose label was realised at or before t, and is the same to the
bit whether the history ends at t or later: sums run forward from the first row, in one order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.errors import SchemaError

__all__ = [
    "EWMA_SPAN_SESSIONS",
    "EWMA_WINDOW_SESSIONS",
    "OutcomeStatistics",
    "Outcomes",
    "SessionSignals",
    "confidence_of",
    "ewma_volatility",
    "make_signals",
    "outcome_statistics",
    "signals_frame",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EWMA_SPAN_SESSIONS = 20
EWMA_WINDOW_SESSIONS = 60
_COIN_TOSS = 0.5


@dataclass(frozen=True)
class Outcomes:
    """What following the forecasts brought, as known at one row; NaN where there is nothing to average."""

    mean_win: float  # fraction over the horizon, positive
    mean_loss: float  # fraction over the horizon, positive
    count: int


@dataclass(frozen=True)
class OutcomeStatistics:
    """The same for every row, pooled over symbols; arrays of shape (bars,)."""

    mean_win: FloatArray
    mean_loss: FloatArray
    count: IntArray

    def at(self, row: int) -> Outcomes:
        """Return the statistics known at a row."""
        return Outcomes(float(self.mean_win[row]), float(self.mean_loss[row]), int(self.count[row]))


@dataclass(frozen=True)
class SessionSignals:
    """Signals of one session as arrays of shape (symbols,): the hot path's twin of the signals frame."""

    symbols: tuple[str, ...]
    probability: FloatArray  # ensemble mean, uncalibrated
    dispersion: FloatArray  # standard deviation of the members' probabilities
    calibrated_probability: FloatArray
    direction: IntArray  # -1, 0, 1; 0 also where the probability is missing
    expected_return: FloatArray  # signed fraction over the horizon
    mean_win: FloatArray
    mean_loss: FloatArray
    outcomes: IntArray
    forecast_volatility: FloatArray  # fraction per session
    confidence: FloatArray  # 0..1


def outcome_statistics(
    calibrated_probability: FloatArray, label_returns: FloatArray, realised_row: npt.ArrayLike
) -> OutcomeStatistics:
    """Mean win, mean loss and number of outcomes known at every row.

    An outcome is the label's own return, taken in the direction that the forecast took: long above
    one half, short below, none at exactly one half. A win is an outcome above zero; an outcome of
    exactly zero counts as a loss of size zero, as the label counts it.

    Parameters
    ----------
    calibrated_probability : ndarray, shape (bars, symbols)
        Out-of-sample forecasts only. NaN: no forecast, no outcome.
    label_returns : ndarray, shape (bars, symbols)
        Return from fill to fill + horizon, fraction. NaN: no label, no outcome.
    realised_row : array_like of int, shape (bars,)
        First row at which the label of each row is known; negative: never.

    Returns
    -------
    OutcomeStatistics
        Row t pools all symbols of all rows with ``0 <= realised_row <= t``; NaN before the first
        win (or loss).

    Raises
    ------
    SchemaError
        The arrays' shapes differ.
    """
    returns = np.ascontiguousarray(label_returns, dtype=np.float64)
    probability = np.ascontiguousarray(calibrated_probability, dtype=np.float64)
    realised = np.asarray(realised_row, dtype=np.int64)
    if probability.shape != returns.shape or realised.shape != returns.shape[:1]:
        raise SchemaError(
            expected="forecasts and returns of one shape (bars, symbols) and realised rows (bars,)",
            found=f"{probability.shape}, {returns.shape}, {realised.shape}",
            remedy="align the three on one session axis",
        )
    outcome = np.sign(probability - _COIN_TOSS) * returns
    counted = np.isfinite(outcome) & (probability != _COIN_TOSS)
    won = counted & (outcome > 0.0)
    lost = counted & ~won
    bars = returns.shape[0]
    never = (realised < 0) | (realised >= bars)
    # Rows in the order in which their labels became known; ties keep the order of the sessions.
    order = np.argsort(np.where(never, bars, realised), kind="stable")
    known = np.searchsorted(np.where(never, bars, realised)[order], np.arange(bars), side="right")

    def running(mask: npt.NDArray[np.bool_], values: FloatArray) -> FloatArray:
        by_row = np.zeros(bars)
        for symbol in range(returns.shape[1]):  # one order of addition, whatever the memory layout
            by_row += np.where(mask[:, symbol], values[:, symbol], 0.0)
        return np.concatenate(([0.0], np.cumsum(by_row[order])))[known]

    ones = np.ones_like(outcome)
    wins, losses = running(won, ones), running(lost, ones)
    gain, loss = running(won, outcome), running(lost, -outcome)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_win, mean_loss = gain / wins, loss / losses
    return OutcomeStatistics(mean_win, mean_loss, (wins + losses).astype(np.int64))


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


def confidence_of(probability: npt.ArrayLike, dispersion: npt.ArrayLike) -> FloatArray:
    """How much of a forecast's distance from a coin toss is not the members' disagreement.

    d^2 / (d^2 + s^2) with d = probability - 1/2 and s the members' standard deviation: the
    reliability ratio of errors-in-variables (Fuller 1987, equation 1.1.9). Both are taken before
    calibration: temperature scales d and s alike, so that the ratio survives it.

    Returns
    -------
    ndarray
        From 0 to 1; 0 where both are zero; NaN where either is missing.
    """
    distance = (np.asarray(probability, dtype=np.float64) - _COIN_TOSS) ** 2
    noise = np.asarray(dispersion, dtype=np.float64) ** 2
    total = distance + noise
    return np.where(total == 0.0, 0.0, distance / np.where(total == 0.0, 1.0, total))


def make_signals(
    symbols: tuple[str, ...],
    probability: FloatArray,
    dispersion: FloatArray,
    calibrated_probability: FloatArray,
    outcomes: Outcomes,
    forecast_volatility: FloatArray,
) -> SessionSignals:
    """Signals of one session.

    Direction is the side of one half on which the calibrated probability lies. The expected return
    is direction x (p G - (1 - p) L) with p the probability of that side, before costs and before
    any shrinkage.

    Parameters
    ----------
    probability, dispersion, calibrated_probability, forecast_volatility : ndarray, shape (symbols,)
        NaN stays NaN; a missing calibrated probability gives direction 0.
    outcomes : Outcomes
        Statistics known at this session.
    """
    calibrated = np.asarray(calibrated_probability, dtype=np.float64)
    direction = np.nan_to_num(np.sign(calibrated - _COIN_TOSS)).astype(np.int64)
    of_side = np.maximum(calibrated, 1.0 - calibrated)
    size = of_side * outcomes.mean_win - (1.0 - of_side) * outcomes.mean_loss
    count = len(symbols)
    return SessionSignals(
        symbols=symbols,
        probability=np.asarray(probability, dtype=np.float64),
        dispersion=np.asarray(dispersion, dtype=np.float64),
        calibrated_probability=calibrated,
        direction=direction,
        expected_return=np.where(direction == 0, 0.0 * calibrated, direction * size),
        mean_win=np.full(count, outcomes.mean_win),
        mean_loss=np.full(count, outcomes.mean_loss),
        outcomes=np.full(count, outcomes.count, dtype=np.int64),
        forecast_volatility=np.asarray(forecast_volatility, dtype=np.float64),
        confidence=confidence_of(probability, dispersion),
    )


def signals_frame(
    signals: SessionSignals,
    *,
    session: pd.Timestamp,
    model_id: str,
    data_hash: str,
    code_version: str,
    known_at: pd.Timestamp,
) -> pd.DataFrame:
    """Return the signals of a session as the frame that crosses rooms.

    One row per symbol with a forecast, in symbol order; a symbol without one has no signal.
    """
    arrays = {name: getattr(signals, name) for name in signals.__dataclass_fields__ if name != "symbols"}
    text = pd.StringDtype(na_value=np.nan)
    frame = pd.DataFrame({"symbol": pd.Series(list(signals.symbols), dtype=text), "session": session, **arrays})
    frame["session"] = frame["session"].astype("datetime64[ns]")
    for name, value in (("model_id", model_id), ("data_hash", data_hash), ("code_version", code_version)):
        frame[name] = pd.Series(value, index=frame.index, dtype=text)
    frame["known_at"] = pd.Series(known_at, index=frame.index).astype("datetime64[ns, UTC]")
    forecast = np.isfinite(signals.calibrated_probability) & np.isfinite(signals.confidence)
    return frame[forecast].reset_index(drop=True)
