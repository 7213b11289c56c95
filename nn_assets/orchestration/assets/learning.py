"""Models by the month from which they are used, and their out-of-sample forecasts."""

import dagster as dg
import pandas as pd

from nn_assets.estimators import roots_of_fits, roots_of_members
from nn_assets.operations.asked import AskedMonths
from nn_assets.operations.due import retraining_cron, retraining_due
from nn_assets.operations.models.forecasts import forecast_months, forecasts_metadata
from nn_assets.operations.models.training import model_metadata, refresh_after, train_months
from nn_assets.operations.names import RETRAINING, STUDY
from nn_assets.operations.wings import Job, Scheduled, Wing
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.versions import Root

_TRAINED_BY: tuple[Root, ...] = (
    train_months,
    refresh_after,
    "nn_assets.features.labels:LABELS",
    "nn_assets.learning.networks:NETWORKS",
    *roots_of_fits(),
)


def _assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``trained_model`` and ``forecasts``."""
    months = month_partitions(strategy)

    @dg.asset(
        **described(strategy, "trained_model", "learning", {"pytorch", "safetensors"}, *_TRAINED_BY),
        deps=[asset_key(strategy, "features")],
        ins={name: dg.AssetIn(key=asset_key(strategy, name)) for name in ("stationarity", "selected_features")},
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="The model in force from the first session of a month: an ensemble of networks, with a linear "
        "model and gradient boosting beside it, judged on a purged slice. A month between refits "
        "names the model it reuses; a refit that is worse than the model in force is not taken.",
    )
    def trained_model(
        context: dg.AssetExecutionContext,
        stores: StoresResource,
        stationarity: dict[str, pd.DataFrame],
        selected_features: dict[str, pd.DataFrame],
    ) -> dg.MaterializeResult[None]:
        keys = context.partition_keys
        asked = AskedMonths.of(strategy, keys, context.run.tags)
        arguments = stationarity, selected_features, context.run.run_id, context.log.info
        with stores.history(asked.strategy) as history, history.stores.alone(strategy.name):
            if asked.refresh is not None:
                named = [refresh_after(history, asked.refresh, *arguments)]
            else:
                named = train_months(history, asked.months, *arguments)
            for model in named:
                # A late refresh may take force in a month after the one asked for.
                key = f"{model.month}-01" if f"{model.month}-01" in keys else keys[-1]
                figures = model_metadata(history, model, curves=model is named[-1])
                context.add_asset_metadata(shown(figures), partition_key=key)
        return dg.MaterializeResult()

    @dg.asset(
        **described(strategy, "forecasts", "learning", {"parquet"}, forecast_months, *roots_of_members()),
        deps=[asset_key(strategy, name) for name in ("features", "trained_model")],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="Out-of-sample forecasts of every session of a month by the model in force, which saw no label "
        "realised after the month began.",
    )
    def forecasts(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.Output[dict[str, pd.DataFrame]]:
        asked = AskedMonths.of(strategy, context.partition_keys, context.run.tags)
        with stores.history(asked.strategy) as history:
            frames = forecast_months(history, asked.months, context.run.run_id)
        return dg.Output(frames, metadata=shown(forecasts_metadata(frames)))

    return [trained_model, forecasts]


WING = Wing(
    _assets,
    jobs=(Job(STUDY),),
    schedules={RETRAINING: Scheduled(STUDY, lambda _: "0 6 1 * *", retraining_due, retraining_cron)},
)
