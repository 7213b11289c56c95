"""Orders a second through the pre-trade gate: one at a time as they are sent, and a session's together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.execution.pre_trade_gate import PreTradeGateState, pass_pre_trade_gate
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import ExecutionSettings
from tests.benchmarks.telling import tell

SYMBOLS, ONE_BY_ONE = 3000, 200
SETTINGS = ExecutionSettings(maximum_orders_per_session=10**6)


def session_of_orders() -> tuple[Orders, PreTradeGateState]:
    """An order for each of 3,000 symbols, after 2,000 that were sent."""
    g = np.random.default_rng(0)
    price, held = 50.0 + g.random(SYMBOLS), np.round(100.0 * g.normal(size=SYMBOLS))
    orders = targets_to_orders(
        tuple(f"S{index}" for index in range(SYMBOLS)), held + 1.0 + np.round(50.0 * g.random(SYMBOLS)), held, price,
        np.zeros(SYMBOLS), strategy="s", session=pd.Timestamp("2017-06-01"),
    )  # fmt: skip
    state = PreTradeGateState(
        control=Control.NORMAL,
        last_price=price,
        current_quantity=held,
        equity_usd=1e9,
        gross_limit=1.0,
        sent_ids=frozenset(f"sent {number}" for number in range(2000)),
    )
    return orders, state


@pytest.mark.benchmark(group="pre-trade gate, 3000 symbols, 2000 orders sent before")
@pytest.mark.parametrize("version", ["one order a call", "a session's orders in one call"])
def test_orders_pass_the_gate(benchmark: BenchmarkFixture, version: str) -> None:
    orders, state = session_of_orders()
    together = version != "one order a call"
    batches = [orders] if together else [orders.at(np.array([row])) for row in range(ONE_BY_ONE)]

    def passed() -> int:
        return sum(int(pass_pre_trade_gate(batch, state, SETTINGS).accepted.sum()) for batch in batches)

    assert benchmark(passed) == sum(map(len, batches))
    tell(benchmark, version=version, work=sum(map(len, batches)), unit="orders")
