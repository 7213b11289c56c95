"""Features of the published bars, and by month what the folds' training rows say of them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import CATALOGUE, SERIES_FEATURES, Feature, SeriesFeature
from nn_assets.operations.clock import asked_months
from nn_assets.operations.features import store_features
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.models import preparation
from nn_assets.orchestration.assets.other_data import tables_beside_bars
from nn_assets.orchestration.metadata import table
from nn_assets.orchestration.naming import asset_key, described, effective_strategy, judged, refresh_session
from nn_assets.orchestration.partitions import month_partitions
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy

__all__ = ["feature_assets"]


def feature_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``features``, ``stationarity`` and ``selected_features`` of a strategy."""
    version = code_of("features")
    months = month_partitions(strategy)

    @dg.asset(
        **described(strategy, "features", "features", version, {"numpy"}),
        deps=[asset_key(strategy, name) for name in ("validated_bars", *tables_beside_bars(strategy))],
        description="Every feature of every symbol and session, (bar, symbol, feature) float64, causal to the bit.",
    )
    def features(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
        del context
        # Alone: bars and their hash are of one publication.
        with stores.history(strategy) as history, history.stores.alone(strategy.name):
            cube, record = store_features(history)
        return dg.MaterializeResult(metadata=_features_metadata(cube, record))

    @dg.asset(
        **described(strategy, "stationarity", "features", version, {"statsmodels"}),
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
        tags, chosen = dict(context.run.tags), asked_months(list(context.partition_keys))
        asked = effective_strategy(strategy, tags)
        with stores.history(asked) as history:
            frames = preparation.stationarity(history, chosen, refresh_session(tags))
        newest = frames[max(frames)]
        yield _confirmation(newest)
        yield dg.Output(
            frames,
            metadata={
                "months": len(frames),
                "dropped_in_newest": int((newest["verdict"] == "dropped").sum()),
                "newest": table(newest.drop(columns="report")),
            },
        )

    @dg.asset(
        **described(strategy, "selected_features", "features", version, {"numpy"}),
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
        tags, chosen = dict(context.run.tags), asked_months(list(context.partition_keys))
        asked = effective_strategy(strategy, tags)
        with stores.history(asked) as history:
            frames = preparation.selected_features(history, chosen, refresh_session(tags), stationarity)
        newest = frames[max(frames)]
        return dg.Output(frames, metadata={"months": len(frames), "newest": table(newest.drop(columns="report"))})

    return [features, stationarity, selected_features]


def _confirmation(verdicts: pd.DataFrame) -> dg.AssetCheckResult:
    report = preparation.stationarity_report(verdicts)
    doubted = report.doubted
    named = ", ".join(f"{name} on {share:.0%} of symbols" for name, share in doubted.items())
    told = f"KPSS confirms {len(report.kept) - len(doubted)} of {len(report.kept)} features kept"
    if report.pooled:
        told += f"; {', '.join(report.pooled)} passed by the test for short windows alone"
    return judged(
        f"{told}; not {named}" if doubted else told if report.kept else "no feature was kept",
        held=not doubted if report.kept else None,
        severity=dg.AssetCheckSeverity.WARN,
        check_name="kpss_confirms",
    )


def _features_metadata(cube: Cube, record: dict[str, str]) -> dict[str, Any]:
    entries: dict[str, Feature | SeriesFeature] = {**CATALOGUE, **SERIES_FEATURES}
    catalogue = pd.DataFrame(
        [(name, entries[name].group, entries[name].formula) for name in cube.names],
        columns=["feature", "group", "formula"],
    )
    return {
        "sessions": cube.bars,
        "symbols": len(cube.symbols),
        "features": len(cube.names),
        "data_hash": record["data_hash"],
        "address": record["address"],
        "catalogue": table(catalogue),
    }
