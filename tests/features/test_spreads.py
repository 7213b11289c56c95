"""The two estimators of the spread from daily bars, on trades at quotes whose spread is known."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.features.catalogue import compute_features
from tests.features.panels import panel_of

ESTIMATORS = ("high_low_spread_20", "spread_estimate_20")


def estimates(spread: float, *, overnight: float = 0.0, trades: int = 390, sessions: int = 300) -> dict[str, float]:
    """Mean of each estimate where trades alternate at random between bid and ask, 1.5% of volatility a session."""
    draw = np.random.default_rng(3)
    shape = (sessions, trades, 20)
    steps = draw.normal(0.0, 0.015 / np.sqrt(trades), shape)
    steps[:, 0] += draw.normal(0.0, overnight, (sessions, 20)) if overnight else 0.0
    middle = np.exp(np.cumsum(steps.reshape(-1, 20), axis=0)).reshape(shape) * 100.0
    prices = middle * (1.0 + 0.5 * spread * draw.choice([-1.0, 1.0], shape))
    panel = panel_of(
        tuple(f"S{number}" for number in range(20)),
        open=prices[:, 0],
        high=prices.max(axis=1),
        low=prices.min(axis=1),
        close=prices[:, -1],
        volume=np.ones((sessions, 20)),
    )
    cube = compute_features(panel, ESTIMATORS)
    return {name: float(np.nanmean(cube.feature(name))) for name in ESTIMATORS}


@pytest.mark.parametrize("spread", [0.02, 0.04])
def test_a_wide_spread_is_found_by_both(spread: float) -> None:
    estimated = estimates(spread)
    assert estimated["high_low_spread_20"] == pytest.approx(spread, rel=0.05)
    assert estimated["spread_estimate_20"] == pytest.approx(spread, rel=0.05)


def test_a_narrow_spread_is_overstated_more_by_high_and_low_alone() -> None:
    estimated = estimates(0.005)
    assert estimated["spread_estimate_20"] == pytest.approx(0.005, rel=0.1)
    assert estimated["high_low_spread_20"] == pytest.approx(
        0.0089, rel=0.05
    )  # negative pairs as zero: Corwin and Schultz


def test_moves_overnight_take_something_off_high_and_low_alone() -> None:
    estimated = estimates(0.04, overnight=0.01)
    assert estimated["spread_estimate_20"] == pytest.approx(0.04, rel=0.02)
    assert estimated["high_low_spread_20"] == pytest.approx(0.0355, rel=0.05)


def test_no_spread_is_negative_and_a_wider_one_is_estimated_wider() -> None:
    estimated = [estimates(spread) for spread in (0.0, 0.01, 0.02)]
    for name in ESTIMATORS:
        assert 0.0 <= estimated[0][name] < estimated[1][name] < estimated[2][name]
