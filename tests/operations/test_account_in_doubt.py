"""An order in doubt is sent again only while it is wanted: not after its end was asked for, nor once it has fills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.execution.netting import BookOrder
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.outbox import let_through
from nn_assets.operations.accounts.reconciling import reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.breakers import Control
from tests.operations.account_books import OPEN, Desk

BEFORE = pd.Timestamp("2024-03-01")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.of(tmp_path, "one", "two")


def lose(desk: Desk, *answers: str) -> None:
    """Send, and have the answers lost; no time goes by, so that nothing is sent again."""
    desk.venue.answers = list(answers)
    send_orders(replace(desk.driver(), sleep=lambda _: None))
    desk.venue.answers = []


def with_a_stop(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0}, session=BEFORE)
    desk.decided("two", {}, session=BEFORE)
    desk.venue.held = {"AAA": 100.0}


def test_what_a_person_cancelled_is_not_sent_again_though_the_venue_never_knew_it(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    lose(desk, "lost", "lost")
    (name,) = cancel_orders(desk.driver())
    desk.moment += pd.Timedelta(hours=1)
    assert send_orders(desk.driver()).orders[name] == "ended"
    assert not desk.venue.taken


def test_a_lost_stop_is_not_sent_once_the_book_is_flat(desk: Desk) -> None:
    with_a_stop(desk)
    lose(desk, "lost", "lost")
    for book in ("one", "two"):
        desk.decided(book, {})
    desk.venue.held = {}
    desk.moment += pd.Timedelta(hours=1)
    send_orders(desk.driver())
    assert not desk.venue.taken


def test_a_stop_that_filled_and_is_unknown_since_is_not_sent_a_second_time(desk: Desk) -> None:
    with_a_stop(desk)
    known, desk.venue.orders = desk.venue.orders, lambda ids=(): []
    lose(desk, "taken, then lost")
    (name,) = desk.venue.taken
    desk.venue.fill(name, -100.0, 44.9, at=OPEN)
    desk.venue.orders = known
    del desk.venue.taken[name], desk.venue.status[name]  # after a day it knows the name no more
    desk.moment = pd.Timestamp("2024-03-06 17:00", tz="UTC")
    reconcile(desk.driver())
    send_orders(desk.driver(), waits=False)
    assert desk.venue.sends.count(name) == 1


@pytest.mark.parametrize(("there", "protected"), [(0.0, []), (40.0, [-40.0]), (100.0, [-100.0]), (-10.0, [])])
def test_no_stop_rests_of_more_than_the_venue_holds(desk: Desk, there: float, protected: list[float]) -> None:
    with_a_stop(desk)
    desk.venue.held = {"AAA": there} if there else {}
    reconcile(desk.driver())
    send_orders(desk.driver())
    assert [order.quantity for order in desk.venue.taken.values()] == protected


@pytest.mark.parametrize("close_first", [True, False])
def test_where_a_position_turns_a_control_leaves_the_close_whatever_the_orders_names_are(close_first: bool) -> None:
    book = replace(empty_book(("AAA",), 1e6), quantity=np.array([100.0]))
    close, opening = (
        BookOrder("one", name, "AAA", quantity, "at_open") for name, quantity in (("close", -100.0), ("open", -50.0))
    )
    orders = [close, opening] if close_first else [opening, close]
    assert let_through(orders, book, Control.REDUCING) == [close]


@pytest.mark.parametrize("named", [True, False])
def test_an_order_that_ended_by_the_ledger_and_works_at_the_venue_can_be_cancelled(desk: Desk, named: bool) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.status[name] = "expired"
    reconcile(desk.driver())
    desk.venue.status[name] = "working"
    assert reconcile(desk.driver()).state == "differs"
    cancel_orders(desk.driver(), [name] if named else ())
    assert desk.venue.status[name] == "cancelled"
