"""Tables of a wing as Dagster's assets: one body for all, and a gate's halt as a failure that no retry mends."""

from collections.abc import Generator, Iterator
from typing import Any

import dagster as dg

from nn_assets.errors import GateHalted
from nn_assets.operations.judged import Judged
from nn_assets.operations.wings import Making, Table
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def table_asset(strategy: Strategy, table: Table) -> dg.AssetsDefinition:
    """One of a strategy's tables as an asset."""
    key = asset_key(strategy, table.name)

    @dg.asset(
        **described(strategy, table.name, table.room, set(table.kinds), *(table.made_by or (table.make,))),
        deps=[asset_key(strategy, name) for name in table.after],
        description=table.description,
        check_specs=[
            dg.AssetCheckSpec(name=check.name, asset=key, description=check.demand, blocking=check.blocking)
            for check in table.demanded
        ],
    )
    def made(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            figures = table.make(history, Making(strategy.name, context.run.run_id, context.log.info))
            if isinstance(figures, Generator):
                figures = yield from _judged(figures)
        yield dg.MaterializeResult(metadata=shown(figures))

    return made


def _judged(judging: Generator[Judged, None, dict[str, Any]]) -> Generator[dg.AssetCheckResult, None, dict[str, Any]]:
    """Yield what each check says; gives what the table returned. Where a gate halts, the step fails for good."""
    try:
        while True:
            yield check_result(next(judging))
    except StopIteration as published:
        return dict(published.value)
    except GateHalted as halted:
        figures = {"violations": len(halted.violations)}
        message = f"{type(halted).__name__}: {halted}"
        raise dg.Failure(description=message, metadata=figures, allow_retries=False) from halted
