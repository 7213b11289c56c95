"""The shift test: whether what an estimator knows holds on sessions whose regime it was hardly trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.estimators import ESTIMATORS
from nn_assets.evaluation.figure_set import Figures, ShiftTest
from nn_assets.evaluation.significance import (
    CROSS_SECTION,
    MeanTest,
    auc_contributions,
    difference_test,
    rank_ic_contributions,
    robust_mean_test,
)
from nn_assets.evaluation.spending import per_trial_level
from nn_assets.evaluation.track import StudyTrack
from nn_assets.signals.regimes import RARE_SHARE

_ALARM = 0.05  # one-sided, over the estimators together


def skill_contributions(track: StudyTrack, name: str) -> FloatArray:
    """Each session's share in an estimator's rank IC, in narrow panels in its AUC, (sessions,); NaN without one."""
    return _skill(track.ranked(name), track.targets, track.returns, track.folds, wide=track.breadth >= CROSS_SECTION)


def _skill(
    forecasts: FloatArray, targets: FloatArray, returns: FloatArray, folds: npt.NDArray[np.str_], *, wide: bool
) -> FloatArray:
    if wide:
        return rank_ic_contributions(forecasts, returns, folds)
    return auc_contributions(forecasts, targets, folds)


def shift_test(track: StudyTrack, over: Callable[[BoolArray], Mapping[str, Figures]], horizon: int) -> ShiftTest | None:
    """Compare the sessions of a rare regime with the others; None where the training rows are not known.

    Parameters
    ----------
    track : StudyTrack
    over : callable
        From a mask of sessions to the figures of every estimator over them.
    horizon : int
        Sessions that a label looks ahead.
    """
    share = track.training_share
    if share is None:
        return None
    studied = track.months != ""
    rare, known = np.asarray(studied & (share < RARE_SHARE)), np.asarray(studied & np.isfinite(share))
    wide, tests, there = track.breadth >= CROSS_SECTION, dict[str, MeanTest](), dict[str, float]()
    for name in track.forecasts:
        contributions = np.where(known, skill_contributions(track, name), np.nan)
        tests[name] = difference_test(contributions, rare, horizon)
        there[name] = _mean(contributions[rare]) or 0.0
    return ShiftTest(
        rare=over(rare),
        usual=over(known & ~rare),
        tests=tests,
        sessions=int(rare.sum()),
        unknown=int((studied & ~known).sum()),
        alarms=_alarms(tests, there, wide=wide),
    )


def _alarms(tests: Mapping[str, MeanTest], there: Mapping[str, float], *, wide: bool) -> tuple[str, ...]:
    """One sentence for each estimator that is surely worse than elsewhere, at 5% over all, and no better than chance.

    Worse alone is no alarm: features that move with volatility make a forecast weaker in another regime, and not wrong.
    """
    tested = sum(test.p_value is not None for test in tests.values())
    level = per_trial_level(_ALARM, max(tested, 1))
    statistic, chance = ("rank IC", 0.0) if wide else ("AUC", 0.5)
    where = "on sessions of a regime that training hardly saw"
    return tuple(
        f"{_called(name)} knows nothing, or what is wrong, {where}: {statistic} {there[name]:.4f}, lower by {test.estimate:.4f} than on the others, t = {test.t_statistic:.2f}, "
        f"{test.sessions} sessions"
        for name, test in tests.items()
        if test.p_value is not None and test.p_value < level and there[name] <= chance
    )


@dataclass(frozen=True)
class LeftOut:
    """One estimator fitted without one regime, on the sessions of that regime, and the whole one on them and elsewhere.

    Figures are rank ICs, in narrow panels AUCs; ``None`` where there is none. ``without`` tests the estimator without
    the regime, on its sessions, against chance.
    """

    regime: str
    estimator: str
    sessions: int
    without: MeanTest
    whole: float | None
    elsewhere: float | None

    @property
    def sentence(self) -> str:
        """The figures in one sentence."""
        t = "" if self.without.t_statistic is None else f" (t {self.without.t_statistic:.2f})"
        return (
            f"{self.regime}, {_called(self.estimator)}, {self.sessions} sessions: {_number(self.without.estimate)}{t} "
            f"fitted without it, {_number(self.whole)} fitted with it; {_number(self.elsewhere)} on the other sessions"
        )


def left_out_of(
    regime: str,
    estimator: str,
    without: FloatArray,
    whole: FloatArray,
    *,
    targets: FloatArray,
    returns: FloatArray,
    folds: npt.NDArray[np.str_],
    chosen: BoolArray,
    horizon: int,
    wide: bool,
) -> LeftOut:
    """Judge an estimator that was fitted without a regime, by what it forecasts of that regime's sessions.

    Parameters
    ----------
    without, whole : ndarray, shape (sessions, symbols)
        Forecasts of the estimator fitted without the regime, and of the one in force; NaN where there is none.
    targets, returns : ndarray, shape (sessions, symbols)
    folds : ndarray of str, shape (sessions,)
        The model in force.
    chosen : ndarray of bool, shape (sessions,)
        Sessions of the regime.
    horizon : int
        Sessions that a label looks ahead.
    wide : bool
        Whether ranks are taken across symbols.
    """
    fitted = np.isfinite(without).any(axis=1)
    there = np.where(chosen, _skill(without, targets, returns, folds, wide=wide), np.nan)
    of_whole = _skill(whole, targets, returns, folds, wide=wide)
    return LeftOut(
        regime=regime,
        estimator=estimator,
        sessions=int((chosen & fitted).sum()),
        without=robust_mean_test(there, horizon, null=0.0 if wide else 0.5),
        whole=_mean(np.where(chosen & fitted, of_whole, np.nan)),
        elsewhere=_mean(np.where(chosen, np.nan, of_whole)),
    )


def left_out_lines(fits: Sequence[LeftOut]) -> list[str]:
    """What the fits without a regime came to, a sentence each; first, whose forecasts of it are surely wrong.

    Surely: below chance at 5% over all that can be tested. Fewer rows to learn from make an estimator worse
    everywhere, so that being worse than elsewhere is no alarm here.
    """
    level = per_trial_level(_ALARM, max(sum(fit.without.p_value is not None for fit in fits), 1))
    wrong = [
        f"what {_called(fit.estimator)} learns without {fit.regime} sessions is wrong on them: "
        f"t = {fit.without.t_statistic:.2f} against chance, {fit.sessions} sessions"
        for fit in fits
        if fit.without.p_value is not None and 1.0 - fit.without.p_value < level
    ]
    return [*wrong, *(fit.sentence for fit in fits)]


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _called(name: str) -> str:
    return ESTIMATORS[name].called if name in ESTIMATORS else name
