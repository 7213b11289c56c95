"""The KS distance against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from nn_assets.errors import SchemaError
from nn_assets.oversight.distance import ks_statistic, sliding_ks
from tests.oversight.reference_critical_values import plain_sliding_ks

# Whole numbers, so that values tie within and between the samples.
SAMPLES = hnp.arrays(np.float64, st.integers(3, 40), elements=st.integers(-6, 6).map(float))


@given(SAMPLES, SAMPLES)
def test_the_distance_equals_scipy_with_and_without_ties(window, reference):
    expected = stats.ks_2samp(window, reference, method="asymp").statistic
    assert float(ks_statistic(window, reference)) == pytest.approx(expected, abs=1e-12)


def test_columns_are_measured_apart_and_missing_values_dropped():
    generator = np.random.default_rng(3)
    window, reference = generator.standard_normal((60, 4)), generator.standard_normal((500, 4))
    window[5:9, 1], reference[::7, 2], window[:, 3] = np.nan, np.nan, np.nan
    found = ks_statistic(window, reference)
    for column in range(3):
        left, right = window[:, column], reference[:, column]
        expected = stats.ks_2samp(left[np.isfinite(left)], right[np.isfinite(right)]).statistic
        assert found[column] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[3])


def test_samples_that_do_not_overlap_lie_one_apart_and_equal_ones_zero():
    values = np.arange(10.0)
    assert float(ks_statistic(values, values + 100)) == 1.0
    assert float(ks_statistic(values, values)) == 0.0


def test_unequal_numbers_of_series_are_refused_with_both_shapes():
    with pytest.raises(SchemaError, match=r"\(60, 2\) and \(500, 3\)"):
        ks_statistic(np.zeros((60, 2)), np.zeros((500, 3)))


def test_the_sliding_distance_equals_scipy_on_every_window():
    path = np.random.default_rng(4).standard_normal(90 + 60 + 30)
    places = np.searchsorted(np.sort(path[:90]), path[90:]).astype(np.int16)
    np.testing.assert_allclose(sliding_ks(places, 60, 90), plain_sliding_ks(path, 60, 90), atol=1e-12)
