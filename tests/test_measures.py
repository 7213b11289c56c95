"""Measures against scipy, statsmodels and scikit-learn, and by hand where those have none."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics

from nn_assets import measures
from nn_assets.errors import SchemaError


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20_180_102)


@pytest.fixture
def forecasts(generator):
    outcome = (generator.random(800) < 0.55).astype(float)
    probability = np.clip(0.5 + 0.1 * (outcome - 0.5) + 0.1 * generator.standard_normal(800), 0.01, 0.99)
    return np.round(probability, 2), outcome  # rounded, so that scores tie


def test_sharpe_is_the_t_statistic_of_excess_returns_scaled_to_a_year(generator):
    returns = 0.001 + 0.01 * generator.standard_normal(500)
    expected = stats.ttest_1samp(returns, 0.0002).statistic * np.sqrt(252 / 500)
    assert measures.sharpe(returns, 252, cash=0.0002) == pytest.approx(expected, rel=1e-12)


def test_sharpe_of_a_bond_or_of_one_return_is_unknown():
    assert np.isnan(measures.sharpe(np.full(10, 0.1), 252))
    assert np.isnan(measures.sharpe(np.array([0.1]), 252))
    assert np.isnan(measures.sharpe(np.array([np.nan, np.nan]), 252))


def test_sharpe_leaves_out_missing_returns_and_takes_cash_by_period():
    returns, cash = np.array([0.01, np.nan, 0.03, -0.01]), np.array([0.01, 0.5, 0.01, 0.0])
    excess = np.array([0.0, 0.02, -0.01])
    expected = excess.mean() / excess.std(ddof=1) * np.sqrt(12)
    assert measures.sharpe(returns, 12, cash=cash) == pytest.approx(expected, rel=1e-12)


def test_maximum_drawdown_of_a_known_path_is_the_one_worked_by_hand():
    # 1.00 -> 1.10 -> 0.88 -> 0.99 -> 0.792: from the peak of 1.10 that is 28%.
    assert measures.maximum_drawdown(np.array([0.1, -0.2, 0.125, -0.2])) == pytest.approx(0.28)


def test_a_loss_on_the_first_period_is_a_drawdown():
    assert measures.maximum_drawdown(np.array([-0.5, 0.1])) == pytest.approx(0.5)
    assert measures.maximum_drawdown(np.array([])) == 0.0


@pytest.mark.full
@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-0.5, 0.5)))
def test_maximum_drawdown_equals_brute_force_over_all_pairs(returns):
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    brute = max(1.0 - wealth[j] / wealth[i] for i in range(len(wealth)) for j in range(i, len(wealth)))
    assert measures.maximum_drawdown(returns) == pytest.approx(brute, abs=1e-12)


def test_what_lost_more_than_everything_never_turns_a_later_gain_into_a_loss():
    returns = np.array([0.5, -1.2, np.nan, 1.0, -0.5])
    np.testing.assert_allclose(measures.compounded(returns), [1.5, -0.3, -0.3, -0.3, -0.3])
    np.testing.assert_allclose(measures.drawdowns(returns), [0.0, 1.2, 1.2, 1.2, 1.2])
    np.testing.assert_array_equal(measures.compounded(np.array([-1.0, 1.0])), [0.0, 0.0])


def test_drawdowns_treat_a_missing_return_as_a_flat_period():
    np.testing.assert_allclose(measures.drawdowns(np.array([-0.1, np.nan, 0.0])), [0.1, 0.1, 0.1])


def test_rank_ic_equals_scipy_session_by_session_with_ties_and_gaps(generator):
    forecast = np.round(generator.standard_normal((40, 12)), 1)
    outcome = 0.3 * forecast + generator.standard_normal((40, 12))
    forecast[generator.random((40, 12)) < 0.2] = np.nan
    outcome[generator.random((40, 12)) < 0.1] = np.nan
    actual = measures.rank_ic(forecast, outcome)
    for session in range(40):
        known = np.isfinite(forecast[session]) & np.isfinite(outcome[session])
        expected = stats.spearmanr(forecast[session, known], outcome[session, known]).statistic
        assert actual[session] == pytest.approx(expected, abs=1e-12)


def test_rank_ic_of_too_few_symbols_or_of_ties_alone_is_unknown():
    forecast = np.array([[1.0, 2.0, np.nan], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]])
    outcome = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    np.testing.assert_array_equal(measures.rank_ic(forecast, outcome), [np.nan, np.nan, -1.0])


def test_rank_ic_of_a_session_has_the_same_bits_whatever_sessions_follow(generator):
    forecast, outcome = generator.standard_normal((2, 50, 9))
    whole = measures.rank_ic(forecast, outcome)
    for stop in (1, 7, 49):
        np.testing.assert_array_equal(measures.rank_ic(forecast[:stop], outcome[:stop]), whole[:stop])


@pytest.mark.parametrize("lag", [0, 1, 4, 20])
def test_hac_mean_equals_statsmodels_newey_west(generator, lag):
    values = 0.02 + stats.norm.rvs(size=300, random_state=generator)
    values[1:] += 0.6 * values[:-1]
    fit = sm.OLS(values, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False})
    result = measures.hac_mean(values, lag)
    assert result.mean == pytest.approx(fit.params[0], rel=1e-12)
    assert result.standard_error == pytest.approx(fit.bse[0], rel=1e-10)
    assert result.t == pytest.approx(fit.tvalues[0], rel=1e-10)
    assert result.observations == 300


def test_hac_errors_are_wider_than_naive_ones_when_values_overlap(generator):
    values = np.convolve(0.1 + generator.standard_normal(600), np.ones(5) / 5, mode="valid")
    assert abs(measures.hac_mean(values, 4).t) < 0.7 * abs(measures.hac_mean(values, 0).t)


def test_hac_mean_of_too_little_or_of_a_constant_has_no_t():
    assert np.isnan(measures.hac_mean(np.array([1.0]), 3).t)
    assert np.isnan(measures.hac_mean(np.array([]), 3).t)
    assert np.isnan(measures.hac_mean(np.full(9, 0.1), 3).t)
    assert measures.hac_mean(np.array([2.0, np.nan]), 0).mean == 2.0


def test_hac_mean_refuses_a_negative_lag_by_name():
    with pytest.raises(SchemaError, match="value -1"):
        measures.hac_mean(np.ones(5), -1)


def test_turnover_counts_both_sides_and_the_way_in():
    weights = np.array([[0.5, 0.0], [0.2, 0.3], [np.nan, 0.3]])
    np.testing.assert_allclose(measures.turnover(weights), [0.5, 0.6, 0.2])
    np.testing.assert_allclose(measures.turnover(weights, np.array([0.5, 0.1])), [0.1, 0.6, 0.2])


def test_hit_and_win_loss_ratios_leave_out_flat_and_missing_periods():
    returns = np.array([0.02, 0.04, -0.01, 0.0, np.nan, -0.02, 0.03])
    assert measures.hit_ratio(returns) == pytest.approx(3 / 5)
    assert measures.win_loss_ratio(returns) == pytest.approx(0.03 / 0.015)
    assert np.isnan(measures.hit_ratio(np.zeros(3)))
    assert np.isnan(measures.win_loss_ratio(np.array([0.01, 0.02])))


def test_quality_of_probabilities_equals_scikit_learn(forecasts):
    probability, outcome = forecasts
    assert measures.auc(probability, outcome) == pytest.approx(metrics.roc_auc_score(outcome, probability), abs=1e-12)
    assert measures.brier(probability, outcome) == pytest.approx(
        metrics.brier_score_loss(outcome, probability), abs=1e-12
    )
    assert measures.accuracy(probability, outcome) == pytest.approx(
        metrics.accuracy_score(outcome, probability > 0.5), abs=1e-12
    )


@pytest.mark.parametrize(
    "measure",
    [
        measures.auc,
        measures.brier,
        measures.accuracy,
        measures.expected_calibration_error,
    ],
)
def test_pairs_with_a_gap_are_left_out_and_none_left_is_unknown(measure, forecasts):
    probability, outcome = (values.copy() for values in forecasts)
    probability[::3], outcome[1::3] = np.nan, np.nan
    assert measure(probability, outcome) == measure(probability[2::3], outcome[2::3])
    assert np.isnan(measure(np.array([np.nan]), np.array([1.0])))
    with pytest.raises(SchemaError, match=r"\(3,\) and \(2,\)"):
        measure(np.zeros(3), np.zeros(2))


def test_auc_of_one_class_is_unknown():
    assert np.isnan(measures.auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])))


def test_expected_calibration_error_equals_a_loop_over_bins(forecasts):
    probability, outcome = forecasts
    expected = 0.0
    for k in range(10):
        low, high = k / 10, (k + 1) / 10
        inside = ((probability > low) | ((k == 0) & (probability == 0.0))) & (probability <= high)
        if inside.any():
            expected += inside.mean() * abs(probability[inside].mean() - outcome[inside].mean())
    assert measures.expected_calibration_error(probability, outcome) == pytest.approx(expected, abs=1e-12)


def test_a_calibrated_forecast_has_less_calibration_error_than_one_that_boasts(generator):
    truth = generator.uniform(0.3, 0.7, 20_000)
    outcome = (generator.random(20_000) < truth).astype(float)
    boast = 0.5 + 2.0 * (truth - 0.5)
    assert measures.expected_calibration_error(truth, outcome) < 0.02
    assert measures.expected_calibration_error(boast, outcome) > 0.05


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)])
def test_the_mean_over_symbols_leaves_out_gaps_and_has_one_order_of_addition(shape) -> None:
    values = np.random.default_rng(3).normal(size=shape)
    values[0], values[1, 2], values[2, :4] = np.nan, np.inf, np.nan
    expected = [np.mean(row[np.isfinite(row).reshape(5, -1).all(axis=1)], axis=0) for row in values[1:]]
    np.testing.assert_allclose(measures.mean_over_symbols(values)[1:], expected, rtol=1e-14)
    assert np.isnan(measures.mean_over_symbols(values)[0]).all()
    turned = np.asfortranarray(values)
    assert measures.mean_over_symbols(turned).tobytes() == measures.mean_over_symbols(values).tobytes()


def test_symbols_that_do_not_count_are_no_part_of_the_mean() -> None:
    values, counted = np.array([[1.0, 2.0, np.nan], [5.0, 6.0, 7.0]]), np.array([[False, True, True], [False] * 3])
    np.testing.assert_array_equal(measures.mean_over_symbols(values, counted), [2.0, np.nan])
