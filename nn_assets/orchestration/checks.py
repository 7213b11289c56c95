"""Asset checks that look at what is stored: one property each. One that had nothing to compare is no pass."""

from collections.abc import Callable

import dagster as dg
import numpy as np

from nn_assets.operations.decisions.lookahead import (
    features_repeat_when_cut,
    signals_repeat_forecasts,
)
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import History
from nn_assets.orchestration.naming import asset_key, judged
from nn_assets.orchestration.resources import StoresResource
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify_since_last

__all__ = ["strategy_checks"]

Judge = Callable[[History], tuple[bool | None, str]]
"""Whether the property holds (None: there was nothing to compare), and what was found."""

_MOST_NAMED = 20
_RECENT_SESSIONS = 20


def strategy_checks(strategy: Strategy) -> list[dg.AssetChecksDefinition]:
    """Checks beside those that the assets report of themselves."""
    return [_check(strategy, *each) for each in _CHECKS]


def _check(
    strategy: Strategy, asset: str, name: str, description: str, remedy: str, judge: Judge
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset_key(strategy, asset), name=name, description=description)
    def check(stores: dg.ResourceParam[StoresResource]) -> dg.AssetCheckResult:
        with stores.history(strategy) as history:
            held, found = judge(history)
        return judged(found, held=held, remedy=remedy)

    return check


def _no_look_ahead(history: History) -> tuple[bool | None, str]:
    if not np.isfinite(np.asarray(history.view().cube.values)).any():
        return None, "no feature has a value"
    differing, cuts = features_repeat_when_cut(history)
    return not differing, "; ".join(differing) or f"equal at {', '.join(str(cut.date()) for cut in cuts)}"


def _have_values(history: History) -> tuple[bool | None, str]:
    cube = history.view().cube
    recent = np.isfinite(np.asarray(cube.values)[-_RECENT_SESSIONS:])
    if recent.size == 0:
        return None, "no session, no symbol or no feature"
    silent = [name for place, name in enumerate(cube.names) if not recent[:, :, place].any()]
    share = f"{1.0 - float(recent.mean()):.2%} of the last {len(recent)} sessions' values are missing"
    return not silent, f"no value of {', '.join(silent)}; {share}" if silent else share


def _study_and_live_agree(history: History) -> tuple[bool | None, str]:
    compared, differing = signals_repeat_forecasts(history)
    if not compared:
        return None, "no study holds a forecast by the model that decided the same session"
    return not differing, "; ".join(differing[:_MOST_NAMED]) or f"{compared} signals equal the study's forecasts"


def _backtest_rederives(history: History) -> tuple[bool | None, str]:
    done = rederive_decisions(history, "backtest_rederives_decisions")
    whole = f"the whole: nn-assets audit decisions --strategy {history.strategy.name}"
    compared = done.played or done.before
    return not done.differing if compared else None, f"{done.sentence}; {whole}"


def _ledger_intact(history: History) -> tuple[bool | None, str]:
    report = verify_since_last(history.stores.ledger, run_id="ledger_is_intact")
    verified = (
        f"{report.entries} entries verify, those after entry {report.since.sequence}; the whole: nn-assets audit verify"
    )
    empty = report.ok and report.head.sequence == 0
    return None if empty else report.ok, str(report.first_broken or verified)


def _coefficients_recovered(history: History) -> tuple[bool | None, str]:
    newest = history.stores.ledger.last_appended("cost_models", strategy=history.strategy.name)
    figures = {} if newest is None else newest["figures"]
    if figures.get("recovered") is None:
        return None, str(figures.get("reason", "no recalibration is on record"))
    return bool(figures["recovered"]), f"{figures['fills']} paper fills; {figures['reason']}"


_REDERIVED = (
    "Every decided session, told what it was told then, gives the targets on record on the backtest's path; "
    "a run looks at those not looked at before by this code, under these settings, on these facts."
)
# asset, name, what it demands, what to do where that does not hold, how it is judged
_CHECKS: tuple[tuple[str, str, str, str, Judge], ...] = (
    (
        "features",
        "no_look_ahead",
        "Features computed on history cut at several sessions equal those stored, to the bit.",
        "trust no study of these features until the one that reads the future is found; then study again",
        _no_look_ahead,
    ),
    (
        "features",
        "features_have_values",
        "Every feature has a value in the last 20 sessions.",
        "look at the bars and series that the feature is made of (nn-assets check), or leave the feature out",
        _have_values,
    ),
    (
        "daily_signals",
        "study_and_live_agree",
        "Where the study's record and the live record overlap, their forecasts are equal to the bit.",
        "study again by the code and settings in force; if it stays, do not take the study for what live does",
        _study_and_live_agree,
    ),
    (
        "target_positions",
        "backtest_rederives_decisions",
        _REDERIVED,
        "trade nothing until it is explained: nn-assets audit verify, then nn-assets audit decisions",
        _backtest_rederives,
    ),
    (
        "orders",
        "ledger_is_intact",
        "The hash chain over every row added since the last check verifies.",
        "stop trading on this ledger; restore it from a backup that verifies",
        _ledger_intact,
    ),
    (
        "cost_model",
        "paper_fills_recover_the_coefficients",
        "The last recalibration on paper fills, whose coefficients are known, found them again.",
        "trust no recalibration on real fills until it does; the settings' own costs stay in force",
        _coefficients_recovered,
    ),
)
