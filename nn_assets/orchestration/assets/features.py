"""Features of the published bars, and by month what the folds' training rows say of them."""

from collections.abc import Callable

import dagster as dg
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import CATALOGUE, SERIES_FEATURES, Feature, SeriesFeature
from nn_assets.features.selection import select_features
from nn_assets.features.stationarity import apply_transforms, decide_transforms
from nn_assets.learning.address import code_version
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import Fold, fitted_month, purge_sessions
from nn_assets.operations.asof.universe import members_only
from nn_assets.operations.derived import DerivedCube
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.models.training import refit_folds
from nn_assets.operations.workplace import open_workplace
from nn_assets.orchestration.assets.other_data import tables_beside_bars
from nn_assets.orchestration.metadata import table
from nn_assets.orchestration.naming import asset_key, described, effective_strategy
from nn_assets.orchestration.partitions import asked_months, month_partitions
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake

__all__ = ["feature_assets"]


def feature_assets(strategy: Strategy) -> list[dg.AssetsDefinition]:
    """``features``, ``stationarity`` and ``selected_features`` of a strategy."""
    version = code_of("features")
    months = month_partitions(strategy)

    @dg.asset(
        **described(strategy, "features", "features", version, {"numpy"}),
        deps=[asset_key(strategy, name) for name in ("validated_bars", *tables_beside_bars(strategy))],
        io_manager_key="cube_io",
        description="Every feature of every symbol and session, (bar, symbol, feature) float64, causal to the bit.",
    )
    def features(context: dg.AssetExecutionContext) -> dg.Output[DerivedCube]:
        del context
        with open_workplace(strategy) as workplace, workplace.alone():  # bars and their hash are of one publication
            cube = workplace.compute_cube(workplace.panel())
            data_hash = workplace.data_hash()
        entries: dict[str, Feature | SeriesFeature] = {**CATALOGUE, **SERIES_FEATURES}
        catalogue = pd.DataFrame(
            [(name, entries[name].group, entries[name].formula) for name in cube.names],
            columns=["feature", "group", "formula"],
        )
        return dg.Output(
            DerivedCube(cube, data_hash, code_version()),
            metadata={
                "sessions": cube.bars,
                "symbols": len(cube.symbols),
                "features": len(cube.names),
                "data_hash": data_hash,
                "catalogue": table(catalogue),
            },
        )

    cube_input = {"features": dg.AssetIn(key=asset_key(strategy, "features"))}

    @dg.asset(
        **described(strategy, "stationarity", "features", version, {"statsmodels"}),
        ins=cube_input,
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="Augmented Dickey-Fuller verdict on each feature, on the training rows of the month's fold only: "
        "level, differenced, volatility-normalised, or dropped. KPSS beside it.",
    )
    def stationarity(context: dg.AssetExecutionContext, features: Cube) -> dg.Output[dict[str, pd.DataFrame]]:
        frames = _by_month(context, strategy, features, _verdicts)
        newest = frames[max(frames)]
        return dg.Output(
            frames,
            metadata={
                "months": len(frames),
                "dropped_in_newest": int((newest["verdict"] == "dropped").sum()),
                "newest": table(newest),
            },
        )

    @dg.asset(
        **described(strategy, "selected_features", "features", version, {"numpy"}),
        ins=cube_input,
        deps=[asset_key(strategy, "stationarity")],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="months_io",
        description="The features that the month's model sees: all stationary ones, or those that selection "
        "chose on training rows, by univariate rank IC and by what they add to those already chosen.",
    )
    def selected_features(context: dg.AssetExecutionContext, features: Cube) -> dg.Output[dict[str, pd.DataFrame]]:
        frames = _by_month(context, strategy, features, _selection)
        newest = frames[max(frames)]
        return dg.Output(frames, metadata={"months": len(frames), "newest": table(newest)})

    return [features, stationarity, selected_features]


def _by_month(
    context: dg.AssetExecutionContext,
    strategy: Strategy,
    cube: Cube,
    judge: Callable[[Strategy, Cube, Fold], pd.DataFrame],
) -> dict[str, pd.DataFrame]:
    """One frame per month asked for; a month between refits repeats the fold that it reuses."""
    asked = effective_strategy(strategy, dict(context.run.tags))
    months = asked_months(list(context.partition_keys))
    folds = refit_folds(asked, cube.sessions, months)
    by_fold = {month: judge(asked, cube, fold) for month, fold in folds.items()}
    anchor, every = first_model_month(asked), asked.walk_forward.refit_every_months
    return {month: by_fold[fitted_month(month, anchor, every)].assign(month=month) for month in months}


def _verdicts(strategy: Strategy, cube: Cube, fold: Fold) -> pd.DataFrame:
    report = decide_transforms(members_only(strategy, Lake(), cube), fold.training, strategy.features)
    rows = [
        (each.name, each.verdict, each.pass_share, each.median_p_value, each.kpss_share) for each in report.verdicts
    ]
    frame = pd.DataFrame(rows, columns=["feature", "verdict", "pass_share", "median_p_value", "kpss_share"])
    return frame.astype({"median_p_value": "float64"})


def _selection(strategy: Strategy, cube: Cube, fold: Fold) -> pd.DataFrame:
    training = fold.training
    report = decide_transforms(members_only(strategy, Lake(), cube), training, strategy.features)
    if not strategy.features.select:
        return pd.DataFrame({"feature": list(report.kept), "why": "stationary"})
    with open_workplace(strategy) as workplace:
        labels = workplace.labels(workplace.panel())
    purge = purge_sessions(strategy.label.horizon_sessions, strategy.label.execution_lag_sessions)
    chosen = select_features(apply_transforms(cube, report), labels, training, strategy.features, purge)
    reasons = {each.name: each.reason for each in chosen.figures}
    return pd.DataFrame({"feature": list(chosen.selected), "why": [reasons[name] for name in chosen.selected]})
