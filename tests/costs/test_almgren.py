"""The published example of Almgren, Thum, Hauptmann and Li (2005), table 3."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.costs.almgren import permanent_impact, realised_impact

DRI = {"daily_volume_shares": 1.929e6, "shares_outstanding": 168e6, "daily_volatility": 0.0226}
IBM = {"daily_volume_shares": 6.561e6, "shares_outstanding": 1728e6, "daily_volatility": 0.0157}


@pytest.mark.parametrize(("stock", "bps", "tolerance"), [(DRI, 21.68, 0.005), (IBM, 19.9, 0.05)])
def test_permanent_impact_of_a_tenth_of_the_volume_is_the_published_one(
    stock: dict[str, float], bps: float, tolerance: float
) -> None:
    impact = permanent_impact(0.1 * stock["daily_volume_shares"], **stock) * 1e4
    assert abs(float(impact) - bps) <= tolerance


@pytest.mark.parametrize(
    ("stock", "days", "bps"),
    [
        (DRI, 0.1, 42.9),
        (DRI, 0.2, 32.0),
        (DRI, 0.5, 23.1),
        (IBM, 0.1, 32.2),
        (IBM, 0.2, 24.6),
        (IBM, 0.5, 18.4),
    ],
)
def test_realised_impact_over_a_part_of_the_day_is_the_published_one(
    stock: dict[str, float], days: float, bps: float
) -> None:
    impact = realised_impact(0.1 * stock["daily_volume_shares"], **stock, days=days) * 1e4
    assert abs(float(impact) - bps) <= 0.06


def test_a_sale_pushes_the_price_the_other_way() -> None:
    bought = realised_impact(1e5, **DRI, days=0.3)
    np.testing.assert_allclose(realised_impact(-1e5, **DRI, days=0.3), -bought)
