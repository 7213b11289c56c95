"""Names of a strategy's jobs, schedules and sensors: what the UI shows, what runs and ticks are recorded under.

And of each asset, by its name, the functions that make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "COSTS",
    "DAILY",
    "DAILY_ROUND",
    "DRIFT_REFRESH",
    "JOBS",
    "MADE_BY",
    "RECALIBRATION",
    "RETRAINING",
    "SOME_ASSETS",
    "STUDY",
    "TABLES",
    "TICKING",
    "full_name",
]

JOBS = TABLES, STUDY, DAILY, COSTS = ("tables", "study", "daily", "costs")
SOME_ASSETS = "assets"
"""A run of assets that a person chose."""
TICKING = DAILY_ROUND, RETRAINING, RECALIBRATION, DRIFT_REFRESH = (
    "daily_round",
    "monthly_retraining",
    "cost_recalibration",
    "drift_refresh",
)
"""Three schedules and a sensor."""


def full_name(strategy: str, name: str) -> str:
    """What a strategy's own job, schedule or sensor is called among those of all."""
    return f"{strategy}__{name}"


_OF_A_DAY = (
    "fills",
    "portfolio_state",
    "daily_signals",
    "target_positions",
    "orders",
    "drift_report",
    "daily_report",
)
MADE_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "raw_bars": ("nn_assets.operations.intake.bars:ingest_bars",),
        "validated_bars": ("nn_assets.operations.intake.published:bars_through_gate",),
        "raw_intraday_bars": ("nn_assets.operations.intake.intraday:ingest_intraday",),
        "validated_intraday_bars": ("nn_assets.operations.intake.published:intraday_through_gate",),
        "other_series": ("nn_assets.operations.intake.series:ingest_series",),
        "universe_membership": ("nn_assets.operations.intake.universe:ingest_universe",),
        "features": (
            "nn_assets.operations.features:store_features",
            "nn_assets.features.catalogue:CATALOGUE",
        ),
        "stationarity": ("nn_assets.operations.models.preparation:stationarity",),
        "selected_features": ("nn_assets.operations.models.preparation:selected_features",),
        "trained_model": (
            "nn_assets.operations.models.training:train_months",
            "nn_assets.operations.models.training:refresh_after",
            "nn_assets.learning.networks:NETWORKS",
        ),
        "forecasts": ("nn_assets.operations.models.forecasts:forecast_months",),
        "walk_forward_study": ("nn_assets.operations.studied:study_and_show", "nn_assets.execution.registry:BROKERS"),
        "model_evaluation": (
            "nn_assets.operations.study:track_frames",
            "nn_assets.evaluation.monthly:monthly_results",
        ),
        "cost_model": ("nn_assets.operations.recalibration:recalibrate_costs",),
        **dict.fromkeys(_OF_A_DAY, ("nn_assets.operations.days:play_days", "nn_assets.execution.registry:BROKERS")),
    }
)
"""By the name of an asset, what its version covers: see :mod:`nn_assets.versions`."""
