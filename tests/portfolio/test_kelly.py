"""Kelly against published values and a brute-force maximum of the growth rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from nn_assets.portfolio.kelly import (
    expected_return,
    kelly_sizes,
    shrunk_probability,
)
from tests.portfolio.kelly_forms import growth_rate, kelly_bet


@pytest.mark.parametrize(("p", "b", "bet"), [(0.55, 1.0, 0.10), (0.6, 2.0, 0.40)])
def test_the_published_bets(p: float, b: float, bet: float) -> None:
    assert float(kelly_bet(p, b)) == pytest.approx(bet, abs=1e-12)


def test_half_kelly_keeps_three_quarters_of_the_growth() -> None:
    share = growth_rate(0.05, 0.55, 1.0) / growth_rate(0.10, 0.55, 1.0)
    assert float(share) == pytest.approx(0.749, abs=5e-4)


@settings(deadline=None)
@given(p=st.floats(0.35, 0.9), b=st.floats(0.3, 4.0))
def test_no_other_bet_grows_faster(p: float, b: float) -> None:
    best = minimize_scalar(
        lambda f: -(p * np.log(1 + b * f) + (1 - p) * np.log(1 - f)), bounds=(0.0, 0.999), method="bounded"
    )
    assert float(kelly_bet(p, b)) == pytest.approx(best.x, abs=2e-4)


def test_a_bet_without_an_edge_or_without_a_win_is_not_made_and_nan_stays_nan() -> None:
    bets = kelly_bet([0.4, 0.9, 0.9, np.nan, 0.9], [1.0, 0.0, -2.0, 1.0, np.nan])
    np.testing.assert_array_equal(bets, [0.0, 0.0, 0.0, np.nan, np.nan])


def weight(p: float, gain: float, loss: float, cost: float) -> float:
    """Half Kelly of one name."""
    arrays = (np.array([value]) for value in (p, gain, loss))
    return float(kelly_sizes(*arrays, 0.5, np.array([True]))(np.array([cost]))[0])


def test_the_weight_is_the_bet_over_what_is_lost_per_unit() -> None:
    # b = (0.02 - 0.001) / (0.018 + 0.001) = 1, f* = 0.1, half of it over 0.019
    assert weight(0.55, 0.02, 0.018, 0.001) == pytest.approx(0.05 / 0.019, rel=1e-12)


def test_sizes_are_half_the_bet_to_the_bit_and_nothing_without_one() -> None:
    rng = np.random.default_rng(7)
    p, gain, loss, cost = (
        rng.uniform(low, high, 2000) for low, high in ((0.3, 0.9), (0, 0.05), (0.001, 0.05), (0, 0.06))
    )
    for values in (p, gain, loss, cost):
        values[rng.integers(0, 2000, 20)] = np.nan
    cost[:50], usable = gain[:50], rng.random(2000) < 0.9
    bet = np.nan_to_num(0.5 * kelly_bet(p, (gain - cost) / (loss + cost)) / (loss + cost))
    np.testing.assert_array_equal(kelly_sizes(p, gain, loss, 0.5, usable)(cost), np.where(usable, bet, 0.0))


@settings(deadline=None)
@given(
    p=st.floats(0.4, 0.7),
    gain=st.floats(0.005, 0.05),
    loss=st.floats(0.005, 0.05),
    shrink=st.floats(0.0, 1.0),
)
def test_shrinking_the_probability_shrinks_the_edge_by_the_same_number(
    p: float, gain: float, loss: float, shrink: float
) -> None:
    shrunk = expected_return(shrunk_probability(p, gain, loss, shrink), gain, loss)
    assert float(shrunk) == pytest.approx(shrink * float(expected_return(p, gain, loss)), abs=1e-15)


@settings(deadline=None)
@given(cost=st.floats(0.0, 0.03), more=st.floats(0.0, 0.01), p=st.floats(0.45, 0.7))
def test_a_dearer_round_trip_never_gives_a_larger_weight(cost: float, more: float, p: float) -> None:
    cheap, dear = (weight(p, 0.02, 0.02, c) for c in (cost, cost + more))
    assert dear <= cheap
