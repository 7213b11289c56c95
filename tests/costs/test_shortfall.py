"""Implementation shortfall against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.costs.shortfall import implementation_shortfall
from nn_assets.errors import SchemaError

PRICE = st.floats(min_value=1.0, max_value=500.0)
ORDERS = st.lists(
    st.tuples(st.integers(-5000, 5000), st.floats(0.0, 1.0), PRICE, PRICE, PRICE, PRICE, PRICE, st.floats(0.0, 50.0)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(ORDERS)
def test_the_parts_are_what_the_real_portfolio_lost_against_the_paper_one(
    orders: list[tuple[float, ...]],
) -> None:
    table = np.array([(o[0], math.trunc(o[0] * o[1]), *o[2:]) for o in orders])
    shortfall = implementation_shortfall(
        ordered_quantity=table[:, 0],
        filled_quantity=table[:, 1],
        reference_price=table[:, 2],
        arrival_price=table[:, 3],
        mid_price=table[:, 4],
        fill_price=table[:, 5],
        end_price=table[:, 6],
        commission_usd=table[:, 7],
    )
    paper = real = Fraction(0)
    for ordered, filled, reference, _, _, fill, end, commission in (map(Fraction, row) for row in table):
        paper += ordered * (end - reference)
        real += filled * (end - fill) - (commission if filled else 0)
    size = sum(abs(row[0]) * max(row[2:7]) for row in table) + 1.0
    assert abs(float(paper - real) - shortfall.total_usd) <= 1e-12 * size
    assert shortfall.total_usd == math.fsum(vars(shortfall).values())


def test_each_part_has_the_sign_and_size_of_its_cause() -> None:
    one = {name: np.array([value]) for name, value in {
        "ordered_quantity": -100.0, "filled_quantity": -60.0, "reference_price": 50.0, "arrival_price": 49.0,
        "mid_price": 48.9, "fill_price": 48.8, "end_price": 48.0, "commission_usd": 3.0,
    }.items()}  # fmt: skip
    shortfall = implementation_shortfall(**one)
    assert shortfall.delay_usd == pytest.approx(60.0)
    assert shortfall.impact_usd == pytest.approx(6.0)
    assert shortfall.spread_usd == pytest.approx(6.0)
    assert shortfall.opportunity_usd == pytest.approx(80.0)
    assert shortfall.commission_usd == 3.0


def test_a_hole_in_the_prices_is_refused() -> None:
    values = {name: np.array([10.0]) for name in (
        "ordered_quantity", "filled_quantity", "reference_price", "arrival_price", "mid_price", "fill_price",
        "commission_usd",
    )}  # fmt: skip
    values["mid_price"] = np.array([np.nan])
    with pytest.raises(SchemaError, match="not a number"):
        implementation_shortfall(**values, end_price=np.array([10.0]))
