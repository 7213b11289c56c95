"""Bad inputs through both constructions: a stated, safe answer, and its reason in the trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.portfolio.decide import Decision, decide
from nn_assets.portfolio.inputs import DecisionInputs, ProgrammeFacts
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS, facts

BOTH = pytest.mark.parametrize("construction", ["per_name", "programme"])


def inputs_of(symbols: int = 8, **changes: object) -> DecisionInputs:
    """Names that each construction opens positions in, long and short in turn."""
    g = np.random.default_rng(5)
    returns = g.normal(0.0, 0.006, (120, 1)) + g.normal(0.0, 0.01, (120, symbols))
    programme = ProgrammeFacts(
        label_volatility=np.full(symbols, 0.011),
        outcome_slope=2.3,
        change_share=0.7,
        autocorrelation=0.8,
        returns=returns,
        relative=False,
        short_fee=0.0001,
        margin_fee=0.0001,
    )
    p = 0.5 + 0.05 * np.where(np.arange(symbols) % 2 == 0, 1.0, -1.0)
    base: dict[str, object] = {
        "calibrated_probability": p, "trailing_returns": returns[-60:], "programme": programme,
        "last_mark": np.full(symbols, 50.0),
    }  # fmt: skip
    return facts(symbols, **{**base, **changes})


def settings(construction: str, **changes: object) -> PortfolioSettings:
    return PortfolioSettings(construction=construction, **changes)


def decided(of: DecisionInputs, chosen: PortfolioSettings) -> Decision:
    decision = decide(of, chosen, COSTS)
    assert np.isfinite(decision.target_quantity).all()
    assert decision.answer.no_answer is None
    return decision


def reasons_of(decision: Decision, index: int = 0) -> list[str]:
    frame = steps_frame(decision)
    return frame[frame["symbol"] == decision.inputs.symbols[index]]["reason"].tolist()


@BOTH
def test_what_cannot_be_traded_is_part_of_gross_and_leaves_the_others_the_rest(construction: str) -> None:
    """30% without a price under a gross of 40%: the others share 10%."""
    held = np.where(np.arange(8) == 0, 6000.0, 0.0)
    price = np.where(np.arange(8) == 0, np.nan, 50.0)
    of = inputs_of(reference_price=price, current_quantity=held, unscaled_quantity=held)
    decision = decided(of, settings(construction, gross_limit=0.4))
    assert decision.target_quantity[0] == 6000.0
    assert np.abs(decision.target_weight[1:]).sum() == pytest.approx(0.10, abs=8 * 5e-5)
    assert reasons_of(decision)[7] == "no price, so no order: 6000 stay"


@BOTH
def test_limits_that_cannot_be_met_open_nothing_and_are_named(construction: str) -> None:
    """60% without a price under a gross of 40%: nothing is added, and the trace says which limit is over, and why."""
    held = np.where(np.arange(8) == 0, 12_000.0, 0.0)
    price = np.where(np.arange(8) == 0, np.nan, 50.0)
    of = inputs_of(reference_price=price, current_quantity=held, unscaled_quantity=held)
    decision = decided(of, settings(construction, gross_limit=0.4))
    assert not decision.target_quantity[1:].any()
    assert "gross" in decision.answer.exceeded
    reasons = " ".join(steps_frame(decision)["reason"])
    assert "over because it cannot be traded" in reasons


@BOTH
@pytest.mark.parametrize("limit", ["gross_limit", "single_name_limit", "adv_limit_fraction", "risk_total_fraction"])
def test_a_limit_of_zero_holds_nothing(construction: str, limit: str) -> None:
    decision = decided(inputs_of(current_quantity=np.full(8, 50.0)), settings(construction, **{limit: 0.0}))
    assert not decision.target_quantity.any()


@BOTH
def test_names_that_move_as_one_are_decided_within_every_limit(construction: str) -> None:
    """A singular covariance: eight times the same returns."""
    of = inputs_of()
    one = np.repeat(of.trailing_returns[:, :1], 8, axis=1)
    assert of.programme is not None
    both = np.repeat(of.programme.returns[:, :1], 8, axis=1)
    decision = decided(
        replace(of, trailing_returns=one, programme=replace(of.programme, returns=both)), settings(construction)
    )
    assert np.abs(decision.target_weight).sum() <= 1.0
    assert np.abs(decision.target_weight).max() <= 0.10 + 1e-9


@BOTH
def test_returns_that_never_change_open_nothing_or_count_as_moving_with_the_book(construction: str) -> None:
    of = inputs_of()
    assert of.programme is not None
    flat = np.where(np.arange(8) == 0, 0.001, of.trailing_returns)
    known = np.where(np.arange(8) == 0, 0.001, of.programme.returns)
    decision = decided(
        replace(of, trailing_returns=flat, programme=replace(of.programme, returns=known)), settings(construction)
    )
    assert decision.target_quantity[0] == 0.0
    assert (decision.target_quantity[1:] != 0.0).any()


@BOTH
def test_one_name_only(construction: str) -> None:
    decision = decided(inputs_of(1), settings(construction))
    assert 0.0 < decision.target_weight[0] <= 0.10
    assert all(reasons_of(decision))


@BOTH
def test_all_names_on_one_side_of_a_neutral_book_hold_what_neutral_allows(construction: str) -> None:
    of = inputs_of(calibrated_probability=np.full(8, 0.56))
    decision = decided(of, settings(construction, net_limit=0.0))
    assert 0.0 <= decision.target_weight.sum() <= 0.005 + 1e-9
    assert np.abs(decision.target_weight).sum() <= 0.005 + 1e-9


@BOTH
@pytest.mark.parametrize("equity", [0.0, -1e5])
def test_without_equity_everything_is_closed(construction: str, equity: float) -> None:
    held = np.full(8, 20.0)
    decision = decided(
        inputs_of(equity_usd=equity, current_quantity=held, unscaled_quantity=held), settings(construction)
    )
    assert not decision.target_quantity.any()
    assert f"equity is {equity:g}" in reasons_of(decision)[0]


@BOTH
def test_a_lot_larger_than_the_capital_is_not_bought(construction: str) -> None:
    decision = decided(inputs_of(), settings(construction, lot_size=50_000.0))
    assert not decision.target_quantity.any()
    assert "rounded towards zero to lots of 50000" in reasons_of(decision)[7]


_FACTS = ("reference_price", "calibrated_probability", "base_rate", "confidence", "atr", "daily_volatility", "adv_usd",
          "current_quantity", "unscaled_quantity")  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", _FACTS)
def test_one_missing_fact_of_one_name_closes_it_and_is_named(construction: str, name: str) -> None:
    whole = inputs_of(current_quantity=np.zeros(8), unscaled_quantity=np.zeros(8))
    spoilt = np.array(getattr(whole, name), dtype=np.float64)
    spoilt[0] = np.nan
    decision = decided(replace(whole, **{name: spoilt}), settings(construction))
    assert decision.target_quantity[0] == 0.0
    assert (decision.target_quantity[1:] != 0.0).any()
    assert reasons_of(decision)[0].startswith("no position: ")
    assert "nan" in reasons_of(decision)[0]


@pytest.mark.parametrize("name", ["label_volatility", "short_fee"])
def test_one_missing_fact_of_the_programme_closes_its_name_and_is_named(name: str) -> None:
    whole = inputs_of(current_quantity=np.zeros(8), unscaled_quantity=np.zeros(8))
    assert whole.programme is not None
    spoilt = np.broadcast_to(np.array(getattr(whole.programme, name), dtype=np.float64), 8).copy()
    spoilt[0] = np.nan
    decision = decided(replace(whole, programme=replace(whole.programme, **{name: spoilt})), settings("programme"))
    assert decision.target_quantity[0] == 0.0
    assert (decision.target_quantity[1:] != 0.0).any()
    assert reasons_of(decision)[0].startswith("no position: ")
    assert "nan" in reasons_of(decision)[0]


@BOTH
@pytest.mark.parametrize("price", [0.0, -1.0])
def test_a_price_that_is_none_is_a_missing_one_to_the_other_names(construction: str, price: float) -> None:
    held = np.where(np.arange(8) == 0, 100.0, 0.0)
    of = inputs_of(current_quantity=held, unscaled_quantity=held)
    of = replace(of, last_mark=of.reference_price, stop_price=np.where(held > 0.0, 0.9 * of.reference_price, np.nan))
    decisions = [
        decided(replace(of, reference_price=np.where(held > 0.0, gone, of.reference_price)), settings(construction))
        for gone in (np.nan, price)
    ]
    assert (decisions[0].target_quantity[1:] != 0.0).any()
    assert decisions[1].target_quantity.tobytes() == decisions[0].target_quantity.tobytes()


@pytest.mark.parametrize("name", ["mean_win", "mean_loss"])
def test_a_missing_win_or_loss_gives_no_size_name_by_name(name: str) -> None:
    whole = inputs_of()
    spoilt = getattr(whole, name).copy()
    spoilt[0] = np.nan
    decision = decided(replace(whole, **{name: spoilt}), settings("per_name"))
    assert decision.target_quantity[0] == 0.0


def test_without_a_usual_volatility_nothing_is_held_and_it_is_said() -> None:
    held = np.full(8, 20.0)
    decision = decided(
        inputs_of(edge_scale=np.nan, current_quantity=held, unscaled_quantity=held), settings("per_name")
    )
    assert not decision.target_quantity.any()
    assert "usual volatility" in reasons_of(decision)[4]
