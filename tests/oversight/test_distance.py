"""The KS distance against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from nn_assets.oversight.distance import (
    counts_within,
    distance_of_counts,
    distances_of_paths,
    greatest_distances,
    sliding_ks,
)
from tests.oversight.reference_critical_values import plain_sliding_ks

# Whole numbers, so that values tie within and between the samples.
SAMPLES = hnp.arrays(np.float64, st.integers(3, 40), elements=st.integers(-6, 6).map(float))


def distance(window: np.ndarray, reference: np.ndarray) -> float:
    return distance_of_counts(*counts_within(np.sort(window), np.sort(reference)), reference.size)


@pytest.mark.full
@given(SAMPLES, SAMPLES)
def test_the_distance_equals_scipy_with_and_without_ties(window, reference):
    expected = stats.ks_2samp(window, reference, method="asymp").statistic
    assert distance(window, reference) == pytest.approx(expected, abs=1e-12)


def test_samples_that_do_not_overlap_lie_one_apart_and_equal_ones_zero():
    values = np.arange(10.0)
    assert distance(values, values + 100) == 1.0
    assert distance(values, values) == 0.0


def test_the_sliding_distance_equals_scipy_on_every_window():
    path = np.random.default_rng(4).standard_normal(90 + 60 + 30)
    ranks = np.searchsorted(np.sort(path[:90]), path[90:]).astype(np.int16)
    np.testing.assert_allclose(sliding_ks(ranks, 60, 90), plain_sliding_ks(path, 60, 90), atol=1e-12)


# Many paths, more than are worked on at a time, and few values, so that keys tie within a window.
PATHS = [(60, 500, 12, 500), (20, 60, 900, 4), (21, 20, 5, 20), (2, 7, 3, 7)]


def places_of(reference: int, paths: int, highest: int, sessions: int = 150) -> np.ndarray:
    generator = np.random.default_rng(reference)
    return generator.integers(0, min(highest, reference), (sessions, paths), endpoint=True).astype(np.int16)


@pytest.mark.parametrize(("window", "reference", "paths", "highest"), PATHS)
def test_distances_of_many_paths_are_those_of_each_to_the_bit(window, reference, paths, highest):
    ranks = places_of(reference, paths, highest)
    expected = sliding_ks(ranks.T, window, reference).T
    np.testing.assert_array_equal(distances_of_paths(ranks, window, reference), expected)


@pytest.mark.parametrize(("window", "reference", "paths", "highest"), PATHS)
def test_greatest_distances_are_the_largest_of_the_first_windows_to_the_bit(window, reference, paths, highest):
    ranks, spans = places_of(reference, paths, highest), (1, 63, 80)
    every = sliding_ks(ranks.T, window, reference)
    expected = [every[:, :span].max(axis=1) for span in spans]
    np.testing.assert_array_equal(greatest_distances(ranks, window, reference, spans), expected)
