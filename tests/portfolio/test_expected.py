"""Expected own return: beta against the densities of known distributions, and the formula by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nn_assets.portfolio.expected import change_share, expected_own_return, horizon_is_short, outcome_slope

# 1 / f(0) of unit-variance distributions: published values, two of them the contract's.
SLOPES = {"normal": 2.507, "t6": 2.133, "t4": 1.886}


def outcomes(kind: str, count: int, seed: int) -> np.ndarray:
    g = np.random.default_rng([seed, 8])
    if kind == "normal":
        return g.normal(size=count)
    degrees = int(kind[1:])
    return g.standard_t(degrees, size=count) * math.sqrt((degrees - 2) / degrees)


@pytest.mark.parametrize("kind", SLOPES)
def test_the_slope_of_a_long_record_is_one_over_the_density(kind: str) -> None:
    slopes = [outcome_slope(outcomes(kind, 100_000, seed)) for seed in range(5)]
    assert np.mean(slopes) == pytest.approx(SLOPES[kind], rel=0.02)


@pytest.mark.parametrize(
    ("kind", "count", "bias", "error"),
    [("normal", 250, 0.03, 0.06), ("normal", 1000, 0.01, 0.04), ("t6", 250, 0.06, 0.06), ("t6", 1000, 0.03, 0.04),
     ("t4", 250, 0.09, 0.07), ("t4", 1000, 0.04, 0.04)],
)  # fmt: skip
def test_the_slope_of_a_short_record_errs_as_stated(kind: str, count: int, bias: float, error: float) -> None:
    ratios = np.array([outcome_slope(outcomes(kind, count, seed)) for seed in range(200)]) / SLOPES[kind]
    assert ratios.mean() - 1.0 == pytest.approx(bias, abs=0.015)
    assert ratios.std() == pytest.approx(error, abs=0.01)


def test_without_outcomes_the_slope_is_the_normal_ones_and_few_move_it_little() -> None:
    assert outcome_slope(np.array([])) == pytest.approx(2.507, abs=5e-4)
    assert outcome_slope(np.full(4, np.nan)) == pytest.approx(2.507, abs=5e-4)
    assert outcome_slope(np.zeros(500)) == pytest.approx(2.507, abs=5e-4)  # no spread: nothing to tell
    record = outcomes("t4", 5000, 0)
    assert outcome_slope(record, 6.0) > outcome_slope(record, 60.0) > outcome_slope(record, 5000.0)
    assert outcome_slope(record, 6.0) == pytest.approx(2.507, rel=0.05)


def test_tails_do_not_move_the_slope() -> None:
    record = outcomes("normal", 2000, 1)
    tails = np.where(np.arange(2000) % 20 == 0, record * 1e6, record)
    assert outcome_slope(tails) == pytest.approx(outcome_slope(record), rel=0.08)


def test_a_forecast_volatility_that_is_far_too_small_does_not_give_a_huge_slope() -> None:
    assert outcome_slope(outcomes("normal", 5000, 2) * 50.0) == pytest.approx(2 * 2.507, abs=2e-3)


def test_the_mean_by_hand() -> None:
    # 2.5 x (0.54 - 0.50) x 0.02 x sqrt(9) = 0.006
    means = expected_own_return(np.array([0.54, 0.48, np.nan]), 0.5, np.array([0.02, 0.01, 0.02]), 9, 2.5)
    np.testing.assert_allclose(means, [0.006, -0.0015, np.nan], rtol=1e-12)


def test_labels_relative_to_the_cross_section_are_centred() -> None:
    means = expected_own_return(
        np.array([0.60, 0.52, np.nan]), 0.5, np.array([0.02, 0.02, 0.02]), 9, 2.5, relative=True
    )
    np.testing.assert_allclose(means, [0.006, -0.006, np.nan], rtol=1e-12)


@pytest.mark.parametrize("kind", SLOPES)
def test_the_mean_is_that_of_a_shifted_density(kind: str) -> None:
    """A density moved by m lies above the threshold with p = 1/2 + m f(0): the mean read back from p is m."""
    shift = 0.05
    record = outcomes(kind, 400_000, 3)
    record = np.concatenate([record, -record]) + shift  # symmetric: the base rate is one half
    p = float((record > 0.0).mean())
    means = expected_own_return(np.array([p]), 0.5, np.array([1.0]), 1, SLOPES[kind])
    assert means[0] == pytest.approx(shift, rel=0.06)


@pytest.mark.parametrize(
    ("rho", "share"), [(-0.2, 1.0), (0.0, 1.0), (0.75, 1.0), (0.9, 0.4), (1.0, 0.0), (1.2, 0.0), (math.nan, 1.0)]
)
def test_the_share_of_a_changes_cost(rho: float, share: float) -> None:
    assert change_share(rho) == pytest.approx(share)


def test_a_horizon_below_half_the_half_life_is_told() -> None:
    # rho_h = 2^(-h / half-life): half a half-life is 0.7071.
    assert horizon_is_short(0.71)
    assert not horizon_is_short(0.70)
    assert not horizon_is_short(0.5**0.5)  # at exactly half of the half-life
    assert not horizon_is_short(math.nan)
