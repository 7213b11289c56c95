"""The first month that a model can be used from, and settings that it makes impossible."""

from __future__ import annotations

from datetime import date

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.settings import Strategy

WARM_UP_SESSIONS = 60
"""Features look back that far at most before the first training row is whole."""

_WARM_UP_MONTHS = 4  # which hold them


def first_model_month(strategy: Strategy) -> str:
    """The first month a model can be used from: warm-up, training, validation, calibration before it."""
    return first_month_from(strategy, strategy.market.history_starts)


def first_month_from(strategy: Strategy, day: date) -> str:
    """The same month, had history started on some day."""
    steps = strategy.walk_forward
    span = _WARM_UP_MONTHS + steps.training_months + steps.validation_months + steps.calibration_months
    return str(pd.Period(day, freq="M") + span)


def live_start_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with a live start before any month that can have a model; None where it is possible."""
    live, first = strategy.market.live_starts, first_model_month(strategy)
    if live is None or str(pd.Period(live, freq="M")) >= first:
        return None
    return SettingsError(
        expected=f"market.live_starts in {first} or later, the first month that can have a model",
        found=f"market.live_starts {live}",
        remedy="shorten walk_forward.training_months (or, before any session is decided, set market.live_starts later "
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
