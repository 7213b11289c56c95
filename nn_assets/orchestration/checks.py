"""The checks of what is stored, as Dagster runs them."""

import dagster as dg

from nn_assets.operations.decisions.stored_checks import STORED_CHECKS, StoredCheck
from nn_assets.orchestration.metadata import check_result
from nn_assets.orchestration.naming import asset_key
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["strategy_checks"]


def strategy_checks(strategy: Strategy) -> list[dg.AssetChecksDefinition]:
    """Checks beside those that the assets report of themselves."""
    return [_check(strategy, each) for each in STORED_CHECKS]


def _check(strategy: Strategy, told: StoredCheck) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset_key(strategy, told.asset), name=told.name, description=told.demand)
    def check(stores: dg.ResourceParam[StoresResource]) -> dg.AssetCheckResult:
        with stores.history(strategy) as history:
            return check_result(told.judged(history))

    return check
