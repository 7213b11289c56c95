"""Implementation shortfall (Perold 1988), split into parts that add up to it.

The paper portfolio trades its whole order at the decision's reference price, for nothing. What the
real one loses against it is delay + spread + impact + commission + opportunity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.errors import SchemaError


@dataclass(frozen=True)
class Shortfall:
    """Dollars lost (positive) or gained, for a set of orders."""

    delay_usd: float  # the price moved between decision and arrival at the market
    spread_usd: float
    impact_usd: float
    commission_usd: float
    opportunity_usd: float  # what was not filled moved on without us

    @property
    def total_usd(self) -> float:
        """The exactly rounded sum of the parts."""
        return math.fsum((self.delay_usd, self.spread_usd, self.impact_usd, self.commission_usd, self.opportunity_usd))


def implementation_shortfall(
    *,
    ordered_quantity: FloatArray,
    reference_price: FloatArray,
    arrival_price: FloatArray,
    filled_quantity: FloatArray,
    mid_price: FloatArray,
    fill_price: FloatArray,
    commission_usd: FloatArray,
    end_price: FloatArray,
) -> Shortfall:
    """Split the shortfall of orders.

    Arguments have shape (orders,); quantities are signed, prices positive.

    Parameters
    ----------
    reference_price : ndarray
        Price of the decision.
    arrival_price : ndarray
        Undisturbed price when the order reached the market (for a paper fill the bar's own price:
        the mid less the impact). Unused, and may be NaN, where nothing was filled, like
        ``mid_price`` and ``fill_price``.
    mid_price : ndarray
        Mid at the fill.
    end_price : ndarray
        Price at which the unfilled rest is counted as missed: the fill session's close.

    Raises
    ------
    SchemaError
        A needed figure is missing: a shortfall with a hole in it does not add up.
    """
    filled = filled_quantity != 0.0
    rest = ordered_quantity - filled_quantity

    def dollars(quantity: FloatArray, after: FloatArray, before: FloatArray) -> float:
        moved = np.where(quantity == 0.0, 0.0, quantity * (after - before))
        return math.fsum(moved.tolist())

    parts = Shortfall(
        delay_usd=dollars(filled_quantity, arrival_price, reference_price),
        spread_usd=dollars(filled_quantity, fill_price, mid_price),
        impact_usd=dollars(filled_quantity, mid_price, arrival_price),
        commission_usd=math.fsum(np.where(filled, commission_usd, 0.0).tolist()),
        opportunity_usd=dollars(rest, end_price, reference_price),
    )
    if not math.isfinite(parts.total_usd):
        raise SchemaError(
            expected="every price of a filled order, and the end price of every unfilled rest",
            found=f"a shortfall that is not a number: {parts}",
            remedy="leave out orders whose fills carry no mid price, or import the quotes",
        )
    return parts
