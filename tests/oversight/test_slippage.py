"""The slippage test against scipy's t test, and how often it rings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nn_assets.errors import SchemaError
from nn_assets.oversight.slippage import slippage_breach, slippage_by_volatility


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(13)


def test_the_statistic_equals_scipys_one_sided_t(generator):
    modelled = generator.uniform(5e-4, 8e-4, 90)
    realised = modelled * 1.4 + 3e-4 * generator.standard_normal(90)
    expected = stats.ttest_1samp(realised - 1.25 * modelled, 0.0, alternative="greater")
    result = slippage_breach(realised, modelled, 0.25)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert result.observations == 90
    assert result.ratio == pytest.approx(realised.sum() / modelled.sum())


def test_the_same_excess_is_a_breach_with_many_fills_and_not_with_few():
    modelled = np.full(2000, 6.3e-4)
    realised = modelled * 1.45 + 6e-4 * np.tile([1.0, -1.0], 1000)
    assert slippage_breach(realised, modelled, 0.25).breach
    assert not slippage_breach(realised[:24], modelled[:24], 0.25).breach


@pytest.mark.full
def test_cost_at_the_tolerance_is_a_breach_one_time_in_twenty(generator):
    modelled = np.full(60, 6.3e-4)
    draws = 1.25 * modelled + 2e-4 * generator.standard_normal((4000, 60))
    share = np.mean([slippage_breach(draw, modelled, 0.25).breach for draw in draws])
    assert share == pytest.approx(0.05, abs=0.012)


def test_fills_of_one_session_count_as_one_observation(generator):
    sessions = np.repeat(np.arange("2018-01", "2018-02", dtype="datetime64[D]")[:30], 10)
    shock = np.repeat(generator.standard_normal(30), 10) * 3e-4
    modelled = np.full(300, 6e-4)
    realised = 1.25 * modelled + shock
    result = slippage_breach(realised, modelled, 0.25, sessions=sessions)
    assert result.observations == 30
    expected = stats.ttest_1samp(shock[::10], 0.0, alternative="greater").pvalue
    assert result.p_value == pytest.approx(expected, rel=1e-8)


def test_too_few_fills_conclude_nothing_and_say_so():
    result = slippage_breach(np.full(19, 1.0), np.full(19, 1e-4), 0.25)
    assert not result.breach
    assert result.message == "not enough fills: 19 of 20 observations"
    assert np.isnan(result.p_value)


def test_no_fills_at_all_conclude_nothing():
    result = slippage_breach(np.array([]), np.array([]), 0.25, sessions=np.array([], dtype="datetime64[D]"))
    assert not result.breach
    assert np.isnan(result.ratio)


def test_fills_without_a_cost_are_left_out(generator):
    modelled = np.full(50, 6e-4)
    realised = modelled + 1e-4 * generator.standard_normal(50)
    realised[3], modelled[4] = np.nan, np.nan
    assert slippage_breach(realised, modelled, 0.0).observations == 48


def test_costs_without_any_spread_are_judged_by_their_sign():
    modelled = np.full(30, 6e-4)
    assert slippage_breach(2.0 * modelled, modelled, 0.25).breach
    assert not slippage_breach(1.2 * modelled, modelled, 0.25).breach


def test_arrays_that_do_not_match_are_refused_with_their_shapes():
    with pytest.raises(SchemaError, match=r"\(3,\), \(2,\)"):
        slippage_breach(np.zeros(3), np.zeros(2), 0.25)


def in_thirds(generator, *factors, fills=12, days=60):
    """Realised, modelled, volatility and session of fills whose cost is that of its third by volatility."""
    volatility = generator.uniform(0.005, 0.03, days * fills)
    third = np.digitize(volatility, [0.005 + 0.025 / 3.0, 0.005 + 0.05 / 3.0])
    modelled = 4e-4 + 0.03 * volatility
    realised = modelled * np.asarray(factors)[third] * (1.0 + 0.25 * generator.standard_normal(days * fills))
    sessions = np.repeat(np.datetime64("2018-01-01") + np.arange(days), fills)
    return realised, modelled, volatility, sessions


def judged(generator, *factors):
    realised, modelled, volatility, sessions = in_thirds(generator, *factors)
    return slippage_by_volatility(realised, modelled, volatility, 0.25, sessions=sessions)


def test_a_model_that_holds_in_calm_markets_alone_is_a_breach_by_that_name(generator):
    realised, modelled, volatility, sessions = in_thirds(generator, 1.0, 1.0, 1.5)
    assert not slippage_breach(realised, modelled, 0.25, sessions=sessions).breach  # on average it is within tolerance
    result = slippage_by_volatility(realised, modelled, volatility, 0.25, sessions=sessions)
    assert result.breach
    assert [test.breach for test in result.thirds] == [False, False, True]
    assert "the cost model is calibrated to calm markets" in result.message
    assert "most volatile third 1." in result.message


def test_costs_that_rose_in_every_market_name_none(generator):
    result = judged(generator, 3.0, 3.0, 3.0)
    assert result.breach
    assert "calibrated to" not in result.message
    assert "calibrated to volatile markets" in judged(generator, 2.0, 1.0, 1.0).message


def test_the_models_own_costs_are_no_breach_in_any_third_and_few_fills_conclude_nothing(generator):
    assert not judged(generator, 1.0, 1.0, 1.0).breach
    realised, modelled, volatility, sessions = in_thirds(generator, 1.0, 1.0, 5.0, fills=1, days=21)
    third = slippage_by_volatility(realised, modelled, volatility, 0.25, sessions=sessions).thirds[2]
    assert third.message.startswith("not enough fills")


def test_fills_of_unknown_volatility_count_in_no_third_and_shapes_must_match(generator):
    realised, modelled, volatility, _ = in_thirds(generator, 1.0, 1.0, 1.0)
    assert slippage_by_volatility(realised, modelled, np.full_like(volatility, np.nan), 0.25).thirds == ()
    with pytest.raises(SchemaError, match="one volatility for each fill"):
        slippage_by_volatility(realised, modelled, volatility[1:], 0.25)


def excess_of(p_value, count=20):
    """Costs above 1.25 that one-sided t tests give this p value."""
    pattern = np.tile([1.0, -1.0], count // 2)
    return pattern + stats.t.isf(p_value, count - 1) * pattern.std(ddof=1) / count**0.5


@pytest.mark.parametrize(("p_value", "breach"), [(0.045, True), (0.055, False)])
def test_as_few_observations_as_are_needed_are_judged_at_the_level(p_value, breach):
    result = slippage_breach(1.25 + excess_of(p_value), np.ones(20), 0.25)
    assert result.p_value == pytest.approx(p_value)
    assert result.breach is breach


def test_costs_that_are_all_that_is_allowed_and_never_differ_are_no_breach():
    assert not slippage_breach(np.full(30, 1.25), np.ones(30), 0.25).breach


def thirds_of(*p_values):
    realised = 1.25 + np.concatenate([excess_of(p_value) for p_value in p_values])
    return slippage_by_volatility(realised, np.ones(60), np.repeat([0.01, 0.02, 0.03], 20), 0.25)


@pytest.mark.parametrize(
    ("calm", "wild", "breach", "named"),
    [(0.99, 0.01, True, True), (0.97, 0.01, True, False), (0.99, 0.03, False, False)],
)
def test_thirds_share_the_level_and_a_calm_one_holds_at_as_strict_a_level(calm, wild, breach, named):
    result = thirds_of(calm, 0.97, wild)
    assert result.thirds[2].breach is breach
    assert ("calibrated to calm" in result.message) is named


def test_all_fills_may_be_a_breach_that_no_third_is():
    result = thirds_of(0.05, 0.05, 0.05)
    assert not any(third.breach for third in result.thirds)
    assert result.breach


def test_fills_without_a_cost_move_no_third_and_one_volatility_is_all_the_calmest():
    realised, volatility = 1.25 + np.tile(excess_of(0.5), 4), np.repeat([0.01, 0.02, 0.03, 0.9], 20)
    realised[60:] = np.nan
    thirds = slippage_by_volatility(realised, np.ones(80), volatility, 0.25).thirds
    assert [third.observations for third in thirds] == [20, 20, 20]
    alike = slippage_by_volatility(realised[:60], np.ones(60), np.full(60, 0.01), 0.25).thirds
    assert [third.observations for third in alike] == [60, 0, 0]
