"""The joint verdict: its bootstrap, its counting, and the pace it rings at."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from nn_assets.oversight.critical_values import critical_value
from nn_assets.oversight.joint import _Ranks, joint_multiplier, nth_largest_by_feature, stationary_bootstrap
from tests.oversight.worlds import autoregressive

NONE = np.full(20, inf)


def test_bootstrap_blocks_run_on_in_order_and_have_the_mean_length_asked_for():
    path = stationary_bootstrap(500, 200_000, 30.0, np.random.default_rng(1))
    assert path.min() == 0
    assert path.max() == 499
    broken = np.mean(np.diff(path) % 500 != 1)
    assert broken == pytest.approx(1 / 30, abs=0.002)


def test_ranks_looked_up_are_those_of_sorting_the_drawn_rows():
    generator = np.random.default_rng(8)
    rows = np.round(generator.standard_normal((70, 3)), 1)  # rounded, so that distinct rows tie
    rows[:, 2] = 1.0
    reference, later = (generator.integers(0, 70, size) for size in (50, 40))
    ordered = np.sort(rows[reference], axis=0)
    low, high = (
        np.stack([np.searchsorted(ordered[:, i], rows[later, i], side=side) for i in range(3)], axis=1)
        for side in ("left", "right")
    )
    expected = np.random.default_rng(9).integers(low, high, endpoint=True)
    actual = _Ranks(rows).drawn(reference, later, np.random.default_rng(9))
    np.testing.assert_array_equal(actual, expected)


def test_the_third_largest_counts_features_not_series():
    ratios = np.array([[3.0, 2.9, 1.0, 0.5], [np.nan, 2.0, 1.5, 1.2]])
    names = ["a", "a", "b", "c"]
    np.testing.assert_array_equal(nth_largest_by_feature(ratios, names), [0.5, 1.2])
    np.testing.assert_array_equal(nth_largest_by_feature(ratios, ["a", "a", "b", "b"]), [0.0, 0.0])


def test_fewer_than_three_features_can_never_ring_jointly():
    rows = np.random.default_rng(2).standard_normal((500, 2))
    assert joint_multiplier(rows, ["a", "b"], np.full(2, 0.18), np.full(2, inf), window=60) == inf


def test_features_that_are_one_and_the_same_need_no_factor():
    column = autoregressive(np.random.default_rng(3), np.array([0.5]), 500)
    critical = np.full(4, critical_value("ks", 60, 500, 0.5))
    multiplier = joint_multiplier(np.repeat(column, 4, axis=1), list("abcd"), critical, NONE[:4], window=60)
    assert multiplier == pytest.approx(1.0, abs=0.12)


def test_three_of_a_few_independent_features_ring_together_below_their_own_values():
    rows = autoregressive(np.random.default_rng(4), np.zeros(4), 500)
    critical = np.full(4, critical_value("ks", 60, 500, 0.0))
    assert joint_multiplier(rows, list("abcd"), critical, NONE[:4], window=60) < 0.95


def test_the_more_features_the_farther_three_of_them_must_stray():
    rows = autoregressive(np.random.default_rng(5), np.zeros(20), 500)
    critical = np.full(20, critical_value("ks", 60, 500, 0.0))
    names = [f"f{i}" for i in range(20)]
    few = joint_multiplier(rows[:, :6], names[:6], critical[:6], NONE[:6], window=60, replications=40)
    many = joint_multiplier(rows, names, critical, NONE, window=60, replications=40)
    assert few < many


def test_rows_with_gaps_are_left_out_and_too_few_rows_give_the_cautious_factor():
    rows = autoregressive(np.random.default_rng(6), np.zeros(3), 100)
    critical = np.full(3, 0.2)
    rows[:50, 0] = np.nan
    assert joint_multiplier(rows, list("abc"), critical, NONE[:3], window=60) == 1.0


def test_the_same_rows_give_the_same_factor_to_the_bit():
    rows = autoregressive(np.random.default_rng(7), np.full(3, 0.5), 200)
    critical = np.full(3, 0.25)
    one, other = (joint_multiplier(rows, list("abc"), critical, NONE[:3], window=60, replications=10) for _ in range(2))
    assert one == other
