"""Decisions on binary contracts: the exact bet, its limits, what is held, what is missing and what controls leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.portfolio.decide import Decision, decide
from nn_assets.portfolio.inputs import BinaryFacts, DecisionInputs
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import CostSettings, PortfolioSettings
from tests.portfolio.facts import facts

_LIMITS = ("single_name_limit", "risk_per_signal_fraction", "risk_total_fraction", "sector_limit", "adv_limit_fraction")
OPEN = PortfolioSettings(**dict.fromkeys(_LIMITS, 1.0), shrink_prior_outcomes=0.0)


def contracts(
    p: list[float], price: list[float], events: list[str] | None = None, fee: float = 0.0, **changes: object
) -> DecisionInputs:
    count = len(p)
    names = events or [""] * count
    codes = {name: number for number, name in enumerate(dict.fromkeys(names)) if name}
    event = np.array([codes.get(name, 100 + index) for index, name in enumerate(names)])
    overdue = np.asarray(changes.pop("overdue", np.zeros(count, dtype=np.bool_)))
    made = facts(
        count,
        reference_price=np.array(price),
        calibrated_probability=np.array(p),
        confidence=np.ones(count),
        atr=np.full(count, np.nan),
        adv_usd=np.full(count, 5e9),
        binary=BinaryFacts(event, tuple(names), overdue, fee),
        last_mark=np.array(price),
    )
    return replace(made, **changes)


def decided(inputs: DecisionInputs, settings: PortfolioSettings = OPEN, **costs: float) -> Decision:
    none = {"half_spread_bps": 0, "commission_bps": 0, "temporary_impact": 0, "permanent_impact": 0}
    return decide(inputs, settings, cost_model_from(CostSettings(**{**none, **costs})))


def test_half_of_kelly_is_staked_on_yes_and_on_no_in_whole_contracts() -> None:
    done = decided(contracts([0.6, 0.1, 0.3], [0.5, 0.25, 0.3]))
    np.testing.assert_allclose(done.weights[7], [0.1, -0.3, 0.0], atol=1e-12)
    assert done.target_quantity.tolist() == [200_000.0, -400_000.0, 0.0]  # 0.1 / 0.5 and 0.3 / 0.75 of a million
    assert done.direction.tolist() == [1, -1, 0]
    assert np.isnan(done.stop_distance).all()
    assert done.expected_return is not None
    assert done.expected_return[0] == pytest.approx(0.2)


def test_costs_are_in_the_price_that_is_bet_at() -> None:
    dear = decided(contracts([0.6], [0.5], fee=0.07), half_spread_bps=100)
    ask = 0.5 + 0.005 + 0.07 * 0.25
    assert dear.weights[7, 0] == pytest.approx(0.5 * (0.6 - ask) / (1.0 - ask) * 0.5 / ask, abs=1e-12)  # at the mid
    assert dear.target_quantity[0] == np.floor(0.5 * (0.6 - ask) / (1.0 - ask) * 1e6 / ask)  # contracts
    no = decided(contracts([0.4], [0.5], fee=0.07), half_spread_bps=100)
    bid = 0.5 - 0.005 - 0.07 * 0.25
    assert no.weights[7, 0] == pytest.approx(-0.5 * (bid - 0.4) / bid * 0.5 / (1.0 - bid), abs=1e-12)
    assert decided(contracts([0.52, 0.48], [0.5, 0.5], fee=0.07), half_spread_bps=100).weights[7].tolist() == [0, 0]


def test_impact_makes_a_bet_smaller() -> None:
    thin = contracts([0.6], [0.5], adv_usd=np.array([1e6]), daily_volatility=np.array([0.2]))
    assert 0.0 < decided(thin, temporary_impact=0.15).weights[7, 0] < 0.099


def test_confidence_moves_the_probability_towards_the_price() -> None:
    assert decided(contracts([0.6], [0.5], confidence=np.array([0.5]))).weights[7, 0] == pytest.approx(0.05)


def test_a_short_record_moves_it_there_too() -> None:
    short = contracts([0.6], [0.5], outcomes=np.array([60]))
    assert decided(short, replace_k(0.5, shrink_prior_outcomes=60.0)).weights[7, 0] == pytest.approx(0.05)


def test_outcomes_of_one_event_are_sized_together() -> None:
    p, price = [0.5, 0.3], [0.4, 0.2]
    together = decided(contracts(p, price, ["FED", "FED"]), replace_k(1.0)).weights[7]
    rate = (1.0 - 0.8) / (1.0 - 0.6)  # Smoczynski and Tomkins (2010)
    np.testing.assert_allclose(together, [0.5 - rate * 0.4, 0.3 - rate * 0.2], atol=1e-9)
    apart = decided(contracts(p, price), replace_k(1.0)).weights[7]
    np.testing.assert_allclose(apart, [0.1 / 0.6, 0.1 / 0.8], atol=1e-9)


def replace_k(kelly_fraction: float, **more: object) -> PortfolioSettings:
    return OPEN.model_copy(update={"kelly_fraction": kelly_fraction, **more})


def test_a_stake_keeps_to_every_limit_of_size_and_of_risk() -> None:
    many = contracts([0.7] * 8, [0.5] * 8, ["A", "A", *[""] * 6])
    assert np.abs(decided(many, PortfolioSettings()).weights[7]).sum() <= 0.10 + 1e-9  # at risk in total
    assert np.abs(decided(many, PortfolioSettings()).weights[7]).max() <= 0.02 + 1e-9  # on one signal
    tight = replace_k(0.5, single_name_limit=0.05)
    np.testing.assert_allclose(decided(contracts([0.7, 0.2], [0.5, 0.5]), tight).weights[7], [0.05, -0.05])
    event = replace_k(0.5, sector_limit=0.06)
    assert np.abs(decided(contracts([0.5, 0.4], [0.3, 0.3], ["A", "A"]), event).weights[7]).sum() <= 0.06 + 1e-9
    gross = replace_k(1.0, gross_limit=0.3, net_limit=1.0)
    assert np.abs(decided(many, gross).weights[7]).sum() <= 0.3 + 1e-9
    traded = contracts([0.2], [0.8], adv_usd=np.array([8e4]))  # 100,000 contracts a day, 0.2 dollars each of no
    assert decided(traded, replace_k(1.0, adv_limit_fraction=0.1)).target_quantity.tolist() == [-10_000.0]


def test_what_is_held_is_kept_as_long_as_its_sale_would_bring_less() -> None:
    costs = {"half_spread_bps": 100.0}
    bought = decided(contracts([0.6], [0.5]), **costs)
    assert bought.target_quantity[0] > 0.0
    held = {"current_quantity": bought.target_quantity, "unscaled_quantity": bought.unscaled_quantity}
    calm = decided(contracts([0.6], [0.502], **held), **costs)
    assert calm.target_quantity.tolist() == bought.target_quantity.tolist()
    assert decided(contracts([0.6], [0.55], **held), **costs).target_quantity[0] < bought.target_quantity[0]
    assert decided(contracts([0.6], [0.45], **held), **costs).target_quantity[0] > bought.target_quantity[0]
    assert decided(contracts([0.5], [0.6], **held), **costs).target_quantity[0] < 0.0  # turned to no


@pytest.mark.parametrize(
    "missing", [{"p": np.nan}, {"price": np.nan}, {"price": 0.0}, {"adv_usd": np.nan}, {"confidence": np.nan}]
)
def test_a_missing_fact_is_no_bet(missing: dict[str, float]) -> None:
    changes = {name: np.array([value]) for name, value in missing.items() if name not in ("p", "price")}
    done = decided(contracts([missing.get("p", 0.6)], [missing.get("price", 0.5)], **changes))
    assert done.target_quantity.tolist() == [0.0]
    assert steps_frame(done)["reason"].iloc[0].startswith("no position: ")


def test_without_evidence_nothing_is_opened_and_nothing_stays() -> None:
    held = np.array([1000.0])
    few = contracts([0.6], [0.5], outcomes=np.array([10]), current_quantity=held, unscaled_quantity=held)
    assert decided(few).target_quantity.tolist() == [0.0]


@pytest.mark.parametrize("held", [5000.0, -5000.0, 0.0])
def test_an_overdue_contract_is_held_and_nothing_is_added(held: float) -> None:
    book = {"current_quantity": np.array([held]), "unscaled_quantity": np.array([held])}
    for price in (0.3, np.nan):
        late = decided(contracts([0.9], [price], overdue=[True], last_mark=np.array([0.5]), **book))
        assert late.target_quantity.tolist() == [held]
    reasons = steps_frame(late)["reason"]
    assert "its settlement is missing" in reasons.iloc[0]


def test_an_event_whose_bids_come_to_more_than_one_is_doubted_and_left_as_it_is() -> None:
    held = np.array([300.0, 0.0])
    done = decided(contracts([0.5, 0.5], [0.7, 0.6], ["A", "A"], current_quantity=held, unscaled_quantity=held))
    assert done.target_quantity.tolist() == [300.0, 0.0]
    assert "come to 1 or more" in steps_frame(done)["reason"].iloc[0]


def test_controls_and_a_missing_verdict_act_last() -> None:
    made = contracts([0.6, 0.1], [0.5, 0.25])
    full = decided(made).target_quantity
    assert np.abs(decided(replace(made, regime_scale=0.5)).target_quantity).tolist() == (np.abs(full) / 2.0).tolist()
    assert decided(replace(made, verdict_allows=False)).target_quantity.tolist() == [0.0, 0.0]
    assert decided(replace(made, kill_switch="HALTED")).target_quantity.tolist() == [0.0, 0.0]
    assert decided(replace(made, kill_switch="REDUCING")).target_quantity.tolist() == [0.0, 0.0]
    no_shorts = decided(made, replace_k(0.5, allow_short=False)).target_quantity
    assert no_shorts.tolist() == [200_000.0, 0.0]


def test_the_book_in_its_worst_case_is_never_ruined() -> None:
    draw = np.random.default_rng(11)
    for _ in range(20):
        count = int(draw.integers(1, 7))
        names = [str(name) for name in draw.choice(["", "A", "B"], count)]
        price = draw.uniform(0.02, 0.3 if "A" in names or "B" in names else 0.97, count)
        done = decided(contracts(draw.uniform(0.0, 1.0, count).tolist(), price.tolist(), names), replace_k(1.0))
        quantity = done.target_quantity
        stakes = np.where(quantity > 0.0, quantity * price, -quantity * (1.0 - price))
        assert stakes.sum() <= 1_000_000.0 * (1.0 + 1e-9)


def test_every_step_says_why() -> None:
    done = decided(contracts([0.7, 0.2, np.nan], [0.5, 0.25, 0.4], ["FED", "FED", ""], fee=0.07))
    frame = steps_frame(done)
    assert len(frame) == 24
    yes = frame["reason"].iloc[:8].tolist()
    assert yes[0] == "p 0.7000 of settling at 1 beside a price of 0.5000 says yes"
    assert "a settlement costs nothing" in yes[1]
    assert "0.5 of Kelly beside the other outcomes of FED: a stake of " in yes[2]
    assert "the whole stake is at risk, no stop rests" in yes[3]
    assert frame["weight_after"].iloc[7] == done.target_weight[0]


@pytest.mark.full
def test_random_books_keep_every_limit_and_every_number_is_one() -> None:
    draw = np.random.default_rng(0)
    for _ in range(500):
        count = int(draw.integers(1, 12))
        names = [str(name) for name in draw.choice(["", "A", "B", "C"], count)]
        price = np.where(draw.random(count) < 0.05, np.nan, draw.uniform(0.001, draw.choice([0.3, 0.999]), count))
        price[draw.random(count) < 0.03] = 1.0
        p = np.where(draw.random(count) < 0.1, np.nan, draw.choice([0.0, 1.0, *draw.uniform(0.0, 1.0, 8)], count))
        held = np.where(draw.random(count) < 0.5, np.round(draw.normal(0.0, 20_000.0, count)), 0.0)
        limits = PortfolioSettings(
            single_name_limit=float(draw.choice([0.02, 0.1, 1.0])),
            risk_per_signal_fraction=float(draw.choice([0.02, 1.0])),
            risk_total_fraction=float(draw.choice([0.1, 0.5, 1.0])),
            sector_limit=float(draw.choice([0.05, 0.3, 1.0])),
            kelly_fraction=float(draw.choice([0.25, 0.5, 1.0])),
            allow_short=bool(draw.random() < 0.8),
            lot_size=float(draw.choice([1.0, 10.0])),
        )
        made = contracts(
            p.tolist(), price.tolist(), names, fee=0.07, current_quantity=held, unscaled_quantity=held,
            last_mark=np.where(np.isfinite(price), price, 0.5), overdue=draw.random(count) < 0.05,
            adv_usd=np.where(draw.random(count) < 0.05, np.nan, 10.0 ** draw.uniform(3.0, 9.0, count)),
            confidence=draw.uniform(0.0, 1.0, count), equity_usd=float(draw.choice([1e6, 1e4, -5.0])),
        )  # fmt: skip
        done = decided(made, limits, half_spread_bps=float(draw.choice([0.0, 100.0, 2000.0])), temporary_impact=0.15)
        assert np.isfinite(done.target_quantity).all()
        assert np.isfinite(done.weights).all()
        assert len(steps_frame(done)) == 8 * count
        assert done.held_on is not None
        free = made.priced & done.complete & ~done.held_on
        most = min(limits.single_name_limit, limits.risk_per_signal_fraction)
        assert (np.abs(done.weights[7][free]) <= most + 1e-6).all()
        if not limits.allow_short:
            assert (done.target_quantity[free] >= 0.0).all()
        if not done.answer.exceeded and not done.held_on.any():
            assert np.abs(done.weights[7]).sum() <= limits.risk_total_fraction + 1e-6
