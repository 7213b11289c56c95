"""Asset checks that look at what is stored: one property each."""

from __future__ import annotations

import dagster as dg
import numpy as np

from nn_assets.costs.model import cost_model_from
from nn_assets.errors import NnAssetsError
from nn_assets.orchestration.lookahead import (
    decisions_repeat_in_replay,
    features_repeat_when_cut,
    signals_repeat_forecasts,
)
from nn_assets.orchestration.naming import asset_key
from nn_assets.orchestration.workplace import open_workplace
from nn_assets.settings import Strategy
from nn_assets.store.audit import verify

__all__ = ["strategy_checks"]


def strategy_checks(strategy: Strategy) -> list[dg.AssetChecksDefinition]:
    """Checks beside those that the assets report of themselves."""
    features, signals = asset_key(strategy, "features"), asset_key(strategy, "daily_signals")
    orders, costs = asset_key(strategy, "orders"), asset_key(strategy, "cost_model")

    @dg.asset_check(
        asset=features,
        name="no_look_ahead",
        description="Features computed on history cut at several sessions equal those stored, to the bit.",
    )
    def no_look_ahead() -> dg.AssetCheckResult:
        with open_workplace(strategy) as workplace:
            differing, cuts = features_repeat_when_cut(workplace)
        return dg.AssetCheckResult(
            passed=not differing,
            description="; ".join(differing) or f"equal at {', '.join(str(cut.date()) for cut in cuts)}",
        )

    @dg.asset_check(
        asset=features,
        name="values_are_finite_or_missing",
        description="No feature is infinite.",
    )
    def values_are_finite_or_missing() -> dg.AssetCheckResult:
        with open_workplace(strategy) as workplace:
            values = np.asarray(workplace.cube().values)
        infinite = int(np.isinf(values).sum())
        missing = float(np.isnan(values).mean())
        return dg.AssetCheckResult(
            passed=infinite == 0, description=f"{infinite} infinite values, {missing:.2%} missing"
        )

    @dg.asset_check(
        asset=signals,
        name="study_and_live_agree",
        description="Where the study's record and the live record overlap, their forecasts are equal to the bit.",
    )
    def study_and_live_agree() -> dg.AssetCheckResult:
        with open_workplace(strategy) as workplace:
            compared, differing = signals_repeat_forecasts(workplace)
        return dg.AssetCheckResult(
            passed=not differing,
            description="; ".join(differing[:20]) or f"{compared} signals equal the study's forecasts",
        )

    @dg.asset_check(
        asset=asset_key(strategy, "target_positions"),
        name="backtest_rederives_decisions",
        description="Every decided session, played again on the backtest's path, gives the targets on record.",
    )
    def backtest_rederives_decisions() -> dg.AssetCheckResult:
        with open_workplace(strategy) as workplace:
            compared, differing = decisions_repeat_in_replay(workplace)
        return dg.AssetCheckResult(
            passed=not differing,
            description="; ".join(differing[:20]) or f"{compared} sessions give the same targets",
        )

    @dg.asset_check(
        asset=orders,
        name="ledger_is_intact",
        description="The hash chain over every row of the ledger verifies.",
    )
    def ledger_is_intact() -> dg.AssetCheckResult:
        with open_workplace(strategy) as workplace:
            report = verify(workplace.ledger)
        return dg.AssetCheckResult(
            passed=report.ok, description=str(report.first_broken or f"{report.entries} entries verify")
        )

    @dg.asset_check(
        asset=costs,
        name="costs_grow_with_size",
        description="The settings' cost model charges a larger share for a larger order.",
    )
    def costs_grow_with_size() -> dg.AssetCheckResult:
        try:
            model = cost_model_from(strategy.costs)
        except NnAssetsError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        shares = model.cost_fraction(np.array([1e4, 1e5, 1e6]), 1e8, 0.01)
        return dg.AssetCheckResult(
            passed=bool((np.diff(shares) > 0.0).all()), description=f"fractions {shares.tolist()}"
        )

    return [
        no_look_ahead,
        values_are_finite_or_missing,
        study_and_live_agree,
        backtest_rederives_decisions,
        ledger_is_intact,
        costs_grow_with_size,
    ]
