"""Capacity from replays at several sizes, on books whose capacity is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError
from nn_assets.oversight.capacity import LADDER, Capacity, capacity_of, crossing
from nn_assets.portfolio.near_capacity import capacity_scale

SIZES = 1e6 * np.array(LADDER)
EDGE = 0.0004  # a session, before impact


def returns(true_usd: float, power: float, sessions: int = 750, noise: float = 0.0, seed: int = 0) -> FloatArray:
    """Net returns of a book whose impact grows with a power of its size, such that C r(C) is largest at ``true_usd``.

    C (a - k C^p) has its top where a = (1 + p) k C^p.
    """
    k = EDGE / (1.0 + power) / true_usd**power
    shocks = np.random.default_rng(seed).normal(0.0, 1.0, sessions)
    market = noise * np.convolve(shocks, [0.8, 0.6], "same")  # of all sizes alike, and not independent in time
    return EDGE - k * SIZES**power + market[:, None]


@pytest.mark.parametrize("power", [0.5, 0.6, 1.0])
@pytest.mark.parametrize("true_usd", [3e5, 2.3e6, 9e6, 3.1e7])
def test_without_noise_the_top_of_the_net_dollars_is_found_wherever_it_lies_between_the_sizes(
    power: float, true_usd: float
) -> None:
    capacity = capacity_of(returns(true_usd, power), SIZES, 252, mean_block=5.0, draws=2)
    assert capacity.usd.value == pytest.approx(true_usd, rel=0.03)
    best = max(capacity.rungs, key=lambda rung: rung.net_usd)
    assert best.assets_usd / 2.0 <= capacity.usd.value <= best.assets_usd * 2.0
    assert capacity.rungs[3].net_return.value == pytest.approx(252 * returns(true_usd, power)[0, 3])


def test_a_top_beyond_the_ladder_and_none_at_all_are_told_as_such() -> None:
    beyond = capacity_of(returns(1e10, 0.5), SIZES, 252, mean_block=5.0, draws=2)
    assert math.isinf(beyond.usd.value)
    assert beyond.sentence.startswith("beyond 64,000,000 USD, the largest size that was replayed")
    nothing = capacity_of(-returns(1e10, 0.5), SIZES, 252, mean_block=5.0, draws=2)
    assert nothing.usd.value == 0.0
    assert "no size that was replayed earned more than it cost" in nothing.sentence


def test_net_dollars_that_rise_again_after_they_fell_have_their_capacity_beside_the_most() -> None:
    """The one that earned most among all sizes, by brute force, and no further than half-way to its neighbours."""
    draw = np.random.default_rng(4)
    for _ in range(200):
        mean = EDGE - 1.2e-7 * np.sqrt(SIZES) + draw.normal(0.0, 1e-4, len(SIZES))
        earned = np.concatenate([[0.0], mean * SIZES])
        top = int(earned.argmax())
        top_usd = crossing(mean, SIZES)
        grid = np.concatenate([[0.0], SIZES])
        if top == 0:
            assert top_usd == 0.0
        elif top == len(grid) - 1:
            assert math.isinf(top_usd)
        else:
            assert (grid[top - 1] + grid[top]) / 2.0 <= top_usd * (1 + 1e-12)
            assert top_usd <= (grid[top] + grid[top + 1]) / 2.0 * (1 + 1e-12)


def coverage(markets: int, draws: int) -> float:
    held = 0
    for seed in range(markets):
        capacity = capacity_of(returns(5e6, 0.5, noise=0.002, seed=seed), SIZES, 252, mean_block=9.0, draws=draws)
        held += capacity.usd.low <= 5e6 <= capacity.usd.high
    return held / markets


@pytest.mark.full
def test_the_interval_holds_the_true_capacity_at_about_its_rate() -> None:
    share = coverage(300, 300)
    print(f"the 90% interval held the true capacity in {share:.1%} of 300 markets")
    assert 0.84 <= share <= 0.95


def test_the_interval_is_no_wider_than_the_noise_asks_for_and_holds_the_truth() -> None:
    assert coverage(12, 60) >= 8 / 12
    capacity: Capacity = capacity_of(returns(5e6, 0.5, noise=0.002), SIZES, 252, mean_block=6.0, draws=100)
    # The edge's standard error is 0.002 x 1.4 / sqrt(750), a quarter of it: capacity goes with its square.
    assert capacity.usd.low < 5e6 < capacity.usd.high < 5e6 * (1 + 1.645 * 0.256) ** 2 * 1.5


def test_a_figure_does_not_change_when_later_sessions_do() -> None:
    whole = returns(5e6, 0.5, noise=0.002)
    other = whole.copy()
    other[500:] = 9.0
    first, second = (capacity_of(some[:500], SIZES, 252, mean_block=6.0, draws=20) for some in (whole, other))
    assert first == second


@pytest.mark.parametrize("fault", ["short", "nan", "order"])
def test_what_is_no_ladder_is_refused(fault: str) -> None:
    made, sizes = returns(5e6, 0.5, sessions=59 if fault == "short" else 100), SIZES
    if fault == "nan":
        made[3, 3] = np.nan
    if fault == "order":
        sizes = SIZES[::-1]
    with pytest.raises(SchemaError, match="finite returns of at least 60 sessions"):
        capacity_of(made, sizes, 252, mean_block=5.0, draws=2)


def test_the_assets_that_sizes_are_made_for_stay_at_or_below_the_share() -> None:
    for assets in np.geomspace(1e4, 5e8, 400):
        scale = capacity_scale(float(assets), 8e6, 0.5)
        assert scale * assets <= 4e6 * (1 + 1e-8)
        assert scale == 1.0 or scale * assets > 2e6 * (1 - 1e-8)  # no more is taken than the halves need
        assert math.log2(scale) == int(math.log2(scale))
    assert capacity_scale(4e6, 8e6, 0.5) == 1.0
    assert capacity_scale(1e9, None, 0.5) == 1.0  # none estimated, or beyond what was replayed
    assert capacity_scale(1e9, 8e6, None) == 1.0  # not asked for
    for nothing in ((1e6, 0.0, 0.5), (1e6, math.nan, 0.5), (math.nan, 8e6, 0.5), (1e12, 8e6, 0.5)):
        assert capacity_scale(*nothing) == 0.0
