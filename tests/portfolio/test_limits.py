"""The strategy's limits, and the nearest book within them: kept, never enlarging, and monotone in each name's wish."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nn_assets.portfolio.constraints import Limits
from nn_assets.portfolio.correlation import correlation_with_rest, equal_risk
from nn_assets.portfolio.limits import book_limits, name_cap, risk_distance, shared_out
from nn_assets.settings import PortfolioSettings

WEIGHTS = st.lists(st.floats(-0.8, 0.8), min_size=4, max_size=4).map(np.array)
SYMBOLS = ("A", "B", "C", "D")
BETA = np.array([1.2, 0.8, np.nan, -0.4])
DISTANCE = np.array([0.1, 0.05, 0.2, 0.1])


def limits(net: float = 0.3, beta: float = 0.5, **changes: object) -> Limits:
    chosen = PortfolioSettings(
        net_limit=net, beta_limit=beta, sectors={"A": "x", "B": "x", "D": "y"}, risk_total_fraction=0.08, **changes
    )
    free = np.full(4, np.inf)
    return book_limits(
        SYMBOLS, chosen, lower=-free, upper=free, reach=free, distance=DISTANCE, market_beta=BETA, equity_usd=1e6
    )


def held(weights: np.ndarray, of: Limits | None = None) -> np.ndarray:
    solution = shared_out(weights, np.abs(weights), np.zeros(len(weights)), limits() if of is None else of)
    assert not solution.fallback
    return solution.weights


@pytest.mark.full
@settings(max_examples=200, deadline=None)
@given(WEIGHTS)
def test_all_limits_hold_at_once_and_no_weight_grows_or_changes_side(weights: np.ndarray) -> None:
    limited = held(weights)
    beta = np.array([1.2, 0.8, 1.0, -0.4])
    room = 1e-6
    assert np.abs(limited).sum() <= 1.0 + room
    assert abs(limited.sum()) <= 0.3 + room
    assert abs((limited * beta).sum()) <= 0.5 + room
    assert np.abs(limited[:2]).sum() <= 0.3 + room
    assert abs(limited[3]) <= 0.3 + room
    assert np.abs(limited) @ DISTANCE <= 0.08 + room
    assert np.all(np.abs(limited) <= np.abs(weights))
    assert np.all(limited * weights >= 0.0)


@pytest.mark.full
@settings(max_examples=100, deadline=None)
@given(WEIGHTS, st.permutations(range(4)))
def test_the_order_of_symbols_changes_no_more_than_rounding(weights: np.ndarray, order: list[int]) -> None:
    indices, plain = np.array(order), limits()
    swapped = Limits(
        plain.lower, plain.upper, plain.reach,
        tuple(type(limit)(limit.name, limit.coefficient[indices], limit.limit) for limit in plain.sizes),
        tuple(type(limit)(limit.name, limit.coefficient[indices], limit.limit) for limit in plain.nets),
    )  # fmt: skip
    np.testing.assert_allclose(held(weights)[indices], held(weights[indices], swapped), atol=1e-6)


@pytest.mark.full
@settings(max_examples=300, deadline=None)
@given(WEIGHTS, st.floats(0.0, 1.0))
def test_a_name_that_wants_less_never_gets_more_whatever_limits_meet(weights: np.ndarray, shrink: float) -> None:
    smaller = weights.copy()
    smaller[0] *= shrink
    assert abs(held(smaller)[0]) <= abs(held(weights)[0]) + 1e-6


def test_less_of_one_long_is_not_more_of_it_where_gross_and_net_meet() -> None:
    """One limit after another gave it 0.4 of 0.9 and 0.5 of 0.6: less gross for it was more for the short side."""
    free = np.full(2, np.inf)
    chosen = PortfolioSettings(net_limit=0.0, beta_limit=5.0, risk_total_fraction=1.0)
    both = book_limits(("A", "B"), chosen, lower=-free, upper=free, reach=free, distance=np.zeros(2),
                       market_beta=np.zeros(2), equity_usd=1e6)  # fmt: skip
    more, less = (held(np.array([long, -0.6]), both) for long in (0.9, 0.6))
    assert less[0] <= more[0] + 1e-6
    assert more[0] == pytest.approx(0.5025, abs=1e-5)  # of a net sum of 0.5% and a gross of 1


@pytest.mark.full
@settings(max_examples=25, deadline=None)
@given(WEIGHTS, st.floats(1.0, 3.0))
def test_it_is_the_largest_sum_within_the_limits(weights: np.ndarray, more: float) -> None:
    """Beside a general solver, told the limits by hand."""
    weights = np.where(np.abs(weights) < 0.02, 0.1, weights)
    most = np.abs(weights) * np.array([more, 1.0, 1.0, more])
    side, beta = np.sign(weights), np.array([1.2, 0.8, 1.0, -0.4])
    rows = [side, side * DISTANCE, side * [1, 1, 0, 0], side * [0, 0, 0, 1], np.ones(4), -np.ones(4), beta, -beta]
    limit = [1.0, 0.08, 0.3, 0.3, 0.3, 0.3, 0.5, 0.5]

    def worth(w: np.ndarray) -> float:
        return float((np.abs(w) - w**2 / (2 * most)).sum())

    oracle = minimize(
        lambda w: -worth(w), 0.1 * weights, method="SLSQP", bounds=[(min(w, 0.0), max(w, 0.0)) for w in weights],
        constraints=[{"type": "ineq", "fun": lambda w, r=r, m=m: m - r @ w} for r, m in zip(rows, limit, strict=True)],
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    solution = shared_out(weights, most, np.zeros(4), limits())
    assert worth(solution.weights) >= -oracle.fun - 1e-6
    again = shared_out(np.where(np.arange(4) % 2, solution.weights, weights), most, np.zeros(4), limits())
    np.testing.assert_allclose(again.weights, solution.weights, atol=2e-6)  # who wants what it got gets it again


def test_one_limit_alone_scales_what_uses_it_by_one_factor() -> None:
    gross = limits(net=5.0, beta=5.0, sector_limit=1.0, gross_limit=0.3)
    np.testing.assert_allclose(
        held(np.array([0.4, -0.2, 0.1, -0.1]), gross), [0.15, -0.075, 0.0375, -0.0375], atol=1e-6
    )
    net = limits(net=0.1, beta=5.0, sector_limit=1.0)
    np.testing.assert_allclose(held(np.array([0.2, 0.1, 0.0, -0.1]), net), [0.4 / 3, 0.2 / 3, 0.0, -0.1], atol=1e-6)


def test_within_every_limit_what_is_wanted_stays_to_the_bit() -> None:
    wanted = np.array([0.1, -0.05, 0.07, 0.0])
    assert held(wanted).tobytes() == wanted.tobytes()


def test_what_cannot_be_traded_takes_its_part_first() -> None:
    of = limits(net=1.0, beta=5.0, sector_limit=1.0, gross_limit=0.5)
    stuck = Limits(of.lower, of.upper, np.array([0.0, np.inf, np.inf, np.inf]), of.sizes, of.nets)
    solution = shared_out(np.array([0.0, 0.2, 0.0, -0.2]), np.full(4, 0.2), np.array([0.3, 0.0, 0.0, 0.0]), stuck)
    np.testing.assert_allclose(solution.weights, [0.3, 0.1, 0.0, -0.1], atol=1e-6)
    over = shared_out(np.array([0.0, 0.2, 0.0, -0.2]), np.full(4, 0.2), np.array([0.6, 0.0, 0.0, 0.0]), stuck)
    assert over.weights.tolist() == [0.6, 0.0, 0.0, 0.0]
    assert over.exceeded == ("gross",)


def test_capacity_bounds_the_gross_in_dollars() -> None:
    weights = held(np.array([0.2, 0.1, 0.1, -0.1]), limits(net=1.0, beta=1.0, capacity_usd=300_000.0))
    assert np.abs(weights).sum() == pytest.approx(0.3, abs=1e-6)


def test_the_cap_of_a_name_is_its_tightest_and_nothing_where_a_fact_is_missing() -> None:
    adv, distance = np.array([1e8, 2e6, 1e8, np.nan, 1e8]), np.array([0.1, 0.1, 0.5, 0.1, np.nan])
    chosen = PortfolioSettings(single_name_limit=0.15)
    assert name_cap(adv, 1e6, distance, chosen).tolist() == [0.15, 0.02, 0.04, 0.0, 0.0]
    assert not name_cap(adv, 0.0, distance, chosen).any()


def test_risk_is_measured_to_the_further_of_the_resting_stop_and_two_ranges() -> None:
    atr, price = np.full(5, 1.0), np.full(5, 50.0)
    quantity, stop = np.array([10.0, 10.0, -10.0, 0.0, 10.0]), np.array([40.0, 49.0, 60.0, 30.0, np.nan])
    distance = risk_distance(atr, price, quantity, stop, PortfolioSettings())
    np.testing.assert_allclose(distance, [0.2, 0.04, 0.2, 0.04, 0.04])


def test_equal_risk_gives_each_name_that_is_held_the_same_deviation() -> None:
    returns = np.random.default_rng(3).normal(0.0, [0.01, 0.03, 0.02], (60, 3))
    returns[4, 1] = np.nan
    sizes = equal_risk(returns, np.array([True, True, False]))
    assert sizes[2] == 0.0
    np.testing.assert_allclose(np.nanstd(returns[:, :2] * sizes[:2], axis=0), 1.0)
    assert equal_risk(np.zeros((60, 1)), np.array([True]))[0] == 0.0


def test_correlation_is_with_the_others_weighted_returns_and_zero_for_an_empty_rest() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, (60, 3))
    weights = np.array([0.2, -0.1, 0.3])
    correlation = correlation_with_rest(returns, weights)
    for column in range(3):
        others = [i for i in range(3) if i != column]
        rest = sum(weights[i] * returns[:, i] for i in others)
        assert correlation[column] == pytest.approx(np.corrcoef(returns[:, column], rest)[0, 1], abs=1e-12)
    lonely = correlation_with_rest(returns, np.array([0.2, 0.0, 0.0]))
    assert lonely[0] == 0.0
    assert lonely[1] == pytest.approx(np.corrcoef(returns[:, 0], returns[:, 1])[0, 1], abs=1e-12)


def test_a_hole_leaves_its_session_out_and_too_many_make_the_correlation_unknown() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (60, 2))
    returns[5, 0] = np.nan
    correlation = correlation_with_rest(returns, np.array([0.1, 0.1]))
    there = np.isfinite(returns[:, 0])
    assert correlation[0] == pytest.approx(np.corrcoef(returns[there, 0], returns[there, 1])[0, 1], abs=1e-12)
    returns[:40, 0] = np.nan
    assert np.isnan(correlation_with_rest(returns, np.array([0.1, 0.1]))[0])


def test_a_constant_series_is_taken_as_fully_correlated() -> None:
    returns = np.random.default_rng(2).normal(0.0, 0.01, (60, 2))
    returns[:, 0] = 0.001
    assert correlation_with_rest(returns, np.array([0.1, 0.1]))[0] == 1.0


def test_a_series_that_hardly_varies_is_no_constant_one() -> None:
    draw = np.random.default_rng(2)
    returns = 0.01 * (1.0 + 1e-4 * draw.standard_normal((60, 3)))
    weights = np.array([0.3, -0.2, 0.4])
    correlation = correlation_with_rest(returns, weights)
    for column in range(3):
        rest = np.delete(returns, column, axis=1) @ np.delete(weights, column)
        assert correlation[column] == pytest.approx(np.corrcoef(returns[:, column], rest)[0, 1], rel=1e-6)


def test_no_correlation_lies_beyond_one_whatever_the_last_bit_says() -> None:
    draw = np.random.default_rng(6)
    for _ in range(300):
        series = draw.standard_normal(60) * 0.01
        returns = np.column_stack([series, draw.uniform(0.1, 3.0) * series])
        for weights in (np.array([0.3, 0.2]), np.array([-0.3, -0.2])):
            correlation = correlation_with_rest(returns, weights)
            assert (np.abs(correlation) <= 1.0).all()
            assert np.abs(correlation) == pytest.approx(1.0)


def test_a_single_return_has_no_variance_and_counts_as_fully_correlated() -> None:
    returns = np.array([[0.01, 0.02], [np.nan, -0.01]])
    assert correlation_with_rest(returns, np.array([0.5, -0.5]))[0] == 1.0
