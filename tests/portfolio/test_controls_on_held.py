"""Controls act last, on what is held: a scale reaches a position in the no-trade zone, and does not compound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.portfolio.decide import Decision, DecisionInputs
from nn_assets.portfolio.targets import carried
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import SETTINGS, decided, facts, one

HELD = {"calibrated_probability": 0.52, "current_quantity": 400.0}  # in the zone: neither grown nor sold
FIFTH = {"trading_state": "REDUCE_SIZE", "drawdown_fraction": 0.05, "regime_scale": 0.8}
SCALES = [
    ({}, 1.0),
    ({"trading_state": "REDUCE_SIZE"}, 0.5),
    ({"drawdown_fraction": 0.06}, 0.5),
    ({"drawdown_fraction": 0.04, "was_halved": True}, 0.5),  # 50% of the limit: not restored before 45%
    ({"drawdown_fraction": 0.035, "was_halved": True}, 1.0),
    ({"drawdown_fraction": 0.04}, 1.0),
    ({"regime_scale": 0.5}, 0.5),
    ({"trading_state": "REDUCE_SIZE", "drawdown_fraction": 0.06}, 0.25),
    (FIFTH, 0.2),
    ({"trading_state": "PAUSE_STRATEGY"}, 0.0),
]


def reduced(**changes: object) -> DecisionInputs:
    """One name held in the zone; scalars as they are."""
    scalars = {name: changes.pop(name) for name in ("was_halved",) if name in changes}
    return replace(one(**HELD, **changes), **scalars)


@pytest.mark.parametrize(("changes", "scale"), SCALES)
def test_a_position_in_the_no_trade_zone_is_reduced_by_the_scale(changes: dict[str, object], scale: float) -> None:
    """Measured before: 400 of 400 shares stayed under every one of these."""
    decision = decided(reduced(**changes))
    assert decision.target_quantity[0] == np.floor(400.0 * scale)
    assert decision.unscaled_quantity[0] == 400.0


@pytest.mark.parametrize(("changes", "scale"), SCALES)
def test_a_sale_dearer_than_any_edge_does_not_keep_what_a_scale_takes(changes: dict[str, object], scale: float) -> None:
    thin = reduced(**{"adv_usd": 4e6, **changes})  # a sale moves the price by much more than the edge
    assert decided(thin).target_quantity[0] <= 400.0 * scale


def test_a_pause_that_holds_keeps_at_most_half_and_opens_nothing() -> None:
    hold = PortfolioSettings(when_paused="hold")
    paused = {"trading_state": "PAUSE_STRATEGY"}
    assert decided(reduced(**paused), hold).target_quantity[0] == 200.0
    held_less = replace(reduced(**paused), current_quantity=np.array([150.0]), unscaled_quantity=np.array([400.0]))
    assert decided(held_less, hold).target_quantity[0] == 150.0
    flat = replace(reduced(**paused), current_quantity=np.array([0.0]), unscaled_quantity=np.array([400.0]))
    assert decided(flat, hold).target_quantity[0] == 0.0


def next_session(inputs: DecisionInputs, decision: Decision) -> DecisionInputs:
    """The next decision where everything was filled and nothing moved."""
    held = decision.target_quantity
    return replace(
        inputs,
        current_quantity=held,
        unscaled_quantity=carried(decision.unscaled_quantity, decision.target_quantity, held),
    )


@pytest.mark.parametrize(("changes", "scale"), SCALES)
def test_twenty_sessions_under_one_scale_change_nothing_after_the_first(
    changes: dict[str, object], scale: float
) -> None:
    assert decided(reduced(**changes)).target_quantity[0] == np.floor(400.0 * scale)
    inputs = reduced(**changes)
    first = decided(inputs)
    for _ in range(20):
        inputs = next_session(inputs, first)
        again = decided(inputs)
        assert again.target_quantity.tobytes() == first.target_quantity.tobytes()
        assert again.unscaled_quantity.tobytes() == first.unscaled_quantity.tobytes()
    free = {"trading_state": "CONTINUE", "drawdown_fraction": 0.0, "regime_scale": 1.0, "was_halved": False}
    assert decided(replace(inputs, **free)).target_quantity[0] == 400.0  # and when it ends, the size is back


def test_what_fills_or_stops_left_short_is_not_bought_back_by_a_control_that_ends() -> None:
    u = np.array([400.0, 400.0, 400.0, -400.0, 400.0])
    target = np.array([200.0, 200.0, 0.0, -200.0, 200.0])
    held = np.array([200.0, 50.0, 0.0, 0.0, -10.0])  # filled, a quarter, paused, stopped, on the wrong side
    assert carried(u, target, held).tolist() == [400.0, 100.0, 400.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", range(300))
def test_no_target_is_above_the_scale_times_the_unscaled_size_whatever_is_held(seed: int) -> None:
    g = np.random.default_rng(seed)
    count = int(g.integers(1, 9))
    states = ["CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"]
    inputs = facts(
        count, seed=seed,
        calibrated_probability=g.uniform(0.42, 0.58, count),
        current_quantity=np.trunc(g.uniform(-4000, 4000, count)) * (g.random(count) < 0.7),
        unscaled_quantity=np.trunc(g.uniform(-4000, 4000, count)) * (g.random(count) < 0.7),
        atr=g.uniform(0.3, 4.0, count), adv_usd=np.exp(g.uniform(14, 22, count)),
        trading_state=states[g.integers(3)], drawdown_fraction=float(g.uniform(0.0, 0.079)),
        was_halved=bool(g.random() < 0.5), regime_scale=float(g.choice([1.0, 0.5, 0.3])),
        kill_switch=str(g.choice(["ACTIVE", "ACTIVE", "REDUCING"])),
    )  # fmt: skip
    chosen = SETTINGS.model_copy(
        update={"net_limit": float(g.choice([0.0, 1.0])), "when_paused": str(g.choice(["flat", "hold"]))}
    )
    decision = decided(inputs, chosen)
    share = inputs.regime_scale
    halved_from = 0.45 if inputs.was_halved else 0.60
    share *= 0.5 if inputs.drawdown_fraction > halved_from * 0.08 else 1.0
    share *= {"CONTINUE": 1.0, "REDUCE_SIZE": 0.5, "PAUSE_STRATEGY": 0.5 if chosen.when_paused == "hold" else 0.0}[
        inputs.trading_state
    ]
    assert (np.abs(decision.target_quantity) <= share * np.abs(decision.unscaled_quantity) + 1e-6).all()
    if inputs.kill_switch == "REDUCING":
        assert (np.abs(decision.target_quantity) <= np.abs(inputs.current_quantity)).all()
