"""Critical values against the contract's, against simulation afresh, and against common sense."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn_assets.errors import ControlError
from nn_assets.oversight.critical_table import Key, stored_values
from nn_assets.oversight.critical_values import critical_value
from nn_assets.oversight.distance import sliding_ks
from nn_assets.oversight.monitored import window_cusum
from nn_assets.oversight.simulation import REFERENCES, quiet_level, ranks_within, simulated_paths
from tests.oversight.reference_critical_values import plain_sliding_ks, plain_window_cusum
from tests.oversight.worlds import autoregressive

# The contract's values, window 60, one ring a year; simulated there too, hence the 3%.
PUBLISHED = [
    (500, 0.0, 0.182),
    (500, 0.3, 0.213),
    (500, 0.5, 0.243),
    (500, 0.7, 0.298),
    (500, 0.8, 0.359),
    (500, 0.9, 0.454),
    (126, 0.0, 0.203),
    (126, 0.5, 0.268),
    (126, 0.9, 0.513),
]


@pytest.mark.parametrize(("reference", "coefficient", "published"), PUBLISHED)
def test_one_ring_a_year_gives_the_published_critical_values(reference, coefficient, published):
    assert critical_value("ks", 60, reference, coefficient) == pytest.approx(published, rel=0.03)


def chance_above(distance, window, reference, coefficient):
    """Probability that one window of an unchanged AR(1) series lies farther than ``distance``."""
    ranks = ranks_within(simulated_paths(coefficient, reference + window), reference)
    return float(np.mean(sliding_ks(ranks.T, window, reference)[:, 0] > distance))


def test_at_a_fixed_distance_chance_alone_rings_as_often_as_published():
    assert chance_above(0.12, 60, 500, 0.0) == pytest.approx(0.39, abs=0.03)
    assert chance_above(0.12, 60, 500, 0.9) == pytest.approx(0.93, abs=0.03)


def test_the_default_windows_distances_fall_with_length_and_rise_with_memory():
    for rings in (4.0, 2.0, 1.0, 0.5, 0.25):
        rows = stored_values()[Key("ks", 60, 252, rings)]
        values = np.array([rows[reference] for reference in REFERENCES])
        assert (np.diff(values, axis=1) > 0.0).all(), rings
        # Lattices differ between lengths: a step of the coarsest is allowed for.
        assert (np.diff(values, axis=0) < 1.0 / 120.0).all(), rings


@pytest.mark.full
def test_a_year_without_change_is_silent_one_time_in_e_by_the_plain_reference():
    # Lengths without a common divisor: on a fine lattice the promise can be kept closely.
    critical = critical_value("ks", 19, 60, 0.5, 252, 4.0)  # a quarter of 63 sessions
    generator = np.random.default_rng(5)
    paths = autoregressive(generator, np.full(200, 0.5), 60 + 18 + 63).T
    silent = np.mean([plain_sliding_ks(path, 19, 60).max() <= critical for path in paths])
    # Three standard errors of 200 spans.
    assert silent == pytest.approx(np.exp(-1.0), abs=0.1)


def test_ringing_four_times_a_year_takes_less_than_ringing_once():
    for coefficient in (0.0, 0.5, 0.9):
        once, often = (critical_value("ks", 60, 500, coefficient, 252, pace) for pace in (1.0, 4.0))
        assert 0.7 * once < often < once


@given(st.floats(0.0, 0.9), st.floats(0.0, 0.9), st.integers(20, 2000), st.integers(20, 2000))
def test_more_memory_never_lowers_the_value(one, other, reference, longer):
    low, high = sorted((one, other))
    assert critical_value("ks", 60, reference, low) <= critical_value("ks", 60, reference, high)
    short, long = sorted((reference, longer))
    assert critical_value("ks", 60, long, low) <= critical_value("ks", 60, short, low) + 1.0 / 120.0


def test_values_between_nodes_lie_between_them():
    left, right = critical_value("ks", 60, 500, 0.5), critical_value("ks", 60, 500, 0.6)
    assert critical_value("ks", 60, 500, 0.55) == pytest.approx((left + right) / 2, rel=1e-12)
    assert critical_value("ks", 60, 126, 0.5) < critical_value("ks", 60, 100, 0.5) < critical_value("ks", 60, 90, 0.5)


def test_beyond_the_grid_the_nearest_cautious_value_is_used():
    assert critical_value("ks", 60, 5000, 0.0) == critical_value("ks", 60, 1000, 0.0)
    assert critical_value("ks", 60, 500, -0.4) == critical_value("ks", 60, 500, 0.0)


def test_too_short_a_reference_or_unknown_memory_never_rings():
    assert critical_value("ks", 60, 19, 0.0) == inf
    assert critical_value("ks", 60, 500, float("nan")) == inf
    assert critical_value("cusum", 60, 19, 0.0) == inf


@pytest.mark.parametrize("pace", [0.0, -1.0, 253.0, float("nan")])
def test_an_impossible_pace_is_refused_with_its_value(pace):
    with pytest.raises(ControlError, match=f"value {pace}"):
        quiet_level(252, pace)


def test_the_cusum_equals_pages_recursion_done_by_hand():
    generator = np.random.default_rng(6)
    reference = np.round(generator.standard_normal(126), 1)
    window = np.round(generator.standard_normal(60) + 0.3, 1)
    ranks = [np.sum(reference < v) + 0.5 * np.sum(reference == v) for v in window]
    expected = plain_window_cusum(window, reference, 0.15)
    assert expected > 1.0
    assert window_cusum(np.array(ranks), 126) == pytest.approx(expected, rel=1e-12)


def test_the_cusum_height_is_exceeded_as_often_as_promised():
    critical = critical_value("cusum", 20, 60, 0.5, 252, 4.0)
    generator = np.random.default_rng(7)
    silent = []
    for _ in range(150):
        path = autoregressive(generator, np.array([0.5]), 60 + 19 + 63)[:, 0]
        ranks = np.searchsorted(np.sort(path[:60]), path[60:])
        heights = [window_cusum(ranks[stop - 20 : stop], 60) for stop in range(20, len(ranks) + 1)]
        silent.append(max(heights) <= critical)
    assert np.mean(silent) == pytest.approx(np.exp(-1.0), abs=0.12)
