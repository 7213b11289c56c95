"""The batched unit-root tests against statsmodels, and on series no test applies to."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.adfvalues import mackinnonp

from nn_assets.errors import SettingsError
from nn_assets.features import unit_root
from nn_assets.features.unit_root import MINIMUM_OBSERVATIONS, adf_test, kpss_test, schwert_lags
from tests.features.reference_unit_root import reference_adf, reference_kpss


def autoregressions(rows: int, seed: int = 3) -> np.ndarray:
    """Series from over-differenced to a random walk, some on a high level or a small scale."""
    draw = np.random.default_rng(seed)
    series = []
    for coefficient in (-0.8, 0.0, 0.5, 0.9, 0.98, 1.0):
        shocks = draw.normal(size=rows)
        values = np.zeros(rows)
        for row in range(rows):
            values[row] = coefficient * values[row - 1] * (row > 0) + shocks[row]
        series += [values, 1e-5 * values, values + 1000.0]
    series.append(np.diff(draw.normal(size=rows + 1)))
    return np.column_stack(series)


@pytest.mark.full
@pytest.mark.parametrize("rows", [60, 251, 630])
@pytest.mark.parametrize("lags", [None, 0, 1, 7])
def test_the_augmented_dickey_fuller_test_equals_statsmodels(rows, lags):
    series = autoregressions(rows)
    result = adf_test(series, lags)
    order = lags if lags is not None else int(12.0 * (rows / 100.0) ** 0.25)
    statistic, p_value = reference_adf(series, order)
    assert (result.lags == order).all()
    np.testing.assert_allclose(result.statistic, statistic, rtol=0, atol=1e-8)
    np.testing.assert_allclose(result.p_value, p_value, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rows", [60, 251, 630])
def test_kpss_equals_statsmodels_with_its_own_bandwidth(rows):
    series = autoregressions(rows)
    result = kpss_test(series)
    statistic, p_value, lags = reference_kpss(series)
    np.testing.assert_array_equal(result.lags, lags)
    np.testing.assert_allclose(result.statistic, statistic, rtol=1e-8)
    np.testing.assert_allclose(result.p_value, p_value, atol=1e-8)


def test_p_values_follow_mackinnons_surface_to_its_ends():
    statistics = np.concatenate([np.linspace(-25.0, 5.0, 601), [-18.83, -1.61, 2.74]])
    p_values = unit_root._mackinnon_p_value(statistics)
    expected = [mackinnonp(value, regression="c", N=1) for value in statistics]
    np.testing.assert_allclose(p_values, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("observations", "lags"), [(50, 10), (100, 12), (630, 19), (4000, 30), (6, 1), (2, 0)])
def test_the_lag_order_is_schwerts(observations, lags):
    assert schwert_lags(observations) == lags


def test_missing_values_before_and_after_a_series_change_nothing():
    series = autoregressions(300)
    padded = np.full((360, series.shape[1]), np.nan)
    padded[40:340] = series
    np.testing.assert_allclose(adf_test(padded).statistic, adf_test(series).statistic, atol=1e-9)
    np.testing.assert_allclose(kpss_test(padded).statistic, kpss_test(series).statistic, rtol=1e-9)


def test_a_gap_is_never_spliced_over():
    # Regression by hand over the rows whose value and lags are all there.
    values = autoregressions(200)[:, 9]
    values[[70, 71, 130]] = np.nan
    change = np.concatenate([[np.nan], np.diff(values)])
    rows = [
        (change[t], values[t - 1], change[t - 1], change[t - 2], 1.0)
        for t in range(3, 200)
        if np.isfinite([change[t], change[t - 1], change[t - 2]]).all()
    ]
    table = np.array(rows)
    target, design = table[:, 0], table[:, 1:]
    slope = np.linalg.lstsq(design, target, rcond=None)[0]
    residual = target - design @ slope
    variance = residual @ residual / (len(target) - 4) * np.linalg.inv(design.T @ design)[0, 0]
    result = adf_test(values[:, None], lags=2)
    assert result.statistic[0] == pytest.approx(slope[0] / np.sqrt(variance), abs=1e-9)
    assert result.observations[0] == 197


def test_series_of_different_lengths_are_each_tested_at_their_own_lag_order():
    series = autoregressions(400)[:, :6]
    ragged = series.copy()
    ragged[:250, 2:4] = np.nan
    result = adf_test(ragged)
    assert set(result.lags) == {schwert_lags(400), schwert_lags(150)}
    statistic, _ = reference_adf(series[250:, 2:4], schwert_lags(150))
    np.testing.assert_allclose(result.statistic[2:4], statistic, atol=1e-8)


def test_a_series_has_the_same_bits_alone_and_among_others():
    series = autoregressions(300)
    together = adf_test(np.tile(series, (1, 12)))
    alone = np.array([adf_test(series[:, [column]]).statistic[0] for column in range(series.shape[1])])
    assert together.statistic.tobytes() == np.tile(alone, 12).tobytes()


@pytest.mark.parametrize(
    "series",
    [
        np.zeros(200),
        np.full(200, 0.1),
        np.arange(200.0),
        np.arange(200.0) % 2,
        np.where(np.arange(200) < 5, np.nan, 7.0),
    ],
    ids=["zero", "constant", "ramp", "sawtooth", "constant after a gap"],
)
def test_a_degenerate_series_fails_without_a_warning(series):
    result = adf_test(series[:, None])
    assert np.isnan(result.statistic[0])
    assert result.p_value[0] == 1.0
    assert np.isfinite(kpss_test(series[:, None]).p_value[0])


def test_a_constant_series_fails_kpss_too():
    assert kpss_test(np.full((200, 1), 0.1)).p_value[0] == 0.0


def test_a_short_or_empty_series_is_not_tested():
    series = np.full((200, 2), np.nan)
    series[: MINIMUM_OBSERVATIONS - 1, 0] = np.random.default_rng(1).normal(size=MINIMUM_OBSERVATIONS - 1)
    for result in (adf_test(series), kpss_test(series)):
        assert np.isnan(result.statistic).all()
        assert np.isnan(result.p_value).all()
    assert adf_test(np.zeros((0, 3))).p_value.shape == (3,)
    assert kpss_test(np.zeros((10, 0))).p_value.shape == (0,)


@pytest.mark.parametrize("lags", [-1, 99])
def test_a_lag_order_that_the_series_cannot_carry_is_refused(lags):
    with pytest.raises(SettingsError, match=f"value {lags}.*from 0 to 98 lags"):
        adf_test(np.zeros((200, 1)), lags)


def test_the_size_and_power_of_the_test_are_as_they_should_be():
    draw = np.random.default_rng(8)
    walks = np.cumsum(draw.normal(size=(300, 400)), axis=0)
    rejected = (adf_test(walks).p_value < 0.05).mean()
    assert 0.02 < rejected < 0.09
    assert (adf_test(draw.normal(size=(300, 200))).p_value < 0.05).mean() > 0.98
