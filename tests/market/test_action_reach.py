"""Splits and dividends on the rows that they reach, against the plain loops over every action."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.facts.rows import rows_from, shares_after_splits

DAYS = pd.bdate_range("2020-01-01", periods=30).as_unit("ns")
VALUES = [1.5, 2.0, 3.0, 0.1, 0.0, -1.0, 1 / 3, 7 / 3, np.nan, np.inf]


def made(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Bars of up to five symbols, actions on and around them in any order, and first sessions of some."""
    random = np.random.default_rng(seed)
    names = [f"S{number}" for number in range(random.integers(0, 6))]
    rows = [
        (name, day) for name in names for day in DAYS[np.sort(random.choice(30, random.integers(1, 20), replace=False))]
    ]
    count = random.integers(0, 25)
    actions = pd.DataFrame(
        {
            "symbol": pd.Series(random.choice([*names, "X", "S9"], count), dtype="str"),
            "ex_session": pd.Series(random.choice(DAYS.union([DAYS[0] - pd.Timedelta(days=9)]), count)),
            "kind": random.choice(["split", "dividend"], count, p=[0.8, 0.2]),
            "value": random.choice(VALUES, count),
        }
    ).astype({"ex_session": "datetime64[ns]"})
    bars = pd.DataFrame(rows, columns=["symbol", "session"]).astype({"symbol": "str", "session": "datetime64[ns]"})
    return bars, actions, {name: random.choice(DAYS) for name in names[::2]} if seed % 2 else None


def plain_shares(bars: pd.DataFrame, actions: pd.DataFrame, begins: Any) -> np.ndarray:
    shares = np.ones(len(bars))
    for action in actions.itertuples():
        if action.kind != "split" or not 0.0 < action.value < np.inf:
            continue
        own = np.flatnonzero(bars["symbol"] == action.symbol)
        if not len(own):
            continue
        reached = own[(bars["session"].iloc[own] >= action.ex_session).to_numpy()]
        begun = (begins or {}).get(action.symbol, bars["session"].iloc[own[0]])
        if len(reached) < len(own) or pd.Timestamp(begun) < action.ex_session:
            shares[reached] *= action.value
    return shares


@pytest.mark.parametrize("seed", range(40))
def test_shares_are_to_the_bit_those_of_a_loop_over_every_split(seed: int) -> None:
    bars, actions, begins = made(seed)
    begun = None if begins is None else pd.Series(begins, dtype="datetime64[ns]")
    assert shares_after_splits(bars, actions, begun).tobytes() == plain_shares(bars, actions, begins).tobytes()


def test_rows_of_a_symbol_without_any_are_none() -> None:
    code, session = np.array([0, 0, 2]), np.array([5, 7, 5])
    start, index, stop = rows_from(code, session, np.array([-1, 0, 0, 1, 2]), np.array([5, 6, 9, 5, 1]))
    assert (start.tolist(), index.tolist(), stop.tolist()) == ([0, 0, 0, 2, 2], [0, 1, 2, 2, 2], [0, 2, 2, 2, 3])
