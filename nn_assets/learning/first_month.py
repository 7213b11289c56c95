"""The first month that a model can be used from, and settings that it makes impossible."""

from __future__ import annotations

from datetime import date, timedelta
from math import ceil

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.learning.folds import part_starts
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings import Strategy

WARM_UP_SESSIONS = 60
"""Features look back that far at most before the first training row is whole."""

_WARM_UP_MONTHS = 4  # which hold them


def first_model_month(strategy: Strategy) -> str:
    """The first month a model can be used from: warm-up, training, validation, calibration before it."""
    return first_month_from(strategy, strategy.market.history_starts)


def first_month_from(strategy: Strategy, day: date) -> str:
    """The same month, had history started on some day.

    Of refits every so many days, the first month that begins with a model in force; with
    ``walk_forward.partial_months`` the month of the first refit.
    """
    steps = strategy.walk_forward
    if steps.refit_every_days is None:
        span = _WARM_UP_MONTHS + steps.training_months + steps.validation_months + steps.calibration_months
        return str(pd.Period(day, freq="M") + span)
    refit = first_refit_day(strategy, day)
    return str(pd.Period(refit, freq="M") + int(refit.day > 1 and not steps.partial_months))


def first_refit_day(strategy: Strategy, day: date) -> date:
    """The first day on the grid of refits, from ``market.history_starts`` on, that can have a model.

    Warm-up, training, validation and calibration come before it, on data from some day on. Only where
    ``walk_forward.refit_every_days`` is set.
    """
    every, starts = strategy.walk_forward.refit_every_days, strategy.market.history_starts
    assert every is not None, "as where it is called"
    warm = sessions_between(strategy.market.calendar, day, pd.Timestamp(day) + pd.DateOffset(months=_WARM_UP_MONTHS))
    trains_from = warm[WARM_UP_SESSIONS] if len(warm) > WARM_UP_SESSIONS else pd.Timestamp(day)
    earliest = trains_from + (pd.Timestamp(day) - part_starts(pd.Timestamp(day), strategy.walk_forward)[-1])
    return starts + timedelta(days=ceil((earliest.ceil("D").date() - starts).days / every) * every)


def training_key(strategy: Strategy) -> str:
    """The setting that says how long a model's training is."""
    return f"walk_forward.training_{'months' if strategy.walk_forward.refit_every_days is None else 'days'}"


def live_start_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with a live start before any month that can have a model; None where it is possible."""
    live, first = strategy.market.live_starts, first_model_month(strategy)
    if live is None or str(pd.Period(live, freq="M")) >= first:
        return None
    return SettingsError(
        expected=f"market.live_starts in {first} or later, the first month that can have a model",
        found=f"market.live_starts {live}",
        remedy=f"shorten {training_key(strategy)} (or, before any session is decided, set market.live_starts later "
        "or market.history_starts earlier)",
        key="market.live_starts",
        value=live,
    )


def prior_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with weights or hyper-parameters that have seen a day forecast; None where nothing is."""
    prior, until = strategy.learning.prior, strategy.learning.knows_until
    first = first_model_month(strategy)
    if until is None or prior == "chosen_over_all_folds" or str(pd.Period(until, freq="M")) < first:
        return None
    return SettingsError(
        expected=f"learning.knows_until before {first}, the first month that is forecast",
        found=f"learning.prior {prior} that has seen days up to {until}",
        remedy="set market.history_starts later, or learning.prior chosen_over_all_folds: the record then counts "
        "from the day after learning.knows_until alone",
        key="learning.knows_until",
        value=until,
    )
