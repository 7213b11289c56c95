"""Limits: kept, never enlarging, blind to the order of symbols, and monotone in each proposal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.portfolio.limits import (
    LimitContext,
    apply_limits,
    cap,
    correlation_with_rest,
    limit_gross,
    limit_risk,
    limit_sectors,
    limit_signed,
)
from nn_assets.settings import PortfolioSettings

WEIGHTS = st.lists(st.floats(-0.8, 0.8), min_size=4, max_size=4).map(np.array)


def context(net: float = 0.3, beta: float = 0.5, **changes: object) -> LimitContext:
    settings = PortfolioSettings(net_limit=net, beta_limit=beta, single_name_limit=0.5, **changes)
    return LimitContext(
        adv_usd=np.array([1e8, 2e7, 1e8, 1e8]),
        beta=np.array([1.2, 0.8, np.nan, -0.4]),
        sectors=["x", "x", "", "y"],
        equity_usd=1e6,
        settings=settings,
    )


@settings(max_examples=200, deadline=None)
@given(WEIGHTS)
def test_all_limits_hold_at_once_and_no_weight_grows_or_changes_side(weights: np.ndarray) -> None:
    found = apply_limits(weights, context())
    beta = np.array([1.2, 0.8, 1.0, -0.4])
    room = 1.0 + 1e-9
    assert np.abs(found).sum() <= 1.0 * room
    assert abs(found.sum()) <= 0.3 * room
    assert abs((found * beta).sum()) <= 0.5 * room
    assert np.abs(found[:2]).sum() <= 0.3 * room
    assert abs(found[1]) <= 0.2 * room  # 1% of 20 million over a million of equity
    assert np.abs(found).max() <= 0.5
    assert np.all(np.abs(found) <= np.abs(weights) * room)
    assert np.all(found * weights >= 0.0)


@settings(deadline=None)
@given(WEIGHTS, st.permutations(range(4)))
def test_the_order_of_symbols_changes_no_bit_of_a_limit(weights: np.ndarray, order: list[int]) -> None:
    place = np.array(order)
    ones = np.array([1.0, 0.7, 1.3, 0.9])
    sectors = np.array(["x", "x", "", "y"])
    for limited, permuted in (
        (limit_gross(weights, 0.7), limit_gross(weights[place], 0.7)),
        (limit_signed(weights, ones, 0.2), limit_signed(weights[place], ones[place], 0.2)),
        (
            limit_sectors(weights, list(sectors), 0.3),
            limit_sectors(weights[place], list(sectors[place]), 0.3),
        ),
    ):
        np.testing.assert_array_equal(limited[place], permuted)


@settings(deadline=None)
@given(WEIGHTS, st.floats(0.0, 1.0))
def test_a_smaller_proposal_of_one_instrument_never_gives_it_a_larger_weight(
    weights: np.ndarray, shrink: float
) -> None:
    smaller = weights.copy()
    smaller[0] *= shrink
    for limit in (
        lambda w: limit_gross(w, 0.7),
        lambda w: limit_signed(w, np.ones(4), 0.2),
        lambda w: limit_sectors(w, ["x", "x", "", "y"], 0.3),
        lambda w: limit_risk(w, np.full(4, 0.1), 0.05),
    ):
        assert abs(limit(smaller)[0]) <= abs(limit(weights)[0]) + 1e-12


def test_the_capital_at_risk_is_scaled_to_its_limit() -> None:
    found = limit_risk(np.array([1.0, -1.0, 0.0]), np.array([0.1, 0.1, np.nan]), 0.10)
    np.testing.assert_allclose(found, [0.5, -0.5, 0.0])


def test_the_net_limit_cuts_only_the_side_in_excess() -> None:
    found = limit_signed(np.array([0.6, 0.3, -0.2]), np.ones(3), 0.4)
    np.testing.assert_allclose(found, [0.4, 0.2, -0.2])


def test_capacity_bounds_the_gross_in_dollars() -> None:
    found = apply_limits(np.array([0.2, 0.1, 0.2, -0.1]), context(net=1.0, beta=1.0, capacity_usd=300_000.0))
    assert np.abs(found).sum() == pytest.approx(0.3)


def test_an_unknown_ceiling_means_no_weight() -> None:
    np.testing.assert_array_equal(cap(np.array([0.5, -0.5]), np.array([np.nan, 0.2])), [0.0, -0.2])


def test_correlation_is_with_the_others_weighted_returns_and_zero_for_an_empty_rest() -> None:
    returns = np.random.default_rng(0).normal(0.0, 0.01, (60, 3))
    weights = np.array([0.2, -0.1, 0.3])
    found = correlation_with_rest(returns, weights)
    for place in range(3):
        others = [i for i in range(3) if i != place]
        rest = sum(weights[i] * returns[:, i] for i in others)
        assert found[place] == pytest.approx(np.corrcoef(returns[:, place], rest)[0, 1], abs=1e-12)
    lonely = correlation_with_rest(returns, np.array([0.2, 0.0, 0.0]))
    assert lonely[0] == 0.0
    assert lonely[1] == pytest.approx(np.corrcoef(returns[:, 0], returns[:, 1])[0, 1], abs=1e-12)


def test_a_hole_leaves_its_session_out_and_too_many_make_the_correlation_unknown() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (60, 2))
    returns[5, 0] = np.nan
    found = correlation_with_rest(returns, np.array([0.1, 0.1]))
    there = np.isfinite(returns[:, 0])
    assert found[0] == pytest.approx(np.corrcoef(returns[there, 0], returns[there, 1])[0, 1], abs=1e-12)
    returns[:40, 0] = np.nan
    assert np.isnan(correlation_with_rest(returns, np.array([0.1, 0.1]))[0])


def test_a_constant_series_is_taken_as_fully_correlated() -> None:
    returns = np.random.default_rng(2).normal(0.0, 0.01, (60, 2))
    returns[:, 0] = 0.001
    assert correlation_with_rest(returns, np.array([0.1, 0.1]))[0] == 1.0


def test_a_name_without_a_weight_needs_no_stop() -> None:
    found = limit_risk(np.array([0.5, 0.0]), np.array([0.04, np.nan]), 0.01)
    assert found.tolist() == pytest.approx([0.25, 0.0])


def test_an_excess_of_rounding_is_no_breach_and_changes_no_bit() -> None:
    weights = np.array([0.2 * (1.0 + 5e-13), -0.1])
    ones = np.ones(2)
    assert limit_signed(weights, ones, 0.1 * (1.0 + 1e-15)).tobytes() == weights.tobytes()
    assert limit_gross(weights, 0.3).tobytes() == weights.tobytes()
    assert limit_signed(np.array([0.2 * (1.0 + 1e-9), -0.1]), ones, 0.1)[0] == pytest.approx(0.2, rel=1e-12)


def test_a_series_that_hardly_varies_is_no_constant_one() -> None:
    draw = np.random.default_rng(2)
    returns = 0.01 * (1.0 + 1e-4 * draw.standard_normal((60, 3)))
    weights = np.array([0.3, -0.2, 0.4])
    found = correlation_with_rest(returns, weights)
    for place in range(3):
        rest = np.delete(returns, place, axis=1) @ np.delete(weights, place)
        assert found[place] == pytest.approx(np.corrcoef(returns[:, place], rest)[0, 1], rel=1e-6)


def test_no_correlation_lies_beyond_one_whatever_the_last_bit_says() -> None:
    draw = np.random.default_rng(6)
    for _ in range(300):
        series = draw.standard_normal(60) * 0.01
        returns = np.column_stack([series, draw.uniform(0.1, 3.0) * series])
        for weights in (np.array([0.3, 0.2]), np.array([-0.3, -0.2])):
            found = correlation_with_rest(returns, weights)
            assert (np.abs(found) <= 1.0).all()
            assert np.abs(found) == pytest.approx(1.0)


def test_a_single_return_has_no_variance_and_counts_as_fully_correlated() -> None:
    returns = np.array([[0.01, 0.02], [np.nan, -0.01]])
    assert correlation_with_rest(returns, np.array([0.5, -0.5]))[0] == 1.0


def test_what_cannot_be_traded_uses_its_part_of_gross() -> None:
    stuck = np.array([0.0, 0.0, 0.0, -0.7])
    found = apply_limits(np.array([0.3, 0.2, -0.2, 0.0]), replace(context(net=1.0, beta=9.0), stuck=stuck))
    assert np.abs(found).sum() == pytest.approx(0.3)
    none_left = replace(context(net=1.0, beta=9.0), stuck=2.0 * stuck)
    assert not apply_limits(np.array([0.3, 0.2, -0.2, 0.0]), none_left).any()
