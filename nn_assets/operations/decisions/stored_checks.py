"""Checks that look at what is stored: one property each. One that had nothing to compare is no pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import Cube
from nn_assets.operations.decisions.lookahead import features_repeat_when_cut, signals_repeat_forecasts
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import History
from nn_assets.operations.judged import Judged
from nn_assets.store.ledger.audit import verify_since_last
from nn_assets.store.ledger.reread import BROKEN_REMEDY

_MOST_DIFFERENCES = 20
_RECENT_SESSIONS = 20


@dataclass(frozen=True)
class StoredCheck:
    """A property of what an asset stored."""

    asset: str
    name: str
    demand: str
    remedy: str  # what a person does where the property does not hold
    judge: Callable[[History], tuple[bool | None, str]]
    """Whether the property holds (None: there was nothing to compare), and what was found."""

    def judged(self, history: History) -> Judged:
        """Hold it against what is stored."""
        held, finding = self.judge(history)
        return Judged(self.name, held, finding, self.remedy)


def _no_look_ahead(history: History) -> tuple[bool | None, str]:
    if not np.isfinite(np.asarray(history.view().cube.values)).any():
        return None, "no feature has a value"
    differing, cuts = features_repeat_when_cut(history)
    return not differing, "; ".join(differing) or f"equal at {', '.join(str(cut.date()) for cut in cuts)}"


def _have_values(history: History) -> tuple[bool | None, str]:
    return features_have_values(history.view().cube)


def features_have_values(cube: Cube) -> tuple[bool | None, str]:
    """Whether every feature has a value in the last 20 sessions, for some symbol, and which share is missing.

    Returns
    -------
    held : bool or None
        None where there is no session, no symbol or no feature.
    found : str
    """
    recent = np.isfinite(np.asarray(cube.values)[-_RECENT_SESSIONS:])
    if recent.size == 0:
        return None, "no session, no symbol or no feature"
    silent = [name for index, name in enumerate(cube.names) if not recent[:, :, index].any()]
    share = f"{1.0 - float(recent.mean()):.2%} of the last {len(recent)} sessions' values are missing"
    return not silent, f"no value of {', '.join(silent)}; {share}" if silent else share


def _study_and_live_agree(history: History) -> tuple[bool | None, str]:
    compared, differing = signals_repeat_forecasts(history)
    if not compared:
        return None, "no study holds a forecast by the model that decided the same session"
    return not differing, "; ".join(differing[:_MOST_DIFFERENCES]) or f"{compared} signals equal the study's forecasts"


def _backtest_rederives(history: History) -> tuple[bool | None, str]:
    rederived = rederive_decisions(history, "backtest_rederives_decisions")
    whole = f"the whole: nn-assets audit decisions --strategy {history.strategy.name}"
    compared = rederived.played or rederived.before
    return not rederived.differing if compared else None, f"{rederived.sentence}; {whole}"


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
        return None, str(figures.get("reason", "no estimate is on record"))
    return bool(figures["recovered"]), f"{figures['fills']} paper fills; {figures['reason']}"


_REDERIVED = (
    "Every decided session, told what it was told then, gives the targets on record on the backtest's path; "
    "a run looks at those not looked at before by this code, under these settings, on these facts."
)
NO_LOOK_AHEAD = StoredCheck(
    "features",
    "no_look_ahead",
    "Features computed on history cut at several sessions equal those stored, to the bit.",
    "trust no study of these features until the one that reads the future is found; then study again",
    _no_look_ahead,
)
FEATURES_HAVE_VALUES = StoredCheck(
    "features",
    "features_have_values",
    "Every feature has a value in the last 20 sessions.",
    "look at the bars and series that the feature is made of (nn-assets check), or leave the feature out",
    _have_values,
)
STUDY_AND_LIVE_AGREE = StoredCheck(
    "daily_signals",
    "study_and_live_agree",
    "Where the study's record and the live record overlap, their forecasts are equal to the bit.",
    "study again by the code and settings in force; if it stays, do not take the study for what live does",
    _study_and_live_agree,
)
BACKTEST_REDERIVES = StoredCheck(
    "target_positions",
    "backtest_rederives_decisions",
    _REDERIVED,
    "trade nothing until it is explained: nn-assets audit verify, then nn-assets audit decisions",
    _backtest_rederives,
)
LEDGER_IS_INTACT = StoredCheck(
    "orders",
    "ledger_is_intact",
    "The hash chain over every row added since the last check verifies.",
    BROKEN_REMEDY,
    _ledger_intact,
)
COEFFICIENTS_RECOVERED = StoredCheck(
    "cost_model",
    "paper_fills_recover_the_coefficients",
    "The last estimate from paper fills, whose coefficients are known, recovered them.",
    "trust no estimate from real fills until it does; the settings' own costs stay in force",
    _coefficients_recovered,
)
