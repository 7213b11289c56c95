"""What fills cost against the model: like against like, and a breach that real fills can give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.market.panel import Panel
from nn_assets.portfolio.fills import FillArrays, no_fills
from nn_assets.session.fill_costs import FillCosts, fill_costs_of, slippage_of
from nn_assets.session.market_view import SessionMarket, market_view
from nn_assets.settings import CostSettings, PortfolioSettings

BPS = 1e-4
COSTS = cost_model_from(CostSettings(half_spread_bps=2.0, commission_bps=0.5, temporary_impact=0.1))
NOTHING = np.full(2, np.nan)


def market() -> SessionMarket:
    days = pd.bdate_range("2018-01-02", periods=40)
    close = 50.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.01, (40, 2)), axis=0))
    volume = np.full((40, 2), 1e5)
    panel = Panel(days, ("A", "B"), close, close * 1.01, close * 0.99, close, volume)
    return market_view(panel, PortfolioSettings()).at(39)


def fills(**parts: np.ndarray) -> FillArrays:
    """A purchase and a sale of 10,000 USD each, 3 bps away from the mid."""
    quantity, mid = np.array([200.0, -200.0]), 50.0
    arrays: dict[str, np.ndarray] = {
        "mid_price": np.full(2, mid),
        "half_spread_usd": NOTHING,
        "commission_usd": NOTHING,
        "impact_usd": NOTHING,
        **parts,
    }
    batch = dataclasses.replace(
        no_fills(),
        fill_id=("f1", "f2"),
        client_order_id=("o1", "o2"),
        symbol=np.array([0, 1]),
        quantity=quantity,
        price=mid * (1.0 + np.sign(quantity) * 3.0 * BPS),
        is_stop=np.zeros(2, dtype=np.bool_),
    )
    return dataclasses.replace(batch, **arrays)  # type: ignore[arg-type]


def test_a_half_spread_not_stated_is_the_distance_from_the_mid() -> None:
    spent = fill_costs_of([fills()], market(), COSTS)
    assert spent.realised == pytest.approx([3.0 * BPS] * 2, rel=1e-3)
    assert spent.modelled == pytest.approx([2.0 * BPS] * 2)


def test_a_part_not_stated_is_left_out_of_both_sides() -> None:
    commission = fills(mid_price=NOTHING, commission_usd=np.array([2.0, 2.0]))
    spent = fill_costs_of([commission], market(), COSTS)
    assert spent.realised == pytest.approx([2.0 * BPS] * 2, rel=1e-3)
    assert spent.modelled == pytest.approx([0.5 * BPS] * 2)


def test_every_part_stated_is_held_against_the_whole_model() -> None:
    whole = fills(half_spread_usd=np.full(2, 4.0), commission_usd=np.full(2, 2.0), impact_usd=np.full(2, 1.0))
    shown = market()
    spent = fill_costs_of([whole], shown, COSTS)
    value = 200.0 * 50.0 * (1.0 + np.array([3.0, -3.0]) * BPS)
    share = value / shown.previous_adv_usd
    impact = shown.previous_volatility * (
        COSTS.temporary_impact.value * share**0.5 + COSTS.permanent_impact.value * share
    )
    assert spent.realised == pytest.approx(7.0 / value)
    assert spent.modelled == pytest.approx(2.5 * BPS + impact)


def test_nothing_stated_is_no_observation() -> None:
    spent = fill_costs_of([fills(mid_price=NOTHING)], market(), COSTS)
    assert np.isnan(spent.realised).all()
    assert np.isnan(spent.modelled).all()


@pytest.mark.parametrize(("execution", "price"), [("next_open", 50.0), ("next_close", 49.9)])
def test_without_a_mid_a_venues_fill_is_held_against_its_bar_by_spread_and_impact(execution: str, price: float) -> None:
    shown = dataclasses.replace(market(), open=np.full(2, 50.0), close=np.full(2, 49.9))
    batch = dataclasses.replace(fills(mid_price=NOTHING), source="venue")
    spent = fill_costs_of([batch], shown, COSTS, execution=execution)
    paid = 50.0 * (1.0 + np.array([3.0, -3.0]) * BPS)
    assert spent.realised == pytest.approx(np.array([1.0, -1.0]) * (paid - price) / paid)
    share = 200.0 * paid / shown.previous_adv_usd
    sigma = shown.previous_volatility
    assert spent.modelled == pytest.approx(
        2.0 * BPS + sigma * (COSTS.temporary_impact.value * share**0.5 + COSTS.permanent_impact.value * share)
    )
    assert "; 2 of the fills against their bars, for want of a mid" in slippage_of([spent], 0.25).message
    for other in (
        dataclasses.replace(batch, source="paper"),
        dataclasses.replace(batch, is_stop=np.ones(2, dtype=np.bool_)),
    ):
        assert np.isnan(fill_costs_of([other], shown, COSTS, execution=execution).realised).all()
    quoted = dataclasses.replace(batch, mid_price=np.full(2, 50.0))
    assert fill_costs_of([quoted], shown, COSTS, execution=execution).modelled == pytest.approx([2.0 * BPS] * 2)


def _rings(half_spread: float, sessions: int, paths: int, seed: int) -> list[int]:
    """By path, the session on which unquoted fills first ring; the market moves 10 bps until they are made."""
    draw, shown = np.random.default_rng(seed), market()
    shown = dataclasses.replace(shown, open=np.full(2, 50.0), previous_adv_usd=np.full(2, 1e12))
    first = []
    for _ in range(paths):
        record: list[FillCosts] = []
        for day in range(sessions):
            moved = draw.normal(0.0, 10.0 * BPS, 2)
            batch = dataclasses.replace(
                fills(mid_price=NOTHING),
                source="venue",
                price=50.0 * (1.0 + moved + np.array([1.0, -1.0]) * half_spread),
            )
            spent = fill_costs_of([batch], shown, COSTS, execution="next_open")
            record.append(dataclasses.replace(spent, session=np.datetime64("2018-01-01") + day))
            if slippage_of(record, 0.25).breach:
                first.append(day + 1)
                break
    return first


@pytest.mark.full
def test_a_venue_without_mids_rings_at_five_times_the_model_and_seldom_at_what_it_says() -> None:
    dear, sound = _rings(10.0 * BPS, 60, 60, 1), _rings(2.0 * BPS, 60, 60, 2)
    assert len(dear) == 60
    assert np.median(dear) <= 25
    assert len(sound) <= 8  # in three months


def test_costs_at_twice_the_model_are_a_breach_and_the_models_own_are_none() -> None:
    days = np.arange("2018-01-01", "2018-01-31", dtype="datetime64[D]")
    draw = np.random.default_rng(8)

    def window(factor: float) -> list[FillCosts]:
        modelled = np.full(3, 2.5 * BPS)
        return [FillCosts(day, factor * modelled * draw.lognormal(0.0, 0.1, 3), modelled) for day in days]

    assert slippage_of(window(2.0), 0.25).breach
    assert not slippage_of(window(1.0), 0.25).breach
