"""Intraday bars: taken in by version, and published through their own gate."""

from collections.abc import Iterator

import dagster as dg

from nn_assets.market.quality.gate_checks import INTRADAY_CHECKS
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.intake.intraday import RAW_INTRADAY, VALIDATED_INTRADAY, ingest_intraday
from nn_assets.operations.intake.published import intraday_through_gate
from nn_assets.operations.intake.told import told_of_intraday_intake
from nn_assets.orchestration.assets.gate import check_specs, through_gate
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["intraday_assets"]


def intraday_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``raw_intraday_bars`` and ``validated_intraday_bars``; none where the strategy names none."""
    if strategy.intraday is None:
        return []
    version = code_of("market", "sources", "contracts")
    key = asset_key(strategy, VALIDATED_INTRADAY)

    @dg.asset(
        **described(strategy, RAW_INTRADAY, "market", version, {"parquet"}),
        description="Bars within the session as their files have them. A bar delivered again that differs is a new "
        "version; nothing is overwritten.",
    )
    def raw_intraday_bars(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            taken = ingest_intraday(history, folder_of(strategy.name))
        return dg.MaterializeResult(metadata=shown(told_of_intraday_intake(*taken)))

    @dg.asset(
        **described(strategy, VALIDATED_INTRADAY, "market", version, {"parquet", "pandera"}),
        deps=[asset_key(strategy, RAW_INTRADAY)],
        description="Intraday bars that passed cleaning and their gate, published at one atomic switch. The daily "
        "bars are made of them; a session of which too few bars are there makes none.",
        check_specs=check_specs(key, INTRADAY_CHECKS, INTRADAY_CHECKS),
    )
    def validated_intraday_bars(
        context: dg.AssetExecutionContext, stores: StoresResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            figures = yield from through_gate(intraday_through_gate(history, context.run.run_id))
        yield dg.MaterializeResult(metadata=shown(figures))

    return [raw_intraday_bars, validated_intraday_bars]
