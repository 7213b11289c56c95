"""What is held through a stated halt stays held while a forecast reads the halt; only what takes risk off acts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import Decision, DecisionInputs
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS
from tests.portfolio.test_binding import bindings
from tests.portfolio.test_by_programme import NAMES, inputs_of

BOTH = ("programme", "per_name")
HELD = -400.0  # of the first name, 2% of capital short
SHORT = np.where(np.arange(NAMES) == 0, HELD, 0.0)
RESUMED = np.arange(NAMES) == 0


def settings(construction: str, **limits: object) -> PortfolioSettings:
    return PortfolioSettings.model_validate({"construction": construction, "minimum_outcomes": 20, **limits})


def resumed(**changes: object) -> DecisionInputs:
    """The first name has no forecast; nor, to leave other orders out, any name an edge."""
    p = np.where(RESUMED, np.nan, 0.51)
    known: dict[str, object] = {
        "calibrated_probability": p,
        "confidence": np.where(RESUMED, np.nan, 0.9),
        "current_quantity": SHORT,
        "unscaled_quantity": SHORT,
        "since_halt": RESUMED,
    }
    return inputs_of(0, **{**known, **changes})


def of_first(inputs: DecisionInputs, chosen: PortfolioSettings) -> float:
    return float(decide(inputs, chosen, COSTS).target_quantity[0])


@pytest.mark.parametrize("construction", BOTH)
def test_it_stays_to_the_share_and_the_trace_says_why(construction: str) -> None:
    decision: Decision = decide(resumed(), settings(construction), COSTS)
    assert decision.target_quantity[0] == HELD
    assert decision.unscaled_quantity[0] == HELD
    assert not decision.target_quantity[1:].any()
    assert not decision.answer.exceeded
    reasons = steps_frame(decision).query("symbol == 'S00'")["reason"].tolist()
    assert reasons[0].startswith("held on: a stated halt lies within what is read, so confidence is nan, probability")
    assert reasons[5] == "-2.00% stays"
    assert bindings(decision)[0] == ("nothing", 3)


@pytest.mark.parametrize("construction", BOTH)
def test_it_stays_when_returns_are_missing_too_and_when_the_others_trade(construction: str) -> None:
    inputs = resumed()
    trailing = inputs.trailing_returns.copy()
    trailing[:50, 0] = np.nan
    assert inputs.programme is not None
    returns = inputs.programme.returns.copy()
    returns[:-5, 0] = np.nan
    gone = replace(inputs, trailing_returns=trailing, programme=replace(inputs.programme, returns=returns))
    assert of_first(gone, settings(construction)) == HELD
    p = np.where(RESUMED, np.nan, np.linspace(0.62, 0.58, NAMES))
    decision = decide(replace(gone, calibrated_probability=p), settings(construction), COSTS)
    assert decision.target_quantity[0] == HELD
    assert np.abs(decision.target_quantity[1:]).sum() > 1_000.0


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"breakers": ("drawdown",)}, 0.0),
        ({"verdict_allows": False}, 0.0),
        ({"blocked_side": np.where(RESUMED, -1, 0)}, 0.0),  # a stop was hit at the close
        ({"kill_switch": "REDUCING"}, HELD),
        ({"kill_switch": "HALTED"}, HELD),
        ({"drawdown_fraction": 0.07}, HELD / 2.0),
        ({"regime_scale": 0.5}, HELD / 2.0),
        ({"trading_state": "REDUCE_SIZE"}, HELD / 2.0),
        ({"trading_state": "PAUSE_STRATEGY"}, 0.0),
        ({"unscaled_quantity": 2.0 * SHORT}, HELD),  # a scale was lifted meanwhile: nothing is added
        ({"unscaled_quantity": 0.5 * SHORT}, HELD / 2.0),  # its sale was decided before the halt
        ({"current_quantity": np.zeros(NAMES)}, 0.0),
    ],
)
def test_controls_and_stops_act_on_it_and_nothing_is_added(
    construction: str, changes: dict[str, object], target: float
) -> None:
    assert of_first(resumed(**changes), settings(construction)) == target


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"single_name_limit": 0.01}, 200.0),
        ({"gross_limit": 0.01}, 200.0),
        ({"allow_short": False}, 0.0),
        ({"adv_limit_fraction": 0.0002}, 200.0),
    ],
)
def test_limits_cut_it_by_no_more_than_they_must(construction: str, limits: dict[str, object], most: float) -> None:
    target = of_first(resumed(), settings(construction, **limits))
    assert -most <= target <= 0.0
    assert target <= 2.0 - most or most == 0.0


@pytest.mark.parametrize("construction", BOTH)
def test_the_net_sum_keeps_to_its_limit_whether_it_is_cut_or_hedged(construction: str) -> None:
    target = decide(resumed(), settings(construction, net_limit=0.01), COSTS).target_quantity
    assert HELD <= target[0] < 0.0
    assert abs(target.sum()) <= 200.0 + 1.0  # at 50 dollars a share, to a lot


@pytest.mark.parametrize("construction", BOTH)
@pytest.mark.parametrize(
    "changes",
    [
        {"since_halt": None},
        {"since_halt": np.zeros(NAMES, dtype=bool)},
        {"atr": np.where(RESUMED, np.nan, 0.75)},  # windows step over a halt, so something else is missing
        {"calibrated_probability": np.full(NAMES, np.nan)},  # of nobody: no halt is the reason
        {"outcomes": np.zeros(NAMES, dtype=np.int64)},
    ],
)
def test_a_fact_missing_for_another_reason_closes_as_before(construction: str, changes: dict[str, object]) -> None:
    assert of_first(resumed(**changes), settings(construction)) == 0.0


@pytest.mark.parametrize("construction", BOTH)
def test_a_halt_of_all_is_held_through_and_a_name_with_a_forecast_is_decided(construction: str) -> None:
    everyone = resumed(calibrated_probability=np.full(NAMES, np.nan), since_halt=np.ones(NAMES, dtype=bool))
    assert of_first(everyone, settings(construction)) == HELD
    full = {"calibrated_probability": np.full(NAMES, 0.51), "confidence": np.full(NAMES, 0.9)}
    with_halt, without = (
        decide(resumed(**full, since_halt=lately), settings(construction), COSTS) for lately in (RESUMED, None)
    )
    assert with_halt.target_quantity.tobytes() == without.target_quantity.tobytes()
    assert with_halt.unscaled_quantity.tobytes() == without.unscaled_quantity.tobytes()
