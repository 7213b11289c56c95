"""Which months of forecasts are on record."""

from __future__ import annotations

import pandas as pd

from nn_assets.learning.first_month import first_model_month
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake

FORECASTS = "forecasts"


def recorded_months(lake: Lake, strategy: Strategy) -> list[str]:
    """Months of forecasts on record, in order, from the first that the settings in force can have a model for.

    Where the steps of the walk became longer, or history begins later, those before are of other settings, and stay
    stored, for when they are set back.
    """
    first = first_model_month(strategy)
    return [month for month in lake.months(strategy.name, FORECASTS) if month >= first]


def missing_months(lake: Lake, strategy: Strategy, before: str) -> list[str]:
    """Months of the record before a month that have no forecasts yet."""
    first = first_model_month(strategy)
    recorded = set(recorded_months(lake, strategy))
    months = [str(month) for month in pd.period_range(first, before, freq="M")]
    return [month for month in months if month < before and month not in recorded]
