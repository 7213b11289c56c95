"""The eight steps: what each does, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from nn_assets.contracts import POSITION_STEPS, TARGET_POSITIONS, validate
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import DecisionError
from nn_assets.portfolio.decide import STEP_NAMES, decide
from nn_assets.portfolio.inputs import DecisionInputs
from nn_assets.portfolio.kelly import edge_scale
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.settings import CostSettings, PortfolioSettings
from tests.portfolio.facts import COSTS, ONE_NAME, SETTINGS, decided, facts, one


def trip(size: float) -> float:
    """Cost of buying and selling a size in a name of volatility 1.2% and 5 billion of volume, with a million."""
    x = size * 1e6 / 5e9
    return 2 * (6.3e-4 + 0.15 * 0.012 * x**0.5 + 0.03 * 0.012 * x)


def test_each_step_gives_the_size_worked_out_by_hand() -> None:
    inputs = one(confidence=0.8, outcomes=1500)
    decision = decided(inputs, ONE_NAME)
    shrink = 0.8  # by confidence alone, however many outcomes there are
    gross = shrink * (0.58 * 0.02 - 0.42 * 0.019)
    even = 0.019 / 0.039
    p = even + shrink * (0.58 - even)

    def kelly(cost: float) -> float:
        odds = (0.02 - cost) / (0.019 + cost)
        return 0.5 * (p * odds - (1 - p)) / odds / (0.019 + cost)

    size = brentq(lambda w: kelly(trip(w)) - w, 0.0, 5.0, xtol=1e-15)
    np.testing.assert_allclose(decision.weights[3], size, rtol=1e-12)
    np.testing.assert_allclose(decision.weights[4], 0.02 / 0.03, rtol=1e-12)  # 2 x 0.75 / 50 = 3%
    np.testing.assert_allclose(decision.round_trip_cost, trip(0.02 / 0.03), rtol=1e-12)  # what the risk lets it be
    np.testing.assert_allclose(decision.edge_opened, (gross - trip(0.02 / 0.03)) / 5, rtol=1e-12)
    bound = brentq(lambda w: 10 * (gross - trip(w)) / 5 / 0.012 - w, 0.0, 5.0, xtol=1e-15)
    np.testing.assert_allclose(decision.weights[5], bound, rtol=1e-12)
    assert decision.target_quantity[0] == np.floor(bound * 1e6 / 50)


def test_a_small_order_is_not_priced_as_the_largest_that_is_allowed() -> None:
    """The edge of 35 bps is less than the round trip of the 5% that the volume allows, and more than that of 1%."""
    thin = {"calibrated_probability": 0.524, "confidence": 1.0, "adv_usd": 5e6, "edge_scale": 1e9}
    decision = decided(one(**thin), ONE_NAME)
    win, loss, p = 0.02, 0.019, 0.524

    def cost(w: float) -> float:
        x = w * 1e6 / 5e6
        return 2 * (6.3e-4 + 0.15 * 0.012 * x**0.5 + 0.03 * 0.012 * x)

    def kelly(c: float) -> float:
        return 0.5 * (p * (win - c) - (1 - p) * (loss + c)) / (win - c) / (loss + c)

    assert cost(0.01) < p * win - (1 - p) * loss < cost(0.05)
    size = brentq(lambda w: kelly(cost(w)) - w, 0.0, 0.05, xtol=1e-15)
    assert size == pytest.approx(0.0107, abs=1e-4)
    assert decision.weights[7, 0] == pytest.approx(size, rel=1e-9)
    assert decision.round_trip_cost[0] == pytest.approx(cost(size), rel=1e-9)


@pytest.mark.parametrize("volatility", [0.006, 0.012, 0.024])
def test_step_five_is_half_kelly_at_the_usual_volatility(volatility: float) -> None:
    """Measured before: 10 x edge / volatility left 13% of half Kelly at 1% a day."""
    win, loss = 0.8 * volatility * 5**0.5, 0.75 * volatility * 5**0.5
    scale = edge_scale(0.5, *(np.array([value]) for value in (win, loss, volatility)), 5, 0.012)
    assert scale == pytest.approx(0.5 / (0.8 * 0.75 * 0.012))
    even = loss / (win + loss)
    p = even + 0.02
    mu = 0.02 * (win + loss)
    free = cost_model_from(
        CostSettings(half_spread_bps=0.0, commission_bps=0.0, temporary_impact=0.0, permanent_impact=0.0)
    )
    wide = PortfolioSettings(
        single_name_limit=1.0, gross_limit=9.0, net_limit=9.0, beta_limit=9.0, risk_per_signal_fraction=1.0,
        risk_total_fraction=1.0,
    )  # fmt: skip
    inputs = one(
        calibrated_probability=p, confidence=1.0, mean_win=win, mean_loss=loss, daily_volatility=volatility,
        adv_usd=5e12, atr=0.01, edge_scale=scale,
    )  # fmt: skip
    decision = decide(inputs, wide, free)
    half_kelly = 0.5 * mu / (win * loss)
    assert decision.weights[3, 0] == pytest.approx(half_kelly, rel=1e-9)
    assert abs(decision.weights[5, 0]) == pytest.approx(half_kelly * min(1.0, volatility / 0.012), rel=1e-9)


@pytest.mark.parametrize(("side", "share"), [(1, 0.2), (-1, 1.0)])
def test_only_moving_with_the_book_takes_from_a_size_and_a_hedge_keeps_its_own(side: int, share: float) -> None:
    """Correlation 0.8 between two names: with both long each keeps 1 - 0.8; long and short hedge one another."""
    g = np.random.default_rng(8)
    common, other = np.linalg.qr(g.normal(size=(60, 2)) - 0.0)[0].T
    common, other = common - common.mean(), other - other.mean()
    other -= common * (other @ common) / (common @ common)
    other *= np.linalg.norm(common) / np.linalg.norm(other)
    returns = 0.1 * np.column_stack([common, 0.8 * common + 0.6 * other])
    p = 0.5 + 0.02 * np.array([1, side])
    inputs = facts(2, calibrated_probability=p, trailing_returns=returns, adv_usd=np.full(2, 5e9), edge_scale=1.0,
                   mean_win=np.full(2, 0.02), mean_loss=np.full(2, 0.02), confidence=np.ones(2))  # fmt: skip
    alone = one(calibrated_probability=0.52, edge_scale=1.0, mean_loss=0.02, confidence=1.0)
    free = cost_model_from(
        CostSettings(half_spread_bps=0.0, commission_bps=0.0, temporary_impact=0.0, permanent_impact=0.0)
    )
    weights, single = (decide(case, ONE_NAME, free).weights[5] for case in (inputs, alone))
    np.testing.assert_allclose(np.abs(weights), share * single[0], rtol=1e-6)
    assert np.sign(weights).tolist() == [1.0, side]


def test_no_step_after_kelly_enlarges_and_what_is_held_passes_the_first_two_with_an_edge() -> None:
    tight = PortfolioSettings(risk_total_fraction=0.01)
    decision = decided(facts(12, current_quantity=np.full(12, 100.0)), tight)
    sizes = np.abs(decision.weights)
    assert (sizes[4] < sizes[3]).all()  # a hundredth at risk binds
    assert (np.diff(sizes[3:7], axis=0) <= 1e-15).all()
    assert decision.weights[2].tolist() == decision.weights[1].tolist() == decision.weights[0].tolist()
    assert decision.weights[0] == pytest.approx(np.full(12, 100 * 50 / 1e6))
    losing = facts(12, current_quantity=np.full(12, 100.0), mean_loss=np.full(12, 0.04))
    assert (decided(losing, tight).weights[1] > 0.0).all()
    assert (decided(losing, tight).weights[2] == 0.0).all()


def test_a_book_that_is_carried_on_is_so_to_the_last_bit() -> None:
    draw = np.random.default_rng(3)
    for seed in range(20):
        side = draw.choice([-1.0, 1.0], 8)  # with the signal and against it
        held, price = side * np.round(draw.uniform(1.0, 2000.0, 8), 3), draw.uniform(3.0, 900.0, 8)
        inputs = facts(8, seed, reference_price=price, atr=0.015 * price, current_quantity=held, kill_switch="HALTED")
        decision = decided(replace(inputs, equity_usd=float(draw.uniform(1e5, 1e7))))
        assert decision.unscaled_quantity.tobytes() == held.tobytes()


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
        for probability in (0.62, 0.505):  # the second is worth less than the sale costs
            decision = decided(one(outcomes=count, current_quantity=10.0, calibrated_probability=probability))
            assert bool(decision.target_quantity[0] != 0.0) is sized


@pytest.mark.parametrize(("horizon", "needed"), [(1, 60), (10, 60), (15, 90)])
def test_a_size_needs_sixty_sessions_of_outcomes_and_six_horizons(horizon: int, needed: int) -> None:
    for sessions, sized in ((needed - 1, False), (needed, True)):
        inputs = one(outcomes=100_000, outcome_sessions=sessions, horizon_sessions=horizon, confidence=1.0)
        decision = decided(replace(inputs, calibrated_probability=np.array([0.7])))
        assert bool(decision.target_quantity[0] != 0.0) is sized
        reason = steps_frame(decision).query("step == 3")["reason"].iloc[0]
        assert (f"{sessions} sessions have realised outcomes, {needed} are needed" in reason) is not sized


@pytest.mark.parametrize(
    "name",
    ["calibrated_probability", "base_rate", "confidence", "mean_win", "mean_loss", "atr",
     "daily_volatility", "adv_usd"],
)  # fmt: skip
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_missing_or_impossible_fact_means_zero_for_its_symbol_alone(name: str, bad: float) -> None:
    whole = facts(3, current_quantity=np.array([10.0, 0.0, 0.0]))
    broken = getattr(whole, name).copy()
    broken[0] = bad
    decision = decided(replace(whole, **{name: broken}))
    assert decision.target_quantity[0] == 0.0
    assert np.isfinite(decision.weights).all()
    assert (decision.target_quantity[1:] != 0.0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_a_name_without_a_price_cannot_be_sold_and_is_not_ordered(bad: float) -> None:
    price = np.array([bad, 50.0, 50.0])
    inputs = facts(3, reference_price=price, last_mark=np.full(3, 50.0), current_quantity=np.array([10.0, 0.0, 0.0]))
    decision = decided(inputs)
    assert decision.target_quantity[0] == decision.unscaled_quantity[0] == 10.0
    assert np.isfinite(decision.weights).all()
    assert (decision.target_quantity[1:] != 0.0).all()
    reasons = steps_frame(decision)["reason"]
    assert f"reference price is {bad:g}" in reasons[0]
    assert reasons[7] == "no price, so no order: 10 stay"


def test_a_symbol_without_half_its_trailing_returns_gets_no_position() -> None:
    returns = facts(3).trailing_returns.copy()
    returns[:31, 1] = np.nan
    decision = decided(facts(3, trailing_returns=returns))
    assert decision.target_quantity[1] == 0.0
    assert decision.target_quantity[0] != 0.0


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
        ({"breakers": ("drawdown",)}, 0.0),
        ({"breakers": ("weekly_loss",)}, 0.0),
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
    for halted in ({"kill_switch": "HALTED"}, {"breakers": ("stale_data",)}, {"trading_state": "?"}):
        assert decided(one(**held, **halted)).target_quantity[0] == 123.5
    assert decided(one(**held, breakers=("drawdown",))).target_quantity[0] == 0.0


def test_reducing_lets_a_position_shrink_or_close_but_never_grow_or_turn() -> None:
    for held, probability, expected in ((10.0, 0.58, 10.0), (10.0, 0.3, 0.0), (0.0, 0.58, 0.0)):
        decision = decided(one(current_quantity=held, calibrated_probability=probability, kill_switch="REDUCING"))
        assert decision.target_quantity[0] == expected


def test_a_side_whose_stop_was_hit_is_not_entered_again_and_what_is_left_of_it_is_closed() -> None:
    for held in (0.0, 40.0):
        assert decided(one(current_quantity=held, blocked_side=1)).target_quantity[0] == 0.0
    assert decided(one(blocked_side=-1)).target_quantity[0] > 0.0


def test_a_limit_cuts_a_position_even_where_the_cut_is_not_worth_its_cost() -> None:
    held = one(calibrated_probability=0.505, current_quantity=2200.0)  # 11% in a name allowed 10%
    assert decided(held).target_quantity[0] <= 2000.0


def test_a_reduction_is_made_only_where_it_is_worth_its_cost() -> None:
    # Edge 0.9 x (0.505 x 2% - 0.495 x 1.9%) = 6.26 bps over the horizon; a twentieth of Kelly, edge / (G L), keeps
    # 8.2%, and 10% is held.
    kept = 0.05 * 0.9 * (0.505 * 0.02 - 0.495 * 0.019) / (0.02 * 0.019)
    wide = PortfolioSettings(kelly_fraction=0.05, single_name_limit=0.5)
    held = one(calibrated_probability=0.505, current_quantity=2000.0, edge_scale=1000.0)
    dear, cheap = COSTS, cost_model_from(CostSettings(half_spread_bps=1.0))  # 6.3 and 2.8 bps to sell
    stays, sold = decide(held, wide, dear), decide(held, wide, cheap)
    assert stays.target_quantity[0] == 2000.0
    assert stays.not_worth[0]
    assert sold.target_quantity[0] == np.floor(kept * 1e6 / 50.0)
    assert "worth less than its cost" in steps_frame(stays)["reason"].iloc[6]


def test_rounding_is_towards_zero_in_whole_lots() -> None:
    lots = PortfolioSettings(lot_size=300.0)
    for probability in (0.58, 0.42):
        exact, rounded = (
            decided(one(calibrated_probability=probability), s).target_quantity[0] for s in (SETTINGS, lots)
        )
        assert rounded == np.trunc(exact / 300.0) * 300.0


# What must never happen: a larger position for more risk, more drawdown or more correlation.


def test_the_trace_names_eight_steps_for_every_symbol_and_joins_up() -> None:
    decision = decided(facts(3, calibrated_probability=np.array([0.6, np.nan, 0.4])))
    trace = validate(steps_frame(decision), POSITION_STEPS)
    assert len(trace) == 24
    for _, rows in trace.groupby("symbol"):
        assert rows["step"].tolist() == list(range(1, 9))
        assert rows["rule"].tolist() == list(STEP_NAMES)
        np.testing.assert_array_equal(rows["weight_before"].to_numpy()[1:], rows["weight_after"].to_numpy()[:-1])
        assert rows["reason"].str.len().min() > 0
    assert "probability is nan" in trace.loc[8, "reason"]
    assert "p 0.6000 beside a base rate of 0.5000 says long" in trace.loc[0, "reason"]


def test_the_targets_hold_to_their_frame_with_a_stop_on_the_losing_side() -> None:
    at = pd.Timestamp("2017-06-01 20:00", tz="UTC")
    decision = decided(facts(3, calibrated_probability=np.array([0.6, 0.5, 0.4])))
    frame = validate(
        targets_frame(decision, stop_price=np.full(3, np.nan), reference_at=at, known_at=at), TARGET_POSITIONS
    )
    np.testing.assert_allclose(frame["stop_price"], [48.5, np.nan, 51.5])
    assert frame["target_quantity"].tolist() == decision.target_quantity.tolist()


@pytest.mark.parametrize("reduced", [{"trading_state": "REDUCE_SIZE"}, {"drawdown_fraction": 0.06}])
def test_a_reduced_state_halves_a_position_once_and_then_keeps_it(reduced: dict[str, object]) -> None:
    opened = decide(facts(1), SETTINGS, COSTS).target_quantity
    faded = {"calibrated_probability": np.array([0.60])}
    held = decide(facts(1, current_quantity=opened, **faded), SETTINGS, COSTS).target_quantity
    quantities = [held]
    for _ in range(6):
        inputs = facts(1, current_quantity=quantities[-1], **faded, **reduced)
        quantities.append(decide(inputs, SETTINGS, COSTS).target_quantity)
    sizes = [float(quantity[0]) for quantity in quantities]
    assert sizes[0] > 0.0
    assert sizes[1] == pytest.approx(sizes[0] / 2.0, rel=0.01)
    assert sizes[2:] == pytest.approx([sizes[1]] * 5, rel=0.01)


def reasons_of(of: DecisionInputs, chosen: PortfolioSettings = ONE_NAME) -> list[str]:
    return steps_frame(decided(of, chosen))["reason"].tolist()


def test_the_sentences_of_a_long_hold_its_numbers() -> None:
    """Kelly, ADV and the unscaled weight as in the size worked out by hand above; half of it under a scale."""
    decision = decided(one(confidence=0.8, outcomes=1500, regime_scale=0.5), ONE_NAME)
    reasons = reasons_of(one(confidence=0.8, outcomes=1500, regime_scale=0.5))
    assert reasons[0].startswith(
        "p 0.5800 beside a base rate of 0.5000 says long; mean win 2.000%, mean loss 1.900% over"
    )
    assert reasons[0].endswith("over 1500 independent outcomes")
    assert reasons[1].endswith("worth opening")
    assert reasons[2] == f"0.5 of Kelly allows {decision.weights[3, 0]:.2%} of capital"
    assert "1.0% of ADV = 50,000,000 USD" in reasons[5]
    assert reasons[6].startswith("from 0.00% to ")
    told_weight = float(reasons[6].removeprefix("from 0.00% to ").removesuffix("%, unscaled"))
    assert told_weight == pytest.approx(200.0 * decision.target_weight[0], abs=0.02)


def test_a_coin_toss_proposes_nothing_and_a_turned_signal_closes_the_other_side() -> None:
    reasons = reasons_of(one(calibrated_probability=0.5))
    assert reasons[0].startswith("p 0.5000 beside a base rate of 0.5000 says no side; mean win")
    assert reasons[1:6] == ["nothing proposed"] * 5
    assert reasons_of(one(calibrated_probability=0.42, current_quantity=100.0))[0].startswith(
        "p 0.4200 beside a base rate of 0.5000 says short and closes what is held on the other side; mean win"
    )
    assert "opens nothing" in reasons_of(one(calibrated_probability=0.505, mean_win=0.01))[1]


def test_a_blocked_side_is_told_and_the_other_is_not() -> None:
    blocked = reasons_of(one(blocked_side=1))[0]
    assert (
        blocked == "no position: a stop was hit on the long side, p 0.5800 beside a base rate of 0.5000 is still on it"
    )
    assert reasons_of(one(blocked_side=-1))[0].startswith("p 0.5800 beside a base rate of 0.5000 says long; mean win")
