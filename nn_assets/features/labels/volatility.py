"""``log_realised_volatility`` and ``volatility_move``: how much a name moves, whichever way. Neither can be traded."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.features.catalogue.prices import ratio
from nn_assets.features.labels.definition import LabelFacts, LabelKind
from nn_assets.features.labels.relative import less_the_median
from nn_assets.features.own_bars import over_own_rows
from nn_assets.features.rolling import lagged, rolling_mean, rolling_std
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from nn_assets.settings.section import Section
from nn_assets.settings.sections import Positive

RECENT_SESSIONS = 20
"""Returns in the recent volatility, sigma_20."""


class VolatilityMove(Section):
    """Settings of a volatility move: ``multiple`` is that of the recent volatility which is to be exceeded."""

    multiple: Positive = 1.0


def realised_volatility(panel: Panel, label: LabelSettings) -> FloatArray:
    """Root mean square of the log returns of each session from the fill to the horizon, (bars, symbols), fraction.

    Opens with ``next_open``, closes with ``next_close``. NaN where one of the horizon + 1 prices is missing or not
    positive, or lies beyond the axis.
    """
    price = panel.open if label.execution == "next_open" else panel.close
    positive = np.where((price > 0.0) & np.isfinite(price), price, np.nan)
    lag, horizon = label.execution_lag_sessions, label.horizon_sessions
    squares = np.diff(np.log(positive), axis=0) ** 2  # row t: of the return from t to t + 1
    result = np.full(price.shape, np.nan)
    known = panel.session_count - lag - horizon
    if known > 0:
        # session by session, forwards: one order of addition
        total = np.zeros((known, price.shape[1]))
        for step in range(horizon):
            total += squares[lag + step : lag + step + known]
        result[:known] = np.sqrt(total / horizon)
    return result


def relative_variance(panel: Panel, label: LabelSettings, candidates: BoolArray | None) -> FloatArray:
    """Mean square of each session's return less its median, from the fill to the horizon, (bars, symbols).

    Squared fraction per session: of simple returns, as a relative label is made of them, opens with ``next_open``,
    closes with ``next_close``. The median is over those who are candidates on the session that a return ends on. NaN
    where a price of the horizon is missing, or a session has fewer than 5 returns of candidates.
    """
    price = panel.open if label.execution == "next_open" else panel.close
    apart = less_the_median(ratio(price, lagged(price, 1)) - 1.0, candidates)
    span = label.execution_lag_sessions + label.horizon_sessions
    result = np.full(price.shape, np.nan)
    result[:-span] = rolling_mean(apart**2, label.horizon_sessions)[span:]
    return result


def recent_relative_volatility(panel: Panel, candidates: BoolArray | None, max_missing_fraction: float) -> FloatArray:
    """Sample deviation of the last 20 returns less their session's median, (bars, symbols), fraction per session."""
    apart = less_the_median(ratio(panel.close, lagged(panel.close, 1)) - 1.0, candidates)
    return over_own_rows(apart, RECENT_SESSIONS, max_missing_fraction, lambda rows: rolling_std(rows, RECENT_SESSIONS))


def _log_ratio(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """Log of realised over recent volatility, (bars, symbols); NaN where no price moved over the horizon."""
    ratio = realised_volatility(panel, label) / facts.recent_volatility
    return np.log(ratio, out=np.full(ratio.shape, np.nan), where=ratio > 0.0)


def _log_variance(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    """Log of the variance realised from fill to horizon over sigma_20 squared, the recent one."""
    return 2.0 * _log_ratio(panel, label, facts)


def _scale(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:  # noqa: ARG001  as every kind's
    return facts.recent_volatility


def _move(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: VolatilityMove) -> FloatArray:
    """Log of the volatility realised from fill to horizon over a multiple of sigma_20, the recent one."""
    return _log_ratio(panel, label, facts) - float(np.log(settings.multiple))


def _ratio(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: VolatilityMove) -> FloatArray:  # noqa: ARG001
    """Log of realised over recent volatility, whatever the multiple."""
    return _log_ratio(panel, label, facts)


LOG_REALISED_VOLATILITY = LabelKind(_log_variance, relative=False, learns="volatility", scale=_scale, traded=False)
VOLATILITY_MOVE = LabelKind(_move, relative=False, settings=VolatilityMove, traded=False, ranked_against=_ratio)
