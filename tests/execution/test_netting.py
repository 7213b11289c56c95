"""What an account's books get of its fills, by an oracle that hands out shares one by one in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.execution.netting import AccountOrder, BookOrder, allotted, cents_by_weight, crossed, netted

DAY = pd.Timestamp("2024-03-05")


def book_order(book: str, quantity: float, symbol: str = "AAA", **more) -> BookOrder:
    return BookOrder(book, f"{book}-{symbol}", symbol, float(quantity), more.pop("kind", "at_open"), **more)


def net_of(*quantities: int) -> AccountOrder:
    (order,) = netted([book_order(f"b{i}", q) for i, q in enumerate(quantities)], account="acc", session=DAY)
    return order


def play(order: AccountOrder, fills: list[tuple[int, float]]) -> tuple[list[float], list[list[float]], list[float]]:
    """Books' quantities and commissions after fills, and what each step gave."""
    ids = [child.client_order_id for child in order.children]
    held, paid, steps = [0.0] * len(ids), [0.0] * len(ids), []
    for quantity, commission in fills:
        shares = allotted(order, held, float(quantity), commission)
        step = [0.0] * len(ids)
        for share in shares:
            step[ids.index(share.client_order_id)] += share.quantity
            paid[ids.index(share.client_order_id)] += share.commission_usd
        held = [a + b for a, b in zip(held, step, strict=True)]
        steps.append(step)
    return held, steps, paid


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-40, 40).filter(bool), min_size=1, max_size=5),
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.lists(st.integers(0, 5000), min_size=6, max_size=6),
)
def test_books_sum_to_the_account_and_none_gets_more_than_it_ordered(quantities, pieces, cents) -> None:
    order = net_of(*quantities)
    assert order.quantity == sum(quantities)
    if order.quantity == 0:
        assert {share.client_order_id: share.quantity for share in crossed(order)} == {
            child.client_order_id: child.quantity for child in order.children
        }
        return
    side, left, fills = (1 if order.quantity > 0 else -1), abs(sum(quantities)), []
    for piece, commission in zip(pieces, cents, strict=False):
        if left:
            fills.append((side * min(piece, left), commission / 100))
            left -= min(piece, left)
    held, steps, paid = play(order, fills)
    for (quantity, _), step in zip(fills, steps, strict=True):
        assert sum(Fraction(value) for value in step) == quantity  # to the share, at each fill
        assert all(value * child.quantity >= 0 for value, child in zip(step, order.children, strict=True))
    assert all(abs(have) <= abs(child.quantity) for have, child in zip(held, order.children, strict=True))
    assert sum(paid) == pytest.approx(sum(commission for _, commission in fills), abs=1e-9)
    assert all(abs(value * 100 - round(value * 100)) < 1e-6 for value in paid)
    if not left:
        assert held == [child.quantity for child in order.children]
    else:  # within one lot of the exact share, for each lot of the others' rounding
        share = Fraction(sum(abs(q) for q, _ in fills), abs(sum(quantities)))
        for have, child in zip(held, order.children, strict=True):
            assert abs(Fraction(have) - Fraction(child.quantity) * share) <= len(order.children)


def test_two_books_with_opposite_orders_cross_at_the_accounts_price_in_step_with_it() -> None:
    order = net_of(100, -40)
    held, steps, paid = play(order, [(30, 0.03), (30, 0.01)])
    assert steps[0] == [50.0, -20.0]
    assert held == [100.0, -40.0]
    assert sum(paid) == pytest.approx(0.04)
    assert paid == pytest.approx([0.03, 0.01])  # 3 cents by 50 to 20: 2.14 and 0.86; 1 cent by 50 to 20: 0.71, 0.29


def test_a_tie_goes_to_the_first_name_and_the_order_of_the_orders_changes_nothing() -> None:
    children = [book_order(name, 1) for name in "cab"]
    for order in permutations(children):
        (made,) = netted(order, account="acc", session=DAY)
        assert [share.book for share in allotted(made, [0.0] * 3, 2.0, 0.0)] == ["a", "b"]
        assert made == netted(children, account="acc", session=DAY)[0]


def test_stops_of_one_price_and_side_are_one_order_and_others_stay_apart() -> None:
    stops = [
        book_order("a", -10, kind="stop", price=95.0),
        book_order("b", -5, kind="stop", price=95.0),
        book_order("c", 5, kind="stop", price=95.0),
        book_order("d", -5, kind="stop", price=94.0),
    ]
    made = netted(stops, account="acc", session=DAY)
    assert sorted((order.price, order.quantity) for order in made) == [(94.0, -5.0), (95.0, -15.0), (95.0, 5.0)]
    assert len({order.client_order_id for order in made}) == 3


def test_an_order_is_read_back_as_it_was_recorded_and_another_account_or_day_names_it_otherwise() -> None:
    order = net_of(7, 3)
    assert AccountOrder.from_record(order.to_record()) == order
    others = [("other", DAY), ("acc", DAY + pd.Timedelta(days=1))]
    names = {netted(order.children, account=name, session=day)[0].client_order_id for name, day in others}
    assert len({order.client_order_id, *names}) == 3


def test_fractions_of_a_lot_are_given_whole() -> None:
    order = net_of(3, 1)
    shares = allotted(order, [0.0, 0.0], 1.5, 0.005)
    assert sum(share.quantity for share in shares) == 1.5
    assert sum(share.commission_usd for share in shares) == pytest.approx(0.005)


def test_what_an_order_leaves_of_the_other_side_is_given_whole_with_its_last_fill() -> None:
    order = net_of(3, -2)  # a lot of 1: of the two, thirds cannot be given
    shares = allotted(order, [0.0, 0.0], 1.0, 0.0, lot_size=5.0)
    assert [share.quantity for share in shares] == [3.0, -2.0]


def test_orders_that_cancel_out_but_for_rounding_are_none_and_a_small_rest_is_one() -> None:
    (none,) = netted([book_order("a", 0.1 + 0.2), book_order("b", -0.3)], account="acc", session=DAY)
    assert none.quantity == 0.0
    (small,) = netted([book_order("a", 0.3001), book_order("b", -0.3)], account="acc", session=DAY)
    assert small.quantity == pytest.approx(0.0001)


def test_lots_go_to_the_largest_remainder() -> None:
    shares = allotted(net_of(7, 5, 3), [0.0] * 3, 4.0, 0.0)
    assert [share.quantity for share in shares] == [2.0, 1.0, 1.0]  # of 1.87, 1.33 and 0.80


def test_three_tenths_are_three_lots_of_a_tenth() -> None:
    (order,) = netted([book_order("a", 1.2), book_order("b", -0.6)], account="acc", session=DAY)
    shares = allotted(order, [0.0, 0.0], 0.3, 0.0, lot_size=0.1)
    assert [share.quantity for share in shares] == pytest.approx([0.6, -0.3])


@pytest.mark.parametrize("usd", [0.07, 0.29, 0.57, 0.58, 1.13, 2.01, 4.35, 1.15])
def test_a_commission_of_whole_cents_is_split_in_whole_cents_whatever_its_binary_is(usd: float) -> None:
    parts = [round(100 * share) for share in cents_by_weight(usd, [1.0, 1.0, 1.0])]
    assert max(parts) - min(parts) <= 1
    shares = cents_by_weight(usd, [1.0, 2.0, 4.0])
    assert [abs(100 * share - round(100 * share)) < 1e-9 for share in shares] == [True] * 3
    assert sum(round(100 * share) for share in shares) == round(100 * usd)
    exact = [Fraction(weight, 7) * round(100 * usd) for weight in (1, 2, 4)]
    assert all(abs(round(100 * share) - due) < 1 for share, due in zip(shares, exact, strict=True))
