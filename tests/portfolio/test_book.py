"""The book against arithmetic done by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import FILLS, HOLDINGS, PORTFOLIO_STATES, framed, validate
from nn_assets.errors import ControlError, DecisionError, LedgerError
from nn_assets.portfolio.book import Book, empty_book, reset_breakers
from nn_assets.portfolio.breakers import Breaker
from nn_assets.portfolio.fills import FillArrays, fills_frame, no_fills
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, state_row
from nn_assets.settings import CostSettings, PortfolioSettings
from tests.portfolio.books import awaiting

SETTINGS = PortfolioSettings()
SYMBOLS = ("A", "B")
DAYS = pd.bdate_range("2017-06-01", periods=30)  # begins on a Thursday
COSTS = CostSettings(borrow_fee_annual_fraction=0.02, margin_spread_annual_fraction=0.01)


def fill(symbol: int, quantity: float, price: float, *, stop: bool = False, commission: float = 1.0) -> FillArrays:
    one = np.array([1.0])
    return FillArrays(
        fill_id=(f"f{symbol}{quantity}",), client_order_id=("o",), symbol=np.array([symbol]),
        quantity=quantity * one, price=price * one, mid_price=price * one, half_spread_usd=2.0 * one,
        commission_usd=commission * one, impact_usd=0.5 * one, is_stop=np.array([stop]),
    )  # fmt: skip


def marked(book: Book, day: pd.Timestamp, *prices: float) -> Book:
    return book.marked(day, np.array(prices), SETTINGS)[0]


def opened(quantity: float = 100.0, price: float = 50.0, distance: float = 3.0) -> Book:
    book = empty_book(SYMBOLS, 10_000.0)
    book = awaiting(book, np.array([quantity, 0.0]), np.array([distance, np.nan]))
    return book.filled(fill(0, quantity, price), DAYS[0])


def test_a_purchase_moves_cash_by_price_and_commission_and_fixes_the_stop_at_the_fill() -> None:
    book = opened()
    assert book.cash_usd == 10_000.0 - 5_000.0 - 1.0
    assert (book.entry_price[0], book.stop_price[0]) == (50.0, 47.0)
    assert book.entered_session[0] == np.datetime64("2017-06-01")
    assert book.session_costs_usd == 3.5
    assert book.unfilled_quantity[0] == 0.0


def test_adding_moves_the_average_entry_and_a_stop_further_away_moves_nothing() -> None:
    book = awaiting(opened(), np.array([100.0, 0.0]), np.array([9.0, np.nan]))
    book = book.filled(fill(0, 50.0, 56.0), DAYS[1])
    assert book.entry_price[0] == pytest.approx(52.0)
    assert book.stop_price[0] == 47.0
    assert book.unfilled_quantity[0] == 50.0


def test_selling_part_keeps_entry_and_stop_and_selling_all_clears_them() -> None:
    part = opened().filled(fill(0, -40.0, 60.0), DAYS[1])
    assert (part.quantity[0], part.entry_price[0], part.stop_price[0]) == (60.0, 50.0, 47.0)
    gone = part.filled(fill(0, -60.0, 60.0), DAYS[2])
    assert gone.quantity[0] == 0.0
    assert np.isnan([gone.entry_price[0], gone.stop_price[0]]).all()
    assert np.isnat(gone.entered_session[0])


def test_a_change_of_side_is_a_new_entry_with_its_own_stop() -> None:
    book = opened().filled(fill(0, -150.0, 60.0), DAYS[3])
    assert (book.quantity[0], book.entry_price[0], book.stop_price[0]) == (-50.0, 60.0, 63.0)
    assert book.entered_session[0] == np.datetime64(DAYS[3].date())


def test_equity_is_cash_and_positions_and_a_missing_price_keeps_the_last_mark() -> None:
    book = marked(opened(), DAYS[0], 52.0, 9.0)
    assert book.equity_usd == 4_999.0 + 5_200.0
    later, state = book.marked(DAYS[1], np.array([np.nan, 9.0]), SETTINGS)
    assert later.equity_usd == book.equity_usd
    assert state.session_return == 0.0
    assert state.gross_fraction == pytest.approx(5_200.0 / 10_199.0)


def test_financing_pays_on_cash_and_charges_margin_and_borrowing() -> None:
    rich = empty_book(SYMBOLS, 10_000.0).opened(COSTS, 0.0252, 252)
    assert rich.cash_usd == pytest.approx(10_001.0)
    short = marked(opened(quantity=-100.0), DAYS[0], 50.0, np.nan).opened(COSTS, 0.0252, 252)
    # 14,999 of cash at 2.52%, 5,000 borrowed shares at 2%
    assert short.session_financing_usd == pytest.approx((14_999 * 0.0252 - 5_000 * 0.02) / 252)
    margin = marked(opened(quantity=300.0), DAYS[0], 50.0, np.nan).opened(COSTS, 0.0252, 252)
    assert margin.session_financing_usd == pytest.approx(-5_001 * 0.0352 / 252)


def test_the_week_is_measured_from_its_peak_and_starts_anew_on_monday() -> None:
    book = marked(opened(), DAYS[0], 50.0, np.nan)  # Thursday, 9,999
    book = marked(book, DAYS[1], 54.0, np.nan)  # Friday, 10,399
    assert book.week_peak_usd == 10_399.0
    monday = marked(book, DAYS[2], 51.0, np.nan)  # 10,099: the week starts from Friday's close
    assert monday.week_peak_usd == 10_399.0
    fired = marked(monday, DAYS[3], 49.5, np.nan)  # 9,949 is 4.3% below
    assert fired.breaker_kinds == ("weekly_loss",)
    assert marked(fired, DAYS[10], 60.0, np.nan).breakers == fired.breakers


def test_a_new_week_forgets_the_peak_of_the_week_before_the_last_close() -> None:
    book = marked(opened(), DAYS[0], 60.0, np.nan)  # Thursday: 10,999
    book = marked(book, DAYS[1], 57.5, np.nan)  # Friday: 10,749
    assert marked(book, DAYS[2], 57.0, np.nan).week_peak_usd == 10_749.0


def test_a_drawdown_over_the_limit_latches_and_only_a_person_with_a_reason_resets_it() -> None:
    book = marked(opened(), DAYS[0], 60.0, np.nan)
    book = marked(book, DAYS[1], 50.5, np.nan)  # 10,999 to 10,049: 8.6%
    assert book.breaker_kinds == ("drawdown", "weekly_loss", "session_loss")
    with pytest.raises(ControlError, match="reason"):
        reset_breakers(book, book.breaker_kinds, person="ann", reason=" ")
    again = reset_breakers(book, book.breaker_kinds, person="ann", reason="reviewed")
    assert again.breakers == ()
    assert again.high_water_mark_usd == 10_049.0
    assert again.highest_ever_usd == 10_999.0
    assert marked(again, DAYS[2], 50.4, np.nan).breakers == ()


def test_the_reset_of_one_breaker_leaves_the_others_and_every_peak_unless_it_is_of_a_loss() -> None:
    book = marked(opened(), DAYS[0], 60.0, np.nan)  # 10,999
    book, state = book.marked(DAYS[7], np.array([50.0, np.nan]), SETTINGS, stale_share=1.0)  # 9,999: 9.1%
    assert state.breaker == "stale_data, drawdown, weekly_loss, session_loss"
    fed = reset_breakers(book, ["stale_data"], person="ann", reason="the feed is back")
    assert fed.breaker_kinds == ("drawdown", "weekly_loss", "session_loss")
    assert (fed.high_water_mark_usd, fed.week_peak_usd) == (book.high_water_mark_usd, book.week_peak_usd)
    assert fed.drawdown_fraction == pytest.approx(1_000 / 10_999)
    assert fed.halved
    for kind in ("no_answer", "unfinished_run"):
        alarm = replace(book, breakers=(Breaker(kind, "said"), *book.breakers))
        assert reset_breakers(alarm, [kind], person="ann", reason="looked at") == book
    lost = reset_breakers(fed, ["weekly_loss"], person="ann", reason="reviewed")
    assert lost.breaker_kinds == ("drawdown", "session_loss")
    assert (lost.high_water_mark_usd, lost.week_peak_usd, lost.highest_ever_usd) == (9_999.0, 9_999.0, 10_999.0)
    with pytest.raises(ControlError, match="named stale_data"):
        reset_breakers(fed, ["stale_data"], person="ann", reason="again")


def test_several_latched_breakers_survive_their_records_each_with_its_reason() -> None:
    book = marked(opened(), DAYS[0], 60.0, np.nan)
    book, state = book.marked(DAYS[1], np.array([50.0, np.nan]), SETTINGS, unfinished_run="sent late")
    back = book_from_records(state_row(state), holdings_frame(book), book_remainder(book))
    assert len(back.breakers) == 4
    assert back.breakers == book.breakers


def test_a_squeeze_below_zero_halts_by_name_and_no_session_after_it_has_a_return_of_the_other_sign() -> None:
    short = opened(quantity=-100.0)
    cash = short.cash_usd
    squeezed, state = short.marked(DAYS[1], np.array([200.0, np.nan]), SETTINGS)
    assert squeezed.equity_usd == cash - 20_000.0 < 0.0
    assert squeezed.breaker_kinds[0] == "no_equity"
    assert "-5,001.00 USD" in squeezed.breakers[0].reason
    assert state.session_return == pytest.approx((cash - 20_000.0) / 10_000.0 - 1.0)
    gained, after = squeezed.marked(DAYS[2], np.array([180.0, np.nan]), SETTINGS)  # 2,000 better, and still below zero
    assert np.isnan(after.session_return)
    assert np.isnan(after.gross_fraction)
    assert gained.breaker_kinds == squeezed.breaker_kinds
    loose = reset_breakers(gained, ("no_equity",), person="ann", reason="looked at")
    assert "no_equity" in marked(loose, DAYS[3], 170.0, np.nan).breaker_kinds
    assert "no_equity" not in marked(loose, DAYS[3], 100.0, np.nan).breaker_kinds


def test_equity_of_zero_latches_the_drawdown_and_every_later_session_can_be_marked() -> None:
    book = replace(opened(), cash_usd=-5_000.0)
    book, _ = book.marked(DAYS[1], np.array([50.0, np.nan]), SETTINGS)
    assert book.equity_usd == 0.0
    after, state = book.marked(DAYS[2], np.array([51.0, np.nan]), SETTINGS)
    assert "drawdown" in after.breaker_kinds
    assert np.isnan(state.session_return)
    reset = reset_breakers(book, book.breaker_kinds, person="ann", reason="money is on its way")
    assert reset.drawdown_fraction == 1.0
    assert "drawdown" in marked(reset, DAYS[2], 50.0, np.nan).breaker_kinds


def test_a_stop_blocks_its_side_until_the_signal_leaves_it_or_the_time_has_passed() -> None:
    book = opened().filled(fill(0, -100.0, 47.0, stop=True), DAYS[1], blocked_until=DAYS[6])
    assert book.blocked_side.tolist() == [1, 0]
    assert book.unfilled_quantity[0] == 0.0  # the stop is no part of the decided order
    still, gone = np.array([0.6, 0.6]), np.array([0.4, 0.6])
    assert book.released(DAYS[2], still).blocked_side[0] == 1
    assert book.released(DAYS[2], np.array([np.nan, 0.6])).blocked_side[0] == 1
    assert book.released(DAYS[2], gone).blocked_side[0] == 0
    assert book.released(DAYS[6], still).blocked_side[0] == 0


def test_a_close_at_or_beyond_the_stop_blocks_the_side_where_only_closes_trade() -> None:
    for price, side in ((47.01, 0), (47.0, 1), (44.0, 1)):
        book = marked(opened(), DAYS[1], price, np.nan).stopped_at_close(DAYS[6])
        assert book.blocked_side[0] == side
    for price, side in ((52.99, 0), (53.0, -1), (56.0, -1)):
        short = marked(opened(quantity=-100.0), DAYS[1], price, np.nan).stopped_at_close(DAYS[6])
        assert short.blocked_side[0] == side
    kept = book.stopped_at_close(DAYS[9])
    assert kept.blocked_until[0] == np.datetime64(DAYS[6].date())


def test_an_impossible_fill_is_refused_by_name() -> None:
    with pytest.raises(DecisionError, match="symbol B"):
        opened().filled(fill(1, 10.0, np.nan), DAYS[1])


def test_the_book_read_back_from_its_records_goes_on_to_the_same_bits() -> None:
    book = opened(quantity=-33.0, price=1 / 3 * 100, distance=0.1)
    book = book.opened(COSTS, 0.017, 252)
    book, state = book.marked(DAYS[1], np.array([31.7, np.nan]), SETTINGS)
    book = awaiting(book, np.array([7.0, 0.0]), np.array([0.3, np.nan]))
    row, holdings = state_row(state), holdings_frame(book)
    validate(holdings, HOLDINGS)
    states = framed(PORTFOLIO_STATES, 1, **row, book=book_remainder(book))
    validate(states, PORTFOLIO_STATES)
    back = book_from_records(row, holdings.iloc[::-1], book_remainder(book))
    for name in Book.__dataclass_fields__:
        np.testing.assert_equal(getattr(back, name), getattr(book, name), err_msg=name)
    ahead = [one.opened(COSTS, 0.017, 252).marked(DAYS[2], np.array([33.3, 1.0]), SETTINGS)[0] for one in (book, back)]
    assert ahead[0].equity_usd.hex() == ahead[1].equity_usd.hex()


def test_a_latched_breaker_survives_its_records_with_its_reason() -> None:
    book = marked(marked(opened(), DAYS[0], 60.0, np.nan), DAYS[1], 50.5, np.nan)
    state = state_row(book.state(previous_equity_usd=10_999.0))
    assert book_from_records(state, holdings_frame(book), book_remainder(book)).breakers == book.breakers


def test_fills_hold_to_their_frame_and_an_empty_batch_too() -> None:
    known = pd.Timestamp("2017-06-01 20:00", tz="UTC")
    for batch, rows in ((fill(0, 10.0, 50.0), 1), (no_fills(), 0)):
        assert len(validate(fills_frame(batch, SYMBOLS, session=DAYS[0], known_at=known), FILLS)) == rows


def test_a_book_before_its_first_session_owes_and_has_earned_nothing() -> None:
    book = empty_book(SYMBOLS, 1e5)
    for name in ("costs", "financing", "dividends", "cash_in_lieu", "delistings"):
        assert getattr(book, f"session_{name}_usd") == 0.0
    assert (book.breakers, book.halved, book.drawdown_fraction) == ((), False, 0.0)
    assert np.isnat(book.session)


def test_what_the_ledger_keeps_of_a_book_is_canonical_and_holds_no_number_that_is_none() -> None:
    book = replace(marked(opened(), DAYS[1], 51.0, np.nan), session_dividends_usd=2.5, halved=True)
    text = book_remainder(book)
    remainder = json.loads(text)
    assert text == json.dumps(remainder, sort_keys=True, separators=(",", ":"))
    assert (remainder["halved"], remainder["session_dividends_usd"], remainder["symbols"]) == (True, 2.5, ["A", "B"])
    assert "session_cash_in_lieu_usd" not in remainder
    assert "halved" not in json.loads(book_remainder(replace(book, halved=False)))
    with pytest.raises(ValueError, match="JSON"):
        book_remainder(replace(book, week_peak_usd=np.nan))


def test_holdings_of_other_symbols_are_refused() -> None:
    book = marked(opened(), DAYS[1], 51.0, np.nan)
    row = state_row(book.state(previous_equity_usd=1e5))
    with pytest.raises(LedgerError, match="one holdings row for each of 2 symbols"):
        book_from_records(row, holdings_frame(book).iloc[:1], book_remainder(book))


def test_a_record_of_version_0_1_is_a_book_whose_orders_complete_it() -> None:
    book = awaiting(marked(opened(), DAYS[1], 51.0, np.nan), np.array([-30.0, 12.0]), np.array([1.0, 2.0]))
    old = {
        k: v for k, v in json.loads(book_remainder(book)).items() if k not in ("unscaled_quantity", "target_quantity")
    }
    back = book_from_records(state_row(book.state(previous_equity_usd=1e5)), holdings_frame(book), old)
    assert back.unscaled_quantity.tolist() == back.target_quantity.tolist() == [70.0, 12.0]


def test_a_close_below_one_is_a_mark_and_one_of_zero_is_none() -> None:
    for price, mark in ((0.5, 0.5), (0.0, 50.0), (-1.0, 50.0), (np.nan, 50.0)):
        book = marked(marked(opened(), DAYS[0], 50.0, np.nan), DAYS[1], price, np.nan)
        assert book.price[0] == mark


def within(book: Book, moment: str, equity_usd: float, day: str) -> Book:
    """A flat book that is worth so much at the close of a bar within a day."""
    flat = replace(book, cash_usd=equity_usd)
    return flat.marked(np.datetime64(moment), np.full(2, np.nan), SETTINGS, day=np.datetime64(day))[0]


def test_bars_that_lose_little_each_lose_a_days_limit_together() -> None:
    """0.16% an hour, 3.77% a day: over 3% with the twentieth hour: 1 - 0.9984^19 = 2.996%, and to the 20th 3.15%."""
    book, equity, fired = empty_book(SYMBOLS, 10_000.0), 10_000.0, []
    for hour in range(24):
        equity *= 0.9984
        book = within(book, f"2017-06-05T{hour:02d}:00", equity, "2017-06-05")
        fired.append(book.breaker_kinds)
    assert equity / 10_000.0 - 1.0 == pytest.approx(-0.0377, abs=1e-4)
    assert fired == [()] * 19 + [("session_loss",)] * 5
    assert book.breakers[0].reason.startswith("session_loss of 3.15%")
    # The next day starts from what this one closed with, and a reset from what there is then.
    tomorrow = replace(book, breakers=())
    assert within(tomorrow, "2017-06-06T00:00", equity * 0.98, "2017-06-06").breaker_kinds == ("weekly_loss",)
    lost = within(tomorrow, "2017-06-06T00:00", equity * 0.96, "2017-06-06")
    assert "session_loss" in lost.breaker_kinds
    again = reset_breakers(lost, list(lost.breaker_kinds), person="me", reason="looked at")
    assert within(again, "2017-06-06T01:00", equity * 0.95, "2017-06-06").breaker_kinds == ()


def test_the_weeks_peak_within_the_session_is_the_highest_close_of_a_day() -> None:
    book = empty_book(SYMBOLS, 10_000.0)
    for moment, equity in (("05T12:00", 10_200.0), ("05T23:00", 10_100.0), ("06T12:00", 9_800.0)):
        book = within(book, f"2017-06-{moment}", equity, f"2017-06-{moment[:2]}")
    # From 10,100, the close of Monday; the 10,200 of its noon is in the high-water mark alone.
    assert (book.week_peak_usd, book.high_water_mark_usd, book.breaker_kinds) == (10_100.0, 10_200.0, ())
    assert within(book, "2017-06-06T13:00", 9_690.0, "2017-06-06").breaker_kinds == ("weekly_loss", "session_loss")
    following = within(book, "2017-06-12T00:00", 9_500.0, "2017-06-12")  # a new week, from the last close: 3.06%
    assert (following.week_peak_usd, following.breaker_kinds) == (9_800.0, ("session_loss",))


def test_a_book_of_bars_within_the_session_keeps_its_day_on_record() -> None:
    book, state = empty_book(SYMBOLS, 10_000.0).marked(
        np.datetime64("2017-06-05T12:00"), np.full(2, np.nan), SETTINGS, day=np.datetime64("2017-06-05")
    )
    back = book_from_records(state_row(state), holdings_frame(book), book_remainder(book))
    assert (back.day, back.day_start_usd) == (np.datetime64("2017-06-05"), 10_000.0)
    assert "day" not in json.loads(book_remainder(empty_book(SYMBOLS, 10_000.0)))
