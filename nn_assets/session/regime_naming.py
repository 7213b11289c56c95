"""What names a strategy's regimes: the rules, or Markov models fitted on the training rows of each refit's fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import SettingsError, ShortFoldError
from nn_assets.learning.first_month import training_key
from nn_assets.learning.folds import Fold, make_fold, part_starts, purge_sessions
from nn_assets.learning.refits import refits_of
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings import Strategy
from nn_assets.signals.filtered_states import FilteredStates, MarkovStates
from nn_assets.signals.markov import FEWEST_ROWS, MarkovFit, filtered_probabilities, fit_markov
from nn_assets.signals.regimes import RegimeParameters

Fit = Callable[[FloatArray, int], MarkovFit]
"""From log returns and how many states there are to a model: :func:`~nn_assets.signals.markov.fit_markov`."""

_STATES = {"markov_2": 2, "markov_3": 3}
_MONTHS_LOOKED_AT = 60  # of folds: how many sessions a training part holds differs a little from one to the next


@dataclass(frozen=True)
class RegimeNaming:
    """How the regimes of a market are named, and what they leave of a size.

    ``states`` takes the market's log returns, shape (bars,), on the session axis; None where the rules name them.
    """

    parameters: RegimeParameters
    states: Callable[[FloatArray], MarkovStates] | None = None


def regime_naming(strategy: Strategy, sessions: pd.DatetimeIndex, fit: Fit = fit_markov) -> RegimeNaming | None:
    """What a strategy's settings say of regimes; None where they say nothing.

    Parameters
    ----------
    strategy : Strategy
    sessions : DatetimeIndex, shape (bars,)
        The axis. What comes after a session changes nothing of it.
    fit : callable
        What fits a model to the returns of a fold's training rows.
    """
    settings = strategy.regimes
    if settings is None:
        return None
    parameters = RegimeParameters(stressed_scale=settings.scale)
    count = _STATES.get(settings.model)
    return RegimeNaming(
        parameters, None if count is None else lambda returns: _states(strategy, sessions, returns, count, fit)
    )


def _states(strategy: Strategy, sessions: pd.DatetimeIndex, returns: FloatArray, count: int, fit: Fit) -> MarkovStates:
    """One model for each refit, in force on the sessions that it is due for, filtered from its first training row.

    The fold is the scheduled one: a refresh in between leaves the regimes alone.
    """
    due = refits_of(strategy).by_session(sessions)
    number, models = np.full(len(sessions), -1, dtype=np.int64), list[FilteredStates]()
    for refit in sorted(set(due.tolist()) - {""}):
        rows = np.flatnonzero(due == refit)
        number[rows] = len(models)
        models.append(_of_fold(_fold(strategy, sessions, refit), returns[: int(rows[-1]) + 1], count, fit))
    return MarkovStates(number, tuple(models))


def short_training_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with Markov regimes of which no fit could succeed, for want of sessions; None where one could.

    By the longest training part, less the purge, of the folds of the first five years.
    """
    settings, steps = strategy.regimes, strategy.walk_forward
    if settings is None or settings.model not in _STATES:
        return None
    market, refits = strategy.market, refits_of(strategy)
    last = pd.Period(refits.first_month, "M") + _MONTHS_LOOKED_AT
    if market.history_ends is not None:
        last = min(last, pd.Period(market.history_ends, "M"))
    months = map(str, pd.period_range(refits.first_month, last, freq="M"))
    held = []
    for refit in refits.of_months(months):
        _, stops, starts = part_starts(pd.Timestamp(refit), steps)
        starts = pd.Timestamp(market.history_starts) if steps.window == "expanding" else starts
        held.append(len(sessions_between(market.calendar, starts, stops - pd.Timedelta(days=1))))
    purge = purge_sessions(strategy.label.horizon_sessions, strategy.label.execution_lag_sessions)
    longest = max(held, default=0)
    if not longest or longest - purge >= FEWEST_ROWS:
        return None
    key = training_key(strategy)
    length = getattr(steps, key.rpartition(".")[2])
    enough = ceil(length * (FEWEST_ROWS + purge) / max(1, min(held)))
    return SettingsError(
        expected=f"{FEWEST_ROWS} sessions of training for regimes.model {settings.model}, which is fitted on them",
        found=f"{longest - purge} at most, of {key} {length} less the {purge} that are purged",
        remedy=f"set {key} to about {enough} or more, or regimes.model to rules",
        key="regimes.model",
        value=settings.model,
    )


def _fold(strategy: Strategy, sessions: pd.DatetimeIndex, refit: str) -> Fold | ShortFoldError:
    try:
        return make_fold(sessions, refit, strategy.walk_forward, strategy.label)
    except ShortFoldError as error:
        return error


def _of_fold(fold: Fold | ShortFoldError, returns: FloatArray, count: int, fit: Fit) -> FilteredStates:
    if isinstance(fold, ShortFoldError):
        return FilteredStates(0, np.empty((0, count)), fold.found)
    fitted = fit(returns[fold.training], count)
    if fitted.model is None:
        return FilteredStates(fold.training.start, np.empty((0, count)), fitted.reason)
    return FilteredStates(fold.training.start, filtered_probabilities(fitted.model, returns[fold.training.start :]))
