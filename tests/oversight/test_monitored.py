"""What stands for a panel, its memory and its innovations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.tsa.stattools import acf

from nn_assets.errors import SchemaError
from nn_assets.oversight.monitored import (
    autocorrelation,
    bias_corrected,
    cross_section,
    innovations,
    monitored_names,
    rank_within,
    window_memory,
)
from tests.oversight.worlds import autoregressive


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def test_autocorrelation_equals_statsmodels(generator):
    values = autoregressive(generator, np.array([0.6]), 300)[:, 0]
    assert autocorrelation(values) == pytest.approx(acf(values, nlags=1)[1], abs=1e-12)


def test_autocorrelation_of_a_constant_is_nought_and_of_two_values_unknown():
    assert autocorrelation(np.full(50, 0.1)) == 0.0
    assert np.isnan(autocorrelation(np.array([1.0, 2.0, np.nan])))


def test_the_correction_removes_most_of_the_bias(generator):
    paths = autoregressive(generator, np.full(800, 0.8), 63)
    raw = [autocorrelation(paths[:, i]) for i in range(800)]
    corrected = [bias_corrected(r, 63) for r in raw]
    assert np.mean(raw) < 0.76
    assert np.mean(corrected) == pytest.approx(0.8, abs=0.015)
    assert bias_corrected(0.999, 60) == 1.0
    assert np.isnan(bias_corrected(float("nan"), 60))


def test_innovations_of_an_autoregression_have_no_memory(generator):
    values = autoregressive(generator, np.array([0.95, 0.5]), 2000)
    unforeseen = innovations(values, np.array([0.95, 0.5]))
    assert unforeseen.shape == (1999, 2)
    assert abs(autocorrelation(unforeseen[:, 0])) < 0.06
    assert abs(autocorrelation(unforeseen[:, 1])) < 0.06


def test_ranks_are_scipys_percentiles_and_gaps_stay_gaps(generator):
    validation = np.round(generator.random(63), 2)
    values = np.array([[0.1, 0.5], [np.nan, validation[7]]])
    ranks = rank_within(values, validation)
    for cell in ((0, 0), (0, 1), (1, 1)):
        expected = stats.percentileofscore(validation, values[cell], kind="mean") / 100
        assert ranks[cell] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(ranks[1, 0])


def test_ranks_do_not_change_when_a_refresh_rescales_its_forecasts(generator):
    validation, later = generator.random(63), generator.random((30, 2))
    np.testing.assert_array_equal(
        rank_within(later, validation), rank_within(0.4 + 0.1 * later, 0.4 + 0.1 * validation)
    )


def test_validation_without_a_finite_forecast_is_refused():
    with pytest.raises(SchemaError, match="none finite"):
        rank_within(np.zeros(3), np.full(4, np.nan))


def test_the_series_of_one_symbol_is_its_feature(generator):
    cube = generator.standard_normal((50, 1, 3))
    np.testing.assert_array_equal(cross_section(cube), cube[:, 0])
    assert monitored_names(("a", "b"), 1) == ("a", "b")


def test_a_panel_has_mean_and_spread_by_numpy_and_gaps_are_left_out(generator):
    cube = generator.standard_normal((50, 8, 3))
    cube[generator.random(cube.shape) < 0.1] = np.nan
    cube[4] = np.nan
    cube[5, 4:] = np.nan
    result = cross_section(cube)
    keep = np.arange(50) != 4
    np.testing.assert_allclose(result[keep, :3], np.nanmean(cube[keep], axis=1), atol=1e-12)
    keep &= (np.isfinite(cube).sum(axis=1) >= 5).all(axis=1)
    np.testing.assert_allclose(result[keep, 3:], np.nanstd(cube[keep], axis=1), atol=1e-12)
    assert np.isnan(result[4]).all()
    assert np.isnan(result[5, 3:]).all()
    assert monitored_names(("a",), 8) == ("a", "a:spread")


@pytest.mark.parametrize(("symbols", "features"), [(1, 1), (2, 1), (40, 1), (40, 3)])
def test_a_row_has_the_same_bits_however_many_rows_are_summed(generator, symbols, features):
    cube = generator.standard_normal((64, symbols, features))
    whole = cross_section(cube)
    for start, stop in ((0, 1), (10, 11), (3, 40)):
        np.testing.assert_array_equal(cross_section(cube[start:stop]), whole[start:stop])
    np.testing.assert_array_equal(cross_section(np.asfortranarray(cube)), whole)


def rolling_mean_variance(values: np.ndarray, window: int) -> float:
    return float(np.var(np.convolve((values - values.mean()) / values.std(), np.full(window, 1 / window), "valid")))


def test_window_memory_is_that_of_the_autoregression_whose_window_means_vary_as_much(generator):
    slow, fast = autoregressive(generator, np.array([0.97, 0.0]), 100_000).T
    mixed = np.sqrt(0.4) * slow + np.sqrt(0.6) * fast
    memory = window_memory(mixed, 60)
    assert autocorrelation(mixed) < 0.45
    likened = autoregressive(generator, np.array([memory]), 100_000)[:, 0]
    assert rolling_mean_variance(likened, 60) == pytest.approx(rolling_mean_variance(mixed, 60), rel=0.1)


@pytest.mark.full
@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.8, 0.9])
def test_window_memory_of_an_autoregression_is_its_coefficient_and_raised_where_sessions_are_few(
    generator, coefficient
):
    assert window_memory(autoregressive(generator, np.array([coefficient]), 50_000)[:, 0], 60) == pytest.approx(
        coefficient, abs=0.05
    )
    few, many = (
        np.mean([window_memory(path, 60) for path in autoregressive(generator, np.full(100, coefficient), length).T])
        for length in (63, 600)
    )
    assert coefficient < many < few < 0.98


def test_window_memory_passes_over_gaps_and_says_little_of_little(generator):
    values = autoregressive(generator, np.array([0.8]), 900)[:, 0]
    gaps = values.copy()
    gaps[::50] = np.nan
    assert window_memory(gaps, 60) == pytest.approx(window_memory(values, 60), abs=0.03)
    assert window_memory(np.full(100, 0.1), 60) == bias_corrected(0.0, 100)
    assert window_memory(values[:8], 60) == bias_corrected(autocorrelation(values[:8]), 8)
    assert np.isnan(window_memory(np.array([1.0, np.nan]), 60))


def test_a_series_seen_every_other_session_has_a_memory(generator: np.random.Generator) -> None:
    values = generator.normal(size=600)
    values[1::2] = np.nan
    assert 0.0 <= window_memory(values, 60) < 0.5
    values[np.arange(600) % 5 != 0] = np.nan
    assert np.isfinite(window_memory(values, 60))
