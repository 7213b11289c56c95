"""The one cost object against arithmetic done by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.settings import CostSettings

MODEL = cost_model_from(CostSettings())


def test_the_defaults_are_the_contracts_and_carry_unit_source_and_no_invented_interval() -> None:
    assert MODEL.half_spread.value == pytest.approx(4.5e-4, rel=1e-15)
    assert MODEL.commission.value == pytest.approx(1.8e-4, rel=1e-15)
    assert MODEL.temporary_impact.value == 0.15
    assert MODEL.permanent_impact.value == 0.03
    for coefficient in (MODEL.half_spread, MODEL.temporary_impact):
        assert coefficient.unit
        assert coefficient.source == "default"
        assert coefficient.interval is None


def test_one_percent_of_volume_at_two_percent_volatility_costs_what_the_formula_says() -> None:
    # 4.5 + 1.8 bps + 0.15 * 200 bps * sqrt(0.01) = 3 bps + 0.03 * 200 bps * 0.01 = 0.06 bps
    assert float(MODEL.cost_fraction(1e6, 1e8, 0.02)) == pytest.approx(9.36e-4, rel=1e-12)


def test_dollar_cost_of_temporary_impact_grows_with_size_to_the_power_three_halves() -> None:
    dollars = [float(MODEL.parts(size, 1e8, 0.02).temporary) * size for size in (1e5, 4e5)]
    assert dollars[1] / dollars[0] == pytest.approx(8.0, rel=1e-12)


def test_parts_add_up_and_a_sale_costs_as_much_as_a_purchase() -> None:
    orders = np.array([1e5, -1e5, 3e6])
    parts = MODEL.parts(orders, 1e8, 0.015)
    total = parts.half_spread + parts.commission + parts.impact
    np.testing.assert_allclose(total, MODEL.cost_fraction(orders, 1e8, 0.015), rtol=1e-14)
    assert total[0] == total[1]


@pytest.mark.parametrize(("adv", "sigma"), [(np.nan, 0.01), (0.0, 0.01), (-5.0, 0.01), (1e8, np.nan), (1e8, -0.1)])
def test_missing_volume_or_volatility_is_an_unknown_cost_and_never_a_free_one(adv: float, sigma: float) -> None:
    assert np.isnan(MODEL.cost_fraction(1e5, adv, sigma))


def test_the_model_survives_json_exactly() -> None:
    fitted = replace(MODEL.half_spread, value=5e-4, source="fitted", interval=(4e-4, 7e-4), dated="2017-06-30")
    for model in (MODEL, replace(MODEL, half_spread=fitted)):
        assert CostModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model


def test_a_spread_that_widens_with_volatility_costs_its_share_of_it_and_nothing_where_it_is_not_stated() -> None:
    wide = cost_model_from(CostSettings(spread_volatility=0.02))
    # 4.5 bps + 0.02 x 200 bps = 8.5 bps
    assert float(wide.parts(1e6, 1e8, 0.02).half_spread) == pytest.approx(8.5e-4, rel=1e-12)
    assert wide.linear(0.02) == pytest.approx(10.3e-4, rel=1e-12)
    assert MODEL.linear(0.02) == MODEL.half_spread.value + MODEL.commission.value
    assert np.isnan(wide.parts(1e6, 1e8, np.nan).half_spread)
    assert MODEL.spread_volatility is None
    assert cost_model_from(CostSettings(spread_volatility=0.0)).spread_volatility is not None


def test_what_rests_pays_the_makers_fee_and_what_crosses_the_takers() -> None:
    venue = cost_model_from(CostSettings(commission_bps=5.0, maker_fee_bps=-1.0))
    shares = np.array([0.0, 0.25, 1.0])
    paid = venue.parts(1e6, 1e8, 0.02, maker_share=shares).commission
    np.testing.assert_allclose(paid, [5e-4, 3.5e-4, -1e-4], rtol=1e-12)
    taken = venue.parts(1e6, 1e8, 0.02).commission
    assert float(taken) == venue.commission.value
    np.testing.assert_array_equal(MODEL.parts(1e6, 1e8, 0.02, maker_share=shares).commission, MODEL.commission.value)


def test_a_model_with_every_coefficient_survives_json_and_one_without_is_stored_as_before() -> None:
    full = cost_model_from(CostSettings(spread_volatility=0.0, maker_fee_bps=1.0))
    assert CostModel.from_dict(json.loads(json.dumps(full.to_dict()))) == full
    assert list(MODEL.to_dict()) == ["half_spread", "commission", "temporary_impact", "permanent_impact"]
    assert list(full.coefficients) == [*MODEL.to_dict(), "spread_volatility", "maker_fee"]
