"""The choice of hyper-parameters in force from a month on, of strategies that search them."""

import dagster as dg

from nn_assets.estimators import roots_of_fits
from nn_assets.operations.asked import AskedMonths
from nn_assets.operations.names import SEARCH, SEARCHED, STUDY, TABLES
from nn_assets.operations.search.choosing import choices_metadata, search_months
from nn_assets.operations.wings import Job, Wing
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def _assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``hyperparameters``; nothing of a strategy that searches none."""
    if strategy.search is None:
        return []

    @dg.asset(
        **described(strategy, SEARCHED, "learning", {"optuna", "pytorch"}, search_months, *roots_of_fits()),
        deps=[asset_key(strategy, "features")],
        partitions_def=month_partitions(strategy),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="The hyper-parameters in force in a month: the best of a stated number of trials, fitted and "
        "judged on rows whose labels were realised before they are in force.",
    )
    def hyperparameters(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        asked = AskedMonths.of(strategy, context.partition_keys, context.run.tags)
        with stores.history(asked.strategy) as history, history.stores.alone(strategy.name):
            months = asked.months if asked.refresh is None else []  # a refresh has the choice that is in force
            choices = search_months(history, months, context.run.run_id, context.log.info)
            return dg.MaterializeResult(metadata=shown(choices_metadata(history, choices)))

    return [hyperparameters]


WING = Wing(
    _assets,
    jobs=(
        Job(STUDY),
        Job(SEARCH, "Tables, then the searches of hyper-parameters that a range of months needs.", takes=(TABLES,)),
    ),
)
