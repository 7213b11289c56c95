"""A check of what is stored, as Dagster runs it."""

import dagster as dg

from nn_assets.operations.decisions.stored_checks import StoredCheck
from nn_assets.orchestration.metadata import check_result
from nn_assets.orchestration.naming import asset_key
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def stored_check(strategy: Strategy, stored: StoredCheck) -> dg.AssetChecksDefinition:
    """A check beside those that the assets report of themselves."""

    @dg.asset_check(asset=asset_key(strategy, stored.asset), name=stored.name, description=stored.demand)
    def check(stores: dg.ResourceParam[StoresResource]) -> dg.AssetCheckResult:
        with stores.history(strategy) as history:
            return check_result(stored.judged(history))

    return check
