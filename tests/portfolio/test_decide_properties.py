"""The eight steps: what no input may ever bring about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.portfolio.decide import DecisionInputs
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import ONE_NAME, SETTINGS, decided, facts, one

SCENARIO = {
    "probability": st.floats(0.35, 0.65),
    "held": st.floats(-3000.0, 3000.0),
    "sigma": st.floats(0.005, 0.05),
    "atr": st.floats(0.2, 5.0),
    "more": st.floats(1.0, 4.0),
}


def scenario(probability: float, held: float, sigma: float, atr: float, **changes: object) -> DecisionInputs:
    return one(
        **{
            "calibrated_probability": probability,
            "current_quantity": np.trunc(held),
            "daily_volatility": sigma,
            "atr": atr,
            **changes,
        }
    )


@pytest.mark.full
@settings(max_examples=150, deadline=None)
@given(**SCENARIO, name=st.sampled_from(["daily_volatility", "atr"]), wide=st.booleans())
def test_more_risk_never_gives_a_larger_position(
    probability: float, held: float, sigma: float, atr: float, more: float, name: str, wide: bool
) -> None:
    chosen = ONE_NAME if wide else SETTINGS
    before = scenario(probability, held, sigma, atr)
    after = replace(before, **{name: getattr(before, name) * more})
    sizes = [abs(decided(inputs, chosen).target_quantity[0]) for inputs in (before, after)]
    assert sizes[1] <= sizes[0]


@pytest.mark.full
@settings(max_examples=150, deadline=None)
@given(**SCENARIO, low=st.floats(0.0, 0.12), deeper=st.floats(0.0, 0.12))
def test_more_drawdown_never_gives_a_larger_position(
    probability: float, held: float, sigma: float, atr: float, more: float, low: float, deeper: float
) -> None:
    del more
    sizes = [
        abs(decided(scenario(probability, held, sigma, atr, drawdown_fraction=d), ONE_NAME).target_quantity[0])
        for d in (low, low + deeper)
    ]
    assert sizes[1] <= sizes[0]


@pytest.mark.full
@settings(max_examples=100, deadline=None)
@given(
    probability=st.floats(0.5, 0.65), mix=st.floats(0.0, 1.0), further=st.floats(0.0, 1.0),
    seed=st.integers(0, 500), held=st.integers(0, 3000),
)  # fmt: skip
def test_more_correlation_with_the_rest_never_gives_a_larger_position(
    probability: float, mix: float, further: float, seed: int, held: int
) -> None:
    generator = np.random.default_rng(seed)
    rest, own = np.linalg.qr(generator.normal(size=(60, 2)) - 0.0)[0].T
    rest, own = rest - rest.mean(), own - own.mean()
    own -= rest * (own @ rest) / (rest @ rest)
    own *= np.linalg.norm(rest) / np.linalg.norm(own)
    chosen = PortfolioSettings(single_name_limit=0.4, gross_limit=3.0, net_limit=3.0, beta_limit=3.0)

    def size(rho: float) -> float:
        returns = np.column_stack([rho * rest + np.sqrt(1 - rho**2) * own, rest]) * 0.1
        inputs = facts(
            2, trailing_returns=returns, calibrated_probability=np.array([probability, 0.6]),
            adv_usd=np.full(2, 5e9), current_quantity=np.array([float(held), 0.0]),
        )  # fmt: skip
        return abs(decided(inputs, chosen).target_quantity[0])

    assert size(mix + (1.0 - mix) * further) <= size(mix)


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(6)), seed=st.integers(0, 1000))
def test_the_order_of_symbols_does_not_matter(order: list[int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    inputs = facts(
        6, seed=seed,
        calibrated_probability=generator.uniform(0.38, 0.62, 6),
        current_quantity=np.trunc(generator.uniform(-800, 800, 6)),
        reference_price=generator.uniform(20.0, 90.0, 6),
    )  # fmt: skip
    indices = np.array(order)
    moved = {}
    for name in DecisionInputs.__dataclass_fields__:
        value = getattr(inputs, name)
        if isinstance(value, np.ndarray):
            moved[name] = value[..., indices]
    moved["symbols"] = tuple(inputs.symbols[i] for i in order)
    first, second = decided(inputs), decided(replace(inputs, **moved))
    np.testing.assert_allclose(first.weights[:8, indices], second.weights[:8], rtol=1e-9, atol=1e-12)
    assert np.abs(first.target_quantity[indices] - second.target_quantity).max() <= 1.0


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 5000))
def test_the_sums_keep_to_their_limits_whatever_is_held_and_forecast(seed: int) -> None:
    generator = np.random.default_rng(seed)
    chosen = PortfolioSettings(
        gross_limit=0.5, net_limit=0.2, sectors={"S00": "x", "S01": "x", "S02": "x"}, sector_limit=0.15
    )
    inputs = facts(
        8, seed=seed,
        calibrated_probability=generator.uniform(0.4, 0.6, 8),
        current_quantity=np.trunc(generator.uniform(-4000, 4000, 8)),
        atr=generator.uniform(0.3, 4.0, 8),
    )  # fmt: skip
    weights = decided(inputs, chosen).target_weight
    room = 1.0 + 1e-9
    lot = 50.0 / 1e6  # rounding may unbalance the net by a lot a name
    assert np.abs(weights).sum() <= 0.5 * room
    assert abs(weights.sum()) <= 0.2 + 8 * lot
    assert np.abs(weights[:3]).sum() <= 0.15 * room
    assert np.abs(weights).max() <= 0.10 * room
    assert (np.abs(weights) * 2 * inputs.atr / 50.0).sum() <= 0.10 * room


@pytest.mark.full
@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 5000),
    kill_switch=st.sampled_from(["ACTIVE", "REDUCING"]),
    trading_state=st.sampled_from(["CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"]),
    beta_limit=st.sampled_from([1.0, 0.0005]),
)
def test_a_dollar_neutral_book_never_asks_for_one_leg_alone(
    seed: int, kill_switch: str, trading_state: str, beta_limit: float
) -> None:
    generator = np.random.default_rng(seed)
    price = generator.uniform(20.0, 90.0, 8)
    missing = generator.random(8) < 0.1
    inputs = facts(
        8, seed=seed, reference_price=price,
        calibrated_probability=np.where(missing, np.nan, generator.uniform(0.42, 0.58, 8)),
        current_quantity=np.trunc(generator.uniform(-800, 800, 8)) * (generator.random(8) < 0.7),
        blocked_side=generator.integers(-1, 2, 8) * (generator.random(8) < 0.2),
        atr=generator.uniform(0.3, 4.0, 8),
        kill_switch=kill_switch, trading_state=trading_state,
    )  # fmt: skip
    weights = decided(inputs, PortfolioSettings(net_limit=0.0, beta_limit=beta_limit)).target_weight
    assert abs(weights.sum()) <= 0.005 * (1.0 + 1e-9)  # of equity; no lot here is dearer


@pytest.mark.full
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 5000), kill_switch=st.sampled_from(["ACTIVE", "REDUCING"]))
def test_a_position_without_a_price_counts_in_the_net_that_the_others_keep(seed: int, kill_switch: str) -> None:
    generator = np.random.default_rng(seed)
    mark, gone = generator.uniform(20.0, 90.0, 8), generator.random(8) < 0.2
    held = np.trunc(generator.uniform(-800, 800, 8)) * (generator.random(8) < 0.7)
    inputs = facts(
        8, seed=seed, reference_price=np.where(gone, np.nan, mark), last_mark=mark, current_quantity=held,
        calibrated_probability=generator.uniform(0.42, 0.58, 8), atr=generator.uniform(0.3, 4.0, 8),
        kill_switch=kill_switch,
    )  # fmt: skip
    weights = decided(inputs, PortfolioSettings(net_limit=0.0)).target_weight
    net = weights.sum() + (held * mark)[gone].sum() / 1e6
    beyond = abs(net) > 0.005 * (1.0 + 1e-9)  # of equity; no lot here is dearer
    assert not (beyond and (np.sign(weights) == np.sign(net)).any())


def test_the_hedge_of_a_position_without_a_price_is_not_sold() -> None:
    held, mark = np.array([2000.0, 2000.0, -2000.0, -2000.0]), np.full(4, 50.0)
    inputs = facts(
        reference_price=np.array([np.nan, 50.0, 50.0, 50.0]), last_mark=mark, current_quantity=held,
        calibrated_probability=np.array([0.6, 0.6, 0.4, 0.4]), adv_usd=np.full(4, 5e9), edge_scale=100.0,
    )  # fmt: skip
    wide = PortfolioSettings(
        net_limit=0.0, single_name_limit=0.2, gross_limit=2.0, risk_total_fraction=1.0, beta_limit=2.0
    )
    weights = decided(inputs, wide).target_weight
    assert abs(0.1 + weights.sum()) <= 0.005 * (1.0 + 1e-9)
    assert weights[2:].sum() < -0.15
