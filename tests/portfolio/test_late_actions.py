"""Actions that become known after their ex-session: hand arithmetic, and a plain book that knew in time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn_assets.errors import DecisionError
from nn_assets.portfolio.actions import book_after_actions
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.breakers import Breaker
from nn_assets.portfolio.fills import FillArrays
from nn_assets.portfolio.late_actions import ActionRows, LateActions, book_after_late_actions, owed_by_late_actions
from nn_assets.portfolio.records import book_remainder, holdings_frame
from nn_assets.settings import PortfolioSettings

FloatArray = npt.NDArray[np.float64]
DAYS = np.array(["2017-06-21", "2017-06-22", "2017-06-23"], dtype="datetime64[D]")
TODAY = "2017-06-26"
NOTHING = (np.ones(3), np.zeros(3))


def rows(split: object = 1.0, dividend: object = 0.0, sessions: int = 3) -> ActionRows:
    """Actions of symbol A by row; B has none."""
    actions = ActionRows.nothing(sessions, 2)
    actions.split[:, 0], actions.dividend[:, 0] = split, dividend
    return actions


def late(
    taken: ActionRows,
    known: ActionRows,
    *traded: float,
    marked_row: int = 2,
    equity: tuple[float, ...] = (9_100.0, 9_500.0, 7_500.0),
    reset: tuple[bool, ...] = (False, False, False),
) -> LateActions:
    """A traded as told on three sessions; B bought 50 on the first."""
    return LateActions(
        sessions=DAYS,
        traded=np.array([[quantity, 50.0 * (row == 0)] for row, quantity in enumerate(traded)]),
        taken=taken,
        known=known,
        mark=np.array([[np.nan, np.nan], [36.0, 10.0], [40.0, 10.0]]),
        quoted=np.arange(3)[:, None] <= np.array([marked_row, 2]),
        stop_distance=np.array([2.0, 9.0]),
        held=np.array([[sum(traded[: row + 1]), 50.0] for row in range(3)]),
        equity_usd=np.array(equity),
        booked_usd=np.zeros(3),
        reset=np.array(reset),
        first_peak_usd=9_100.0,
    )


def held(quantity: float, price: float = 20.0, entered: str = "2017-06-21") -> Book:
    """A bought at 36 with its stop at 34; a pending distance of 6 that took the split for a loss."""
    there = quantity != 0.0
    book = replace(
        empty_book(("A", "B"), 5_000.0),
        quantity=np.array([quantity, 50.0]),
        price=np.array([price, 10.0]),
        entry_price=np.array([36.0 if there else np.nan, 11.0]),
        stop_price=np.array([34.0 if there else np.nan, 9.0]),
        entered_session=np.array([entered if there else "NaT", "2017-06-21"], dtype="datetime64[D]"),
        pending_stop_distance=np.array([6.0, 3.0]),
        unfilled_quantity=np.array([7.0, -3.0]),
        session=DAYS[-1],
    )
    return replace(book, equity_usd=book.cash_usd + float(np.sum(book.position_usd)))


def mended(book: Book, late_actions: LateActions) -> Book:
    return book_after_late_actions(book, late_actions, 1.0, TODAY)


def test_a_split_one_session_late_brings_the_shares_and_carries_entry_and_stop_but_not_the_mark() -> None:
    before = replace(held(100.0), breakers=(Breaker("session_loss", "half of it gone"),))
    book = mended(before, late(rows(), rows((1.0, 1.0, 2.0)), 100.0, 0.0, 0.0))
    assert book.quantity.tolist() == [200.0, 50.0]
    assert book.price.tolist() == [20.0, 10.0]
    assert book.entry_price.tolist() == [18.0, 11.0]
    assert book.stop_price.tolist() == [17.0, 9.0]
    assert book.pending_stop_distance.tolist() == [2.0, 3.0]
    assert book.unfilled_quantity.tolist() == [0.0, 0.0]
    assert book.cash_usd == before.cash_usd
    assert (book.breakers, book.session) == (before.breakers, before.session)


def test_equity_and_peaks_become_those_of_a_book_that_knew_in_time() -> None:
    before = replace(held(100.0), equity_usd=7_500.0, high_water_mark_usd=9_500.0, week_peak_usd=9_500.0)
    # The split of the last session doubles 100 shares at 20: no loss of 2,000 but none at all.
    book = mended(before, late(rows(), rows((1.0, 1.0, 2.0)), 100.0, 0.0, 0.0, equity=(9_100.0, 9_500.0, 7_600.0)))
    peaks = ("equity_usd", "high_water_mark_usd", "highest_ever_usd", "week_peak_usd")
    assert [getattr(book, name) for name in peaks] == [9_600.0] * 4
    # A split of a short the other way: a rise to 9,500 that was none, 100 shares at 40 owed from then on.
    short = late(rows(), rows((1.0, 2.0, 1.0)), -100.0, 0.0, 0.0, equity=(9_000.0, 12_500.0, 10_500.0))
    book = mended(replace(held(-100.0), highest_ever_usd=12_500.0), short)
    assert [getattr(book, name) for name in peaks] == [8_500.0, 9_100.0, 9_100.0, 9_100.0]


def test_a_released_breaker_starts_the_peaks_again_from_the_equity_that_should_have_been() -> None:
    known = rows((1.0, 2.0, 1.0))
    reset = late(rows(), known, 100.0, 0.0, 0.0, equity=(9_100.0, 4_000.0, 5_500.0), reset=(False, False, True))
    book = mended(held(100.0), reset)  # 100 shares more: worth 4,000 at the second close, 2,000 at the third
    peaks = (book.equity_usd, book.high_water_mark_usd, book.week_peak_usd, book.highest_ever_usd)
    assert peaks == (7_500.0, 8_000.0, 8_000.0, 9_100.0)


def test_the_equity_of_a_symbol_without_a_bar_since_counts_its_carried_mark() -> None:
    late_actions = late(
        rows(), rows((1.0, 1.0, 2.0)), 100.0, 0.0, 0.0, marked_row=1, equity=(9_100.0, 9_500.0, 9_400.0)
    )
    assert mended(held(100.0, price=40.0), late_actions).equity_usd == 9_400.0


def test_the_week_begins_from_the_last_close_of_the_one_before() -> None:
    days = np.array(["2017-06-22", "2017-06-23", "2017-06-26"], dtype="datetime64[D]")  # Thursday, Friday, Monday
    late_actions = late(rows(), rows((1.0, 2.0, 1.0)), 100.0, 0.0, 0.0, equity=(9_100.0, 4_000.0, 5_500.0))
    book = mended(held(100.0), replace(late_actions, sessions=days))
    assert (book.high_water_mark_usd, book.week_peak_usd, book.equity_usd) == (9_100.0, 8_000.0, 7_500.0)


def test_a_late_split_is_carried_over_a_split_that_came_in_time() -> None:
    taken, known = rows((1.0, 1.0, 3.0)), rows((1.0, 2.0, 3.0))
    book = mended(held(330.0), late(taken, known, 100.0, 10.0, 0.0))  # (100 + 10) x 3; should be (200 + 10) x 3
    assert book.quantity[0] == 630.0
    assert book.stop_price[0] == 17.0


def test_a_late_split_pays_the_dividend_that_its_shares_missed() -> None:
    taken, known = rows(dividend=(0.0, 0.0, 0.5)), rows((1.0, 2.0, 1.0), (0.0, 0.0, 0.5))
    book = mended(held(100.0), late(taken, known, 100.0, 0.0, 0.0))
    assert (book.quantity[0], book.session_dividends_usd, book.cash_usd) == (200.0, 50.0, 5_050.0)


def test_a_restated_split_brings_the_difference_and_a_withdrawn_one_takes_it_back() -> None:
    restated = mended(held(200.0), late(rows((1.0, 2.0, 1.0)), rows((1.0, 3.0, 1.0)), 100.0, 0.0, 0.0))
    assert (restated.quantity[0], restated.stop_price[0]) == (300.0, pytest.approx(34.0 * 2.0 / 3.0))
    withdrawn = mended(held(200.0), late(rows((1.0, 2.0, 1.0)), rows(), 100.0, 0.0, 0.0))
    assert (withdrawn.quantity[0], withdrawn.stop_price[0]) == (100.0, 68.0)


def test_a_late_reverse_split_pays_the_fraction_at_the_mark_held_into_it() -> None:
    book = mended(held(109.0, price=400.0), late(rows(), rows((1.0, 1.0, 0.1)), 109.0, 0.0, 0.0))
    assert book.quantity[0] == 10.0
    assert book.session_cash_in_lieu_usd == pytest.approx(0.9 * 400.0)
    assert book.cash_usd == pytest.approx(5_360.0)
    gone = mended(held(9.0, price=400.0), late(rows(), rows((1.0, 1.0, 0.1)), 9.0, 0.0, 0.0))
    assert gone.quantity[0] == 0.0
    assert np.isnan([gone.entry_price[0], gone.stop_price[0]]).all()
    assert np.isnat(gone.entered_session[0])


@pytest.mark.parametrize(("quantity", "cash"), [(100.0, 75.0), (-100.0, -75.0)])
def test_longs_get_a_late_dividend_and_shorts_pay_it_on_what_they_held_then(quantity: float, cash: float) -> None:
    late_actions = late(rows(), rows(dividend=(0.0, 0.75, 0.0)), quantity, -quantity / 2.0, 0.0)
    book = mended(held(quantity / 2.0), late_actions)
    assert (book.session_dividends_usd, book.cash_usd) == (cash, 5_000.0 + cash)
    assert (book.quantity[0], book.price[0]) == (quantity / 2.0, 20.0)
    assert (book.stop_price[0], book.entry_price[0]) == (33.25, 36.0)


@pytest.mark.parametrize(("traded", "entered"), [((100.0, -100.0, 30.0), 2), ((100.0, -70.0, 0.0), 1)])
def test_a_position_entered_since_keeps_its_entry_and_stop(traded: tuple[float, ...], entered: int) -> None:
    late_actions = late(rows(), rows((1.0, 2.0, 1.0)), *traded)
    book = mended(held(30.0, entered=str(DAYS[entered])), late_actions)
    assert (book.quantity[0], book.entry_price[0], book.stop_price[0]) == (130.0, 36.0, 34.0)


def test_a_restated_dividend_pays_the_difference_and_lowers_the_stop_by_it() -> None:
    book = mended(held(100.0), late(rows(dividend=(0.0, 0.5, 0.0)), rows(dividend=(0.0, 0.75, 0.0)), 100.0, 0.0, 0.0))
    assert (book.session_dividends_usd, book.stop_price[0], book.entry_price[0]) == (25.0, 33.75, 36.0)


def test_shares_that_come_where_none_of_their_side_are_held_get_the_stop_of_a_new_entry() -> None:
    split = rows((1.0, 2.0, 1.0))
    stopped = mended(held(0.0), late(rows(), split, 100.0, -100.0, 0.0))
    turned = mended(held(-50.0, entered="2017-06-23"), late(rows(), split, 100.0, -100.0, -50.0))
    for book, quantity in ((stopped, 100.0), (turned, 50.0)):
        assert (book.quantity[0], book.entry_price[0], book.stop_price[0]) == (quantity, 20.0, 18.0)
        assert book.entered_session[0] == np.datetime64(TODAY)


def test_a_mark_without_a_bar_since_is_carried() -> None:
    known = rows((1.0, 1.0, 2.0), (0.0, 0.0, 0.5))
    book = mended(held(100.0, price=40.0), late(rows(), known, 100.0, 0.0, 0.0, marked_row=1))
    assert (book.quantity[0], book.price[0]) == (200.0, 19.5)
    assert book.cash_usd + book.position_usd[0] == 5_000.0 + 100.0 * 40.0


def test_a_late_dividend_of_more_than_the_mark_it_lowers_is_refused_by_name() -> None:
    late_actions = late(rows(), rows(dividend=(0.0, 0.0, 20.0)), 100.0, 0.0, 0.0, marked_row=1)
    with pytest.raises(DecisionError, match=r"symbol A, value 20.*below the price held, 20"):
        mended(held(100.0), late_actions)


def test_what_is_known_as_it_was_taken_changes_no_bit() -> None:
    before, same = held(37.7), rows((1.0, 2.0, 0.07), (0.1, 0.0, 0.3))
    book = mended(before, late(same, rows((1.0, 2.0, 0.07), (0.1, 0.0, 0.3)), 11.0, 3.0, 7.0))
    assert holdings_frame(book).equals(holdings_frame(before))
    assert (book_remainder(book), book.cash_usd) == (book_remainder(before), before.cash_usd)


def test_a_position_sold_out_in_tenths_of_a_share_is_flat() -> None:
    late_actions = late(rows((1.0, 1.0, 0.5)), rows(), 0.1, 0.2, -0.3)
    book = book_after_late_actions(held(0.1 - 0.3), late_actions, 0.1, TODAY)
    assert book.quantity[0] == 0.0
    assert np.isnan(book.stop_price[0])


# --- whole histories ---------------------------------------------------------------------------------------

SESSIONS = 7
RATIOS = [Fraction(2), Fraction(3), Fraction(1, 10), Fraction(3, 2), Fraction(21, 20)]
Versions = dict[
    tuple[int, int, str], list[tuple[int, Fraction]]
]  # row, symbol, kind: versions by the row that knows them


History = tuple[Versions, list[list[int]], list[bool]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Actions with their versions, of which the last is the truth, fills, and breakers reset; symbols 0 and 1."""
    actions: Versions = {}
    for kind, nothing, values in (("split", Fraction(1), RATIOS), ("dividend", Fraction(0), [Fraction(1, 4)])):
        for _ in range(draw(st.integers(0, 3))):
            row = draw(st.integers(1, SESSIONS - 1))
            moments = draw(st.lists(st.integers(row - 1, SESSIONS - 1), min_size=1, max_size=3, unique=True))
            versions = [(moment, draw(st.sampled_from([nothing, *values]))) for moment in sorted(moments)]
            actions[row, draw(st.integers(0, 1)), kind] = versions
    row_of = st.lists(st.integers(-400, 400), min_size=2, max_size=2)
    traded = draw(st.lists(row_of, min_size=SESSIONS, max_size=SESSIONS))
    return actions, traded, [False, *draw(st.lists(st.booleans(), min_size=SESSIONS - 1, max_size=SESSIONS - 1))]


def value_at(actions: Versions, row: int, symbol: int, kind: str, moment: int) -> Fraction:
    latest = Fraction(1) if kind == "split" else Fraction(0)
    for known_from, value in actions.get((row, symbol, kind), []):
        if known_from <= moment:
            latest = value
    return latest


def price_on(actions: Versions, row: int, symbol: int) -> Fraction:
    """A share that is worth 60 before any split, quoted by the truth."""
    price = Fraction(60)
    for day in range(row + 1):
        price /= value_at(actions, day, symbol, "split", SESSIONS)
    return price


def rows_known(actions: Versions, until: int, moment: int) -> ActionRows:
    known = rows(sessions=until)
    for row in range(until):
        for symbol in range(2):
            known.split[row, symbol] = value_at(actions, row, symbol, "split", moment)
            known.dividend[row, symbol] = value_at(actions, row, symbol, "dividend", moment)
    return known


def plain_book(
    actions: Versions, traded: list[list[int]], last: int, moment: int
) -> tuple[list[int], Fraction, Fraction]:
    """Count shares, dividends and what fractions are worth, of a book that knew at each row what is known at one."""
    counts, dividends, in_lieu = [], Fraction(0), Fraction(0)
    for symbol in range(2):
        shares = 0
        for row in range(last + 1):
            split = value_at(actions, row, symbol, "split", moment)
            exact = shares * split
            whole = abs(exact.numerator) // exact.denominator * (1 if exact > 0 else -1)
            if row:
                in_lieu += (exact - whole) / split * price_on(actions, row - 1, symbol)
            dividends += whole * value_at(actions, row, symbol, "dividend", moment)
            shares = whole + traded[row][symbol]
        counts.append(shares)
    return counts, dividends, in_lieu


def plain_peaks(history: History, last: int) -> tuple[float, ...]:
    """Equity, high-water mark, highest ever and week's peak of a book that knew in time what is known at a row."""
    actions, traded, reset = history
    equity = high = ever = week = 1e6
    spent = 0.0
    for row in range(last + 1):
        counts, dividends, in_lieu = plain_book(actions, traded, row, last)
        prices = [float(price_on(actions, row, symbol)) for symbol in range(2)]
        spent += sum(quantity * price for quantity, price in zip(traded[row], prices, strict=True))
        if reset[row]:
            high = week = equity
        if row == 5:  # a Monday
            week = equity
        held_usd = sum(count * price for count, price in zip(counts, prices, strict=True))
        equity = 1e6 - spent + float(dividends + in_lieu) + held_usd
        high, ever, week = max(high, equity), max(ever, equity), max(week, equity)
    return equity, high, ever, week


def fills_of(quantities: list[int], prices: list[float]) -> FillArrays:
    nothing = np.zeros(2)
    return FillArrays(
        fill_id=("0", "1"),
        client_order_id=("0", "1"),
        symbol=np.arange(2),
        quantity=np.array(quantities, dtype=np.float64),
        price=np.array(prices),
        mid_price=np.array(prices),
        half_spread_usd=nothing,
        commission_usd=nothing,
        impact_usd=nothing,
        is_stop=np.zeros(2, dtype=np.bool_),
    )


@pytest.mark.full
@settings(deadline=None, max_examples=150)
@given(histories())
def test_a_book_told_late_is_that_of_one_told_in_time_with_the_same_fills(
    history: History,
) -> None:
    actions, traded, reset = history
    states: list[Book] = []
    book, spent, dividends, in_lieu = empty_book(("A", "B"), 1e6), 0.0, 0.0, 0.0
    for row in range(SESSIONS):
        book = replace(book, session_dividends_usd=0.0, session_cash_in_lieu_usd=0.0)
        if row:
            days = np.datetime64("2017-06-21") + np.arange(row)
            mending = LateActions(
                sessions=days,
                traded=np.array(traded[:row], dtype=np.float64),
                taken=rows_known(actions, row, row - 1),
                known=rows_known(actions, row, row),
                mark=np.array(
                    [
                        [price_on(actions, day - 1, symbol) if day else np.nan for symbol in range(2)]
                        for day in range(row)
                    ],
                    dtype=np.float64,
                ),
                quoted=np.ones((row, 2), dtype=np.bool_),
                stop_distance=np.full(2, np.nan),
                held=np.array([state.quantity for state in states]),
                equity_usd=np.array([state.equity_usd for state in states]),
                booked_usd=np.array([state.session_dividends_usd + state.session_cash_in_lieu_usd for state in states]),
                reset=np.array(reset[:row]),
                first_peak_usd=states[0].high_water_mark_usd,
            )
            book = book_after_late_actions(book, mending, 1.0, days[-1] + 1)
        if reset[row]:
            book = replace(book, high_water_mark_usd=book.equity_usd, week_peak_usd=book.equity_usd)
        own = rows_known(actions, row + 1, row)
        book = book_after_actions(book, own.split[row], own.dividend[row], 1.0)
        prices = [float(price_on(actions, row, symbol)) for symbol in range(2)]
        book = book.filled(fills_of(traded[row], prices), np.datetime64("2017-06-21") + row)
        book = book.marked(np.datetime64("2017-06-21") + row, np.array(prices), PortfolioSettings())[0]
        states.append(book)
        peaks = (book.equity_usd, book.high_water_mark_usd, book.highest_ever_usd, book.week_peak_usd)
        assert peaks == pytest.approx(plain_peaks(history, row), abs=1e-4)
        spent += sum(quantity * price for quantity, price in zip(traded[row], prices, strict=True))
        dividends += book.session_dividends_usd
        in_lieu += book.session_cash_in_lieu_usd
        counts, earned, fractions = plain_book(actions, traded, row, row)
        assert book.quantity.tolist() == counts
        assert dividends == pytest.approx(float(earned), abs=1e-6)
        assert in_lieu == pytest.approx(float(fractions), abs=1e-4)
        assert book.cash_usd == pytest.approx(1e6 - spent + dividends + in_lieu, abs=1e-6)


def test_nothing_is_owed_to_symbols_of_which_nothing_changed() -> None:
    owed = owed_by_late_actions(late(rows(), rows((1.0, 2.0, 1.0)), 100.0, 0.0, 0.0), 1.0)
    assert [values[1] for values in (owed.quantity, owed.in_lieu_usd, owed.dividends_usd)] == [0.0, 0.0, 0.0]
    assert [values[0] for values in (owed.quantity, owed.in_lieu_usd, owed.dividends_usd)] == [100.0, 0.0, 0.0]
    assert owed.anything


def test_an_action_of_a_symbol_not_held_leaves_what_is_under_way() -> None:
    late_actions = late(rows(), rows((1.0, 2.0, 1.0)), 0.0, 0.0, 30.0)
    book = mended(held(30.0, entered="2017-06-23"), late_actions)
    assert not owed_by_late_actions(late_actions, 1.0).anything
    assert book.unfilled_quantity.tolist() == [7.0, -3.0]


def test_the_last_bar_that_the_book_saw_is_found_for_each_symbol() -> None:
    seen = np.array([[True, True, False, False], [False, True, False, True], [False, True, False, False]])
    late_actions = replace(late(rows(), rows(), 100.0, 0.0, 0.0), quoted=seen)
    assert late_actions.marked_row.tolist() == [0, 2, -1, 1]
