"""What names a strategy's regimes: the rules, or Markov models fitted on the training rows of each month's fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.errors import ShortFoldError
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import Fold, fitted_month, make_fold
from nn_assets.settings import Strategy
from nn_assets.signals.filtered_states import FilteredStates, MarkovStates
from nn_assets.signals.markov import MarkovFit, filtered_probabilities, fit_markov
from nn_assets.signals.regimes import RegimeParameters

Fit = Callable[[FloatArray, int], MarkovFit]
"""From log returns and how many states there are to a model: :func:`~nn_assets.signals.markov.fit_markov`."""

_STATES = {"markov_2": 2, "markov_3": 3}


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
    """One model for each refit month, in force in the months that use its fold, filtered from its first training row.

    The fold is the scheduled one: a refresh within the month leaves the regimes alone.
    """
    first, every = first_model_month(strategy), strategy.walk_forward.refit_every_months
    by_session = sessions.to_period("M").astype(str).to_numpy(dtype=np.str_)
    fitted_for = {month: fitted_month(month, first, every) for month in np.unique(by_session) if month >= first}
    number, models = np.full(len(sessions), -1, dtype=np.int64), list[FilteredStates]()
    for fitted in sorted(set(fitted_for.values())):
        rows = np.flatnonzero([fitted_for.get(month) == fitted for month in by_session])
        number[rows] = len(models)
        models.append(_of_fold(_fold(strategy, sessions, fitted), returns[: int(rows[-1]) + 1], count, fit))
    return MarkovStates(number, tuple(models))


def _fold(strategy: Strategy, sessions: pd.DatetimeIndex, month: str) -> Fold | ShortFoldError:
    try:
        return make_fold(sessions, month, strategy.walk_forward, strategy.label)
    except ShortFoldError as error:
        return error


def _of_fold(fold: Fold | ShortFoldError, returns: FloatArray, count: int, fit: Fit) -> FilteredStates:
    if isinstance(fold, ShortFoldError):
        return FilteredStates(0, np.empty((0, count)), fold.found)
    fitted = fit(returns[fold.training], count)
    if fitted.model is None:
        return FilteredStates(fold.training.start, np.empty((0, count)), fitted.reason)
    return FilteredStates(fold.training.start, filtered_probabilities(fitted.model, returns[fold.training.start :]))
