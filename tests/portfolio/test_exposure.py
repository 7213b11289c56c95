"""Net exposure: what the decision thinks within its limit, the gate passes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.execution.pre_trade_gate import PreTradeGateState, pass_pre_trade_gate
from nn_assets.portfolio.exposure import keeps_to, net_allowance, net_excess_usd
from nn_assets.portfolio.inputs import Decision, DecisionInputs
from nn_assets.settings import ExecutionSettings, PortfolioSettings
from tests.portfolio.facts import decided, facts, one

NEUTRAL = PortfolioSettings(net_limit=0.0)


def gated(decision: Decision, chosen: PortfolioSettings) -> Orders:
    inputs = decision.inputs
    orders = targets_to_orders(
        inputs.symbols, decision.target_quantity, inputs.current_quantity, inputs.reference_price,
        np.zeros(len(inputs.symbols)), strategy="s", session=inputs.session,
    )  # fmt: skip
    state = PreTradeGateState(
        control=decision.control, last_price=inputs.reference_price, current_quantity=inputs.current_quantity,
        equity_usd=inputs.equity_usd, gross_limit=chosen.gross_limit, net_limit=chosen.net_limit,
        lot_size=chosen.lot_size,
    )  # fmt: skip
    return pass_pre_trade_gate(orders, state, ExecutionSettings())


def neutral(decision: Decision, chosen: PortfolioSettings) -> bool:
    """Spec section 10: |net| within 0.5% of equity, one lot of the dearest name, or the limit."""
    inputs, quantity = decision.inputs, decision.target_quantity
    held = quantity != 0.0
    net = abs(float(np.sum(quantity[held] * inputs.reference_price[held])))
    dearest = chosen.lot_size * float(inputs.reference_price[held].max(initial=0.0))
    return net <= max(chosen.net_limit * inputs.equity_usd, 0.005 * inputs.equity_usd, dearest) * (1 + 1e-9)


def dear_shorts() -> DecisionInputs:
    """Six longs at 10 USD, six shorts of which a share costs more than their weight."""
    price = np.array([10.0] * 6 + [120_000.0] * 6)
    return facts(12, calibrated_probability=np.array([0.60] * 6 + [0.40] * 6), reference_price=price, atr=price * 0.015)


def test_legs_that_round_to_nothing_leave_no_side_alone_and_the_gate_denies_nothing() -> None:
    decision = decided(dear_shorts(), NEUTRAL)
    assert np.abs(decision.weights[7]).sum() > 0.1
    assert (decision.target_quantity[6:] == 0.0).all()
    assert neutral(decision, NEUTRAL)
    assert set(gated(decision, NEUTRAL).reason_code) <= {None}


@pytest.mark.parametrize("limit", [0.0, 0.02, 0.3])
def test_what_the_decision_thinks_within_net_the_gate_passes_on_random_books(limit: float) -> None:
    chosen = PortfolioSettings(net_limit=limit)
    traded = turned = 0
    for seed in range(150):
        draw = np.random.default_rng(seed)
        names = int(draw.integers(2, 30))
        price = np.exp(draw.uniform(1.0, 10.0, names))
        inputs = facts(
            names, seed, reference_price=price, atr=price * draw.uniform(0.01, 0.03, names),
            calibrated_probability=draw.uniform(0.35, 0.65, names), equity_usd=float(draw.choice([1e5, 1e6, 1e7])),
        )  # fmt: skip
        held = np.trunc(draw.normal(0.0, 0.02, names) * inputs.equity_usd / price) * draw.integers(0, 2, names)
        decision = decided(replace(inputs, current_quantity=held), chosen)
        orders = gated(decision, chosen)
        assert "exposure" not in orders.reason_code, seed
        assert neutral(decision, chosen), seed
        traded += int(orders.accepted.sum())
        turned += int((decision.target_quantity * held < 0.0).sum())
    assert traded > 500
    assert turned > 50


def test_a_held_position_with_too_few_outcomes_is_closed_however_dear_its_sale() -> None:
    """Measured before: it stayed, for an edge worth less than the cost of leaving it."""
    for count in (0, 10, 59):
        decision = decided(one(outcomes=count, current_quantity=400.0, calibrated_probability=0.502))
        assert decision.target_quantity[0] == 0.0
        assert not decision.not_worth[0]


def test_an_unknown_price_is_no_number() -> None:
    assert math.isnan(net_excess_usd(np.array([50.0, -10.0]), np.array([np.nan, 1.0]), 1e4, 0.0, 1.0))


@pytest.mark.parametrize(
    ("quantity", "price", "net_limit", "lot", "excess"),
    [
        ([100.0, -20.0], [10.0, 5.0], 0.0, 1.0, 400.0),  # 900 net, 0.5% of 100,000 is neutral
        ([-100.0, 20.0], [10.0, 5.0], 0.0, 1.0, -400.0),
        ([100.0, -20.0], [10.0, 5.0], 0.008, 1.0, 100.0),
        ([50.0, 0.0], [10.0, 5.0], 0.0, 1.0, 0.0),  # at exactly what is allowed
        ([100.0, -20.0], [10.0, 5.0], 0.0, 90.0, 0.0),  # a lot of the dearest name is as much
        ([100.0, 0.0], [10.0, 900.0], 0.0, 1.0, 500.0),  # what is not held makes no lot dear
        ([100.0, 0.0], [10.0, np.nan], 0.0, 1.0, 500.0),  # nor is its price needed
        ([0.0, 0.0], [10.0, 5.0], 0.0, 1.0, 0.0),
    ],
)
def test_dollars_beyond_what_is_allowed(
    quantity: list[float], price: list[float], net_limit: float, lot: float, excess: float
) -> None:
    actual = net_excess_usd(np.array(quantity), np.array(price), 1e5, net_limit, lot)
    assert actual == pytest.approx(excess, rel=1e-9)


def test_a_book_is_neutral_within_half_a_percent_its_limit_or_a_lot() -> None:
    assert [net_allowance(0.0), net_allowance(0.02), net_allowance(0.0, 0.03)] == [0.005, 0.02, 0.03]


def test_a_limit_is_kept_by_the_exact_sum_to_the_last_bit() -> None:
    """A plain sum of these is wrong by its rounding: the limit is kept by the exact one, and not a bit below it."""
    drawn = (np.random.default_rng(seed).random(1000) for seed in range(100))
    values = next(values for values in drawn if float(values.sum()) > math.fsum(values.tolist()))
    exact = math.fsum(values.tolist())
    assert keeps_to(values, exact)
    assert not keeps_to(values, math.nextafter(exact, 0.0))
    assert not keeps_to(np.array([1.0, np.nan]), 10.0)
    assert not keeps_to(np.array([1.0, np.inf]), 10.0)
    assert not keeps_to(values, np.nan)
    assert keeps_to(values, np.inf)
