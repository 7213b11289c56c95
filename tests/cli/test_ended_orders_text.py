"""What the terminal says of orders that ended: an order of a halted name ended for the halt, as its page says too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd

from nn_assets.cli.runs import _ended_order_lines, _halted
from nn_assets.contracts import HALTS, conform
from nn_assets.operations.asof.trading_halts import halted_as_decided
from tests.session.worlds import world_strategy

SESSION, NEXT = pd.Timestamp("2016-03-01"), pd.Timestamp("2016-03-02")


def test_an_order_of_a_halted_name_is_said_to_have_ended_for_it() -> None:
    known = pd.Timestamp("2016-03-01T12:00Z")
    halt = {"symbol": "SIM05", "halted_from": SESSION, "resumes": NEXT, "source": "a", "known_at": known}
    versions = conform(pd.DataFrame([{**halt, "ingested_at": known}]), HALTS)
    strategy: Any = world_strategy()
    history: Any = SimpleNamespace(halted=lambda days, names: halted_as_decided(strategy, versions, days, names))
    by_reason = {"no_bar": ["SIM04", "SIM05"]}
    ended = {SESSION: by_reason, NEXT: by_reason}
    assert _ended_order_lines(ended, _halted(history, ended)) == [
        "2016-03-01: 2 orders ended without a whole fill: no_bar: SIM04, SIM05 (halted)",
        "2016-03-02: 2 orders ended without a whole fill: no_bar: SIM04, SIM05",
    ]
    history.halted = lambda *_: None  # of a strategy that names no halts
    assert "(halted)" not in "".join(_ended_order_lines(ended, _halted(history, ended)))
