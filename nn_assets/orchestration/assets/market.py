"""Market data: raw bars taken in, and validated bars published through the gate."""

from collections.abc import Iterator

import dagster as dg

from nn_assets.market.quality.gate_checks import CHECKS, blocking_checks
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.intake.bars import ingest_bars
from nn_assets.operations.intake.beside import tables_before_bars
from nn_assets.operations.intake.published import bars_through_gate
from nn_assets.operations.intake.told import told_of_intake
from nn_assets.orchestration.assets.gate import check_specs, through_gate
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.reports.expectations import SUITES
from nn_assets.settings import Strategy

__all__ = ["market_assets"]


def market_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``raw_bars`` and ``validated_bars`` of a strategy."""
    version = code_of("market", "sources", "contracts")

    @dg.asset(
        **described(strategy, "raw_bars", "market", version, {"parquet"}),
        deps=[asset_key(strategy, name) for name in tables_before_bars(strategy)],
        description="Bars as the source delivered them. A bar delivered again that differs is a new version; "
        "nothing is overwritten.",
    )
    def raw_bars(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            ingested = ingest_bars(history, folder_of(strategy.name))
            return dg.MaterializeResult(metadata=shown(told_of_intake(history, ingested)))

    key = asset_key(strategy, "validated_bars")
    halting = blocking_checks(fills_at_open=strategy.label.execution == "next_open")

    @dg.asset(
        **described(strategy, "validated_bars", "market", version, {"parquet", "pandera", "great_expectations"}),
        deps=[asset_key(strategy, "raw_bars")],
        description="Bars that passed cleaning and the gate, published at one atomic switch. When the gate "
        "fails nothing downstream runs, in this run or a later one, and the last publication, if any, stays.",
        check_specs=check_specs(key, CHECKS, halting)
        + [dg.AssetCheckSpec(name=name, asset=key, description=told) for name, told in SUITES.items()],
    )
    def validated_bars(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            figures = yield from through_gate(bars_through_gate(history, context.run.run_id))
        yield dg.MaterializeResult(metadata=shown(figures))

    return [raw_bars, validated_bars]
