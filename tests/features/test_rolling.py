"""Rolling figures: their values, and that nothing but their own window decides a bit of them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import SettingsError
from nn_assets.features import rolling
from nn_assets.features.rolling import (
    lagged,
    rolling_covariance,
    rolling_ema,
    rolling_maximum,
    rolling_mean,
    rolling_minimum,
    rolling_std,
    rolling_sum,
)
from tests.features.panels import same_bits
from tests.features.reference_rolling import by_window, exact_mean, exact_std, lagged_view_std

FIGURES = {
    "sum": rolling_sum,
    "mean": rolling_mean,
    "minimum": rolling_minimum,
    "maximum": rolling_maximum,
    "std": rolling_std,
    "covariance": lambda values, window: rolling_covariance(values, values[:, :1] + 1.0, window),
    "ema": lambda values, window: rolling_ema(values, max(1, window // 3), window),
}


def _values(bars: int = 80, columns: int = 4, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, (bars, columns))


@pytest.mark.full
@pytest.mark.parametrize("window", [1, 2, 3, 5, 7, 14, 16, 20, 31])
@pytest.mark.parametrize(
    ("figure", "oracle"),
    [(rolling_sum, math.fsum), (rolling_mean, exact_mean), (rolling_minimum, min), (rolling_maximum, max)],
)
def test_a_figure_equals_that_of_each_window_taken_alone(window, figure, oracle):
    values = _values()
    actual = figure(values, window)
    for column in range(values.shape[1]):
        expected = by_window(values[:, column], window, oracle)
        np.testing.assert_allclose(actual[:, column], expected, rtol=1e-13)


@pytest.mark.parametrize("window", [2, 3, 5, 14, 20, 31])
@pytest.mark.parametrize("level", [0.0, 1e6])
def test_a_standard_deviation_keeps_its_accuracy_on_a_high_level(window, level):
    values = _values() + level
    actual = rolling_std(values, window)
    expected = np.column_stack([by_window(column, window, exact_std) for column in values.T])
    np.testing.assert_allclose(actual, expected, rtol=1e-9 if level else 1e-12)
    np.testing.assert_allclose(actual, lagged_view_std(values, window), rtol=1e-9 if level else 1e-12)


def test_the_population_deviation_divides_by_the_window():
    values = _values()
    actual = rolling_std(values, 20, ddof=0)
    np.testing.assert_allclose(actual[19:], [np.std(values[t - 19 : t + 1], axis=0) for t in range(19, 80)])


@pytest.mark.parametrize("window", range(2, 40))
def test_the_deviation_of_a_constant_window_is_exactly_zero(window):
    values = np.full((60, 2), 0.1)
    assert (rolling_std(values, window)[window - 1 :] == 0.0).all()
    assert (rolling_covariance(values, _values(60, 2), window)[window - 1 :] == 0.0).all()


@pytest.mark.parametrize("window", [2, 9, 60])
def test_a_covariance_equals_numpys(window):
    left, right = _values(seed=2), _values(seed=3)
    actual = rolling_covariance(left, right, window)
    for row in range(window - 1, len(left)):
        stretch = slice(row - window + 1, row + 1)
        expected = [np.cov(left[stretch, c], right[stretch, c])[0, 1] for c in range(4)]
        np.testing.assert_allclose(actual[row], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("span", "window"), [(9, 27), (12, 36), (26, 78), (3, 1)])
def test_a_truncated_exponential_mean_is_pandas_mean_of_the_window_alone(span, window):
    values = _values(bars=120)
    actual = rolling_ema(values, span, window)
    for row in (window - 1, 100, 119):
        stretch = pd.DataFrame(values[row - window + 1 : row + 1])
        expected = stretch.ewm(span=span, adjust=True).mean().iloc[-1]
        np.testing.assert_allclose(actual[row], expected, rtol=1e-12)


@pytest.mark.parametrize("name", FIGURES)
def test_a_missing_value_blinds_exactly_the_windows_that_hold_it(name):
    values = _values(bars=60)
    values[30, 1] = np.nan
    actual = FIGURES[name](values, 7)
    expected = np.zeros(60, dtype=bool)
    expected[:6] = True
    expected[30:37] = True
    np.testing.assert_array_equal(np.isnan(actual[:, 1]), expected)
    assert np.isnan(actual[:, 2]).sum() == 6


@pytest.mark.full
@pytest.mark.parametrize("name", FIGURES)
@settings(max_examples=25, deadline=None)
@given(window=st.integers(2, 33), cut=st.integers(34, 80), start=st.integers(0, 40), columns=st.integers(1, 4))
def test_no_bit_depends_on_rows_outside_the_window_or_on_other_columns(name, window, cut, start, columns):
    values = _values()
    whole = FIGURES[name](values, window)
    assert same_bits(FIGURES[name](values[:cut], window), whole[:cut])
    assert same_bits(FIGURES[name](values[:, :columns], window), np.ascontiguousarray(whole[:, :columns]))
    late = FIGURES[name](values[start:], window)
    assert same_bits(late[window - 1 :], np.ascontiguousarray(whole[start + window - 1 :]))


@pytest.mark.parametrize("name", FIGURES)
def test_a_history_shorter_than_the_window_has_no_figure(name):
    assert np.isnan(FIGURES[name](_values(bars=5), 6)).all()
    assert FIGURES[name](_values(bars=5)[:0], 6).shape == (0, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda values: rolling_sum(values, 0),
        lambda values: rolling_std(values, 1),
        lambda values: rolling_covariance(values, values, 1),
    ],
)
def test_a_window_too_small_is_refused_by_name(call):
    with pytest.raises(SettingsError, match="window of at least"):
        call(_values())


def test_lagging_moves_values_to_later_rows_only():
    np.testing.assert_array_equal(lagged(np.array([1.0, 2.0, 3.0]), 2), [np.nan, np.nan, 1.0])
    assert np.isnan(lagged(np.array([1.0, 2.0]), 5)).all()


@pytest.mark.parametrize("name", FIGURES)
def test_the_edges_of_blocks_change_no_bit(name, monkeypatch):
    values = _values(bars=70, columns=7).reshape(70, 7)
    whole = FIGURES[name](values, 13)
    monkeypatch.setattr(rolling, "_BLOCK_VALUES", 150)
    assert same_bits(FIGURES[name](values, 13), whole)


def test_a_cube_is_slid_over_as_its_columns_are():
    values = _values(bars=50, columns=12)
    whole = rolling_std(values, 9)
    assert same_bits(rolling_std(values.reshape(50, 3, 4), 9), whole.reshape(50, 3, 4))
    assert same_bits(rolling_std(values[:, 5], 9), np.ascontiguousarray(whole[:, 5]))
