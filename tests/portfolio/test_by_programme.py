"""A decision by the programme: one shape with the other construction, its trace, missing facts, what stops it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import POSITION_STEPS, TARGET_POSITIONS, validate
from nn_assets.errors import DecisionError
from nn_assets.portfolio import conic
from nn_assets.portfolio.breakers import Control, KillSwitch
from nn_assets.portfolio.by_programme import construction_inputs, trace_facts
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import Decision, DecisionInputs, ProgrammeFacts
from nn_assets.portfolio.trace import steps_frame, targets_frame
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS, facts

CHOSEN = PortfolioSettings(construction="programme", net_limit=0.0)
NAMES = 12
MOMENT = pd.Timestamp("2017-06-01 21:00", tz="UTC")


def inputs_of(seed: int = 0, known: dict[str, object] | None = None, **changes: object) -> DecisionInputs:
    g = np.random.default_rng([seed, 7])
    market = g.normal(0.0, 0.006, (150, 1))
    programme = ProgrammeFacts(
        label_volatility=np.full(NAMES, 0.011),
        outcome_slope=2.3,
        change_share=0.7,
        autocorrelation=0.825,
        returns=(market + g.normal(0.0, 0.01, (150, NAMES)))[-120:],
        relative=False,
        short_fee=0.0001,
        margin_fee=0.0001,
    )
    base: dict[str, object] = {
        "calibrated_probability": 0.51 + 0.03 * g.normal(size=NAMES),
        "programme": replace(programme, **(known or {})),  # type: ignore[arg-type]
        "base_rate": np.full(NAMES, 0.51),
        "stop_price": np.full(NAMES, np.nan),
    }
    return facts(NAMES, seed, **{**base, **changes})


def decided(of: DecisionInputs, settings: PortfolioSettings = CHOSEN) -> Decision:
    return decide(of, settings, COSTS)


@pytest.mark.parametrize("seed", range(5))
def test_the_trace_is_solved_for_who_asks_and_ends_in_the_decisions_own_bits(seed: int) -> None:
    held = np.trunc(np.random.default_rng(seed).normal(0.0, 900.0, NAMES))
    decision = decided(inputs_of(seed, current_quantity=0.5 * held, unscaled_quantity=held, regime_scale=0.5))
    assert np.isnan(decision.weights[1:7]).all()
    assert np.isfinite(decision.weights[[0, 7, 8]]).all()
    frame = validate(steps_frame(decision), POSITION_STEPS)
    steps = frame.pivot(index="step", columns="symbol", values="weight_after").to_numpy()
    assert steps[6].tobytes() == decision.weights[7].tobytes()
    assert steps[7].tobytes() == decision.weights[8].tobytes()
    first = frame.pivot(index="step", columns="symbol", values="weight_before").to_numpy()[0]
    assert first.tobytes() == decision.weights[0].tobytes()
    assert trace_facts(decision).construction.quantity.tobytes() == decision.unscaled_quantity.tobytes()
    assert frame["reason"].str.contains("beside a base rate of 0.5100").sum() == NAMES
    assert not frame["reason"].str.contains("nan").any()
    validate(
        targets_frame(decision, stop_price=np.full(NAMES, np.nan), reference_at=MOMENT, known_at=MOMENT),
        TARGET_POSITIONS,
    )


def test_what_a_decision_says_of_itself_is_in_its_own_units() -> None:
    before = decided(inputs_of())
    held = before.unscaled_quantity
    kept = decided(
        inputs_of(current_quantity=0.5 * held, unscaled_quantity=held, regime_scale=0.5, kill_switch="HALTED")
    )
    # The book before is carried on, though what is held is half of it.
    assert kept.not_worth.tolist() == (held != 0.0).tolist()
    assert kept.round_trip_cost == pytest.approx(np.full(NAMES, 2.0 * (4.5e-4 + 1.8e-4)))
    for values in (before.weights[0], before.weights[7], before.weights[8], before.target_quantity):
        assert not np.signbit(values[values == 0.0]).any()


def test_the_covariance_is_that_of_a_session_times_the_horizon() -> None:
    """The market's 0.6% and a name's own 1%, squared, 5 and 10 times."""
    for horizon in (5, 10):
        variance = construction_inputs(inputs_of(horizon_sessions=horizon), CHOSEN).covariance.variance
        assert variance.mean() == pytest.approx(horizon * (0.006**2 + 0.01**2), rel=0.15)


def _free_sizes(excess: dict[int, float], **fees: float) -> np.ndarray:
    """Weights of the names with an edge, by how far p is from its base rate, no limit near and no change dear."""
    settings = PortfolioSettings(
        construction="programme", net_limit=5.0, gross_limit=5.0, beta_limit=9.0, single_name_limit=1.0,
        risk_total_fraction=1.0, risk_per_signal_fraction=1.0, adv_limit_fraction=1.0,
    )  # fmt: skip
    p = np.full(NAMES, np.nan)
    p[list(excess)] = [0.51 + above for above in excess.values()]
    return decided(inputs_of(calibrated_probability=p, known={"change_share": 0.0, **fees}), settings).weights[7]


@pytest.mark.parametrize("fee", [0.0, 0.0003])
def test_a_short_earns_its_return_less_its_fee(fee: float) -> None:
    """Half of Kelly, by hand: 0.9 x 2.3 x 0.02 x 0.011 x sqrt 5 less the fee, over the name's variance."""
    variance = construction_inputs(inputs_of(), CHOSEN).covariance.variance[0]
    earned = 0.9 * 2.3 * 0.02 * 0.011 * 5**0.5
    assert _free_sizes({0: -0.02}, short_fee=fee)[0] == pytest.approx(-0.5 * (earned - fee) / variance, abs=1e-4)
    assert _free_sizes({0: 0.02}, short_fee=fee)[0] == pytest.approx(0.5 * earned / variance, abs=1e-4)


def test_nothing_is_borrowed_at_a_fee_above_what_it_earns() -> None:
    two = {0: 0.03, 1: 0.03}
    assert _free_sizes(two, margin_fee=0.0).sum() > 1.5
    assert _free_sizes(two, margin_fee=0.01).sum() == pytest.approx(1.0, abs=1e-4)


def settled(most: int = 60) -> tuple[Decision, int]:
    """The book that a constant signal leads to, and the decisions that it took."""
    before = decided(inputs_of())
    for count in range(1, most):
        after = decided(inputs_of(current_quantity=before.target_quantity, unscaled_quantity=before.unscaled_quantity))
        if np.array_equal(after.unscaled_quantity, before.unscaled_quantity):
            return after, count
        before = after
    return before, most


def test_relative_returns_expected_sum_to_zero_whatever_the_confidence_of_each_name() -> None:
    confidence = np.linspace(0.2, 1.0, NAMES)
    of = inputs_of(known={"relative": True}, confidence=confidence)
    mean = trace_facts(decided(of)).construction.programme.mean
    p, p0 = of.calibrated_probability, 0.51
    alone = confidence * 2.3 * (p - p0) * 0.011 * np.sqrt(of.horizon_sessions)
    np.testing.assert_allclose(mean, alone - alone.mean(), rtol=0.0, atol=1e-15)
    assert abs(mean.mean()) < 1e-15
    assert not np.isclose(mean[0], confidence[0] * (alone / confidence - (alone / confidence).mean())[0])


def test_an_excess_that_no_session_can_trade_shrinks_by_what_one_can_and_is_named() -> None:
    plain = inputs_of()
    price, equity = plain.reference_price, plain.equity_usd
    held = np.zeros(NAMES)
    held[3] = np.trunc(0.15 * equity / price[3])  # half as much again as a single name may have
    reach = np.full(NAMES, np.inf)
    reach[3] = 0.01 * equity
    decision = decided(inputs_of(current_quantity=held, unscaled_quantity=held, known={"reach_usd": reach}))
    assert decision.weights[7][3] == pytest.approx(0.14, abs=2.0 * price[3] / equity)
    frame = steps_frame(decision)
    reasons = frame[(frame["symbol"] == plain.symbols[3]) & (frame["step"] == 7)]["reason"]
    assert reasons.str.contains("cannot be traded").all(), reasons.tolist()
    free = decided(inputs_of(current_quantity=held, unscaled_quantity=held))
    assert abs(free.weights[7][3]) <= 0.10 + 1e-9


def test_a_constant_signal_reaches_a_constant_size() -> None:
    decision, decisions = settled()
    assert decisions < 60
    assert np.abs(decision.target_weight).sum() > 0.3


@pytest.mark.full
@pytest.mark.parametrize(
    "changes", [{"trading_state": "REDUCE_SIZE"}, {"drawdown_fraction": 0.05}, {"regime_scale": 0.5}]
)
def test_the_target_is_the_scale_times_the_unscaled_book_whatever_is_held(changes: dict[str, object]) -> None:
    plain, _ = settled()
    held, unscaled = plain.target_quantity, plain.unscaled_quantity
    for _ in range(20):
        decision = decided(inputs_of(current_quantity=held, unscaled_quantity=unscaled, **changes))
        assert decision.scale == 0.5
        assert (np.abs(decision.target_quantity) <= 0.5 * np.abs(decision.unscaled_quantity) + 1e-9).all()
        assert np.array_equal(decision.unscaled_quantity, plain.unscaled_quantity)
        gross = np.abs(decision.target_weight).sum() / np.abs(plain.target_weight).sum()
        assert gross == pytest.approx(0.5, abs=0.001)
        held, unscaled = decision.target_quantity, decision.unscaled_quantity


def test_without_a_verdict_nothing_is_held_and_while_halted_nothing_moves() -> None:
    held = np.full(NAMES, 120.0)
    shut = decided(inputs_of(verdict_allows=False, current_quantity=held, unscaled_quantity=held))
    assert not shut.target_quantity.any()
    assert not shut.unscaled_quantity.any()
    assert steps_frame(shut)["reason"].str.contains("does not allow trading").sum() == NAMES
    halted = decided(inputs_of(kill_switch="HALTED", current_quantity=held, unscaled_quantity=2 * held))
    assert halted.control is Control.HALTED
    assert np.array_equal(halted.target_quantity, held)
    assert np.array_equal(halted.unscaled_quantity, 2 * held)
    frame = steps_frame(halted)
    assert frame["reason"].str.contains("halted: the unscaled book stays as it was").sum() == NAMES
    assert frame[frame["step"] == 7]["weight_after"].to_numpy().tobytes() == halted.weights[7].tobytes()


@pytest.mark.parametrize("changes", [{"outcomes": 59}, {"outcome_sessions": 59}])
def test_too_little_evidence_opens_nothing_and_keeps_nothing(changes: dict[str, int]) -> None:
    held = np.full(NAMES, 100.0)
    arrays = {name: np.full(NAMES, value) for name, value in changes.items()}
    decision = decided(inputs_of(current_quantity=held, unscaled_quantity=held, **arrays))
    assert not decision.target_quantity.any()


_MISSING = (
    "calibrated_probability",
    "confidence",
    "reference_price",
    "atr",
    "daily_volatility",
    "adv_usd",
    "base_rate",
)
_KNOWN = ("label_volatility",)


@pytest.mark.parametrize("name", [*_MISSING, *_KNOWN, "returns"])
def test_one_missing_fact_of_one_name_moves_that_name_alone_to_zero(name: str) -> None:
    whole = inputs_of(3)
    index = int(np.abs(decided(whole).target_weight).argmax())
    source = whole if name in _MISSING else whole.programme
    spoilt = np.array(getattr(source, name), dtype=np.float64)
    spoilt[..., index] = np.nan
    decision = decided(inputs_of(3, **({name: spoilt} if name in _MISSING else {"known": {name: spoilt}})))
    assert decision.target_quantity[index] == 0.0
    assert not decision.complete[index]
    assert np.delete(decision.complete, index).all()
    others = np.delete(decision.target_weight, index)
    assert (others != 0.0).sum() >= 6
    assert np.isfinite(decision.target_weight).all()
    text = steps_frame(decision).set_index(["symbol", "step"])["reason"]
    assert text[f"S{index:02d}", 1].startswith("no position: ")
    assert text.str.startswith("no position: ").sum() == 1


def test_a_missing_beta_or_stop_takes_nothing_away() -> None:
    decision = decided(inputs_of(stop_price=np.full(NAMES, np.nan), beta=np.full(NAMES, np.nan)))
    assert decision.complete.all()


def test_a_resting_stop_further_away_than_two_ranges_bounds_the_whole() -> None:
    held = np.where(np.arange(NAMES) == 0, 500.0, 0.0)
    stop = np.where(np.arange(NAMES) == 0, 10.0, np.nan)  # 80% below the price of 50: 2% at risk is 2.5% held
    p = np.where(np.arange(NAMES) == 0, 0.60, 0.49)
    near, far = (
        decided(inputs_of(calibrated_probability=p, current_quantity=held, unscaled_quantity=held, stop_price=at))
        for at in (np.full(NAMES, np.nan), stop)
    )
    assert near.weights[7, 0] > 0.03
    assert far.weights[7, 0] == pytest.approx(0.025, abs=1e-6)


def test_the_premium_of_the_base_rate_is_held_by_setting_only() -> None:
    even = inputs_of(calibrated_probability=np.full(NAMES, 0.51))
    settings = PortfolioSettings(construction="programme")
    assert not decided(even, settings).target_quantity.any()
    premium = decided(even, settings.model_copy(update={"hold_premium": True}))
    assert (premium.target_weight > 0.0).sum() >= 6


def test_a_name_without_a_price_keeps_what_is_held_and_counts_in_every_sum() -> None:
    price, held = np.full(NAMES, 50.0), np.where(np.arange(NAMES) == 4, 1500.0, 0.0)
    gone = np.where(np.arange(NAMES) == 4, np.nan, price)
    decision = decided(inputs_of(reference_price=gone, last_mark=price, current_quantity=held, unscaled_quantity=held))
    assert decision.target_quantity[4] == 1500.0
    assert decision.target_weight[4] == 0.0
    others = float(decision.target_weight.sum())
    assert others == pytest.approx(-0.075, abs=0.005 + 1e-9)


def test_no_answer_of_the_solver_is_said_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    of = inputs_of(current_quantity=np.full(NAMES, 60.0), unscaled_quantity=np.full(NAMES, 60.0))
    answered = decided(of)
    assert answered.answer.no_answer is None
    monkeypatch.setattr(conic, "many_names", lambda _: [conic.Answer(np.full(NAMES, np.nan), "broken", 0)])
    decision = decided(of)
    assert decision.answer.no_answer == "broken"
    assert (np.abs(decision.unscaled_quantity) <= 60.0).all()
    assert steps_frame(decision)["reason"].str.contains("nothing is opened or enlarged").sum() == NAMES


@pytest.mark.parametrize("held", [0.0, 30.0, -40.0], ids=["after a flat", "half, as a control left", "other side"])
def test_without_an_answer_nothing_held_is_enlarged_though_the_book_before_is_larger(
    held: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = inputs_of(current_quantity=np.full(NAMES, held), unscaled_quantity=np.full(NAMES, 60.0))
    answered = decided(of)
    enlarged = (np.abs(answered.target_quantity) > abs(held)) | (answered.target_quantity * held < 0.0)
    assert enlarged.any(), "with an answer this book may grow"
    monkeypatch.setattr(conic, "many_names", lambda _: [conic.Answer(np.full(NAMES, np.nan), "broken", 0)])
    decision = decided(of)
    assert (np.abs(decision.target_quantity) <= max(held, 0.0)).all()
    assert (decision.target_quantity * held >= 0.0).all()
    assert (decision.target_quantity != 0.0).any() == (held > 0.0)
    assert decision.control is Control.REDUCING
    frame = steps_frame(decision)
    assert frame.loc[frame["step"] == "controls", "reason"].str.startswith("REDUCING").all()
    halted = decided(replace(of, kill_switch=KillSwitch.HALTED))
    assert halted.control is Control.HALTED
    assert (halted.target_quantity == held).all()


@pytest.mark.parametrize("held", [0.0, 30.0], ids=["after a flat", "half, as a control left"])
def test_by_name_too_nothing_held_is_enlarged_without_an_answer(held: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # A gross limit that binds: only then are the names' sizes shared out by the solver.
    chosen = PortfolioSettings(construction="per_name", gross_limit=0.05)
    of = inputs_of(current_quantity=np.full(NAMES, held), unscaled_quantity=np.full(NAMES, 60.0))
    answered = decided(of, chosen)
    assert answered.answer.no_answer is None
    assert (np.abs(answered.target_quantity) > held).any(), "with an answer this book may grow"

    def broken(problem: conic.Problem) -> list[conic.Answer]:
        return [conic.Answer(np.full(len(problem.mean), np.nan), "broken", 0)]

    monkeypatch.setattr(conic, "many_names", broken)
    decision = decided(of, chosen)
    assert decision.answer.no_answer is not None
    assert decision.control is Control.REDUCING
    assert ((decision.target_quantity >= 0.0) & (decision.target_quantity <= held)).all()


def test_who_is_no_member_says_nothing_of_the_others_to_the_bit() -> None:
    p, whole = inputs_of(2).calibrated_probability.copy(), inputs_of(2)
    p[[3, 8]] = np.nan
    members = np.isfinite(p)
    facts_told = whole.programme
    assert facts_told is not None
    wild = np.where(members, facts_told.returns, 9.0 * facts_told.returns + 0.01)
    decisions = [
        decided(inputs_of(2, calibrated_probability=p, known={"members": members, "returns": returns}))
        for returns in (facts_told.returns, wild)
    ]
    assert decisions[0].weights.tobytes() == decisions[1].weights.tobytes()
    assert (decisions[0].target_quantity != 0.0).sum() >= 6
    counted = decided(inputs_of(2, calibrated_probability=p, known={"returns": wild}))
    assert counted.weights.tobytes() != decisions[0].weights.tobytes()


def test_the_programme_without_its_facts_is_refused() -> None:
    with pytest.raises(DecisionError, match="construction per_name"):
        decided(replace(inputs_of(), programme=None))


def test_the_other_construction_reads_none_of_the_programmes_facts() -> None:
    of = inputs_of(regime_scale=0.7)
    with_facts, without = (
        decide(inputs, PortfolioSettings(), COSTS) for inputs in (of, replace(of, programme=None, stop_price=None))
    )
    for field in fields(Decision):
        one, other = getattr(with_facts, field.name), getattr(without, field.name)
        if isinstance(one, np.ndarray):
            assert one.tobytes() == other.tobytes()
