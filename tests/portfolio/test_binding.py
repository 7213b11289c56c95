"""The constraint that bound a size is named, in both constructions: each is made to bind alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nn_assets.portfolio.binding import binding_constraints
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.inputs import Decision, DecisionInputs
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import PortfolioSettings
from tests.portfolio.facts import COSTS, ONE_NAME, one
from tests.portfolio.test_by_programme import CHOSEN, inputs_of


def bindings(decision: Decision) -> tuple[tuple[str, int | None], ...]:
    steps = steps_frame(decision).pivot(index="step", columns="symbol", values="weight_after")
    return binding_constraints(decision, steps[list(decision.inputs.symbols)].to_numpy())


def bound(decision: Decision) -> tuple[str, ...]:
    return tuple(name for name, _ in bindings(decision))


WIDE: dict[str, object] = (
    dict.fromkeys(("risk_per_signal_fraction", "risk_total_fraction", "single_name_limit"), 1.0)
    | dict.fromkeys(("gross_limit", "net_limit", "beta_limit"), 90.0)
    | {"kelly_fraction": 0.05}
)
CASES: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "single name": ({}, {"single_name_limit": 0.01}, "single name"),
    "ADV": ({"adv_usd": 2e5}, {}, "ADV"),
    "gross": ({}, {"gross_limit": 0.011, "net_limit": 0.011}, "gross, net"),
    "net": ({}, {"net_limit": 0.011}, "net"),
    "beta": ({"beta": 1.5}, {"beta_limit": 0.011}, "beta"),
    "capacity": ({}, {"capacity_usd": 11_000.0}, "capacity"),
    "risk": ({}, {"risk_per_signal_fraction": 0.0001}, "risk of the signal"),
    "verdict": ({"verdict_allows": False}, {}, "verdict"),
    "kill switch": ({"kill_switch": "HALTED"}, {}, "kill switch HALTED"),
    "breaker": ({"breakers": ("drawdown",)}, {}, "breaker drawdown"),
    "drift": ({"trading_state": "REDUCE_SIZE", "edge_scale": 1e9}, WIDE, "drift REDUCE_SIZE"),
    "drawdown": ({"drawdown_fraction": 0.07, "edge_scale": 1e9}, WIDE, "drawdown"),
    "regime": ({"regime_scale": 0.3, "edge_scale": 1e9}, WIDE, "regime"),
    "near capacity": (
        {"assets_usd": 1e6, "capacity_usd": 1.5e6, "edge_scale": 1e9},
        WIDE | {"capacity_share": 0.5},
        "assets near capacity",
    ),
    "nothing": ({"edge_scale": 1e9}, WIDE, "nothing"),
    "edge": ({"calibrated_probability": 0.5}, {}, "edge"),
    "lots": ({"equity_usd": 2_000.0}, {"lot_size": 100.0}, "lots"),
    "a missing fact": ({"atr": np.nan}, {}, "a missing fact"),
}

STEP = dict.fromkeys(("single name", "ADV", "gross", "net", "beta", "capacity"), 6) | {"risk": 4, "verdict": 7}
STEP |= dict.fromkeys(("kill switch", "breaker", "drift", "drawdown", "regime", "near capacity", "lots"), 8) | {
    "a missing fact": 1
}
STEP |= {"nothing": 3, "edge": None}


@pytest.mark.parametrize("case", CASES)
def test_what_binds_alone_is_named(case: str) -> None:
    facts, limits, name = CASES[case]
    settings = PortfolioSettings.model_validate({**ONE_NAME.model_dump(), **limits})
    assert bindings(decide(one(**facts), settings, COSTS)) == ((name, STEP[case]),)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (
            (0.10, 0.10, 0.10, 0.10, 0.04, 0.04, 0.04, 0.039),
            ("correlation", 5),
        ),  # not rounding
        ((0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.0999), ("nothing", 3)),
        ((0.10, 0.10, 0.10, 0.09, 0.09, 0.09, 0.04, 0.039), ("cost", 7)),
        ((-0.10, -0.10, -0.10, -0.09, -0.09, -0.09, -0.09, -0.04), ("lots", 8)),
        ((0.10, 0.10, 0.05, 0.05, 0.05, 0.05, 0.08, 0.0799), ("nothing", 7)),  # more than proposed stays: the cost step
        ((0.10, 0.0, 0.0, 0.0, 0.0, 0.0, 0.06, 0.06), ("nothing", 7)),
        ((0.10, 0.10, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), ("edge", None)),
    ],
)
def test_the_step_that_bound_a_size_is_named_with_it(
    after: tuple[float, ...], expected: tuple[str, int | None]
) -> None:
    decision = decide(one(), ONE_NAME, COSTS)
    assert binding_constraints(decision, np.array(after)[:, None]) == (expected,)


def programme(limits: dict[str, object], **facts: object) -> tuple[DecisionInputs, PortfolioSettings]:
    return inputs_of(**facts), PortfolioSettings.model_validate({**CHOSEN.model_dump(), **limits})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "name"),
    [({"gross_limit": 0.05}, "gross"), ({"single_name_limit": 0.002}, "single name"), ({"net_limit": 0.0}, "net")],
)
def test_the_programme_names_the_limit_that_its_book_uses_up(limits: dict[str, object], name: str) -> None:
    named = bound(decide(*programme(limits), COSTS))
    assert sum(name in binding for binding in named) >= 2
    unheard = {"gross", "single name"} - {name}
    assert not any(other in binding for binding in named for other in unheard if name != "net")


def test_every_symbol_has_one_name_and_halted_beats_all() -> None:
    inputs, settings = programme({})
    halted = decide(replace(inputs, kill_switch="HALTED"), settings, COSTS)
    assert set(bindings(halted)) == {("kill switch HALTED", 8)}
    for facts in ({"verdict_allows": False}, {"atr": np.nan}):  # what is held stays, and no verdict closes it
        decision = decide(one(kill_switch="HALTED", **facts), ONE_NAME, COSTS)
        assert bindings(decision) == (("kill switch HALTED", 8),)
