"""What a forecast of each kind of label is worth in returns, where the truth is written down."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

from nn_assets.errors import SettingsError
from nn_assets.evaluation.figures import study_figures
from nn_assets.evaluation.track import StudyTrack
from nn_assets.features.labels import make_labels
from nn_assets.learning.calibration import Calibration, fit_calibration
from nn_assets.operations.plugins import prepare
from nn_assets.portfolio.expected import expected_own_return, outcome_slope
from nn_assets.session.programme_facts import ProgrammeWatch, programme_watch
from nn_assets.settings import LabelSettings, Strategy
from nn_assets.signals.signals import outcome_statistics
from tests.features.panels import random_panel
from tests.session.worlds import World, world, world_strategy

HALF_LIFE, PRIOR = 252.0, 60.0


def record_of_values(slope: float, level: float, sessions: int = 900, names: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and values of which E[z | score] = level + slope x score."""
    draw = np.random.default_rng(4)
    score = draw.normal(size=(sessions, names))
    return score, level + slope * score + draw.standard_t(5, size=(sessions, names)) / math.sqrt(5.0 / 3.0)


def calibrated(score: np.ndarray, values: np.ndarray) -> Calibration:
    targets = np.where(np.isnan(values), np.nan, values > 0.0)
    return fit_calibration(
        score, np.zeros_like(score), targets, horizon_sessions=1, half_life_sessions=HALF_LIFE, prior_outcomes=PRIOR,
        values=values,
    )  # fmt: skip


def test_a_calibration_of_values_is_a_regression_with_the_priors_outcomes_at_their_mean() -> None:
    score, values = record_of_values(0.15, 0.05)
    values[::3, 2] = np.nan
    made = calibrated(score, values)
    there = np.isfinite(values)
    long_run = np.nansum(values) / (there.sum() + 2)
    weight = np.broadcast_to(0.5 ** ((len(score) - np.arange(len(score))) / HALF_LIFE)[:, None], score.shape)[there]
    weight = weight / weight.sum()
    design = sm.add_constant(np.tile(score[there], 2))
    stacked = np.concatenate([values[there], np.full(int(there.sum()), long_run)])
    shares = np.concatenate([weight * made.effective_outcomes, weight * PRIOR])
    intercept, slope = sm.WLS(stacked, design, weights=shares).fit().params
    assert (made.intercept, made.slope) == (pytest.approx(intercept, rel=1e-9), pytest.approx(slope, rel=1e-9))
    assert made.slope == pytest.approx(0.15, abs=0.05)
    np.testing.assert_allclose(made.apply(np.array([-1.0, 2.0])), norm.cdf(intercept + slope * np.array([-1.0, 2.0])))
    assert made.base_rate == pytest.approx(norm.cdf(0.05), abs=0.02)
    assert Calibration.from_dict(made.to_dict()) == made
    assert "of_values" not in Calibration(0.1, 0.0, 0.5, None, 9, 9.0).to_dict()


def test_without_evidence_a_value_is_expected_to_be_what_values_are_and_none_is_turned_round() -> None:
    score, values = record_of_values(-0.2, 0.1)
    against, nothing = calibrated(score, values), calibrated(np.full_like(score, np.nan), values)
    assert against.slope == 0.0
    assert nothing.base_rate == pytest.approx(norm.cdf(values.sum() / (values.size + 2)))
    np.testing.assert_allclose(nothing.apply(np.array([-9.0, 9.0])), nothing.base_rate)


@pytest.mark.parametrize("threshold", [-0.8, 0.5, 1.0])
def test_what_a_probability_of_passing_a_threshold_adds_is_the_shift_of_the_mean(threshold: float) -> None:
    """Returns of 2% a horizon and a mean of its own each; the share that passes says by itself how dense they are."""
    draw, sigma, outcomes = np.random.default_rng(1), 0.02, 20_000
    shift = draw.normal(0.0, 0.06, outcomes)
    returns = sigma * (shift + draw.normal(size=outcomes))
    slope = outcome_slope(returns / sigma - threshold)
    assert slope == pytest.approx(1.0 / norm.pdf(threshold), rel=0.06)
    probability, base_rate = norm.sf(threshold - shift), float((returns > sigma * threshold).mean())
    expected = expected_own_return(probability, base_rate, np.full(outcomes, sigma), 1, slope)
    truth = sigma * shift
    assert np.polyfit(expected, truth, 1)[0] == pytest.approx(1.0, abs=0.06)
    assert abs(expected.mean() - truth.mean()) < 0.02 * sigma


def of_values(kind: str) -> tuple[World, ProgrammeWatch]:
    strategy = world_strategy("next_close", construction="programme", net_limit=0.0)
    label = LabelSettings(kind=kind, horizon_sessions=3, execution="next_close", settings={"window_sessions": 60})
    of = world(strategy.model_copy(update={"label": label}))
    outcomes = outcome_statistics(
        of.forecasts.probability, of.labels.returns, of.labels.realised_row, of.market.volatility, 3
    )
    watch = programme_watch(of.strategy, 252, of.market, of.forecasts, of.labels, outcomes)
    assert watch is not None
    return of, watch


@pytest.mark.parametrize("kind", ["return_zscored", "return_zscored_relative"])
def test_a_value_is_worth_its_recent_deviation_and_knows_no_later_bar(kind: str) -> None:
    of, watch = of_values(kind)
    row = 190
    facts = watch.at(row)
    assert of.labels.scale is not None
    value, base = np.array([0.25, -0.1, 0.0, 0.05, -0.25]), 0.03
    expected = expected_own_return(
        norm.cdf(value), norm.cdf(base), facts.label_volatility, 3, facts.outcome_slope, relative=False
    )
    np.testing.assert_allclose(expected, (value - base) * of.labels.scale[row], rtol=0.015, atol=1e-5)
    known = make_labels(of.cut(row + 1).panel, of.strategy.label)
    assert known.scale is not None
    assert known.scale[row].tobytes() == of.labels.scale[row].tobytes()
    assert np.isnan(known.returns[row]).all()


def strategy_with(label: dict[str, object], **portfolio: object) -> Strategy:
    return Strategy.model_validate(
        {"name": "mine", "market": {"history_starts": "2014-01-02"}, "label": label, "portfolio": portfolio}
    )


@pytest.mark.parametrize("kind", ["return_zscored", "threshold_move"])
def test_what_is_no_probability_of_a_gain_is_sized_by_the_programme(kind: str) -> None:
    assert strategy_with({"kind": kind}).portfolio.construction == "programme"
    with pytest.raises(ValueError, match=f"that of label.kind {kind} is not: state portfolio.construction: programme"):
        strategy_with({"kind": kind}, construction="per_name")
    assert strategy_with({"kind": "direction"}).portfolio.construction == "per_name"


def test_a_relative_value_needs_a_neutral_book() -> None:
    with pytest.raises(ValueError, match="return_zscored_relative says nothing of the market's direction"):
        strategy_with({"kind": "return_zscored_relative"}, net_limit=0.5)


def test_a_threshold_that_is_a_fraction_is_not_traded() -> None:
    strategy = strategy_with({"kind": "threshold_move", "settings": {"unit": "fraction", "threshold": 0.02}})
    with pytest.raises(SettingsError, match=r"threshold in sigma.*whatever they earn.*label\.settings\.unit: sigma"):
        prepare(strategy)
    prepare(strategy_with({"kind": "threshold_move", "settings": {"side": "down"}}))


@pytest.mark.parametrize("symbols", [2, 8])
def test_who_knows_volatilities_alone_is_found_to_know_nothing_of_a_threshold(symbols: int) -> None:
    """Half of the names move twice as much; the forecast says so, and that they pass a threshold more often."""
    draw, sessions = np.random.default_rng(6), 900
    sigma = np.where(draw.random((sessions, symbols)) < 0.5, 0.02, 0.01)
    returns = sigma * draw.normal(size=sigma.shape)
    passed = (returns > 0.01).astype(float)
    record = StudyTrack(
        sessions=pd.bdate_range("2015-01-01", periods=sessions),
        symbols=tuple(f"S{number}" for number in range(symbols)),
        forecasts={"network": norm.sf(0.01 / sigma)},
        targets=passed,
        returns=returns - 0.01,
        ranked_against=returns,
        realised_row=np.arange(sessions),
        months=np.full(sessions, "2015-01"),
    )
    figures, by_event = (
        study_figures(each, horizon_sessions=1, sessions_per_year=252).total["network"]
        for each in (record, replace(record, ranked_against=None))
    )
    assert figures.auc is not None
    assert abs(figures.auc - 0.5) < 0.03
    assert by_event.auc is not None
    assert by_event.auc > 0.57
    assert symbols < 5 or abs(figures.rank_ic_t or 9.0) < 3.0


def test_a_recent_mean_foretells_what_is_less_it_and_is_worth_nothing() -> None:
    """Prices without any drift: the z-score follows from its own centre, the return does not."""
    panel = random_panel(bars=2_000, symbols=8)
    label = LabelSettings(kind="return_zscored", horizon_sessions=5, settings={"window_sessions": 120})
    labels = make_labels(panel, label)
    assert labels.values is not None
    assert labels.standardised is not None
    score = labels.values - labels.standardised  # less the recent mean, in deviations
    learned, worth = (calibrated(score, values) for values in (labels.values, labels.standardised))
    assert learned.slope > 0.5
    assert worth.slope < 0.25 * learned.slope
