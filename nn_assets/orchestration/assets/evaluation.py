"""The walk-forward study and what it says of the strategy."""

from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.evaluation.monthly import monthly_results
from nn_assets.operations.clock import asked_months
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.reporting import (
    keep_study,
    refreshes_told,
    study_plots,
    survivorship,
    was_on_told,
    write_study_page,
)
from nn_assets.operations.study import StudyResult, study_until, track_frames
from nn_assets.orchestration.metadata import image, table
from nn_assets.orchestration.naming import asset_key, described, effective_strategy, judged
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.home import page_address

__all__ = ["evaluation_assets"]


def evaluation_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``walk_forward_study`` and ``model_evaluation`` of a strategy."""
    version = code_of()
    months = month_partitions(strategy)
    study_key = asset_key(strategy, "walk_forward_study")

    @dg.asset(
        **described(strategy, "walk_forward_study", "evaluation", version, {"parquet"}),
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
        asked = effective_strategy(strategy, dict(context.run.tags))
        chosen = asked_months(list(context.partition_keys))
        with stores.history(asked) as history, history.stores.alone(strategy.name):
            result = study_until(history, chosen, context.run.run_id, context.log.info)
            plots = study_plots(result)
            keep_study(history, result, plots)
            shown: dict[str, Any] = {
                "report": dg.MetadataValue.url(page_address(write_study_page(history))),
                "was_on": "; ".join(was_on_told(asked, result)),
                "refreshes": refreshes_told(result),
                **survivorship(history),
            }
            if swept := history.stores.sweep(strategy.name):
                context.log.info("removed %s staged files that killed writers left more than a day ago", swept)
        yield _leak_check(result)
        yield dg.Output(track_frames(result.study, chosen), metadata={**result.told, **shown, **_images(plots)})

    @dg.asset(
        **described(strategy, "model_evaluation", "evaluation", version, {"pandas"}),
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
        return dg.Output(frames, metadata={"months": len(frames), "newest": table(frames[max(frames)])})

    return [walk_forward_study, model_evaluation]


def _leak_check(result: StudyResult) -> dg.AssetCheckResult:
    standing, released = result.standing_alarms, result.last.verdict.released
    said = "; ".join([*map(str, standing), *released])
    return judged(
        said or ("no alarm" if result.measured else "no forecast has a realised label"),
        held=not standing if result.measured or standing else None,
        severity=dg.AssetCheckSeverity.WARN,
        check_name="no_leak_alarm",
    )


def _images(plots: dict[str, bytes]) -> dict[str, Any]:
    return {name: image(png) for name, png in plots.items()}
