"""The premium in a base rate: traded by setting only, in both constructions, and told apart."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.portfolio.premium import held_premium, premium_share, traded_probability
from nn_assets.portfolio.trace import steps_frame
from tests.portfolio.test_bad_inputs import decided, inputs_of, settings

BOTH = pytest.mark.parametrize("construction", ["per_name", "programme"])


@BOTH
def test_a_forecast_that_knows_nothing_is_held_by_setting_only(construction: str) -> None:
    """Measured before: p 0.55 at a base rate of 0.55 was traded name by name."""
    even = inputs_of(calibrated_probability=np.full(8, 0.55), base_rate=np.full(8, 0.55))
    assert not decided(even, settings(construction)).target_quantity.any()
    held = decided(even, settings(construction, hold_premium=True))
    assert (held.target_quantity > 0.0).sum() >= 4
    assert held.premium_of_gross == 1.0
    assert "base rate of 0.5500, whose premium is held (100% of what is expected), says long" in _first(held)


@BOTH
def test_without_the_setting_the_side_is_that_of_the_excess(construction: str) -> None:
    decision = decided(
        inputs_of(calibrated_probability=np.full(8, 0.52), base_rate=np.full(8, 0.58)), settings(construction)
    )
    assert (decision.target_quantity < 0.0).any()
    assert not (decision.target_quantity > 0.0).any()
    assert decision.premium_of_gross == 0.0
    assert "p 0.5200 beside a base rate of 0.5800 says short" in _first(decision)


def _first(decision: object) -> str:
    return str(steps_frame(decision)["reason"].iloc[0])


def test_the_share_is_of_what_is_expected() -> None:
    p = np.array([0.56, 0.52, 0.48, 0.44, 0.50, np.nan, 0.56])
    rate = np.array([0.53, 0.53, 0.53, 0.47, 0.53, 0.53, np.nan])
    shares = premium_share(p, rate, hold_premium=True)
    np.testing.assert_allclose(shares, [0.5, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    assert not premium_share(p, rate, hold_premium=False).any()
    weights = np.array([0.1, -0.3, 0.0])
    assert held_premium(weights, np.array([0.5, 0.1, 1.0])) == pytest.approx((0.05 + 0.03) / 0.4)
    assert held_premium(0.0 * weights, np.ones(3)) == 0.0


def test_what_is_traded_is_the_excess_over_the_base_rate() -> None:
    p, rate = np.array([0.55, 0.55, 1.2, 0.55, np.nan, 0.99]), np.array([0.50, 0.58, 0.5, 1.5, 0.5, 0.3])
    probability = traded_probability(p, rate, hold_premium=False)
    np.testing.assert_allclose(probability, [0.55, 0.47, np.nan, np.nan, np.nan, 1.0])
    assert traded_probability(p, rate, hold_premium=True) is p
