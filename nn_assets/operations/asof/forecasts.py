"""Which months of forecasts are on record."""

from __future__ import annotations

import pandas as pd

from nn_assets.learning.first_month import first_model_month
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake

__all__ = ["FORECASTS", "missing_months"]

FORECASTS = "forecasts"


def missing_months(lake: Lake, strategy: Strategy, before: str) -> list[str]:
    """Months of the record before a month that have no forecasts yet."""
    first = first_model_month(strategy)
    there = set(lake.months(strategy.name, FORECASTS))
    months = [str(month) for month in pd.period_range(first, before, freq="M")]
    return [month for month in months if month < before and month not in there]
