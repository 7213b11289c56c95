"""The cost model, recalibrated from fills: a self-test on paper fills, for real on imported ones."""

import dagster as dg

from nn_assets.operations.recalibration import recalibrate_costs, told_of_costs
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["cost_assets"]


def cost_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``cost_model`` of a strategy. It reads fills from the ledger, never through an asset edge."""

    @dg.asset(
        **described(strategy, "cost_model", "costs", {"sql"}),
        description="Coefficients of the one cost object, fitted on the fills of the ledger, shrunk to the "
        "settings' own. Paper fills only test that known coefficients are recovered, and change nothing.",
    )
    def cost_model(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        with stores.history(strategy) as history:
            result = recalibrate_costs(history, context.run.run_id)
        return dg.MaterializeResult(metadata=shown(told_of_costs(result)))

    return [cost_model]
