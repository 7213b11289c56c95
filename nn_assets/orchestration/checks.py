"""Asset checks that look at what is stored: one property each."""

from collections.abc import Callable

import dagster as dg
import numpy as np

from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.operations.decisions.lookahead import (
    features_repeat_when_cut,
    signals_repeat_forecasts,
)
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import History
from nn_assets.orchestration.naming import asset_key
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify_since_last

__all__ = ["strategy_checks"]

Judge = Callable[[History], tuple[bool, str]]

_MOST_NAMED = 20


def strategy_checks(strategy: Strategy) -> list[dg.AssetChecksDefinition]:
    """Checks beside those that the assets report of themselves."""
    return [_check(strategy, asset, name, description, judge) for asset, name, description, judge in _CHECKS]


def _check(strategy: Strategy, asset: str, name: str, description: str, judge: Judge) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset_key(strategy, asset), name=name, description=description)
    def check(stores: dg.ResourceParam[StoresResource]) -> dg.AssetCheckResult:
        with stores.history(strategy) as history:
            passed, found = judge(history)
        return dg.AssetCheckResult(passed=passed, description=found)

    return check


def _no_look_ahead(history: History) -> tuple[bool, str]:
    differing, cuts = features_repeat_when_cut(history)
    return not differing, "; ".join(differing) or f"equal at {', '.join(str(cut.date()) for cut in cuts)}"


def _finite_or_missing(history: History) -> tuple[bool, str]:
    values = np.asarray(history.view().cube.values)
    infinite = int(np.isinf(values).sum())
    return infinite == 0, f"{infinite} infinite values, {float(np.isnan(values).mean()):.2%} missing"


def _study_and_live_agree(history: History) -> tuple[bool, str]:
    compared, differing = signals_repeat_forecasts(history)
    if not compared:
        return True, "nothing to compare: no study holds a forecast by the model that decided the same session"
    return not differing, "; ".join(differing[:_MOST_NAMED]) or f"{compared} signals equal the study's forecasts"


def _backtest_rederives(history: History) -> tuple[bool, str]:
    done = rederive_decisions(history, "backtest_rederives_decisions")
    whole = f"the whole: nn-assets audit decisions --strategy {history.strategy.name}"
    return not done.differing, f"{done.sentence}; {whole}"


def _ledger_intact(history: History) -> tuple[bool, str]:
    report = verify_since_last(history.stores.ledger, run_id="ledger_is_intact")
    verified = (
        f"{report.entries} entries verify, those after entry {report.since.sequence}; the whole: nn-assets audit verify"
    )
    return report.ok, str(report.first_broken or verified)


def _costs_grow(history: History) -> tuple[bool, str]:
    ledger, strategy = history.stores.ledger, history.strategy
    model = cost_model(ledger, strategy, costs_in_force(ledger, strategy.name).newest)
    shares = model.cost_fraction(np.array([1e4, 1e5, 1e6]), 1e8, 0.01)
    # Without impact coefficients a cost may be flat, never falling.
    return bool((np.diff(shares) >= 0.0).all()), f"fractions {shares.tolist()} of 10 k, 100 k and 1 M USD"


_REDERIVED = (
    "Every decided session, told what it was told then, gives the targets on record on the backtest's path; "
    "a run looks at those not looked at before by this code, under these settings, on these facts."
)
_CHECKS: tuple[tuple[str, str, str, Judge], ...] = (
    (
        "features",
        "no_look_ahead",
        "Features computed on history cut at several sessions equal those stored, to the bit.",
        _no_look_ahead,
    ),
    ("features", "values_are_finite_or_missing", "No feature is infinite.", _finite_or_missing),
    (
        "daily_signals",
        "study_and_live_agree",
        "Where the study's record and the live record overlap, their forecasts are equal to the bit.",
        _study_and_live_agree,
    ),
    (
        "target_positions",
        "backtest_rederives_decisions",
        _REDERIVED,
        _backtest_rederives,
    ),
    (
        "orders",
        "ledger_is_intact",
        "The hash chain over every row added since the last check verifies.",
        _ledger_intact,
    ),
    (
        "cost_model",
        "costs_never_fall_with_size",
        "The cost model in force never charges a smaller share for a larger order.",
        _costs_grow,
    ),
)
