"""From facts to the unscaled book and its targets: steps, limits in the strategy's words, controls over sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.errors import DecisionError
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.construction import (
    Construction,
    ConstructionInputs,
    construct,
    targets_of,
)
from nn_assets.portfolio.covariance import FactorCovariance, factor_covariance
from nn_assets.portfolio.inputs import STEP_NAMES
from nn_assets.portfolio.targets import carried
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS, SETTINGS

NEUTRAL = PortfolioSettings(net_limit=0.0)
WIDE = PortfolioSettings(single_name_limit=1.0, sector_limit=1.0)


def inputs(symbols: int = 12, seed: int = 0, **changes: object) -> ConstructionInputs:
    g = np.random.default_rng([seed, 2])
    market = g.normal(0.0, 0.008, (120, 1))
    returns = market * (1.0 + 0.2 * g.normal(size=symbols)) + g.normal(0.0, 0.012, (120, symbols))
    price = g.uniform(20.0, 90.0, symbols)
    made = ConstructionInputs(
        symbols=tuple(f"S{index:02d}" for index in range(symbols)),
        session=np.datetime64("2017-06-01"),
        reference_price=price,
        last_mark=price,
        calibrated_probability=0.5 + 0.03 * g.normal(size=symbols),
        confidence=np.ones(symbols),
        volatility=np.full(symbols, 0.014),
        daily_volatility=np.full(symbols, 0.0145),
        atr=0.02 * price,
        stop_price=np.full(symbols, np.nan),
        adv_usd=np.full(symbols, 5e7),
        market_beta=np.full(symbols, np.nan),
        covariance=factor_covariance(returns, 10),
        unscaled_quantity=np.zeros(symbols),
        held_quantity=np.zeros(symbols),
        blocked_side=np.zeros(symbols, dtype=np.int64),
        evidence=np.ones(symbols, dtype=np.bool_),
        equity_usd=1_000_000.0,
        horizon_sessions=10,
        base_rate=0.5,
        outcome_slope=2.133,
        change_share=0.8,
    )
    return replace(made, **changes)


def one(**changes: object) -> ConstructionInputs:
    sigma = 0.01
    made = inputs(
        1,
        reference_price=np.array([100.0]), last_mark=np.array([100.0]), atr=np.array([1.0]),
        calibrated_probability=np.array([0.52]), volatility=np.array([sigma]), daily_volatility=np.array([sigma]),
        covariance=FactorCovariance(np.zeros((1, 3)), np.array([10 * sigma**2])),
    )  # fmt: skip
    return replace(made, **{name: np.array([v]) if name not in SCALARS else v for name, v in changes.items()})


SCALARS = {"equity_usd", "horizon_sessions", "base_rate", "outcome_slope", "change_share", "margin_fee", "relative"}


def built(of: ConstructionInputs, settings: PortfolioSettings = SETTINGS, **more: bool) -> Construction:
    return construct(of, settings, COSTS, **more)


# The size of one name, by hand


def test_one_name_without_cost_is_half_kelly_of_its_own_return() -> None:
    # mu = 2.133 x 0.02 x 0.01 x sqrt(10) = 0.001349; S = 0.001; half of mu / S = 0.6745
    construction = built(one(change_share=0.0, adv_usd=5e9), WIDE)
    assert construction.programme.mean[0] == pytest.approx(0.001349, rel=1e-3)
    assert construction.weights[0] == pytest.approx(0.6745, rel=1e-3)
    assert construction.quantity[0] == pytest.approx(6745.0, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "settings", "cap"),
    [
        ({}, PortfolioSettings(), 0.10),
        ({"adv_usd": 5e6}, WIDE, 0.05),
        ({"atr": 20.0}, WIDE, 0.05),  # 2% over 2 x 20%
        ({"atr": 1.0, "held_quantity": 100.0, "stop_price": 60.0}, WIDE, 0.05),  # the resting stop is further away
        ({"atr": 20.0, "held_quantity": 100.0, "stop_price": 99.0}, WIDE, 0.05),  # an addition's is
        ({}, PortfolioSettings(single_name_limit=1.0, gross_limit=0.07), 0.07),
        ({}, PortfolioSettings(single_name_limit=1.0, capacity_usd=40_000.0), 0.04),
        ({}, PortfolioSettings(single_name_limit=1.0, risk_total_fraction=0.001), 0.05),  # of 2% a weight of one
        ({}, PortfolioSettings(single_name_limit=1.0, sectors={"S00": "x"}, sector_limit=0.03), 0.03),
        ({}, PortfolioSettings(single_name_limit=1.0, net_limit=0.02), 0.02),
        ({}, PortfolioSettings(single_name_limit=1.0, net_limit=0.0), 0.005),
        ({"market_beta": 2.0}, PortfolioSettings(single_name_limit=1.0, beta_limit=0.1), 0.05),
        ({"market_beta": np.nan}, PortfolioSettings(single_name_limit=1.0, beta_limit=0.1), 0.10),
    ],
)
def test_every_limit_by_itself(changes: dict[str, float], settings: PortfolioSettings, cap: float) -> None:
    facts = {"adv_usd": 5e9, "calibrated_probability": 0.6, **changes}
    for p in (0.6, 0.4):
        construction = built(
            one(**{**facts, "calibrated_probability": p, **({} if p > 0.5 else {"stop_price": np.nan})}), settings
        )
        if p > 0.5 or "stop_price" not in changes:
            assert abs(construction.weights[0]) == pytest.approx(cap, abs=1e-6)


def test_a_side_that_is_blocked_or_not_allowed_is_not_held() -> None:
    assert built(one(blocked_side=1)).weights[0] == 0.0
    assert built(one(blocked_side=-1)).weights[0] == pytest.approx(0.1)
    assert built(one(calibrated_probability=0.4), PortfolioSettings(allow_short=False)).weights[0] == 0.0


def test_uncertainty_shrinks_the_edge_once() -> None:
    whole, half = (built(one(confidence=c, change_share=0.0, adv_usd=5e9), WIDE).weights[0] for c in (1.0, 0.5))
    assert half == pytest.approx(0.5 * whole, rel=1e-9)


def test_without_evidence_nothing_opens_and_nothing_stays() -> None:
    construction = built(one(evidence=False, unscaled_quantity=300.0, held_quantity=300.0))
    assert construction.weights[0] == 0.0
    assert targets_of(construction, Control.NORMAL, 1.0).quantity[0] == 0.0


# The steps


@pytest.mark.parametrize("seed", range(6))
def test_the_steps_end_where_the_decision_without_them_does_to_the_bit(seed: int) -> None:
    of = inputs(20, seed, unscaled_quantity=np.trunc(np.random.default_rng(seed).normal(0.0, 300.0, 20)))
    plain, traced = built(of, NEUTRAL), built(of, NEUTRAL, with_steps=True)
    assert plain.steps is None
    assert traced.steps is not None
    assert traced.steps.shape == (len(STEP_NAMES), 20)
    assert plain.weights.tobytes() == traced.weights.tobytes()
    assert traced.steps[7].tobytes() == plain.weights.tobytes()
    assert traced.solution.weights.tobytes() == plain.solution.weights.tobytes()


def test_each_step_adds_its_own_constraints() -> None:
    of = inputs(20, 3, calibrated_probability=0.5 + 0.06 * np.random.default_rng(3).normal(size=20))
    settings = PortfolioSettings(net_limit=0.0, risk_total_fraction=0.05, sectors={"S00": "x", "S01": "x"},
                                 sector_limit=0.02)  # fmt: skip
    construction = built(of, settings, with_steps=True)
    steps, distance = construction.steps, construction.distance
    assert steps is not None
    risk = np.abs(steps) @ distance
    assert risk[3] > 0.05 >= risk[4] - 1e-6
    assert (np.abs(steps[4]) * distance <= 0.02 + 1e-6).all()
    assert (np.abs(steps[4:]) @ distance <= 0.05 + 1e-6).all()
    assert np.abs(steps[5, :2]).sum() > 0.02
    assert (np.abs(steps[6:, :2]).sum(axis=1) <= 0.02 + 1e-6).all()
    assert abs(steps[5].sum()) > 0.005
    assert (np.abs(steps[6:].sum(axis=1)) <= 0.005 + 1e-6).all()
    mean, variance = construction.programme.mean, construction.programme.covariance.variance
    np.testing.assert_allclose(steps[3], np.where(np.abs(mean) > 0.8 * 6.3e-4, 0.5 * mean / variance, 0.0), rtol=1e-12)


def test_only_the_seventh_step_pays_for_the_change() -> None:
    # mu 0.001349 less 0.8 x 0.00063 for the first dollar, over S: half of it is 0.423; impact takes the rest.
    steps = built(one(adv_usd=5e9), WIDE, with_steps=True).steps
    assert steps is not None
    np.testing.assert_allclose(steps[3:7, 0], 0.6745, rtol=1e-3)
    assert 0.40 < steps[7, 0] < 0.423


def test_the_first_two_steps_say_what_stays_of_what_is_held() -> None:
    of = inputs(4, calibrated_probability=np.array([0.53, 0.53, 0.47, 0.5]),
                unscaled_quantity=np.array([100.0, -100.0, 0.0, 50.0]))  # fmt: skip
    steps = built(of, with_steps=True).steps
    assert steps is not None
    assert (steps[1] != 0.0).tolist() == [True, False, False, False]
    assert (steps[2] == steps[1]).all()
    assert np.sign(steps[3]).tolist() == [1.0, 1.0, -1.0, 0.0]


# Controls over sessions


def played(
    of: ConstructionInputs, sessions: int, scale: float, settings: PortfolioSettings, control: Control
) -> list[Construction]:
    """Sessions of one signal and one scale, every target filled whole."""
    held, unscaled, constructions = of.held_quantity, of.unscaled_quantity, []
    targets = []
    for _ in range(sessions):
        construction = built(replace(of, held_quantity=held, unscaled_quantity=unscaled), settings)
        target = targets_of(construction, control, scale).quantity
        held, unscaled = target, carried(construction.quantity, target, target)
        constructions.append(construction)
        targets.append(target)
    played.targets = targets
    return constructions


@pytest.mark.full
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25, 0.0])
@pytest.mark.parametrize("control", [Control.NORMAL, Control.REDUCING])
def test_twenty_sessions_under_a_constant_scale_and_signal_change_nothing_after_the_first(
    scale: float, control: Control
) -> None:
    for seed in range(2):
        grown = played(inputs(15, seed), 60, 1.0, NEUTRAL, Control.NORMAL)[-1]
        start = replace(grown.inputs, unscaled_quantity=grown.quantity, held_quantity=played.targets[-1])
        assert np.abs(grown.weights).sum() > 0.3
        constructions = played(start, 20, scale, NEUTRAL, control)
        for construction, target in zip(constructions, played.targets, strict=True):
            assert construction.quantity.tobytes() == grown.quantity.tobytes()
            assert target.tobytes() == played.targets[0].tobytes()
            assert (np.abs(target) <= scale * np.abs(grown.quantity) + 1.0).all()


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_a_scale_of_tomorrow_does_not_change_the_unscaled_book(scale: float) -> None:
    scaled = played(inputs(15), 6, scale, NEUTRAL, Control.NORMAL)
    whole = played(inputs(15), 6, 1.0, NEUTRAL, Control.NORMAL)
    for one_of, other in zip(scaled, whole, strict=True):
        np.testing.assert_array_equal(one_of.quantity, other.quantity)


def test_a_scaled_target_is_reached_however_dear_the_sale() -> None:
    dear = inputs(6, adv_usd=np.full(6, 2e7), change_share=1.0, unscaled_quantity=np.full(6, 300.0),
                  held_quantity=np.full(6, 300.0), calibrated_probability=np.full(6, 0.52))  # fmt: skip
    construction = built(dear)
    target = targets_of(construction, Control.NORMAL, 0.5).quantity
    assert (construction.quantity > 0.0).any()
    assert (np.abs(target) <= 0.5 * np.abs(construction.quantity) + 1.0).all()


def test_flat_closes_halted_holds_and_what_has_no_price_stays() -> None:
    price = inputs(5).reference_price.copy()
    price[4] = np.nan
    held = np.array([10.0, -20.0, 0.0, 5.0, 7.0])
    of = inputs(5, reference_price=price, held_quantity=held, unscaled_quantity=held)
    construction = built(of)
    np.testing.assert_array_equal(targets_of(construction, Control.HALTED, 1.0).quantity, held)
    np.testing.assert_array_equal(targets_of(construction, Control.FLAT, 1.0).quantity, [0.0, 0.0, 0.0, 0.0, 7.0])
    assert targets_of(construction, Control.NORMAL, 0.5).quantity[4] == 7.0


@pytest.mark.parametrize("seed", range(25))
def test_targets_keep_neutrality_and_every_limit_within_a_lot(seed: int) -> None:
    g = np.random.default_rng([seed, 6])
    count = int(g.integers(2, 40))
    held = np.trunc(g.normal(0.0, 300.0, count)) * (g.random(count) < 0.5)
    of = inputs(count, seed, held_quantity=held, unscaled_quantity=held,
                calibrated_probability=0.5 + 0.08 * g.normal(size=count))  # fmt: skip
    construction = built(of, NEUTRAL)
    for control, scale in ((Control.NORMAL, 1.0), (Control.NORMAL, 0.5), (Control.REDUCING, 1.0)):
        target = targets_of(construction, control, scale)
        lots = of.reference_price / of.equity_usd
        assert (target.quantity == np.round(target.quantity)).all()
        assert abs(target.weight.sum()) <= max(0.005, lots[target.quantity != 0.0].max(initial=0.0)) + 1e-9
        assert np.abs(target.weight).sum() <= 1.0 + 1e-6
        assert (np.abs(target.quantity) <= scale * np.abs(construction.quantity) + 1.0).all()
        assert (np.abs(target.weight) * construction.distance).sum() <= 0.10 + 1e-6


def test_a_name_without_a_price_counts_in_the_net_sum_that_the_others_keep() -> None:
    price = inputs(5).reference_price.copy()
    price[0] = np.nan
    held = np.array([1500.0, 0.0, 0.0, 0.0, 0.0])
    of = inputs(5, reference_price=price, held_quantity=held, unscaled_quantity=held)
    target = targets_of(built(of, NEUTRAL), Control.NORMAL, 1.0)
    assert target.quantity[0] == 1500.0
    assert abs(target.weight.sum()) <= 0.005 + 1e-4


# Bad input


POSITIVE = (
    "reference_price",
    "calibrated_probability",
    "volatility",
    "daily_volatility",
    "atr",
    "adv_usd",
    "short_fee",
)
NUMBERS = (*POSITIVE, "confidence", "unscaled_quantity", "held_quantity")


@pytest.mark.parametrize(
    ("name", "bad"), [*((name, bad) for name in NUMBERS for bad in (np.nan, np.inf)), *((n, -1.0) for n in POSITIVE)]
)
def test_a_missing_fact_closes_its_name_and_the_others_are_decided(name: str, bad: float) -> None:
    of = inputs(8, short_fee=np.zeros(8))
    values = getattr(of, name).copy()
    values[2] = bad
    construction = built(replace(of, **{name: values}), NEUTRAL, with_steps=True)
    target = targets_of(construction, Control.NORMAL, 1.0)
    assert not construction.solution.fallback
    assert construction.weights[2] == 0.0
    assert np.isfinite(target.quantity).all()
    assert np.isfinite(target.weight).all()
    assert construction.steps is not None
    assert np.isfinite(construction.steps).all()
    assert np.abs(construction.weights).sum() > 0.05


def test_a_missing_beta_or_stop_is_no_missing_fact() -> None:
    of = inputs(4)
    assert np.isnan(of.market_beta).all()
    assert np.isnan(of.stop_price).all()
    assert (built(of).weights != 0.0).any()


@pytest.mark.parametrize("equity", [0.0, -5.0])
def test_without_equity_everything_is_closed(equity: float) -> None:
    held = np.full(4, 10.0)
    construction = built(inputs(4, equity_usd=equity, held_quantity=held, unscaled_quantity=held), with_steps=True)
    assert (construction.weights == 0.0).all()
    assert (construction.quantity == 0.0).all()
    assert (targets_of(construction, Control.NORMAL, 1.0).quantity == 0.0).all()


@pytest.mark.parametrize("name", ["equity_usd", "outcome_slope", "change_share", "margin_fee"])
def test_a_state_that_cannot_be_read_decides_nothing(name: str) -> None:
    with pytest.raises(DecisionError, match=f"{name} nan"):
        built(inputs(4, **{name: np.nan}))


def test_a_base_rate_by_name_is_the_same_as_one_for_all_and_a_missing_one_is_that_names_alone() -> None:
    of = inputs(6)
    wide = replace(of, base_rate=np.full(6, 0.5))
    assert built(of).weights.tobytes() == built(wide).weights.tobytes()
    wide.base_rate[2] = np.nan
    construction = built(wide)
    assert construction.weights[2] == 0.0
    assert (np.delete(construction.weights, 2) != 0.0).sum() >= 4
    assert (built(replace(of, base_rate=np.nan)).weights == 0.0).all()


def test_a_lot_larger_than_the_capital_is_not_bought() -> None:
    construction = built(inputs(4), PortfolioSettings(lot_size=1e6))
    assert (targets_of(construction, Control.NORMAL, 1.0).quantity == 0.0).all()


def test_limits_of_zero_hold_nothing() -> None:
    for settings in (
        PortfolioSettings(gross_limit=0.0), PortfolioSettings(beta_limit=0.0, allow_short=False),
        PortfolioSettings(capacity_usd=1e-9), PortfolioSettings(kelly_fraction=0.0),
    ):  # fmt: skip
        held = np.full(4, 100.0)
        construction = built(inputs(4, held_quantity=held, unscaled_quantity=held), settings)
        assert not construction.solution.fallback
        assert (targets_of(construction, Control.NORMAL, 1.0).quantity == 0.0).all()


def test_all_names_on_one_side_in_a_neutral_book() -> None:
    construction = built(
        inputs(6, calibrated_probability=np.full(6, 0.56)), PortfolioSettings(net_limit=0.0, allow_short=False)
    )
    assert construction.weights.sum() == pytest.approx(0.005, abs=1e-6)
    assert abs(targets_of(construction, Control.NORMAL, 1.0).weight.sum()) <= 0.005


def test_a_singular_covariance_is_decided() -> None:
    one_series = np.random.default_rng(0).normal(0.0, 0.01, (120, 1))
    construction = built(inputs(5, covariance=factor_covariance(np.repeat(one_series, 5, axis=1), 10)), NEUTRAL)
    assert not construction.solution.fallback
    assert np.abs(construction.weights).sum() > 0.05
    none = built(inputs(5, covariance=factor_covariance(np.zeros((120, 5)), 10)), NEUTRAL)
    assert (none.weights == 0.0).all()


# What a fact does, and what its absence does


@pytest.mark.parametrize(("confidence", "share"), [(0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (-0.5, 0.0)])
def test_the_expected_return_is_multiplied_by_confidence_between_0_and_1(confidence: float, share: float) -> None:
    sure, doubted = (built(one(confidence=value), WIDE).programme.mean[0] for value in (1.0, confidence))
    assert doubted == pytest.approx(share * sure)


@pytest.mark.parametrize("changes", [{"evidence": False}, {"confidence": np.nan}, {"volatility": np.nan}])
def test_a_name_without_a_fact_has_no_room_on_either_side(changes: dict[str, object]) -> None:
    limits = built(one(**changes)).programme.limits
    assert (limits.lower[0], limits.upper[0]) == (0.0, 0.0)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_blocked_side_has_no_room_and_the_other_keeps_its_own(side: int) -> None:
    free = built(one(adv_usd=5e9)).programme.limits
    for probability in (0.48, 0.52):
        blocked = built(one(adv_usd=5e9, blocked_side=side, calibrated_probability=probability))
        limits = blocked.programme.limits
        assert (limits.lower[0], limits.upper[0]) == ((0.0, free.upper[0]) if side < 0 else (free.lower[0], 0.0))
        assert blocked.weights[0] * side <= 0.0
    stopped = built(one(adv_usd=5e9, blocked_side=side, unscaled_quantity=300.0 * side, held_quantity=300.0 * side))
    assert stopped.weights[0] * side <= 0.0


@pytest.mark.parametrize(
    ("price", "priced"), [(100.0, True), (0.5, True), (0.0, False), (-3.0, False), (np.nan, False), (np.inf, False)]
)
def test_a_price_is_a_positive_number(price: float, priced: bool) -> None:
    assert one(reference_price=price).priced.tolist() == [priced]


def test_a_book_at_exactly_its_neutral_allowance_is_not_cut() -> None:
    made = construct(inputs(2, reference_price=np.array([50.0, 40.0])), PortfolioSettings(net_limit=0.0), COSTS)
    book = replace(made, quantity=np.array([900.0, -1000.0]))  # 5,000 dollars net: half a percent of a million
    assert targets_of(book, Control.NORMAL, 1.0).quantity.tolist() == [900.0, -1000.0]
    over = replace(made, quantity=np.array([901.0, -1000.0]))
    assert targets_of(over, Control.NORMAL, 1.0).quantity.tolist() == [900.0, -1000.0]


def test_a_name_without_a_price_takes_its_place_in_every_sum_with_what_is_held() -> None:
    price = np.array([np.nan, 50.0])
    of = inputs(
        2, reference_price=price, last_mark=np.array([40.0, 50.0]),
        held_quantity=np.array([20_000.0, 0.0]), unscaled_quantity=np.array([5_000.0, 0.0]),
        calibrated_probability=np.array([0.5, 0.9]), adv_usd=np.full(2, 5e9),
    )  # fmt: skip
    construction = built(of, WIDE)
    assert construction.programme.start.tolist() == [
        0.8,
        0.0,
    ]  # 20,000 at 40 of a million: more than u0, and it is there
    assert construction.weights == pytest.approx([0.8, 0.2], abs=1e-5)  # gross 1.0 leaves the other a fifth
    more = replace(of, unscaled_quantity=np.array([22_500.0, 0.0]))
    assert built(more, WIDE).programme.start.tolist() == [0.9, 0.0]
