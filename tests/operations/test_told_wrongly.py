"""What a venue tells wrongly, late or never: nothing is booked twice, nothing lost, and the account goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import ControlError
from nn_assets.execution.venue import VenueFill
from nn_assets.operations.accounts import collecting
from nn_assets.operations.accounts.books import BooksMarket, Splits
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from tests.operations.account_books import NIGHT, NOON, OPEN, Desk, Fails


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.of(tmp_path, "one", "two")


def sent(desk: Desk, orders: Mapping[str, float], **held: object) -> dict[str, str]:
    """Have book one decide orders, send them, and go to the noon after; their names at the venue by symbol."""
    desk.decided("one", orders, **held)
    desk.decided("two", {})
    send_orders(desk.driver())
    desk.moment = NOON
    return {order.symbol: name for name, order in desk.venue.taken.items()}


def held(desk: Desk, splits: Splits | None = None) -> float:
    """What the books hold of AAA."""
    record = desk.driver().record()
    return math.fsum(float(book.moved(record, splits or {}).quantity[0]) for book in desk.driver().books())


def with_bar(monkeypatch: pytest.MonkeyPatch, price: float) -> None:
    monkeypatch.setattr(
        BooksMarket, "bar", lambda *_: {"open": price, "high": price + 1.0, "low": price - 1.0, "close": price}
    )


# --- no numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, pytest.param(math.inf, marks=pytest.mark.full)])
@pytest.mark.parametrize("of_cash", [False, pytest.param(True, marks=pytest.mark.full)])
def test_positions_and_cash_that_are_no_numbers_are_never_what_the_books_hold_nor_accepted(
    desk: Desk, value: float, of_cash: bool
) -> None:
    sent(desk, {}, held={"AAA": 100})
    if of_cash:
        desk.venue.held, desk.venue.cash_usd = {"AAA": 100.0}, value
    else:
        desk.venue.held = {"AAA": value}
    compared = reconcile(desk.driver())
    assert [row["kind"] for row in compared.differences] == ["venue"]
    with pytest.raises(ControlError, match=r"(AAA|cash) (nan|inf)"):
        accept(desk.driver(), "me", "so it says")


# --- fills by moments -----------------------------------------------------------------------------------


def test_a_fill_of_the_future_is_held_back_and_hides_no_fill_after_it(desk: Desk) -> None:
    name = sent(desk, {"AAA": 100, "BBB": 10})["AAA"]
    far = pd.Timestamp("2034-01-02 15:00", tz="UTC")
    desk.venue.made.append(VenueFill("weird", "nobody", "AAA", 1.0, 50.0, far, 0.0))
    desk.venue.made.append(VenueFill("far", name, "AAA", 1.0, 50.0, far, 0.0))
    reconcile(desk.driver())
    desk.venue.fill(name, 100.0, 50.0)
    assert "after now" in reconcile(desk.driver()).sentence
    assert held(desk) == 100.0


@pytest.mark.full
def test_a_fill_before_its_order_was_sent_is_held_back(desk: Desk) -> None:
    desk.venue.fill(sent(desk, {"AAA": 100})["AAA"], 100.0, 50.0, at=OPEN - pd.Timedelta(days=3))
    assert "before its order was sent" in reconcile(desk.driver()).sentence
    assert held(desk) == 0.0


def test_a_fill_told_a_week_after_a_newer_one_is_taken_in(desk: Desk) -> None:
    names = sent(desk, {"AAA": 100, "BBB": 10})
    late = desk.venue.fill(names["AAA"], 100.0, 50.0)
    desk.venue.made.clear()
    desk.venue.fill(names["BBB"], 10.0, 50.0, at=pd.Timestamp("2024-03-12 15:00", tz="UTC"), fill_id="newer")
    desk.moment = pd.Timestamp("2024-03-12 16:00", tz="UTC")
    assert reconcile(desk.driver()).state == "differs"
    desk.venue.made.append(late)
    assert reconcile(desk.driver()).sentence == "the account agrees with its books"


@pytest.mark.full
def test_a_fill_without_a_moment_says_nothing_of_the_account_and_stops_no_round(desk: Desk) -> None:
    name = sent(desk, {"AAA": 100})["AAA"]
    desk.venue.fills = lambda since: [VenueFill("a", name, "AAA", 10.0, 50.0, pd.NaT, 0.0)]
    assert "none of a" in reconcile(desk.driver()).sentence


# --- accepted before the fill is told -------------------------------------------------------------------


def test_what_the_venue_says_is_filled_is_not_accepted_before_its_fills_are_told(desk: Desk) -> None:
    fill = desk.venue.fill(sent(desk, {"AAA": 100})["AAA"], 100.0, 50.0)
    desk.venue.made.clear()
    reconcile(desk.driver())
    with pytest.raises(ControlError, match=r"100 filled by the venue, 0 told.*booked twice"):
        accept(desk.driver(), "me", "the venue is right")
    desk.venue.made.append(fill)
    assert reconcile(desk.driver()).state == "agreed"
    assert held(desk) == 100.0


def test_a_fill_whose_price_waits_for_its_bar_is_not_accepted_as_a_difference(desk: Desk, monkeypatch) -> None:
    desk.venue.fill(sent(desk, {"AAA": 100})["AAA"], 100.0, 80.0)
    reconcile(desk.driver())
    with pytest.raises(ControlError, match="wait for the bar of their session"):
        accept(desk.driver(), "me", "the venue is right")
    with_bar(monkeypatch, 80.0)
    assert reconcile(desk.driver()).state == "agreed"
    assert held(desk) == 100.0


def test_a_fill_that_nothing_told_of_is_held_back_once_an_acceptance_has_it_and_one_after_it_is_booked(
    desk: Desk,
) -> None:
    name = sent(desk, {"AAA": 100})["AAA"]
    fill = desk.venue.fill(name, 60.0, 50.0)  # its order works still, by all that the venue says
    desk.venue.made.clear()
    reconcile(desk.driver())
    accept(desk.driver(), "me", "the venue is right")
    assert held(desk) == 60.0
    desk.venue.made.append(fill)
    assert "an acceptance has taken over" in reconcile(desk.driver()).sentence
    assert held(desk) == 60.0
    desk.venue.fill(name, 40.0, 50.0, at=desk.moment + pd.Timedelta(minutes=1), fill_id="after")
    desk.moment += pd.Timedelta(hours=1)
    reconcile(desk.driver())
    assert held(desk) == 100.0


# --- crossed, and killed --------------------------------------------------------------------------------


def test_orders_that_crossed_before_a_kill_stay_so_though_the_bar_is_restated_since(desk: Desk, monkeypatch) -> None:
    desk.decided("one", {"AAA": 40})
    desk.decided("two", {"AAA": -40})
    send_orders(desk.driver())
    desk.moment = NIGHT
    with_bar(monkeypatch, 51.0)

    def killed(point: str) -> None:
        if point == "fill_recorded":
            raise Fails(point)

    with monkeypatch.context() as patch:
        patch.setattr(collecting, "reached", killed)
        desk.quiet(lambda: reconcile(desk.driver()))
    assert "ended" not in desk.events()
    with_bar(monkeypatch, 51.01)
    assert reconcile(desk.driver()).state == "agreed"
    assert list(desk.rows("account_fills")["price"]) == [51.0]
    assert set(desk.statuses().values()) == {"ended"}


# --- splits after fills ---------------------------------------------------------------------------------


def test_a_split_after_a_fill_that_no_round_has_booked_splits_what_was_filled_too(desk: Desk, monkeypatch) -> None:
    ex_session = pd.Timestamp("2024-03-06")
    split = Splits([(ex_session, {"AAA": 2.0})])
    monkeypatch.setattr(BooksMarket, "splits", lambda _, __, ___, until: split if until >= ex_session else {})
    desk.venue.held = {"AAA": 100.0}
    name = sent(desk, {"AAA": 10, "BBB": 5}, held={"AAA": 100})["AAA"]
    fill = desk.venue.fill(name, 10.0, 50.0)
    assert reconcile(desk.driver()).state == "agreed"
    desk.venue.held = {"AAA": 220.0}
    desk.moment = pd.Timestamp("2024-03-06 16:00", tz="UTC")
    assert reconcile(desk.driver()).state == "agreed"
    assert held(desk, split) == 220.0
    # By hand: what fills after the split is in the shares of its session.
    record, (one, _) = desk.driver().record(), desk.driver().books()
    later = record.fills[0] | {"session": ex_session, "sequence": 10**6, "filled_at": fill.at + pd.Timedelta(days=1)}
    later |= {"fill_id": "later"}
    assert float(one.moved(replace(record, fills=[*record.fills, later]), split).quantity[0]) == 230.0
