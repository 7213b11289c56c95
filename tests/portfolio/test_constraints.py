"""The limits of the programme and the book without new risk, on books small enough to be done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.portfolio.constraints import (
    LIMIT_TOLERANCE,
    Limits,
    SharedLimit,
    exceeded,
    no_new_risk,
    reachable,
    untradable,
)


def limits(count: int, *, bound: float = 1.0, reach: float = np.inf, **shared: tuple[SharedLimit, ...]) -> Limits:
    return Limits(np.full(count, -bound), np.full(count, bound), np.full(count, reach), **shared)


def test_an_excess_of_exactly_the_tolerance_is_none() -> None:
    one = np.ones(1)
    for name, made in (
        ("name", limits(1, bound=0.25)),
        ("gross", limits(1, sizes=(SharedLimit("gross", one, 0.25),))),
        ("net", limits(1, nets=(SharedLimit("net", one, 0.25),))),
    ):
        edge = 0.25 + LIMIT_TOLERANCE
        assert exceeded(np.array([edge]), made) == ()
        assert exceeded(np.array([-edge]), made) == ()
        assert exceeded(np.array([edge + 1e-9]), made) == (name,)
        assert exceeded(np.array([-edge - 1e-9]), made) == (name,)


def test_a_sector_over_its_limit_gives_up_a_share_and_others_nothing() -> None:
    sector = SharedLimit("sector x", np.array([1.0, 1.0, 0.0, 0.0]), 0.3)
    weights = no_new_risk(np.array([0.4, -0.2, 0.5, 0.0]), limits(4, sizes=(sector,)))
    assert weights == pytest.approx([0.2, -0.1, 0.5, 0.0])


def test_the_side_in_excess_gives_up_what_the_net_sum_is_over() -> None:
    net = SharedLimit("net", np.ones(4), 0.05)
    weights = no_new_risk(np.array([0.3, 0.1, -0.2, 0.0]), limits(4, nets=(net,)))
    # 0.2 over by 0.15: the longs keep 0.25 of 0.4
    assert weights == pytest.approx([0.1875, 0.0625, -0.2, 0.0])
    assert not np.isnan(weights).any()


def test_a_net_sum_within_its_limit_changes_no_bit() -> None:
    net = SharedLimit("net", np.ones(3), 0.2)
    start = np.array([0.3, -0.17, 0.01])
    assert no_new_risk(start, limits(3, nets=(net,))).tobytes() == start.tobytes()


def test_limits_that_pull_at_each_other_are_all_kept_in_the_end() -> None:
    g = np.random.default_rng(4)
    for _ in range(30):
        start = 0.2 * g.normal(size=8)
        shared = tuple(SharedLimit(f"sector {k}", (g.random(8) < 0.5).astype(float), 0.2) for k in range(3))
        nets = (SharedLimit("net", np.ones(8), 0.02), SharedLimit("beta", g.uniform(0.5, 1.5, 8), 0.03))
        weights = no_new_risk(start, limits(8, sizes=shared, nets=nets))
        assert exceeded(weights, limits(8, sizes=shared, nets=nets)) == ()
        assert (np.abs(weights) <= np.abs(start) + 1e-15).all()
        assert (weights * start >= 0.0).all()


def test_what_cannot_be_sold_stays_and_the_rest_makes_room() -> None:
    start, made = np.array([0.4, 0.4, -0.1]), limits(3, reach=0.1, sizes=(SharedLimit("gross", np.ones(3), 0.75),))
    assert untradable(start, made) == pytest.approx([0.3, 0.3, 0.0])
    # 0.9 used, 0.6 of it stays: what can be traded shrinks by half
    assert no_new_risk(start, made) == pytest.approx([0.35, 0.35, -0.05])


def test_bounds_are_narrowed_to_a_sessions_reach_and_names_without_a_choice_are_fixed() -> None:
    start = np.array([0.05, 0.5, 0.0])
    narrow, fixed = reachable(start, limits(3, bound=0.2, reach=0.1, sizes=(SharedLimit("gross", np.ones(3), 1.0),)))
    assert fixed.tolist() == [False, True, False]
    assert narrow.lower == pytest.approx([-0.05, 0.4, -0.1])
    assert narrow.upper == pytest.approx([0.15, 0.4, 0.1])
    assert [limit.name for limit in narrow.sizes] == ["gross"]


def test_a_limit_that_is_used_up_fixes_its_names_and_is_left_out() -> None:
    start = np.array([0.5, 0.0, 0.1])
    sector = SharedLimit("sector x", np.array([1.0, 1.0, 0.0]), 0.4)
    narrow, fixed = reachable(start, limits(3, reach=0.1, sizes=(sector,)))
    assert fixed.tolist() == [True, True, False]
    assert narrow.sizes == ()
    assert narrow.lower[:2] == pytest.approx([0.4, 0.0])
    assert narrow.upper[:2] == pytest.approx([0.4, 0.0])
