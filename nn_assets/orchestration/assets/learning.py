"""Models by the month from which they are used, and their out-of-sample forecasts."""

import dagster as dg
import pandas as pd

from nn_assets.operations.clock import asked_months
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.models.forecasts import forecast_months
from nn_assets.operations.models.training import refresh_after, told_of_model, train_months
from nn_assets.orchestration.metadata import table
from nn_assets.orchestration.naming import asset_key, described, effective_strategy, refresh_session
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["learning_assets"]


def learning_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``trained_model`` and ``forecasts`` of a strategy."""
    version = code_of("features", "learning")
    months = month_partitions(strategy)

    @dg.asset(
        **described(strategy, "trained_model", "learning", version, {"pytorch", "safetensors"}),
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
        asked, keys = effective_strategy(strategy, dict(context.run.tags)), list(context.partition_keys)
        decided, run_id, tell = (stationarity, selected_features), context.run.run_id, context.log.info
        with stores.history(asked) as history, history.stores.alone(strategy.name):
            if (refresh := refresh_session(dict(context.run.tags))) is not None:
                named = [refresh_after(history, refresh, *decided, run_id, tell)]
            else:
                named = train_months(history, asked_months(keys), *decided, run_id, tell)
            for each in named:
                # A late refresh may take force in a month after the one asked for.
                key = f"{each.month}-01" if f"{each.month}-01" in keys else keys[-1]
                context.add_asset_metadata(told_of_model(history, each), partition_key=key)
        return dg.MaterializeResult()

    @dg.asset(
        **described(strategy, "forecasts", "learning", version, {"parquet"}),
        deps=[asset_key(strategy, name) for name in ("features", "trained_model")],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="Out-of-sample forecasts of every session of a month by the model in force, which saw no label "
        "realised after the month began.",
    )
    def forecasts(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.Output[dict[str, pd.DataFrame]]:
        months_asked = asked_months(list(context.partition_keys))
        asked = effective_strategy(strategy, dict(context.run.tags))
        with stores.history(asked) as history:
            frames = forecast_months(history, months_asked)
        rows = sum(len(frame) for frame in frames.values())
        newest = frames[max(frames)]
        return dg.Output(
            frames,
            metadata={"months": len(frames), "rows": rows, "newest": table(newest.tail(12), rows=12)},
        )

    return [trained_model, forecasts]
