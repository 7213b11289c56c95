"""The shift test: whether what an estimator knows holds on sessions whose regime it was hardly trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.estimators import ESTIMATORS
from nn_assets.evaluation.figure_set import Figures, ShiftTest
from nn_assets.evaluation.significance import (
    CROSS_SECTION,
    MeanTest,
    auc_contributions,
    difference_test,
    rank_ic_contributions,
)
from nn_assets.evaluation.spending import per_trial_level
from nn_assets.evaluation.track import StudyTrack

RARE_SHARE = 0.10
"""Share of the training rows below which a regime counts as hardly seen."""

_ALARM = 0.05  # one-sided, over the estimators together


def skill_contributions(track: StudyTrack, name: str) -> FloatArray:
    """Each session's share in an estimator's rank IC, in narrow panels in its AUC, (sessions,); NaN without one."""
    if track.breadth >= CROSS_SECTION:
        return rank_ic_contributions(track.ranked(name), track.returns, track.folds)
    return auc_contributions(track.ranked(name), track.targets, track.folds)


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
    wide = track.breadth >= CROSS_SECTION
    tests = {
        name: difference_test(np.where(known, skill_contributions(track, name), np.nan), rare, horizon)
        for name in track.forecasts
    }
    return ShiftTest(
        rare=over(rare),
        usual=over(known & ~rare),
        tests=tests,
        sessions=int(rare.sum()),
        unknown=int((studied & ~known).sum()),
        alarms=alarms_of(
            tests, "on sessions of a regime that training hardly saw", wide=track.breadth >= CROSS_SECTION
        ),
    )


def alarms_of(tests: Mapping[str, MeanTest], where: str, *, wide: bool) -> tuple[str, ...]:
    """One sentence for each estimator that is surely worse somewhere than elsewhere, at 5% over all of them."""
    level, statistic = per_trial_level(_ALARM, len(tests)), "rank IC" if wide else "AUC"
    return tuple(
        f"{ESTIMATORS[name].called if name in ESTIMATORS else name} is worse {where}: {statistic} lower by "
        f"{test.estimate:.4f}, t = {test.t_statistic:.2f}, {test.sessions} sessions"
        for name, test in tests.items()
        if test.p_value is not None and test.p_value < level
    )
