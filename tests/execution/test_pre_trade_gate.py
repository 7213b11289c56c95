"""The pre-trade gate denies each fault with its own code, and passes what is sound."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.execution.orders import Orders, targets_to_orders
from nn_assets.execution.pre_trade_gate import PreTradeGateState, pass_pre_trade_gate
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import ExecutionSettings
from tests.benchmarks.bench_execution import SETTINGS as BENCH_SETTINGS
from tests.benchmarks.bench_execution import session_of_orders

SETTINGS = ExecutionSettings(maximum_order_usd=60_000.0, maximum_orders_per_session=10)
HELD = np.array([500.0, 0.0, -200.0])
STATE = PreTradeGateState(
    control=Control.NORMAL,
    last_price=np.array([50.0, 20.0, 10.0]),
    current_quantity=HELD,
    equity_usd=100_000.0,
    gross_limit=1.0,
)


def orders(*quantity: float, price: tuple[float, ...] = (50.0, 20.0, 10.0)) -> Orders:
    return targets_to_orders(
        ("A", "B", "C"), HELD + np.array(quantity), HELD, np.array(price), np.zeros(3),
        strategy="s", session=pd.Timestamp("2017-06-01"),
    )  # fmt: skip


SOUND = orders(100.0, 500.0, -100.0)


def test_sound_orders_pass() -> None:
    assert pass_pre_trade_gate(SOUND, STATE, SETTINGS).reason_code == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "batch", "codes"),
    [
        ({"control": Control.HALTED}, SOUND, ("halted",) * 3),
        ({"equity_usd": float("nan")}, SOUND, ("halted",) * 3),
        ({}, replace(SOUND, quantity=np.array([np.nan, np.inf, 5.0])), ("quantity", "quantity", None)),
        ({}, orders(1.0, 1.0, 1.0, price=(np.nan, 20.0, 0.0)),
         ("missing_reference", None, "missing_reference")),
        ({}, orders(1.0, 1.0, 1.0, price=(61.0, 15.9, 11.9)), ("price_collar", "price_collar", None)),
        ({"last_price": np.array([50.0, np.nan, 10.0])}, orders(1.0, 1.0, 1.0), (None, "price_collar", None)),
        ({}, orders(-500.0, 3001.0, 0.0), (None, "value")),
        ({"sent_ids": {SOUND.client_order_id[1]}}, SOUND, (None, "duplicate", None)),
        ({"control": Control.REDUCING}, orders(-100.0, 500.0, 300.0),
         (None, "reducing_only", None, "reducing_only")),
        ({"control": Control.FLAT}, orders(-500.0, 0.0, 200.0), (None, None)),
        ({"equity_usd": 40_000.0}, orders(-100.0, 2000.0, 50.0), (None, "exposure", None)),
    ],
)  # fmt: skip
def test_each_fault_is_denied_with_its_code(
    changes: dict[str, object], batch: Orders, codes: tuple[str | None, ...]
) -> None:
    assert pass_pre_trade_gate(batch, replace(STATE, **changes), SETTINGS).reason_code == codes


def test_a_second_order_for_the_same_symbol_is_a_duplicate() -> None:
    twice = replace(SOUND, symbol=np.array([0, 1, 1]), reference_price=np.array([50.0, 20.0, 20.0]))
    assert pass_pre_trade_gate(twice, STATE, SETTINGS).reason_code[2] == "duplicate"


def test_when_the_rate_is_short_reductions_go_first() -> None:
    settings = ExecutionSettings(maximum_orders_per_session=1)
    codes = pass_pre_trade_gate(orders(100.0, 500.0, 100.0), STATE, settings).reason_code
    assert codes == ("rate", "rate", None)  # the third buys back part of a short


REASON_CODES = {
    *("halted", "unexplained_factor", "quantity", "missing_reference", "price_collar", "value", "duplicate"),
    *("reducing_only", "exposure", "rate", "uncounted", "sent_value"),
}


def test_every_code_given_is_a_known_one_and_a_reason_already_there_stays() -> None:
    before = replace(SOUND, reason_code=("late", None, None))
    codes = pass_pre_trade_gate(before, replace(STATE, control=Control.HALTED), SETTINGS).reason_code
    assert codes == ("late", "halted", "halted")
    assert set(codes[1:]) <= REASON_CODES


NEUTRAL = replace(
    STATE, current_quantity=np.zeros(3), last_price=np.array([50.0, 20.0, 10.0]), net_limit=0.0
)  # fmt: skip


def opened(*quantity: float, price: tuple[float, ...] = (50.0, 20.0, 10.0), held: np.ndarray | None = None) -> Orders:
    start = np.zeros(3) if held is None else held
    return targets_to_orders(
        ("A", "B", "C"), start + np.array(quantity), start, np.array(price), np.zeros(3),
        strategy="s", session=pd.Timestamp("2017-06-01"),
    )  # fmt: skip


def test_a_leg_whose_counterpart_is_denied_is_not_opened() -> None:
    assert pass_pre_trade_gate(opened(400.0, -1000.0, 0.0), NEUTRAL, SETTINGS).reason_code == (None, None)
    collared = opened(400.0, -1000.0, 0.0, price=(50.0, 30.0, 10.0))
    assert pass_pre_trade_gate(collared, NEUTRAL, SETTINGS).reason_code == ("exposure", "price_collar")


def test_when_one_of_many_is_denied_no_side_is_left_alone() -> None:
    batch = opened(400.0, -600.0, -800.0, price=(50.0, 20.0, 13.0))
    assert pass_pre_trade_gate(batch, NEUTRAL, SETTINGS).reason_code == ("exposure", "exposure", "price_collar")


def test_an_order_that_closes_the_last_leg_passes_whatever_the_net() -> None:
    held = np.array([400.0, -1000.0, 0.0])
    state = replace(NEUTRAL, current_quantity=held)
    batch = opened(-400.0, 500.0, 0.0, held=held)
    assert pass_pre_trade_gate(batch, state, SETTINGS).reason_code == (None, None)


def test_the_room_of_the_net_is_half_a_percent_of_equity_or_one_lot_of_the_dearest_and_no_more() -> None:
    # 0.5% of 100,000 USD; then a lot of 12 shares of 50 USD.
    fits, beyond = opened(1.0, -27.0, 0.0), opened(1.0, -28.0, 0.0)
    assert pass_pre_trade_gate(fits, NEUTRAL, SETTINGS).reason_code == (None, None)
    assert pass_pre_trade_gate(beyond, NEUTRAL, SETTINGS).reason_code == (None, "exposure")
    assert pass_pre_trade_gate(beyond, replace(NEUTRAL, lot_size=12.0), SETTINGS).reason_code == (None, None)


TURNED = opened(-700.0, 0.0, 0.0, held=np.array([400.0, 0.0, 0.0]))
TURNING = replace(NEUTRAL, current_quantity=np.array([400.0, 0.0, 0.0]), net_limit=1.0)


def test_a_change_of_sign_passes_as_two_orders() -> None:
    assert TURNED.quantity.tolist() == [-400.0, -300.0]
    assert pass_pre_trade_gate(TURNED, TURNING, SETTINGS).reason_code == (None, None)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"control": Control.REDUCING}, (None, "reducing_only")),
        ({"net_limit": 0.0}, (None, "exposure")),  # the new side has no counterpart: the old one is left all the same
        ({"gross_limit": 0.1}, (None, "exposure")),
        ({"sent_ids": {TURNED.client_order_id[0]}}, ("duplicate", "duplicate")),
        ({"sent_ids": {TURNED.client_order_id[1]}}, (None, "duplicate")),
        ({"last_price": np.array([np.nan, 20.0, 10.0])}, (None, "price_collar")),  # what closes needs no price before
    ],
)
def test_what_opens_a_side_is_denied_alone_or_with_its_close_and_never_passes_without(
    changes: dict[str, object], codes: tuple[str | None, ...]
) -> None:
    assert pass_pre_trade_gate(TURNED, replace(TURNING, **changes), SETTINGS).reason_code == codes


def test_the_rate_leaves_closes_before_openings() -> None:
    assert pass_pre_trade_gate(TURNED, TURNING, replace_rate(1)).reason_code == (None, "rate")
    assert pass_pre_trade_gate(TURNED, TURNING, replace_rate(0)).reason_code == ("rate", "rate")


def test_a_third_order_of_a_symbol_is_a_duplicate() -> None:
    twice = replace(
        TURNED, client_order_id=("a", "b", "c"), symbol=np.zeros(3, dtype=np.int64), urgency=("passive",) * 3,
        quantity=np.array([-400.0, -300.0, -1.0]), reference_price=np.full(3, 50.0), reason_code=(None,) * 3,
    )  # fmt: skip
    assert pass_pre_trade_gate(twice, TURNING, SETTINGS).reason_code == (None, None, "duplicate")


def replace_rate(orders_allowed: int) -> ExecutionSettings:
    return SETTINGS.model_copy(update={"maximum_orders_per_session": orders_allowed})


def test_a_price_below_one_is_a_price() -> None:
    penny = np.array([50.0, 0.2, 10.0])
    batch = opened(0.0, 1000.0, 0.0, price=tuple(penny.tolist()))
    state = replace(NEUTRAL, last_price=penny, net_limit=1.0)
    assert pass_pre_trade_gate(batch, state, SETTINGS).reason_code == (None,)
    below = opened(0.0, 1000.0, 0.0, price=(50.0, -0.2, 10.0))
    assert pass_pre_trade_gate(below, state, SETTINGS).reason_code == ("missing_reference",)


def test_two_thousand_orders_a_second_pass_one_by_one() -> None:
    """As they are sent, on an axis of 3,000 symbols; ``tests/benchmarks/bench_execution.py`` has the figures."""
    batch, state = session_of_orders()
    singles, settings = [batch.at(np.array([row])) for row in range(50)], BENCH_SETTINGS
    seconds = []
    for _ in range(5):
        before = time.process_time()
        assert all(pass_pre_trade_gate(single, state, settings).reason_code == (None,) for single in singles)
        seconds.append(time.process_time() - before)
    assert len(singles) / min(seconds) > 2_000
