"""Features of the published bars, and by month what the folds' training rows say of them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.operations.asked import AskedMonths
from nn_assets.operations.decisions.stored_checks import FEATURES_HAVE_VALUES, NO_LOOK_AHEAD
from nn_assets.operations.features import features_metadata, store_features
from nn_assets.operations.history import History
from nn_assets.operations.intake.beside import tables_beside_bars
from nn_assets.operations.models import preparation
from nn_assets.operations.names import SEARCHED, STUDY, TABLES
from nn_assets.operations.wings import Job, Making, Table, Wing
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.orchestration.naming import asset_key, described
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy


def _computed(history: History, making: Making) -> dict[str, Any]:
    del making  # the strategy is held alone: bars and their hash are of one publication
    return features_metadata(*store_features(history))


def _assets(strategy: Strategy) -> list[Table | dg.AssetsDefinition]:
    """``features``, ``stationarity`` and ``selected_features``."""
    months = month_partitions(strategy)

    features = Table(
        "features",
        "Every feature of every symbol and session, (bar, symbol, feature) float64, causal to the bit.",
        _computed,
        after=("validated_bars", *tables_beside_bars(strategy)),
        room="features",
        kinds=("numpy",),
        made_by=(store_features, "nn_assets.features.catalogue:CATALOGUE"),
    )

    @dg.asset(
        **described(strategy, "stationarity", "features", {"statsmodels"}, preparation.stationarity),
        deps=[asset_key(strategy, name) for name in ("features", *([SEARCHED] if strategy.search else []))],
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
        yield dg.Output(frames, metadata=shown(preparation.stationarity_metadata(frames)))

    @dg.asset(
        **described(
            strategy,
            "selected_features",
            "features",
            {"numpy"},
            preparation.selected_features,
            "nn_assets.features.labels:LABELS",
        ),
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
        return dg.Output(frames, metadata=shown(preparation.selection_metadata(frames)))

    return [features, stationarity, selected_features]


WING = Wing(
    _assets,
    checks=(NO_LOOK_AHEAD, FEATURES_HAVE_VALUES),
    jobs=(Job(TABLES, assets=("features",)), Job(STUDY, assets=("stationarity", "selected_features"))),
)
