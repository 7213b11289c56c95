"""The sentences of a construction: their numbers are those of the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from nn_assets.errors import DecisionError
from nn_assets.portfolio import conic
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.construction import ConstructionInputs, construct, targets_of
from nn_assets.portfolio.construction_trace import TraceFacts, step_reasons
from nn_assets.portfolio.inputs import STEP_NAMES
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS, SETTINGS
from tests.portfolio.test_construction import inputs, one


def traced(of: ConstructionInputs, settings: PortfolioSettings = SETTINGS, **more: object) -> TraceFacts:
    construction = construct(of, settings, COSTS, with_steps=True)
    control, scale = more.get("control", Control.NORMAL), more.get("scale", 1.0)
    rates = np.full(len(of.symbols), 0.5)
    return TraceFacts(
        construction,
        targets_of(construction, control, scale),
        control,
        scale,
        rates,
        0.0 * rates,
        "drift state CONTINUE",
    )


def test_every_step_of_every_name_has_a_sentence_and_the_rows_are_the_steps() -> None:
    of = traced(inputs(9))
    weights = of.weights
    assert weights.shape == (len(STEP_NAMES) + 1, 9)
    np.testing.assert_array_equal(weights[:8], of.construction.steps)
    np.testing.assert_array_equal(weights[8], of.targets.weight)
    for index in range(9):
        reasons = step_reasons(of, index)
        assert len(reasons) == 8
        assert all(reason and "nan" not in reason for reason in reasons)


def test_the_numbers_of_one_name() -> None:
    reasons = step_reasons(traced(one(adv_usd=5e9), PortfolioSettings(single_name_limit=1.0)), 0)
    assert reasons[0] == "p 0.5200 beside a base rate of 0.5000 says long: 0.135% over 10 sessions"
    assert reasons[1].startswith("0.135% beside 0.050%, 80% of what the first dollar of a change costs: worth opening")
    assert reasons[2] == "0.5 of 0.135% over a variance of 0.1000% (1.00% a session): 67.45% if it were alone and free"
    assert reasons[3].startswith("stop 2.00% away: at most 100.00% for 2.0% at risk; 1.35% of 10.0% at risk in total")
    assert "100% of its variance is its own" in reasons[4]
    assert reasons[5] == "at most 100.00% by name, ADV and stop; no shared limit is used up; 67.45% to 67.45%"
    assert "80% counted" in reasons[6]
    assert reasons[7].startswith("NORMAL, scale 1 (drift state CONTINUE): 1 x ")


def test_a_relative_label_tells_what_the_names_mean_takes_off() -> None:
    """By hand: 2.133 sigma sqrt 10 is 6.745% a unit of p; the five are worth 0.067 to -0.337%, their mean -0.135%."""
    p = np.array([0.51, 0.49, 0.48, 0.47, 0.45])
    of = inputs(5, calibrated_probability=p, volatility=np.full(5, 0.01), confidence=np.ones(5), relative=True)
    first, second = (step_reasons(traced(of), index)[0] for index in (0, 1))
    assert first.endswith("says long: 0.202% over 10 sessions, its own 0.067% less the names' mean of -0.135%")
    assert second.endswith("says long: 0.067% over 10 sessions, its own -0.067% less the names' mean of -0.135%")


def test_a_limit_that_is_used_up_is_named() -> None:
    of = one(adv_usd=5e9, calibrated_probability=0.6)
    settings = PortfolioSettings(single_name_limit=1.0, sectors={"S00": "tech"}, sector_limit=0.05)
    assert "used up: sector tech" in step_reasons(traced(of, settings), 0)[5]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"atr": np.nan}, "no position: ATR is nan"),
        ({"confidence": np.nan}, "no position: confidence is nan"),
        ({"held_quantity": np.nan}, "no position: quantity held is nan"),
        ({"evidence": False}, "no position: too few outcomes are realised for a size"),
        ({"calibrated_probability": 1.5}, "no position: probability is 1.5"),
        ({"equity_usd": 0.0}, "no position: equity is 0"),
        ({"blocked_side": 1}, "a stop was hit on that side"),
    ],
)
def test_why_there_is_no_position(changes: dict[str, float], reason: str) -> None:
    assert reason in step_reasons(traced(one(**changes)), 0)[0]


def test_a_side_that_is_not_allowed_or_held_the_other_way_is_told() -> None:
    low = one(calibrated_probability=0.45)
    assert "allow no shorts" in step_reasons(traced(low, PortfolioSettings(allow_short=False)), 0)[0]
    held = replace(low, unscaled_quantity=np.array([200.0]))
    assert "what is held is on the other side" in step_reasons(traced(held), 0)[0]


def test_what_stays_is_told_with_its_reason() -> None:
    grown = construct(one(adv_usd=5e9), PortfolioSettings(), COSTS)
    kept = traced(one(unscaled_quantity=grown.quantity[0], held_quantity=grown.quantity[0]))
    assert "no change of a lot or more is worth its cost: 10.00% stays" in step_reasons(kept, 0)[6]
    assert "paid already" in step_reasons(kept, 0)[1]
    halted = traced(one(held_quantity=33.0), control=Control.HALTED)
    assert "no order leaves, 33 stay" in step_reasons(halted, 0)[7]
    assert step_reasons(halted, 0)[6] == "halted: the unscaled book stays as it was, 10.00%"
    unfound = replace(traced(one(adv_usd=5e9)), verdict_allows=False)
    assert step_reasons(unfound, 0)[6] == "no position: the verdict in force does not allow trading"
    unpriced = traced(one(reference_price=np.nan, held_quantity=1500.0, unscaled_quantity=1500.0))
    reasons = step_reasons(unpriced, 0)
    assert reasons[0] == "no position: reference price is nan"
    assert reasons[6] == "15.00% cannot be traded in this session"
    assert reasons[7] == "no price, so no order: 1500 stay"


def test_the_cost_told_is_that_of_the_change_alone() -> None:
    """5% held of what becomes 10%: five per cent of a million at 100 dollars, priced by the formula itself."""
    of = traced(one(adv_usd=5e9, unscaled_quantity=500.0, held_quantity=500.0), scale=0.5)  # no scale is in it
    change = 0.05
    share = change * 1e6 / 5e9
    linear = COSTS.half_spread.value + COSTS.commission.value
    impact = 0.01 * (COSTS.temporary_impact.value * share**0.5 + COSTS.permanent_impact.value * share)
    reason = step_reasons(of, 0)[6]
    assert reason == f"5.00% to 10.00% at a cost of {change * (linear + impact):.4%} of capital, 80% counted"


def test_a_solver_without_an_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(problem: conic.Problem) -> Iterator[conic.Answer]:
        yield conic.Answer(np.full(len(problem.mean), np.nan), "the solver says MaxIterations", 200)

    monkeypatch.setattr(conic, "many_names", no_answer)
    reasons = step_reasons(traced(inputs(4)), 0)
    assert reasons[6] == ("no answer (the solver says MaxIterations): nothing is opened or enlarged, 0.00% to 0.00%")


def test_a_construction_without_steps_has_no_sentences() -> None:
    construction = construct(inputs(3), PortfolioSettings(), COSTS)
    none = np.zeros(3)
    without = TraceFacts(
        construction, targets_of(construction, Control.NORMAL, 1.0), Control.NORMAL, 1.0, none, none, ""
    )
    with pytest.raises(DecisionError, match="with_steps=True"):
        step_reasons(without, 0)
