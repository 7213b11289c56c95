"""Estimators fitted without a regime: what is left out has no influence, and what flips in it is found."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from unittest import mock

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.errors import ShortFoldError
from nn_assets.features.labels import Labels
from nn_assets.learning import baselines
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import forecast_rows, make_fold
from nn_assets.learning.model import FoldData, fit_without, judged_features
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.shift import LeftOutRegimes, fits_without
from nn_assets.settings import Strategy
from nn_assets.signals.filtered_states import FilteredStates, MarkovStates
from nn_assets.signals.regimes import Regimes
from tests.learning.tiny import NAMES, SPAN, tiny_strategy
from tests.proof.studied import _NO_TREES

SYMBOLS = tuple(f"SIM{number:02d}" for number in range(1, 9))
SESSIONS = sessions_between("XNYS", "2011-01-03", "2013-12-31")
BARS = len(SESSIONS)
MONTHS = ("2012-07", "2013-01", "2013-07")


def strategy() -> Strategy:
    return tiny_strategy(network="mlp")


@cache
def turbulent() -> np.ndarray:
    return np.arange(BARS) // 20 % 3 == 2


def market(*, flips: bool) -> tuple[Cube, Labels]:
    """The first feature foretells the label's return; where it flips, with the other sign in the turbulent regime."""
    draw = np.random.default_rng(7)
    values = draw.standard_normal((BARS, len(SYMBOLS), len(NAMES)))
    sign = np.where(turbulent() & flips, -1.0, 1.0)[:, None]
    returns = 0.01 * (0.15 * sign * values[:, :, 0] + draw.standard_normal((BARS, len(SYMBOLS))))
    returns[BARS - SPAN :] = np.nan
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(np.float64), np.nan)
    return Cube(SESSIONS, SYMBOLS, NAMES, values), Labels(targets, returns, np.arange(BARS, dtype=np.int64) + SPAN)


def regimes() -> Regimes:
    nothing = np.full(BARS, -1, dtype=np.int64)
    states = FilteredStates(0, np.eye(2)[turbulent().astype(int)])
    return Regimes(nothing, nothing, nothing, MarkovStates(np.zeros(BARS, dtype=np.int64), (states,)))


def data_for(cube: Cube, labels: Labels, month: str) -> FoldData:
    of = strategy()
    fold = make_fold(SESSIONS, month, of.walk_forward, of.label)
    known = cube.until(SESSIONS[fold.used_from - 1])
    judged = judged_features(known, None, fold.training, of)  # as the model in force has it
    return FoldData(known, labels.until(fold.used_from - 1), fold, judged)


def without(data: FoldData, left_out: np.ndarray) -> FoldModel:
    with mock.patch.object(baselines, "fit_boosting", return_value=_NO_TREES):
        return fit_without(data, strategy(), left_out[: data.cube.session_count])


def shifted(*, flips: bool) -> LeftOutRegimes:
    cube, labels = market(flips=flips)
    data = {month: data_for(cube, labels, month) for month in MONTHS}
    nothing = np.zeros(BARS, dtype=np.bool_)
    used = []
    for month, stop in zip(MONTHS, (*MONTHS[1:], "2014-01"), strict=True):
        model = without(data[month], nothing)
        rows = forecast_rows(SESSIONS, month).start, int(SESSIONS.searchsorted(np.datetime64(f"{stop}-01")))
        used.append((model, slice(*rows)))
    with mock.patch.object(baselines, "fit_boosting", return_value=_NO_TREES):
        return fits_without(
            strategy(),
            used,
            lambda model: data[model.fold.month],
            cube,
            labels.until(BARS - 1),
            regimes(),
        )


def test_an_edge_that_flips_in_a_regime_is_found_by_fits_without_it() -> None:
    result = shifted(flips=True)
    linear = {one.regime: one for one in result.found if one.estimator == "linear"}
    assert result.fits == 6
    assert linear["turbulent"].without.estimate < -0.05
    assert linear["turbulent"].elsewhere > 0.05
    assert linear["turbulent"].without.t_statistic < -3.0
    wrong = [line for line in result.lines if "is wrong on them" in line]
    assert len(wrong) == 2, "calm sessions are as wrong for who knows the turbulent ones alone"
    assert wrong == list(result.lines[:2])
    assert wrong[1].startswith("what the linear model learns without turbulent sessions is wrong on them: t = -")


def test_where_it_does_not_flip_nobody_is_said_to_be_wrong() -> None:
    result = shifted(flips=False)
    assert not any("is wrong" in line for line in result.lines)
    linear = {one.regime: one for one in result.found if one.estimator == "linear"}
    assert linear["turbulent"].without.estimate > 0.05
    assert linear["turbulent"].sentence.startswith("turbulent, the linear model, ")


def test_estimators_are_ranked_against_what_forecasts_are_and_not_against_a_return_less_its_threshold() -> None:
    cube, labels = market(flips=False)
    data = {MONTHS[0]: data_for(cube, labels, MONTHS[0])}
    model = without(data[MONTHS[0]], np.zeros(BARS, dtype=np.bool_))
    used = [(model, slice(model.fold.used_from, BARS))]
    threshold = np.random.default_rng(1).normal(size=labels.returns.shape)  # of volatilities that differ
    answers = []
    for judged in (labels, replace(labels, returns=labels.returns - threshold, ranked_against=labels.returns)):
        with mock.patch.object(baselines, "fit_boosting", return_value=_NO_TREES):
            answers.append(
                fits_without(strategy(), used, lambda model: data[model.fold.month], cube, judged, regimes())
            )
    assert answers[0].found == answers[1].found


def test_neither_labels_that_reach_a_session_left_out_nor_its_features_change_a_fit() -> None:
    cube, labels = market(flips=True)
    data = data_for(cube, labels, MONTHS[0])
    bars = data.cube.session_count
    left_out = turbulent()[:bars]
    reached = np.array([left_out[row : row + SPAN + 1].any() for row in range(bars)])
    targets, returns = data.labels.targets.copy(), data.labels.returns.copy()
    targets[reached], returns[reached] = 1.0 - targets[reached], -returns[reached]
    values = np.array(data.cube.values)
    levels = [NAMES.index(one.name) for one in data.stationarity.verdicts if one.verdict == "level"]
    assert levels
    values[np.ix_(left_out, range(len(SYMBOLS)), levels)] *= (
        100.0  # a difference reads the session before, as windows do
    )
    other = replace(
        data,
        cube=Cube(data.cube.sessions, SYMBOLS, NAMES, values),
        labels=replace(data.labels, targets=targets, returns=returns),
    )
    one, changed = without(data, left_out), without(other, left_out)
    for ours, theirs in zip(one.estimators.members["linear"], changed.estimators.members["linear"], strict=True):
        np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)
    # a label that reaches none of them does
    kept = int(np.flatnonzero(~reached[data.fold.training])[5]) + data.fold.training.start
    targets = data.labels.targets.copy()
    targets[kept] = 1.0 - targets[kept]
    moved = without(replace(data, labels=replace(data.labels, targets=targets)), left_out)
    assert any(
        (ours.coefficients != theirs.coefficients).any()
        for ours, theirs in zip(one.estimators.members["linear"], moved.estimators.members["linear"], strict=True)
    )


def test_where_nothing_is_left_to_fit_on_the_model_is_named() -> None:
    cube, labels = market(flips=False)
    data = data_for(cube, labels, MONTHS[0])
    with pytest.raises(ShortFoldError, match="usable training rows"):
        without(data, np.ones(BARS, dtype=np.bool_))
    validation = np.zeros(BARS, dtype=np.bool_)
    validation[data.fold.validation] = True
    with pytest.raises(ShortFoldError, match="validation row"):
        without(data, validation)
