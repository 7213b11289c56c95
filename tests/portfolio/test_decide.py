"""The eight steps: what each does, and what no input may ever bring about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.costs.model import cost_model_from
from nn_assets.errors import DecisionError
from nn_assets.frames import POSITION_STEPS, TARGET_POSITIONS, validate
from nn_assets.portfolio.decide import RULES, Decision, DecisionInputs, decide
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.settings import CostSettings, PortfolioSettings
from tests.portfolio.facts import COSTS, SETTINGS, facts

ONE_NAME = PortfolioSettings(single_name_limit=1.0)


def decided(inputs: DecisionInputs, chosen: PortfolioSettings = SETTINGS) -> Decision:
    return decide(inputs, chosen, COSTS)


def one(**changes: object) -> DecisionInputs:
    """A single instrument whose size no sum limit touches."""
    shaped = {name: np.array([value]) if name not in _SCALAR else value for name, value in changes.items()}
    base = {"calibrated_probability": np.array([0.58]), "adv_usd": np.array([5e9])}
    return facts(1, **{**base, **shaped})


_SCALAR = {"drawdown_fraction", "equity_usd", "trading_state", "breaker", "kill_switch", "regime_scale",
           "verdict_allows", "horizon_sessions", "trailing_returns"}  # fmt: skip


def test_each_step_gives_the_size_worked_out_by_hand() -> None:
    inputs = one(confidence=1.0, outcomes=1500)  # 300 independent: shrunk by 300 / 360
    found = decided(inputs, ONE_NAME)
    shrink = 300 / 360
    gross = shrink * (0.58 * 0.02 - 0.42 * 0.019)
    x = 1e6 / 5e9
    cost = 2 * (6.3e-4 + 0.15 * 0.012 * x**0.5 + 0.03 * 0.012 * x)
    edge = (gross - cost) / 5
    even = 0.019 / 0.039
    p = even + shrink * (0.58 - even)
    odds = (0.02 - cost) / (0.019 + cost)
    kelly = 0.5 * (p * odds - (1 - p)) / odds / (0.019 + cost)
    np.testing.assert_allclose(found.edge_opened, edge, rtol=1e-12)
    np.testing.assert_allclose(found.weights[3], kelly, rtol=1e-12)
    np.testing.assert_allclose(found.weights[4], 0.02 / 0.03, rtol=1e-12)  # 2 x 0.75 / 50 = 3%
    np.testing.assert_allclose(found.weights[5], 10 * edge / 0.012, rtol=1e-12)
    assert found.target_quantity[0] == np.floor(10 * edge / 0.012 * 1e6 / 50)


def test_a_short_mirrors_a_long() -> None:
    long, short = decided(one()), decided(one(calibrated_probability=0.42))
    assert short.target_quantity[0] == -long.target_quantity[0] < 0.0
    barred = PortfolioSettings(allow_short=False)
    assert decided(one(calibrated_probability=0.42), barred).target_quantity[0] == 0.0


def test_a_constant_signal_gives_a_constant_size() -> None:
    for symbols in (1, 4, 12):
        inputs = facts(symbols, seed=symbols)
        first = decided(inputs).target_quantity
        assert np.abs(first).sum() > 0.0
        for _ in range(5):
            inputs = replace(inputs, current_quantity=first)
            np.testing.assert_array_equal(decided(inputs).target_quantity, first)


def test_an_edge_that_a_round_trip_eats_opens_nothing_but_lets_a_position_stay() -> None:
    thin = {"calibrated_probability": 0.505}
    flat = decided(one(**thin))
    assert flat.edge_kept[0] > 0.0 > flat.edge_opened[0]
    assert flat.target_quantity[0] == 0.0
    held = decided(one(**thin, current_quantity=100.0))
    assert held.target_quantity[0] == 100.0


def test_a_position_whose_signal_turned_is_closed_even_when_the_other_side_is_not_worth_opening() -> None:
    turned = decided(one(calibrated_probability=0.495, current_quantity=300.0))
    assert turned.edge_opened[0] <= 0.0
    assert turned.target_quantity[0] == 0.0
    undecided = decided(one(calibrated_probability=0.5, current_quantity=300.0))
    assert undecided.target_quantity[0] == 0.0


def test_fewer_than_sixty_outcomes_give_no_size_and_close_what_is_held() -> None:
    for count, sized in ((59, False), (60, True)):
        found = decided(one(outcomes=count, current_quantity=10.0, calibrated_probability=0.62))
        assert bool(found.target_quantity[0] != 0.0) is sized


@pytest.mark.parametrize(
    "name",
    ["reference_price", "calibrated_probability", "confidence", "mean_win", "mean_loss", "atr",
     "daily_volatility", "adv_usd"],
)  # fmt: skip
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_missing_or_impossible_fact_means_zero_for_its_symbol_alone(name: str, bad: float) -> None:
    whole = facts(3, current_quantity=np.array([10.0, 0.0, 0.0]))
    broken = getattr(whole, name).copy()
    broken[0] = bad
    found = decided(replace(whole, **{name: broken}))
    assert found.target_quantity[0] == 0.0
    assert np.isfinite(found.weights).all()
    assert (found.target_quantity[1:] != 0.0).all()


def test_a_symbol_without_half_its_trailing_returns_gets_no_position() -> None:
    returns = facts(3).trailing_returns.copy()
    returns[:31, 1] = np.nan
    found = decided(facts(3, trailing_returns=returns))
    assert found.target_quantity[1] == 0.0
    assert found.target_quantity[0] != 0.0


@pytest.mark.parametrize("name", ["equity_usd", "drawdown_fraction"])
def test_an_unreadable_state_decides_nothing(name: str) -> None:
    with pytest.raises(DecisionError, match="ledger"):
        decided(facts(2, **{name: float("nan")}))


def test_no_equity_means_no_position() -> None:
    assert not decided(facts(2, equity_usd=-5.0)).target_quantity.any()


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({}, 1.0),
        ({"drawdown_fraction": 0.048}, 1.0),
        ({"drawdown_fraction": 0.0481}, 0.5),
        ({"trading_state": "REDUCE_SIZE"}, 0.5),
        ({"trading_state": "REDUCE_SIZE", "drawdown_fraction": 0.05, "regime_scale": 0.8}, 0.2),
        ({"regime_scale": 3.0}, 1.0),
        ({"regime_scale": float("nan")}, 0.0),
        ({"trading_state": "PAUSE_STRATEGY"}, 0.0),
        ({"breaker": "drawdown"}, 0.0),
        ({"breaker": "weekly_loss"}, 0.0),
        ({"kill_switch": "REDUCING"}, 0.0),
        ({"kill_switch": "garbage"}, 0.0),
        ({"verdict_allows": False}, 0.0),
    ],
)
def test_controls_scale_a_new_position(changes: dict[str, object], share: float) -> None:
    full = decided(one()).weights[6, 0]
    assert decided(one(**changes)).target_weight[0] == pytest.approx(share * full, abs=1e-4)


def test_halted_leaves_every_position_as_it_is_and_flat_closes_it() -> None:
    held = {"current_quantity": 123.5, "calibrated_probability": 0.3}
    for halted in ({"kill_switch": "HALTED"}, {"breaker": "stale_data"}, {"trading_state": "?"}):
        assert decided(one(**held, **halted)).target_quantity[0] == 123.5
    assert decided(one(**held, breaker="drawdown")).target_quantity[0] == 0.0


def test_reducing_lets_a_position_shrink_or_close_but_never_grow_or_turn() -> None:
    for held, probability, expected in ((10.0, 0.58, 10.0), (10.0, 0.3, 0.0), (0.0, 0.58, 0.0)):
        found = decided(one(current_quantity=held, calibrated_probability=probability, kill_switch="REDUCING"))
        assert found.target_quantity[0] == expected


def test_a_side_whose_stop_was_hit_is_not_entered_again_and_what_is_left_of_it_is_closed() -> None:
    for held in (0.0, 40.0):
        assert decided(one(current_quantity=held, blocked_side=1)).target_quantity[0] == 0.0
    assert decided(one(blocked_side=-1)).target_quantity[0] > 0.0


def test_a_limit_cuts_a_position_even_where_the_cut_is_not_worth_its_cost() -> None:
    held = one(calibrated_probability=0.505, current_quantity=2200.0)  # 11% in a name allowed 10%
    assert decided(held).target_quantity[0] <= 2000.0


def test_a_reduction_is_made_only_where_it_is_worth_its_cost() -> None:
    # A twentieth of Kelly keeps about 7%; 10% is held; the edge over the horizon is 5.4 bps.
    wide = PortfolioSettings(kelly_fraction=0.05, edge_to_weight=1000.0, single_name_limit=0.5)
    held = one(calibrated_probability=0.505, current_quantity=2000.0)
    dear, cheap = COSTS, cost_model_from(CostSettings(half_spread_bps=1.0))  # 6.3 and 2.8 bps to sell
    stays, sold = decide(held, wide, dear), decide(held, wide, cheap)
    assert stays.target_quantity[0] == 2000.0
    assert stays.not_worth[0]
    assert 1000.0 < sold.target_quantity[0] < 1600.0
    assert "worth less than its cost" in steps_frame(stays)["reason"].iloc[7]


def test_rounding_is_towards_zero_in_whole_lots() -> None:
    lots = PortfolioSettings(lot_size=300.0)
    for probability in (0.58, 0.42):
        exact, found = (
            decided(one(calibrated_probability=probability), s).target_quantity[0] for s in (SETTINGS, lots)
        )
        assert found == np.trunc(exact / 300.0) * 300.0


# What must never happen: a larger position for more risk, more drawdown or more correlation.

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
    place = np.array(order)
    moved = {}
    for name in DecisionInputs.__dataclass_fields__:
        value = getattr(inputs, name)
        if isinstance(value, np.ndarray):
            moved[name] = value[..., place]
    moved["symbols"] = tuple(inputs.symbols[i] for i in order)
    first, second = decided(inputs), decided(replace(inputs, **moved))
    np.testing.assert_allclose(first.weights[:8, place], second.weights[:8], rtol=1e-9, atol=1e-12)
    assert np.abs(first.target_quantity[place] - second.target_quantity).max() <= 1.0


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


def test_the_trace_names_eight_steps_for_every_symbol_and_joins_up() -> None:
    found = decided(facts(3, calibrated_probability=np.array([0.6, np.nan, 0.4])))
    trace = validate(steps_frame(found), POSITION_STEPS)
    assert len(trace) == 24
    for _, rows in trace.groupby("symbol"):
        assert rows["step"].tolist() == list(range(1, 9))
        assert rows["rule"].tolist() == list(RULES)
        np.testing.assert_array_equal(rows["weight_before"].to_numpy()[1:], rows["weight_after"].to_numpy()[:-1])
        assert rows["reason"].str.len().min() > 0
    assert "probability is nan" in trace.loc[8, "reason"]
    assert "0.6000 says long" in trace.loc[0, "reason"]


def test_the_targets_hold_to_their_frame_with_a_stop_on_the_losing_side() -> None:
    at = pd.Timestamp("2017-06-01 20:00", tz="UTC")
    found = decided(facts(3, calibrated_probability=np.array([0.6, 0.5, 0.4])))
    frame = validate(
        targets_frame(found, stop_price=np.full(3, np.nan), reference_at=at, known_at=at), TARGET_POSITIONS
    )
    np.testing.assert_allclose(frame["stop_price"], [48.5, np.nan, 51.5])
    assert frame["target_quantity"].tolist() == found.target_quantity.tolist()


@pytest.mark.parametrize("reduced", [{"trading_state": "REDUCE_SIZE"}, {"drawdown_fraction": 0.06}])
def test_a_reduced_state_halves_a_position_once_and_then_keeps_it(reduced: dict[str, object]) -> None:
    opened = decide(facts(1), SETTINGS, COSTS).target_quantity
    faded = {"calibrated_probability": np.array([0.60])}
    held = decide(facts(1, current_quantity=opened, **faded), SETTINGS, COSTS).target_quantity
    quantities = [held]
    for _ in range(6):
        given = facts(1, current_quantity=quantities[-1], **faded, **reduced)
        quantities.append(decide(given, SETTINGS, COSTS).target_quantity)
    sizes = [float(each[0]) for each in quantities]
    assert sizes[0] > 0.0
    assert sizes[1] == pytest.approx(sizes[0] / 2.0, rel=0.01)
    assert sizes[2:] == pytest.approx([sizes[1]] * 5, rel=0.01)


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
    one_lot_of_each = price.sum() / 1e6  # rounding may unbalance the net by a lot a name
    assert abs(weights.sum()) <= one_lot_of_each


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
    beyond = abs(net) > mark.sum() / 1e6  # rounding may unbalance the net by a lot a name
    assert not (beyond and (np.sign(weights) == np.sign(net)).any())


def test_the_hedge_of_a_position_without_a_price_is_not_sold() -> None:
    held, mark = np.array([2000.0, 2000.0, -2000.0, -2000.0]), np.full(4, 50.0)
    inputs = facts(
        reference_price=np.array([np.nan, 50.0, 50.0, 50.0]), last_mark=mark, current_quantity=held,
        calibrated_probability=np.array([0.6, 0.6, 0.4, 0.4]), adv_usd=np.full(4, 5e9),
    )  # fmt: skip
    wide = PortfolioSettings(net_limit=0.0, single_name_limit=0.2, gross_limit=2.0, risk_total_fraction=1.0,
                             beta_limit=2.0, edge_to_weight=100.0)  # fmt: skip
    weights = decided(inputs, wide).target_weight
    assert 0.1 + weights.sum() == pytest.approx(0.0, abs=1e-3)
    assert weights[2:].sum() < -0.15
