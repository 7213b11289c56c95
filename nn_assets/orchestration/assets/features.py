"""Features of the published bars, and by month what the folds' training rows say of them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.operations.asked import AskedMonths
from nn_assets.operations.features import store_features, told_of_features
from nn_assets.operations.intake.beside import tables_beside_bars
from nn_assets.operations.models import preparation
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["feature_assets"]


def feature_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``features``, ``stationarity`` and ``selected_features`` of a strategy."""
    months = month_partitions(strategy)

    @dg.asset(
        **described(strategy, "features", "features", {"numpy"}),
        deps=[asset_key(strategy, name) for name in ("validated_bars", *tables_beside_bars(strategy))],
        description="Every feature of every symbol and session, (bar, symbol, feature) float64, causal to the bit.",
    )
    def features(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        # Alone: bars and their hash are of one publication.
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            stored = store_features(history)
        return dg.MaterializeResult(metadata=shown(told_of_features(*stored)))

    @dg.asset(
        **described(strategy, "stationarity", "features", {"statsmodels"}),
        deps=[asset_key(strategy, "features")],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        check_specs=[
            dg.AssetCheckSpec(
                name="kpss_confirms",
                asset=asset_key(strategy, "stationarity"),
                description="KPSS at 5% finds each feature kept by the newest month stationary, on the share of "
                "symbols that the gate asks for. It vetoes nothing.",
            )
        ],
        description="Augmented Dickey-Fuller verdict on each feature, on the training rows of the month's fold only: "
        "level, differenced, volatility-normalised, or dropped. KPSS confirms, by a check.",
    )
    def stationarity(context: dg.AssetExecutionContext, stores: StoresResource) -> Iterator[Any]:
        asked = AskedMonths.of(strategy, context.partition_keys, context.run.tags)
        with stores.history(asked.strategy) as history:
            frames = preparation.stationarity(history, asked.months, asked.refresh)
        yield check_result(preparation.confirmation(frames))
        yield dg.Output(frames, metadata=shown(preparation.told_of_stationarity(frames)))

    @dg.asset(
        **described(strategy, "selected_features", "features", {"numpy"}),
        deps=[asset_key(strategy, "features")],
        ins={"stationarity": dg.AssetIn(key=asset_key(strategy, "stationarity"))},
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="The features that the month's model sees: all stationary ones, or those that selection "
        "chose on training rows, by univariate rank IC and by what they add to those already chosen.",
    )
    def selected_features(
        context: dg.AssetExecutionContext, stores: StoresResource, stationarity: dict[str, pd.DataFrame]
    ) -> dg.Output[dict[str, pd.DataFrame]]:
        asked = AskedMonths.of(strategy, context.partition_keys, context.run.tags)
        with stores.history(asked.strategy) as history:
            frames = preparation.selected_features(history, asked.months, asked.refresh, stationarity)
        return dg.Output(frames, metadata=shown(preparation.told_of_selection(frames)))

    return [features, stationarity, selected_features]
