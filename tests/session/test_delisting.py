"""A symbol that is delisted while it is held: known in time, known late, withdrawn; what is left of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import DELIVERED_ACTIONS, conform, validate
from nn_assets.errors import DecisionError, SchemaError
from nn_assets.features.labels import forward_returns
from nn_assets.market.panel import FIELDS, panel_from_bars
from nn_assets.portfolio.actions import book_after_delistings
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.late_actions import ActionRows, LateActions, book_after_late_actions
from nn_assets.portfolio.records import book_from_records, book_remainder, holdings_frame, session_flows
from nn_assets.reports.round_notices import delisting_notices, ended_notices
from nn_assets.session.market_view import market_view
from nn_assets.settings import LabelSettings
from tests.session.test_late_bars import holding, one_order, play, wide
from tests.session.worlds import SYMBOLS, World, world

ROW = 150
DAYS = np.array(["2017-06-21", "2017-06-22", "2017-06-23"], dtype="datetime64[D]")


def action(day: object, value: float, kind: str = "delisting", symbol: str = SYMBOLS[0]) -> pd.DataFrame:
    frame = pd.DataFrame({"symbol": [symbol], "ex_session": [pd.Timestamp(day)], "kind": [kind], "value": [value]})
    return conform(frame.assign(source="s"), DELIVERED_ACTIONS)


def with_action(made: World, actions: pd.DataFrame) -> World:
    rows, columns = np.indices(made.panel.close.shape)
    bars = pd.DataFrame(
        {"symbol": np.array(SYMBOLS)[columns.ravel()], "session": made.panel.sessions[rows.ravel()]}
        | {name: getattr(made.panel, name).ravel() for name in FIELDS}
    )
    panel = panel_from_bars(bars, made.panel.sessions, SYMBOLS, actions)
    return replace(made, panel=panel, market=market_view(panel, made.strategy.portfolio))


def two(long: float = 100.0, short: float = -50.0) -> Book:
    book = replace(
        empty_book(("A", "B"), 10_000.0),
        quantity=np.array([long, short]), price=np.array([20.0, 10.0]), entry_price=np.array([18.0, 11.0]),
        stop_price=np.array([15.0, 12.0]), entered_session=np.array(["2017-06-21"] * 2, dtype="datetime64[D]"),
        unscaled_quantity=np.array([120.0, -60.0]), target_quantity=np.array([100.0, -50.0]),
        pending_stop_distance=np.ones(2), unfilled_quantity=np.array([7.0, -3.0]), session=DAYS[-1],
        marked_session=np.repeat(DAYS[-1], 2),
    )  # fmt: skip
    return replace(book, equity_usd=book.cash_usd + float(book.position_usd.sum()))


@pytest.mark.parametrize(("cash", "left"), [(12.5, 1250.0), (0.0, 0.0)])
def test_a_long_receives_what_is_left_and_nothing_of_the_position_stays(cash: float, left: float) -> None:
    book = book_after_delistings(two(), np.array([cash, np.nan]))
    assert book.cash_usd == 10_000.0 + left
    assert book.quantity.tolist() == [0.0, -50.0]
    for name in ("unscaled_quantity", "target_quantity", "unfilled_quantity"):
        assert getattr(book, name)[0] == 0.0
        assert getattr(book, name)[1] == getattr(two(), name)[1]
    assert np.isnan([book.stop_price[0], book.entry_price[0]]).all()
    assert book.stop_price[1] == 12.0
    row = {
        "session": DAYS[-1],
        "cash_usd": book.cash_usd,
        "equity_usd": 1.0,
        "high_water_mark_usd": 1.0,
        "breaker": None,
    }
    back = book_from_records(row, holdings_frame(book), book_remainder(book))
    assert session_flows(book_remainder(back))["delistings_usd"] == left


def test_a_short_pays_what_is_left() -> None:
    book = book_after_delistings(two(), np.array([np.nan, 4.0]))
    assert book.cash_usd == 10_000.0 - 200.0
    assert book.quantity.tolist() == [100.0, 0.0]


def test_a_round_books_it_before_the_first_fill_and_ends_the_order_under_way() -> None:
    made = world(wide(), ROW + 10)
    delisted = with_action(made, action(made.panel.sessions[ROW], 7.0))
    before = play(made, holding(made, ROW - 2, 1000.0, stop=1.0), ROW - 1)
    session_state = replace(before.session_state, orders=one_order(before, -1000.0))
    done = play(delisted, session_state, ROW)
    assert [len(batch) for batch in done.fills] == [0, 0]
    assert done.session_state.book.quantity[0] == 0.0
    interest = done.session_state.book.session_financing_usd
    assert done.state.cash_usd == pytest.approx(before.state.cash_usd + 7_000.0 + interest, rel=1e-12)
    assert [order.reason for order in done.ended] == ["delisted"]
    (ended,), (booked,) = ended_notices(done), delisting_notices(done)
    assert ended.endswith("without a whole fill: AAA. What was held was settled in cash; no order follows.")
    assert booked.endswith("at the cash per share that was stated: +7,000.00 USD.")  # and nobody is asked to act
    for later in range(ROW + 1, ROW + 5):
        done = play(delisted, done.session_state, later)
        assert done.session_state.book.quantity[0] == 0.0
        assert 0 not in done.orders.symbol.tolist()
        assert done.session_state.book.session_delistings_usd == 0.0
    assert delisted.market.at(ROW + 4).stale_share == 0.0  # what is gone is not stale


def test_a_delisting_changes_nothing_before_its_session_and_no_label_spans_it() -> None:
    made = world(wide(), ROW + 10)
    delisted = with_action(made, action(made.panel.sessions[ROW], 7.0))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(delisted.panel, name)[:ROW], getattr(made.panel, name)[:ROW])
        assert np.isnan(getattr(delisted.panel, name)[ROW:, 0]).all()  # a ticker used again is another instrument
        np.testing.assert_array_equal(getattr(delisted.panel, name)[ROW:, 1:], getattr(made.panel, name)[ROW:, 1:])
    label = LabelSettings(horizon_sessions=3, execution="next_open")
    known, all_of_them = forward_returns(delisted.panel, label), forward_returns(made.panel, label)
    assert np.isfinite(known[ROW - 5, 0])  # its span ends the session before
    assert np.isnan(known[ROW - 4 :, 0]).all()
    np.testing.assert_array_equal(known[:, 1:], all_of_them[:, 1:])


@pytest.mark.parametrize("cash", [7.0, 0.0])
def test_a_book_told_late_is_that_of_one_told_in_time(cash: float) -> None:
    """100 of A bought on the first session and delisted on the third; known only after the third was decided."""
    taken, known = ActionRows.nothing(3, 2), ActionRows.nothing(3, 2)
    known.delisting[2, 0] = cash
    book = two(short=50.0)

    def late_of(now: ActionRows, before: ActionRows, equity: float) -> LateActions:
        return LateActions(
            sessions=DAYS, traded=np.array([[100.0, 50.0], [0.0, 0.0], [0.0, 0.0]]), taken=before, known=now,
            mark=np.array([[np.nan, np.nan], [20.0, 10.0], [20.0, 10.0]]), quoted=np.array([[True, True]] * 3),
            stop_distance=np.full(2, np.nan), held=np.array([[100.0, 50.0]] * 3),
            equity_usd=np.array([12_500.0, 12_500.0, equity]), booked_usd=np.zeros(3),
            reset=np.zeros(3, dtype=np.bool_), first_peak_usd=12_500.0,
        )  # fmt: skip

    mended = book_after_late_actions(book, late_of(known, taken, 12_500.0), 1.0, "2017-06-26")
    assert mended.quantity.tolist() == [0.0, 50.0]
    assert mended.cash_usd == 10_000.0 + 100.0 * cash
    assert mended.session_delistings_usd == 100.0 * cash
    assert mended.equity_usd == 12_500.0 - 2_000.0 + 100.0 * cash
    assert mended.unscaled_quantity[0] == mended.target_quantity[0] == 0.0
    assert np.isnan(mended.stop_price[0])
    # Withdrawn again, the shares come back and the cash goes.
    gone = replace(mended, session_delistings_usd=0.0)
    late = late_of(taken, known, mended.equity_usd)
    late = replace(late, held=np.array([[100.0, 50.0], [100.0, 50.0], [0.0, 50.0]]),
                   booked_usd=np.array([0.0, 0.0, 100.0 * cash]))  # fmt: skip
    back = book_after_late_actions(gone, late, 1.0, "2017-06-26")
    assert back.quantity.tolist() == [100.0, 50.0]
    assert back.cash_usd == 10_000.0
    assert back.equity_usd == pytest.approx(12_500.0)


def test_only_a_delisting_may_be_worth_nothing() -> None:
    assert len(validate(action("2017-06-22", 0.0), DELIVERED_ACTIONS)) == 1
    for kind in ("split", "dividend"):
        with pytest.raises(SchemaError, match="of a delisting >= 0"):
            validate(action("2017-06-22", 0.0, kind), DELIVERED_ACTIONS)
    with pytest.raises(SchemaError):
        validate(action("2017-06-22", -1.0), DELIVERED_ACTIONS)


def test_a_delisting_told_after_a_later_fill_is_refused_with_the_session_to_state() -> None:
    taken, known = ActionRows.nothing(4, 2), ActionRows.nothing(4, 2)
    known.delisting[1, 0] = 12.5
    days = np.array(["2017-06-21", "2017-06-22", "2017-06-23", "2017-06-26"], dtype="datetime64[D]")
    late = LateActions(
        sessions=days, traded=np.array([[100.0, 0.0], [0.0, 0.0], [-100.0, 0.0], [0.0, 0.0]]), taken=taken, known=known,
        mark=np.full((4, 2), 20.0), quoted=np.ones((4, 2), dtype=np.bool_), stop_distance=np.full(2, np.nan),
        held=np.array([[100.0, 0.0], [100.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), equity_usd=np.full(4, 10_000.0),
        booked_usd=np.zeros(4), reset=np.zeros(4, dtype=np.bool_), first_peak_usd=10_000.0,
    )  # fmt: skip
    with pytest.raises(DecisionError, match="state the delisting on a session after 2017-06-23"):
        book_after_late_actions(two(long=0.0, short=0.0), late, 1.0, "2017-06-27")
    moved = ActionRows.nothing(4, 2)
    moved.delisting[3, 0] = 12.5  # as the remedy says
    mended = book_after_late_actions(two(long=0.0, short=0.0), replace(late, known=moved), 1.0, "2017-06-27")
    assert (mended.quantity[0], mended.session_delistings_usd) == (0.0, 0.0)
