"""Names of a strategy's jobs, schedules and sensors: what the UI shows, what runs and ticks are recorded under."""

from __future__ import annotations

TABLES, STUDY, DAILY, COSTS, SEARCH, ACCOUNT = ("tables", "study", "daily", "costs", "search", "account")
CAPACITY_REPORT = "capacity"
SOME_ASSETS = "assets"
"""A run of assets that a person chose."""
SEARCHED = "hyperparameters"
"""The asset of a strategy that searches them."""
DAILY_ROUND, RETRAINING, COST_ESTIMATION, DRIFT_REFRESH = (
    "daily_round",
    "monthly_retraining",
    "cost_recalibration",
    "drift_refresh",
)
"""Three schedules and a sensor."""
KILL_SWITCH_JOB = "kill_switch"
"""A job of no strategy's own."""


def full_name(strategy: str, name: str) -> str:
    """What a strategy's own job, schedule or sensor is called among those of all."""
    return f"{strategy}__{name}"
