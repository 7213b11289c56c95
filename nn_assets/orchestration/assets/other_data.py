"""Tables beside the daily bars, where a strategy names them: other series, a universe, intraday bars."""

import dagster as dg

from nn_assets.operations.asof.stored import OTHER_SERIES, UNIVERSE
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.intake.beside import other_tables
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.told import told_of_series, told_of_universe
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.orchestration.assets.intraday import intraday_assets
from nn_assets.orchestration.metadata import shown
from nn_assets.orchestration.naming import described
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["other_assets"]


def other_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """The tables beside the bars that a strategy's settings name; none where they name none."""
    made = {OTHER_SERIES: _other_series, UNIVERSE: _universe}
    named = [make(strategy) for name, make in made.items() if name in other_tables(strategy)]
    return [*named, *intraday_assets(strategy)]


def _other_series(strategy: Strategy) -> dg.AssetsDefinition:
    @dg.asset(
        **described(strategy, OTHER_SERIES, "market", code_of("market", "sources", "contracts"), {"parquet"}),
        description="Observations of the series beside the bars, as facts with the moment each was known. A value "
        "delivered again that differs is a new version; faulty rows are kept in quarantine.",
    )
    def other_series(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            taken = ingest_series(history, folder_of(strategy.name), context.log.info)
        return dg.MaterializeResult(metadata=shown(told_of_series(taken)))

    return other_series


def _universe(strategy: Strategy) -> dg.AssetsDefinition:
    @dg.asset(
        **described(strategy, UNIVERSE, "market", code_of("market", "sources", "contracts"), {"parquet"}),
        description="Who belonged to the universe from when to when, as facts with the moment each was known. On a "
        "session only its members are trained on, forecast and held; one that leaves is closed.",
    )
    def universe_membership(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            counted = ingest_universe(history, folder_of(strategy.name))
            return dg.MaterializeResult(metadata=shown(told_of_universe(history, counted)))

    return universe_membership
