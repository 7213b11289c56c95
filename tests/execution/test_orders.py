"""Orders: what is asked for, under which id, and how urgently."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from nn_assets.contracts import ORDERS, validate
from nn_assets.execution.orders import (
    Orders,
    client_order_id,
    denied_with_their_close,
    orders_after_actions,
    orders_frame,
    quantity_before,
    reduces,
    targets_to_orders,
)

SYMBOLS = ("A", "B", "C", "D")
SESSION = pd.Timestamp("2017-06-01")


def made(target: list[float], current: list[float], carried: list[float] | None = None, **changes: object) -> Orders:
    return targets_to_orders(
        SYMBOLS, np.array(target), np.array(current), np.array([50.0, 20.0, np.nan, 10.0]),
        np.array(carried or [0.0] * 4), **{"strategy": "s", "session": SESSION, **changes},
    )  # fmt: skip


def test_an_order_is_the_difference_between_target_and_holding_and_none_is_made_for_no_difference() -> None:
    orders = made([100.0, -50.0, 7.0, 0.0], [40.0, 100.0, 7.0, 0.0])
    assert orders.symbol.tolist() == [0, 1, 1]
    assert orders.quantity.tolist() == [60.0, -100.0, -50.0]
    assert orders.accepted.all()


def test_a_change_of_sign_is_a_close_and_then_an_opening_with_ids_of_their_own() -> None:
    orders = made([-50.0, 0.0, 0.0, 30.0], [100.0, 0.0, 0.0, -20.0])
    assert orders.symbol.tolist() == [0, 0, 3, 3]
    assert orders.quantity.tolist() == [-100.0, -50.0, 20.0, 30.0]
    closing, opening = (hashlib.sha256(f"s\x1f2017-06-01\x1fA\x1f1{leg}".encode()) for leg in ("", "\x1fopening"))
    assert orders.client_order_id[:2] == (closing.hexdigest()[:32], opening.hexdigest()[:32])
    assert made([-50.0, 0.0, 0.0, 30.0], [100.0, 0.0, 0.0, -20.0]).client_order_id == orders.client_order_id
    assert quantity_before(orders, np.array([100.0, 0.0, 0.0, -20.0])).tolist() == [100.0, 0.0, -20.0, 0.0]
    assert reduces(orders, np.array([100.0, 0.0, 0.0, -20.0])).tolist() == [True, False, True, False]
    # Of a position that was stopped out meanwhile neither reduces anything.
    assert reduces(orders, np.zeros(4)).tolist() == [False] * 4


def test_both_orders_of_a_change_of_sign_go_over_a_split() -> None:
    orders = made([-50.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0])
    after = orders_after_actions(orders, np.array([2.0, 1.0, 1.0, 1.0]), np.zeros(4), 1.0)
    assert after.quantity.tolist() == [-200.0, -100.0]
    assert after.client_order_id == orders.client_order_id


def test_what_was_left_of_an_order_only_sets_the_urgency_of_the_next() -> None:
    target, current = [100.0, 100.0, 100.0, -100.0], [0.0, 0.0, 0.0, 0.0]
    orders = made(target, current, carried=[0.0, 40.0, 60.0, 60.0])
    assert orders.quantity.tolist() == [100.0, 100.0, 100.0, -100.0]
    assert orders.urgency == ("passive", "normal", "close", "passive")
    halves = made(target, current, carried=[50.0, 49.0, 0.5, -50.0])
    assert halves.urgency == ("close", "normal", "normal", "close")  # half of the order is close already


def test_a_target_that_is_not_a_number_closes_the_position() -> None:
    assert made([np.nan, 0.0, 0.0, 0.0], [30.0, 0.0, 0.0, 0.0]).quantity.tolist() == [-30.0]


def test_the_id_is_the_decisions_own_and_the_same_on_every_machine() -> None:
    expected = hashlib.sha256(b"s\x1f2017-06-01\x1fA\x1f1").hexdigest()[:32]
    assert made([1.0, 0.0, 0.0, 0.0], [0.0] * 4).client_order_id == (expected,)
    others = {
        client_order_id("t", SESSION, "A"),
        client_order_id("s", SESSION, "B"),
        client_order_id("s", pd.Timestamp("2017-06-02"), "A"),
        client_order_id("s\x1f2017-06-01", SESSION, "A"),
    }
    assert len(others | {expected}) == 5
    assert client_order_id("s", SESSION, "A") == expected


def test_orders_hold_to_their_frame_and_an_empty_batch_too() -> None:
    at = pd.Timestamp("2017-06-01 20:00", tz="UTC")
    for orders, rows in ((made([1.0, 0.0, 5.0, 0.0], [0.0] * 4), 2), (made([0.0] * 4, [0.0] * 4), 0)):
        frame = orders_frame(orders, SYMBOLS, session=SESSION, execution="next_open", reference_at=at)
        assert len(validate(frame, ORDERS)) == rows


def test_an_opening_is_denied_with_the_close_before_it_and_nothing_else_is() -> None:
    orders = made([-50.0, 5.0, 7.0, 30.0], [100.0, 0.0, 0.0, -20.0])
    assert orders.symbol.tolist() == [0, 0, 1, 2, 3, 3]
    codes = ("collar", None, None, "price", None, "value")
    assert denied_with_their_close(orders, codes) == ("collar", "collar", None, "price", None, "value")
    assert denied_with_their_close(orders, (None,) * 6) == (None,) * 6


def test_an_order_that_no_split_touches_keeps_its_odd_lot() -> None:
    orders = made([150.0, 150.0, 0.0, 0.0], [0.0] * 4)
    after = orders_after_actions(orders, np.array([1.0, 2.0, 1.0, 1.0]), np.zeros(4), 100.0)
    assert after.quantity.tolist() == [150.0, 300.0]
