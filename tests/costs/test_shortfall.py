"""Implementation shortfall against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.costs.shortfall import (
    COMPONENTS,
    implementation_shortfall,
    joined_executions,
    missed,
    shortfall_rows,
    traded,
)
from nn_assets.errors import SchemaError
from nn_assets.settings import CostSettings

PRICE = st.floats(min_value=1.0, max_value=500.0)
ORDERS = st.lists(
    st.tuples(
        st.integers(-5000, 5000), st.floats(0.0, 1.0), PRICE, PRICE, PRICE, PRICE, PRICE, st.floats(0.0, 50.0), PRICE
    ),
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
        settled_price=table[:, 8],
    )
    paper = real = Fraction(0)
    for ordered, filled, reference, _, _, fill, end, commission, _ in (map(Fraction, row) for row in table):
        paper += ordered * (end - reference)
        real += filled * (end - fill) - (commission if filled else 0)
    size = sum(abs(row[0]) * max(*row[2:7], row[8]) for row in table) + 1.0
    assert abs(float(paper - real) - shortfall.total_usd) <= 1e-12 * size
    assert shortfall.total_usd == math.fsum(vars(shortfall).values())


def test_each_part_has_the_sign_and_size_of_its_cause() -> None:
    one = {name: np.array([value]) for name, value in {
        "ordered_quantity": -100.0, "filled_quantity": -60.0, "reference_price": 50.0, "arrival_price": 49.0,
        "mid_price": 48.9, "fill_price": 48.8, "end_price": 48.0, "commission_usd": 3.0,
        "settled_price": 48.98,
    }.items()}  # fmt: skip
    shortfall = implementation_shortfall(**one)
    assert shortfall.delay_usd == pytest.approx(60.0)
    assert shortfall.impact_usd == pytest.approx(6.0)
    assert shortfall.permanent_usd == pytest.approx(1.2)
    assert shortfall.spread_usd == pytest.approx(6.0)
    assert shortfall.opportunity_usd == pytest.approx(80.0)
    assert shortfall.commission_usd == 3.0


def test_a_hole_in_the_prices_is_refused() -> None:
    values = {name: np.array([10.0]) for name in (
        "ordered_quantity", "filled_quantity", "reference_price", "arrival_price", "mid_price", "fill_price",
        "commission_usd", "settled_price",
    )}  # fmt: skip
    values["mid_price"] = np.array([np.nan])
    with pytest.raises(SchemaError, match="not a number"):
        implementation_shortfall(**values, end_price=np.array([10.0]))


MODEL: CostModel = cost_model_from(CostSettings())


def test_what_trades_and_missed_rests_cost_is_what_the_book_lost_by_size_and_time_of_day() -> None:
    """Three fills by hand: one with every part stated, one with a mid alone, a stop with nothing; and a missed rest."""
    quantity, price = np.array([100.0, -200.0, -50.0]), np.array([50.2, 29.9, 80.0])
    fills = traded(
        quantity=quantity,
        price=price,
        mid_price=np.array([50.15, 29.92, np.nan]),
        later_mid_price=np.array([50.03, np.nan, np.nan]),
        impact_usd=np.array([15.0, np.nan, np.nan]),
        commission_usd=np.array([1.0, 2.0, np.nan]),
        reference_price=np.array([49.9, 30.1, np.nan]),
        expected=MODEL.parts(np.abs(quantity) * price, 1e7, 0.02),
        share=np.array([0.0005, 0.005, 0.05]),
        when=["open", "open", "stop"],
    )
    rest = missed(
        quantity=np.array([100.0]),
        reference_price=np.array([49.9]),
        end_price=np.array([51.0]),
        share=np.array([0.0005]),
        when=["open"],
    )
    first = dict(zip(COMPONENTS, fills.parts[0], strict=True))
    assert first == pytest.approx(
        {"delay": 10.0, "spread": 5.0, "temporary": 12.0, "permanent": 3.0, "commission": 1.0, "opportunity": 0.0}
    )
    share = 5980.0 / 1e7  # the second states a mid alone: impact, and what of it stays, are the model's
    temporary, permanent = 0.15 * 0.02 * share**0.5, 0.03 * 0.02 * share
    moved = 200.0 * 29.92 * (1.0 / (1.0 - temporary - permanent) - 1.0)
    second = dict(zip(COMPONENTS, fills.parts[1], strict=True))
    assert second["permanent"] == pytest.approx(moved * permanent / (temporary + permanent))
    assert second["temporary"] == pytest.approx(moved * temporary / (temporary + permanent))
    all_lines = joined_executions([fills, rest])
    rows = shortfall_rows(all_lines)
    real = 100.0 * (50.2 - 49.9) + 1.0 + 200.0 * (30.1 - 29.9) + 2.0 + 100.0 * (51.0 - 49.9)
    stop = fills.parts[2].sum()
    assert rows[0].shortfall.total_usd == pytest.approx(real + stop, abs=1e-9)
    assert stop == pytest.approx(4000.0 * float(MODEL.cost_fraction(4000.0, 1e7, 0.02)), rel=1e-3)
    assert fills.parts[2, 0] == 0.0  # nobody decided the stop's price
    for group in ("order size", "time of day"):
        of_group = [row for row in rows if row.group == group]
        assert math.fsum(row.shortfall.total_usd for row in of_group) == pytest.approx(rows[0].shortfall.total_usd)
        assert sum(row.lines for row in of_group) == 4
    assert [row.label for row in rows if row.group == "time of day"] == ["open", "stop"]
    assert [row.label for row in rows if row.group == "order size"] == [
        "below 0.1% of ADV", "0.1% to 1% of ADV", "above 1% of ADV",
    ]  # fmt: skip
    assert rows[0].bps == pytest.approx(1e4 * rows[0].shortfall.total_usd / rows[0].ordered_usd)
    assert shortfall_rows(joined_executions([])) == []


def test_a_rest_that_is_sold_counts_by_its_value_trades_nothing_and_is_missed_only_once_there_is_a_close() -> None:
    rest = missed(
        quantity=np.array([-100.0, -100.0]),
        reference_price=np.array([50.0, 50.0]),
        end_price=np.array([48.0, np.nan]),
        share=np.array([0.001, 0.01]),
        when=["open", "open"],
    )
    assert rest.ordered_usd.tolist() == [5000.0, 5000.0]
    assert rest.traded_usd.tolist() == [0.0, 0.0]
    assert rest.parts.sum(axis=1).tolist() == [200.0, 0.0]
    labels = [row.label for row in shortfall_rows(rest) if row.group == "order size"]
    assert labels == ["0.1% to 1% of ADV", "above 1% of ADV"]  # a size at an edge belongs above it


def test_an_impact_without_its_mid_is_the_models() -> None:
    one = {"quantity": np.array([100.0]), "price": np.array([50.0]), "reference_price": np.array([49.9])}
    none = {name: np.array([np.nan]) for name in ("mid_price", "later_mid_price", "commission_usd")}
    expected = MODEL.parts(5000.0, 1e7, 0.02)

    def parts(impact_usd: float) -> list[float]:
        said = {"impact_usd": np.array([impact_usd]), "share": np.array([0.0005]), "when": ["open"]}
        return traded(**one, **none, **said, expected=expected).parts[0].tolist()  # type: ignore[arg-type]

    assert parts(40.0) == parts(np.nan)
