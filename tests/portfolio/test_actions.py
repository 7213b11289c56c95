"""A book and its open orders over splits and dividends: arithmetic done by hand, and equity that stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import DecisionError
from nn_assets.execution.orders import Orders, orders_after_actions
from nn_assets.portfolio.actions import book_after_actions, whole_lots
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row

FloatArray = npt.NDArray[np.float64]
NONE, NO_CASH = np.ones(2), np.zeros(2)


def two(first: float, second: float) -> FloatArray:
    return np.array([first, second])


def holding(long: float = 101.0, short: float = -50.0) -> Book:
    """Long at 40 (bought at 36, stop 34), short at 20 (sold at 22, stop 25); worth 5000 in cash beside."""
    book = replace(
        empty_book(("A", "B"), 5_000.0),
        quantity=two(long, short),
        price=two(40.0, 20.0),
        entry_price=two(36.0, 22.0),
        stop_price=two(34.0, 25.0),
        entered_session=np.array(["2017-06-01", "2017-06-02"], dtype="datetime64[D]"),
        pending_stop_distance=two(6.0, 3.0),
        unfilled_quantity=two(7.0, -3.0),
        unscaled_quantity=two(202.0, -100.0),
        target_quantity=two(108.0, -53.0),
    )
    return replace(book, equity_usd=equity_of(book))


def equity_of(book: Book) -> float:
    return book.cash_usd + float(np.sum(np.where(book.quantity == 0.0, 0.0, book.quantity * book.price)))


def test_a_split_converts_quantities_marks_entries_stops_and_open_rests() -> None:
    book = book_after_actions(holding(), two(2.0, 1.0), NO_CASH, 1.0)
    assert book.quantity.tolist() == [202.0, -50.0]
    assert book.price.tolist() == [20.0, 20.0]
    assert book.entry_price.tolist() == [18.0, 22.0]
    assert book.stop_price.tolist() == [17.0, 25.0]
    assert book.pending_stop_distance.tolist() == [3.0, 3.0]
    assert book.unfilled_quantity.tolist() == [14.0, -3.0]
    assert book.unscaled_quantity.tolist() == [404.0, -100.0]
    assert book.target_quantity.tolist() == [216.0, -53.0]
    assert (book.cash_usd, equity_of(book)) == (5_000.0, equity_of(holding()))


def test_a_reverse_split_pays_the_fraction_out_at_the_last_mark() -> None:
    book = book_after_actions(holding(), two(0.1, 0.1), NO_CASH, 1.0)
    assert book.quantity.tolist() == [10.0, -5.0]
    assert book.price.tolist() == [400.0, 200.0]
    assert book.session_cash_in_lieu_usd == pytest.approx(0.1 * 400.0)
    assert book.cash_usd == pytest.approx(5_040.0)
    assert book.unfilled_quantity.tolist() == [0.0, 0.0]
    assert equity_of(book) == pytest.approx(equity_of(holding()))


def test_a_position_smaller_than_a_new_share_is_paid_out_whole() -> None:
    book = book_after_actions(holding(long=9.0), two(0.1, 1.0), NO_CASH, 1.0)
    assert book.quantity[0] == 0.0
    assert book.cash_usd == pytest.approx(5_360.0)
    assert np.isnan([book.entry_price[0], book.stop_price[0]]).all()
    assert np.isnat(book.entered_session[0])


def test_longs_receive_a_dividend_and_shorts_pay_it_and_marks_and_stops_fall_by_it() -> None:
    book = book_after_actions(holding(), NONE, two(0.5, 1.5), 1.0)
    assert book.session_dividends_usd == 101.0 * 0.5 - 50.0 * 1.5
    assert book.cash_usd == 5_000.0 + 50.5 - 75.0
    assert book.price.tolist() == [39.5, 18.5]
    assert book.stop_price.tolist() == [33.5, 23.5]
    assert book.entry_price.tolist() == [36.0, 22.0]
    assert equity_of(book) == pytest.approx(equity_of(holding()))


def test_a_dividend_on_the_day_of_a_split_is_paid_on_the_new_shares() -> None:
    book = book_after_actions(holding(), two(2.0, 1.0), two(0.5, 0.0), 1.0)
    assert book.session_dividends_usd == 202.0 * 0.5
    assert book.price[0] == 19.5


ratios = st.sampled_from([1.0, 2.0, 1.5, 3.0, 7.0, 0.5, 0.1, 0.07, 1.05])


@settings(deadline=None)
@given(
    st.lists(st.integers(-5_000, 5_000), min_size=2, max_size=2),
    st.lists(ratios, min_size=2, max_size=2),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2),
)
def test_no_action_changes_equity_or_the_side_held(held: list[int], split: list[float], cash: list[float]) -> None:
    before = holding(*map(float, held))
    after = book_after_actions(before, np.array(split), np.array(cash), 1.0)
    assert equity_of(after) == pytest.approx(equity_of(before), abs=1e-6)
    assert (after.quantity * before.quantity >= 0.0).all()
    assert (after.quantity == np.round(after.quantity)).all()
    lost = np.abs(before.quantity * np.array(split)) - np.abs(after.quantity)
    assert ((lost > -1e-4) & (lost < 1.0)).all()


def test_without_actions_a_book_stays_to_the_bit() -> None:
    before = holding(long=101.3)
    after = book_after_actions(before, NONE, NO_CASH, 1.0)
    assert book_remainder(after) == book_remainder(before)
    assert holdings_frame(after).equals(holdings_frame(before))
    assert "dividends" not in book_remainder(after)


def test_a_book_read_back_from_its_records_knows_what_its_actions_paid() -> None:
    book = book_after_actions(holding(), two(0.1, 1.0), two(0.0, 1.5), 1.0)
    book = replace(book, session=np.datetime64("2017-06-05"))
    state = state_row(book.state(previous_equity_usd=book.equity_usd))
    again = book_from_records(state, holdings_frame(book), book_remainder(book))
    assert [again.session_dividends_usd, again.session_cash_in_lieu_usd] == pytest.approx([-75.0, 40.0])
    assert book_remainder(again) == book_remainder(book)


def test_a_dividend_of_more_than_the_price_held_is_refused_by_name() -> None:
    with pytest.raises(DecisionError, match=r"symbol B, value 20.*below the price held, 20"):
        book_after_actions(holding(), NONE, two(0.0, 20.0), 1.0)
    book_after_actions(holding(short=0.0), NONE, two(0.0, 20.0), 1.0)  # nobody holds it
    assert book_after_actions(holding(), NONE, two(0.0, 19.5), 1.0).price[1] == 0.5  # cents are left
    with pytest.raises(DecisionError, match="below the price held, 20"):  # of a new share, after the split
        book_after_actions(holding(), two(2.0, 1.0), two(25.0, 0.0), 1.0)


def test_lots_are_whole_whatever_the_last_bit_says() -> None:
    assert whole_lots(np.array([100 * 0.07, 100 * 0.29, -3.99]), 1.0).tolist() == [7.0, 29.0, -3.0]
    assert whole_lots(np.array([0.30000000000000004, 0.29]), 0.1) == pytest.approx([0.3, 0.2])


def open_orders(*quantities: float) -> Orders:
    count = len(quantities)
    return Orders(
        client_order_id=tuple(f"order{index}" for index in range(count)),
        symbol=np.arange(count),
        quantity=np.array(quantities),
        urgency=("normal",) * count,
        reference_price=np.array([40.0, 20.0])[:count],
        reason_code=(None, "collar")[:count],
    )


def test_open_orders_are_converted_with_their_reference_and_keep_id_and_verdict() -> None:
    orders = orders_after_actions(open_orders(60.0, -30.0), two(2.0, 0.1), two(1.0, 0.0), 1.0)
    assert orders.quantity.tolist() == [120.0, -3.0]
    assert orders.reference_price.tolist() == [19.0, 200.0]
    assert (orders.client_order_id, orders.reason_code) == (("order0", "order1"), (None, "collar"))


def test_an_order_of_less_than_a_lot_lapses() -> None:
    orders = orders_after_actions(open_orders(9.0, -30.0), two(0.1, 1.0), NO_CASH, 1.0)
    assert (orders.client_order_id, orders.symbol.tolist()) == (("order1",), [1])
