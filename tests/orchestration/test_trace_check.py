"""The check that a trace ends at the target: it holds for what was decided, and fails for a trace that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.operations.decisions.round_checks import beyond_limits, broken_traces
from nn_assets.settings import PortfolioSettings
from tests.orchestration.conftest import recorded

EQUITY = 250_000.0
Frames = dict[str, pd.DataFrame]


def frames() -> Frames:
    """One session of two symbols, each held at a weight that its quantity and price give."""
    quantity, price = np.array([100.0, -40.0]), np.array([50.0, 125.0])
    weight = quantity * price / EQUITY
    steps = [
        {"symbol": symbol, "step": step, "weight_after": weight[index] * (2.0 if step < 8 else 1.0)}
        for index, symbol in enumerate(("A", "B"))
        for step in range(1, 9)
    ]
    targets = {"symbol": ["A", "B"], "target_quantity": quantity, "reference_price": price, "target_weight": weight}
    return {
        "portfolio_states": pd.DataFrame({"equity_usd": [EQUITY]}),
        "target_positions": pd.DataFrame(targets),
        "position_steps": pd.DataFrame(steps),
    }


def end_elsewhere(tables: Frames) -> None:
    """The target weight goes along with the trace: the two agree, and both are wrong."""
    tables["position_steps"].loc[tables["position_steps"].eval("symbol == 'B' and step == 8"), "weight_after"] *= 1.001
    tables["target_positions"].loc[1, "target_weight"] *= 1.001


def other_quantity(tables: Frames) -> None:
    tables["target_positions"].loc[1, "target_quantity"] -= 1.0


def other_price(tables: Frames) -> None:
    tables["target_positions"].loc[1, "reference_price"] += 0.5


def no_last_step(tables: Frames) -> None:
    steps = tables["position_steps"]
    tables["position_steps"] = steps[~((steps["symbol"] == "B") & (steps["step"] == 8))]


def unknown_weight(tables: Frames) -> None:
    tables["position_steps"].loc[tables["position_steps"].eval("symbol == 'B' and step == 8"), "weight_after"] = np.nan


@pytest.mark.parametrize("broken", [end_elsewhere, other_quantity, other_price, no_last_step, unknown_weight])
def test_a_trace_that_ends_elsewhere_is_named(broken: Callable[[Frames], None]) -> None:
    tables = frames()
    assert broken_traces(tables) == []
    broken(tables)
    assert broken_traces(tables) == ["B"]


def test_another_equity_breaks_every_trace() -> None:
    tables = frames()
    tables["portfolio_states"]["equity_usd"] *= 1.01
    assert broken_traces(tables) == ["A", "B"]


def test_no_price_and_no_equity_are_a_weight_of_zero() -> None:
    tables = frames()
    tables["target_positions"].loc[0, "reference_price"] = np.nan
    assert broken_traces(tables) == ["A"]
    tables["position_steps"].loc[tables["position_steps"]["symbol"] == "A", "weight_after"] = 0.0
    assert broken_traces(tables) == []
    tables["portfolio_states"]["equity_usd"] = 0.0
    assert broken_traces(tables) == ["B"]


@pytest.mark.slow
def test_what_was_decided_keeps_to_it(decided_home: Path) -> None:
    tables = {name: recorded(decided_home, name) for name in frames()}
    sessions = tables["portfolio_states"]["session"]
    for session in sessions:
        day = {name: frame[frame["session"] == session] for name, frame in tables.items()}
        assert broken_traces(day) == [], session
    assert len(sessions) == 8
    assert (tables["target_positions"]["target_quantity"] != 0.0).any()


@pytest.mark.parametrize(
    ("limits", "price", "named"),
    [
        ({"net_limit": 0.0}, 50.0, []),
        ({"net_limit": 0.0}, 55.0, []),  # 0.5% of the equity is neutral
        ({"net_limit": 0.0}, 65.0, ["net"]),
        ({"gross_limit": 0.03}, 50.0, ["gross"]),
        ({"net_limit": 0.0, "gross_limit": 0.03}, float("nan"), ["net"]),
        ({"net_limit": 0.0, "lot_size": 3.0}, 55.0, []),
    ],
)
def test_sums_beyond_their_limit_are_named(limits: dict[str, float], price: float, named: list[str]) -> None:
    targets = frames()["target_positions"]
    targets.loc[0, "reference_price"] = price
    breaches = beyond_limits(targets, EQUITY, PortfolioSettings(**limits))
    assert [breach.split()[0] for breach in breaches] == named
