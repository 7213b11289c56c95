"""The walk-forward study and what it says of the strategy."""

from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.evaluation.monthly import monthly_results
from nn_assets.operations.asked import AskedMonths
from nn_assets.operations.names import STUDY, TABLES
from nn_assets.operations.study import track_frames
from nn_assets.operations.study_page import study_and_show
from nn_assets.operations.wings import Job, Wing
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def _assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``walk_forward_study`` and ``model_evaluation``."""
    months = month_partitions(strategy)
    study_key = asset_key(strategy, "walk_forward_study")

    @dg.asset(
        **described(
            strategy,
            "walk_forward_study",
            "evaluation",
            {"parquet"},
            study_and_show,
            "nn_assets.execution.registry:BROKERS",
            "nn_assets.features.labels:LABELS",
        ),
        deps=[asset_key(strategy, name) for name in ("features", "trained_model", "forecasts")],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="Out-of-sample forecasts of every month replayed through the daily round, at stated costs, beside "
        "the linear model, boosting and buy-and-hold. The partition of a month holds its daily results; "
        "the verdict reads nothing later than the month.",
        check_specs=[
            dg.AssetCheckSpec(
                name="no_leak_alarm",
                asset=study_key,
                description="No figure is too good to be true (accuracy more than 0.10 above its base rate, rank IC "
                "above 0.10, net Sharpe above 4 on at most 10 instruments) but those that a person released.",
            ),
        ],
    )
    def walk_forward_study(context: dg.AssetExecutionContext, stores: StoresResource) -> Any:
        asked = AskedMonths.of(strategy, context.partition_keys, context.run.tags)
        with stores.history(asked.strategy) as history, history.stores.alone(strategy.name):
            result, metadata = study_and_show(history, asked.months, context.run.run_id, context.log)
        yield check_result(result.leak_alarm)
        yield dg.Output(track_frames(result.study, asked.months), metadata=shown(metadata))

    @dg.asset(
        **described(strategy, "model_evaluation", "evaluation", {"pandas"}, track_frames, monthly_results),
        ins={"walk_forward_study": dg.AssetIn(key=study_key)},
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="Each month's result of every estimator and of buy-and-hold: return, cost, turnover.",
    )
    def model_evaluation(
        context: dg.AssetExecutionContext, walk_forward_study: dict[str, pd.DataFrame]
    ) -> dg.Output[dict[str, pd.DataFrame]]:
        del context
        frames = {month: monthly_results(frame) for month, frame in walk_forward_study.items()}
        return dg.Output(frames, metadata=shown({"months": len(frames), "newest": frames[max(frames)]}))

    return [walk_forward_study, model_evaluation]


WING = Wing(
    _assets,
    jobs=(
        Job(
            STUDY,
            "Tables, then models, forecasts and the walk-forward study of a range of months.",
            takes=(TABLES,),
        ),
    ),
)
