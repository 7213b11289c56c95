"""The cost model, estimated from fills: a self-test on paper fills, for real on imported ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nn_assets.operations.cost_estimation import costs_metadata, record_cost_estimate
from nn_assets.operations.decisions.stored_checks import COEFFICIENTS_RECOVERED
from nn_assets.operations.due import cost_estimation_due
from nn_assets.operations.history import History
from nn_assets.operations.names import COST_ESTIMATION, COSTS
from nn_assets.operations.wings import Job, Making, Scheduled, Table, Wing
from nn_assets.settings import Strategy


def _estimated(history: History, making: Making) -> dict[str, Any]:
    return costs_metadata(record_cost_estimate(history, making.run_id))


def _assets(_strategy: Strategy) -> Iterator[Table]:
    """``cost_model``. It reads fills from the ledger, never through an asset edge."""
    yield Table(
        "cost_model",
        "Coefficients of the one cost object, fitted on the fills of the ledger, shrunk to the "
        "settings' own. Paper fills only test that known coefficients are recovered, and change nothing.",
        _estimated,
        room="costs",
        kinds=("sql",),
        made_by=(record_cost_estimate,),
    )


WING = Wing(
    _assets,
    checks=(COEFFICIENTS_RECOVERED,),
    jobs=(Job(COSTS, "Estimate the cost model from the fills on record."),),
    schedules={COST_ESTIMATION: Scheduled(COSTS, lambda _: "30 6 1 * *", cost_estimation_due)},
)
