"""What a study's figures allow to be said, in one of four phrases and a sentence of reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtr, ndtri

from nn_assets.evaluation.figures import Figures, StudyFigures
from nn_assets.evaluation.significance import MeanTest

__all__ = ["PLAUSIBLE_AUC", "PLAUSIBLE_RANK_IC", "Verdict", "trial_adjusted_p_value", "verdict"]

Kind = Literal["edge found", "signal found", "no edge found", "cannot tell"]

SIGNIFICANCE = 0.05
POWER = 0.80
DEFLATED_SHARPE_NEEDED = 0.95
MINIMUM_SESSIONS = 60
"""Sessions below which no test decides anything."""

PLAUSIBLE_RANK_IC = 0.035
"""Middle of what the field reports for a cross-section, 0.02 to 0.05."""

PLAUSIBLE_AUC = float(ndtr(math.sqrt(2.0) * ndtri(0.545)))
"""AUC of a binormal score whose accuracy is 0.545, the middle of 0.52 to 0.57: 0.5635."""


@dataclass(frozen=True)
class Verdict:
    """What may be said. ``sessions_needed`` is set only where the record cannot tell."""

    kind: Kind
    reason: str
    statistic: Literal["rank IC", "AUC"]
    adjusted_p_value: float | None
    sessions_needed: int | None = None

    @property
    def phrase(self) -> str:
        """The verdict as it is printed: 'cannot tell: 412 more sessions needed'."""
        if self.sessions_needed is None:
            return self.kind
        return f"{self.kind}: {self.sessions_needed:,} more sessions needed"

    @property
    def allows_trading(self) -> bool:
        """Whether a strategy without ``trade_without_verdict`` may hold positions."""
        return self.kind == "edge found"


def trial_adjusted_p_value(p_value: float, trials: int) -> float:
    """Chance that the best of ``trials`` worthless configurations does as well (Šidák 1967)."""
    return -math.expm1(max(trials, 1) * math.log1p(-min(p_value, 1.0 - 1e-15)))


def verdict(figures: StudyFigures, trials: int | None = None, estimator: str = "network") -> Verdict:
    """Judge an estimator's out-of-sample record.

    The statistic is fixed beforehand, by the panel: rank IC where a session holds at least 5 symbols,
    AUC in narrower ones. Choosing the better of the two afterwards would be one more trial.

    - *Signal*: the statistic is above chance and its two-sided p-value (robust to overlap, adjusted
      for the number of trials) is below 5%.
    - *Edge*: a signal, and a net deflated Sharpe ratio above 0.95.
    - *No edge found*: no signal, and either the record was long enough to find one (an effect as
      large as the estimate, or as the middle of what the field reports, whichever is larger, would
      have been significant with 80% power) or the confidence interval excludes that plausible effect.
    - *Cannot tell*: neither. The sessions needed are those at which that effect would be significant
      with 80% power, the standard error falling with the square root of the length.

    Parameters
    ----------
    figures : StudyFigures
    trials : int, optional
        Configurations ever evaluated on these data; by default those the figures were deflated by.
    estimator : str
        Whose figures are judged.

    Returns
    -------
    Verdict
    """
    count = figures.trials if trials is None else max(trials, 1)
    wide = figures.cross_section
    statistic: Literal["rank IC", "AUC"] = "rank IC" if wide else "AUC"
    judged = figures.total.get(estimator)
    test = None if judged is None else judged.tests.get("rank_ic" if wide else "auc")
    if judged is None or test is None:
        return Verdict("cannot tell", f"there is no record of the {estimator}", statistic, None, MINIMUM_SESSIONS)
    if test.sessions < MINIMUM_SESSIONS:
        have = f"{test.sessions} sessions have both a forecast and a realised label"
        reason = f"{have}; {MINIMUM_SESSIONS} are the least"
        return Verdict("cannot tell", reason, statistic, None, MINIMUM_SESSIONS - test.sessions)
    if test.t_statistic is None or test.p_value is None:
        return Verdict("no edge found", f"the {statistic} says nothing: {test.reason}", statistic, None)
    adjusted = trial_adjusted_p_value(test.p_value, count)
    if test.t_statistic > 0.0 and adjusted < SIGNIFICANCE:
        return _with_signal(judged, test, statistic, adjusted, count)
    null, plausible = (0.0, PLAUSIBLE_RANK_IC) if wide else (0.5, PLAUSIBLE_AUC - 0.5)
    return _without_signal(test, statistic, adjusted, count, null, plausible)


def _said(test: MeanTest, statistic: str, adjusted: float, trials: int) -> str:
    tried = "1 trial" if trials == 1 else f"{trials} trials"
    return (
        f"out-of-sample {statistic} {test.estimate:.4f} over {test.sessions:,} sessions, "
        f"t = {test.t_statistic:.2f}, p = {adjusted:.3f} after {tried}"
    )


def _with_signal(
    judged: Figures, test: MeanTest, statistic: Literal["rank IC", "AUC"], adjusted: float, trials: int
) -> Verdict:
    said = _said(test, statistic, adjusted, trials)
    deflated = judged.deflated_sharpe
    if deflated is not None and deflated > DEFLATED_SHARPE_NEEDED:
        reason = f"{said}; net deflated Sharpe {deflated:.3f}, above {DEFLATED_SHARPE_NEEDED}"
        return Verdict("edge found", reason, statistic, adjusted)
    if deflated is None:
        missing = judged.absent.get("deflated_sharpe", "the book has no returns")
        return Verdict("signal found", f"{said}; but no net Sharpe to judge: {missing}", statistic, adjusted)
    reason = f"{said}; but net deflated Sharpe {deflated:.3f}, not above {DEFLATED_SHARPE_NEEDED}"
    return Verdict("signal found", reason, statistic, adjusted)


def _without_signal(
    test: MeanTest,
    statistic: Literal["rank IC", "AUC"],
    adjusted: float,
    trials: int,
    null: float,
    plausible: float,
) -> Verdict:
    assert test.estimate is not None
    assert test.standard_error is not None
    single = -math.expm1(math.log1p(-SIGNIFICANCE) / max(trials, 1))  # Šidák's level for one trial
    critical = test.quantile(1.0 - single / 2.0)
    said = _said(test, statistic, adjusted, trials)
    excess = test.estimate - null
    effect = max(excess, plausible)
    upper = excess + critical * test.standard_error
    if upper < plausible:
        reason = f"{said}; its interval ends at {null + upper:.4f}, below a plausible {null + plausible:.4f}"
        return Verdict("no edge found", reason, statistic, adjusted)
    detectable = (critical + test.quantile(POWER)) * test.standard_error
    if detectable <= effect:
        reason = f"{said}; an effect of {null + effect:.4f} would have shown with {POWER:.0%} power"
        return Verdict("no edge found", reason, statistic, adjusted)
    needed = math.ceil(test.sessions * (detectable / effect) ** 2) - test.sessions
    reason = (
        f"{said}; its interval holds both chance and a plausible {null + plausible:.4f}, "
        f"and the record is too short to tell them apart"
    )
    return Verdict("cannot tell", reason, statistic, adjusted, max(needed, 1))
