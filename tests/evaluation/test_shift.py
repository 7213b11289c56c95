"""The shift test: sessions of a regime that training hardly saw, on records whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from nn_assets.estimators import ESTIMATORS
from nn_assets.evaluation.figure_set import StudyFigures
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.significance import difference_test, kept_variance, truncation_lag
from nn_assets.evaluation.track import StudyTrack
from nn_assets.reports.tables import regime_table, shift_table
from tests.evaluation.tracks import made_record

HORIZON = 5


def record(*, flips: bool, seed: int = 1, columns: int = 12) -> StudyTrack:
    """Every sixth quarter is turbulent, and was a twentieth of what the model was trained on; there the edge flips."""
    plain, rows = made_record(rows=900, columns=columns, seed=seed, strength=0.06), np.arange(900)
    turbulent = rows // 60 % 6 == 5
    forecasts = plain.forecasts
    if flips:
        mirrored = {name: np.where(turbulent[:, None], 1.0 - values, values) for name, values in forecasts.items()}
        forecasts = mirrored
    share = np.where(turbulent, 0.05, 0.95)
    share[:30] = np.nan
    return replace(
        plain, forecasts=forecasts, training_share=share, regimes=np.where(turbulent, "turbulent", "calm").astype("U32")
    )


def figures_of(track: StudyTrack) -> StudyFigures:
    return study_figures(track, horizon_sessions=HORIZON, sessions_per_year=252)


def test_an_edge_that_flips_in_the_regime_that_training_hardly_saw_is_an_alarm_of_every_estimator() -> None:
    shift = figures_of(record(flips=True)).shift
    assert shift is not None
    assert (shift.sessions, shift.unknown) == (120, 30)
    assert len(shift.alarms) == len(ESTIMATORS)
    assert shift.alarms[0].startswith(
        "the network knows nothing, or what is wrong, on sessions of a regime that training hardly saw: rank IC -0."
    )
    assert shift.rare["network"].rank_ic < 0.0 < shift.usual["network"].rank_ic


def test_where_it_does_not_flip_there_is_no_alarm() -> None:
    alarms = sum(bool(figures_of(record(flips=False, seed=seed)).shift.alarms) for seed in range(4))
    assert alarms == 0


def test_where_nothing_differs_it_rings_in_no_more_than_the_share_that_it_says() -> None:
    """Rare sessions in two spells, labels that overlap: 5% of 400 series, and what chance adds to that."""
    chosen, rings = np.arange(900) // 60 % 6 == 5, 0
    for seed in range(400):
        shocks = np.random.default_rng(seed).standard_normal(900 + HORIZON - 1)
        values = np.convolve(shocks, np.ones(HORIZON) / HORIZON, mode="valid")
        rings += difference_test(values, chosen, HORIZON).p_value < 0.05
    assert 8 <= rings <= 30


def test_a_narrow_panel_is_compared_by_its_auc() -> None:
    shift = figures_of(record(flips=True, columns=3)).shift
    assert "hardly saw: AUC 0.4" in shift.alarms[0]


def test_who_is_worse_and_still_better_than_chance_is_no_alarm() -> None:
    strong = record(flips=False)
    turbulent = strong.regimes == "turbulent"
    noise = np.random.default_rng(3).standard_normal(strong.returns.shape)
    forecasts = {
        name: np.where(turbulent[:, None], values + 0.03 * noise, values + 5.0 * np.nan_to_num(strong.returns))
        for name, values in strong.forecasts.items()
    }
    shift = figures_of(replace(strong, forecasts=forecasts)).shift
    assert shift.tests["network"].p_value < 0.001
    assert shift.rare["network"].rank_ic > 0.0
    assert shift.alarms == ()


def test_without_what_models_were_trained_on_there_is_no_test_and_a_kept_study_has_it_back() -> None:
    assert figures_of(made_record(rows=200)).shift is None
    figures = figures_of(record(flips=True))
    assert StudyFigures.from_dict(figures.to_dict()) == figures
    old = figures.to_dict()
    del old["shift"]
    assert StudyFigures.from_dict(old).shift is None


def test_a_regime_of_the_record_that_training_often_saw_is_not_rare() -> None:
    often = replace(record(flips=True), training_share=np.full(900, 0.3))
    shift = figures_of(often).shift
    assert shift.sessions == 0
    assert shift.alarms == ()
    assert {test.estimate for test in shift.tests.values()} == {None}


def test_the_difference_is_that_of_a_regression_on_the_kind_with_errors_robust_to_overlap() -> None:
    draw = np.random.default_rng(2)
    chosen = np.arange(400) // 25 % 4 == 0
    values = np.convolve(draw.standard_normal(404), np.ones(5) / 5, mode="valid") - 0.2 * chosen
    test = difference_test(values, chosen, HORIZON)
    worth = 75  # sessions: 1 / (1 / 300 + 1 / 100)
    lag = truncation_lag(worth, HORIZON)
    fitted = OLS(values, np.column_stack([np.ones(400), chosen])).fit(
        cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False}
    )
    assert test.estimate == pytest.approx(-fitted.params[1], rel=1e-9)
    assert test.standard_error == pytest.approx(fitted.bse[1] / math.sqrt(kept_variance(worth, HORIZON)), rel=1e-9)
    assert test.sessions == 100
    few = difference_test(values, np.arange(400) < 10, HORIZON)
    assert (few.t_statistic, few.reason) == (None, "10 sessions of one kind; a test needs 20")


def test_the_tables_name_each_regime_and_each_kind_of_session() -> None:
    figures = figures_of(record(flips=True))
    header, rows = regime_table(figures)
    assert [row[:2] for row in rows] == [("calm", "780"), ("turbulent", "120")]
    assert header[:2] == ("regime", "sessions")
    assert {len(row) for row in rows} == {len(header)}
    kinds = shift_table(figures)[1]
    assert [row[:2] for row in kinds] == [("hardly trained on", "120"), ("the others", "750")]


def test_nothing_after_a_session_changes_what_is_compared_up_to_it() -> None:
    whole = record(flips=True)
    cut = whole.until(600)
    share = whole.training_share.copy()
    share[601:] = 0.0
    other = replace(whole, training_share=share).until(600)
    assert figures_of(cut).shift == figures_of(other).shift
