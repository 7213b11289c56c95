"""Everything Dagster is given: assets, checks, jobs, schedules, sensors and IO managers, by strategy."""

from __future__ import annotations

import warnings

import dagster as dg

from nn_assets.operations import names
from nn_assets.operations.catalog import find_strategy, made_of_each
from nn_assets.operations.intake.beside import other_tables
from nn_assets.operations.names import full_name
from nn_assets.orchestration.assets.costs import cost_assets
from nn_assets.orchestration.assets.daily import DAILY, daily_assets
from nn_assets.orchestration.assets.evaluation import evaluation_assets
from nn_assets.orchestration.assets.features import feature_assets
from nn_assets.orchestration.assets.learning import learning_assets
from nn_assets.orchestration.assets.market import market_assets
from nn_assets.orchestration.assets.other_data import other_assets
from nn_assets.orchestration.checks import strategy_checks
from nn_assets.orchestration.io import CubeIOManager, MonthsIOManager
from nn_assets.orchestration.naming import STRATEGY_TAG, asset_key
from nn_assets.orchestration.outcomes import run_outcomes_sensor
from nn_assets.orchestration.progress import progress_logger
from nn_assets.orchestration.resources import STORES, StoresResource
from nn_assets.orchestration.schedules import strategy_schedules
from nn_assets.orchestration.sensors import failed_run_sensor, strategy_sensors
from nn_assets.settings import Strategy

__all__ = ["all_definitions", "job_name", "strategy_definitions"]

_TABLES = ("raw_bars", "validated_bars", "features")
_MONTHS = (
    "stationarity",
    "selected_features",
    "trained_model",
    "forecasts",
    "walk_forward_study",
    "model_evaluation",
)


def job_name(strategy: Strategy, kind: str) -> str:
    """Name of one of a strategy's jobs."""
    return full_name(strategy.name, kind)


def strategy_definitions(strategy: Strategy, stores: StoresResource) -> dg.Definitions:
    """Assets, jobs, schedules and sensors of one strategy; every name is its own."""
    with warnings.catch_warnings():
        # A range asked for in the UI must be one run: sessions are decided in order.
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
        assets = [
            *other_assets(strategy),
            *market_assets(strategy),
            *feature_assets(strategy),
            *learning_assets(strategy),
            *evaluation_assets(strategy),
            *daily_assets(strategy),
            *cost_assets(strategy),
        ]
    tables = (*other_tables(strategy), *_TABLES)
    chosen = {
        names.TABLES: tables,
        names.STUDY: (*tables, *_MONTHS),
        names.DAILY: (*tables, *DAILY),
        names.COSTS: ("cost_model",),
    }
    descriptions = {
        names.TABLES: "Take in bars, publish them through the gate, compute features.",
        names.STUDY: "Tables, then models, forecasts and the walk-forward study of a range of months.",
        names.DAILY: "Tables, then the daily round of a session or of a range of sessions in order.",
        names.COSTS: "Recalibrate the cost model from the fills on record.",
    }
    jobs = [
        dg.define_asset_job(
            job_name(strategy, kind),
            selection=dg.AssetSelection.assets(*(asset_key(strategy, name) for name in assets_of)),
            description=descriptions[kind],
            executor_def=dg.in_process_executor,
            tags={STRATEGY_TAG: strategy.name},
        )
        for kind, assets_of in chosen.items()
    ]
    return dg.Definitions(
        assets=assets,
        asset_checks=strategy_checks(strategy),
        jobs=jobs,
        schedules=strategy_schedules(strategy, stores),
        sensors=strategy_sensors(strategy, stores),
    )


def all_definitions(stores: StoresResource | None = None, only: str | None = None) -> dg.Definitions:
    """Every strategy of this installation of which definitions can be made, and what they share.

    Parameters
    ----------
    stores : StoresResource, optional
        Where lake, ledger and models are; those of the home when left out.
    only : str, optional
        The one strategy that is needed, as a run without the UI needs it; the others are not built.
    """
    opened = StoresResource() if stores is None else stores
    shared = dg.Definitions(
        resources={
            STORES: opened,
            "cube_io": CubeIOManager(stores=opened),
            "months_io": MonthsIOManager(stores=opened),
        },
        sensors=[failed_run_sensor(opened), run_outcomes_sensor(opened)],
        loggers={"console": progress_logger},
    )
    if only is not None:
        return dg.Definitions.merge(strategy_definitions(find_strategy(only).strategy, opened), shared)
    return dg.Definitions.merge(*made_of_each(lambda each: strategy_definitions(each, opened)), shared)
