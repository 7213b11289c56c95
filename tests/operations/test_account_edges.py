"""The account at its edges: taken once, ended at its minute, by the strictest moment and the widest collar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import ControlError, NnAssetsError
from nn_assets.execution.venue import OrderHours, VenueClosedError, VenueDownError
from nn_assets.operations.account_faults import fault_of_refusals, faults_of_sending
from nn_assets.operations.accounts.books import AccountBooks
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.passed_stops import passed_stops
from nn_assets.operations.asof.sendings import unsent_after
from nn_assets.oversight.headline import TradingWord
from tests.operations.account_books import ACCOUNT, DECIDED, NIGHT, NOON, OPEN, TRADED, Desk, a_strategy

CLOSE = pd.Timestamp("2024-03-05 21:00", tz="UTC")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.of(tmp_path, "one", "two")


def held(desk: Desk, symbol: str) -> dict[str, float]:
    record = desk.driver().record()
    moved = {book.strategy.name: book.moved(record, {}) for book in desk.driver().books()}
    return {name: float(book.quantity[book.symbols.index(symbol)]) for name, book in moved.items()}


def working(desk: Desk, kind: str) -> list[float]:
    there = desk.venue.taken.items()
    return [order.quantity for name, order in there if order.kind == kind and desk.venue.status[name] == "working"]


def test_an_acceptance_that_a_round_took_moves_the_book_no_second_time(desk: Desk) -> None:
    desk.decided("one", {}, held={"BBB": 10.0})
    desk.decided("two", {})
    desk.venue.held = {"BBB": 25.0}
    desk.moment = NIGHT
    reconcile(desk.driver())
    accept(desk.driver(), "me", "bought by hand")
    assert held(desk, "BBB") == {"one": 25.0, "two": 0.0}
    for name, quantity in (("one", {"BBB": 25.0}), ("two", {})):
        desk.decided(name, {}, held=quantity, session=TRADED)
    assert held(desk, "BBB") == {"one": 25.0, "two": 0.0}


def test_no_stop_rests_beside_an_order_that_closes_the_same_and_works_after_the_open(desk: Desk) -> None:
    desk.decided("one", {"AAA": -100.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    desk.moment = NOON
    send_orders(desk.driver())
    assert (working(desk, "at_open"), working(desk, "stop")) == ([-100.0], [])


def test_an_order_is_ended_half_an_hour_after_the_close_and_no_sooner(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    send_orders(desk.driver())
    for minutes, there in ((-60, [100.0]), (29, [100.0]), (31, [])):
        desk.moment = CLOSE + pd.Timedelta(minutes=minutes)
        reconcile(desk.driver(), settles=False)
        assert working(desk, "at_open") == there


def test_a_lost_order_goes_again_at_the_settle_time_and_not_later(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    desk.venue.answers = ["lost"]
    send_orders(desk.driver())  # it waits for just the settle time
    assert len(desk.venue.sends) == 2
    assert working(desk, "at_open") == [100.0]


def test_an_order_that_the_venue_takes_no_more_is_late_before_the_open_too(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    ends = OPEN - pd.Timedelta(minutes=10)
    hours = OrderHours(OPEN - pd.Timedelta(hours=18), ends)
    desk.venue.takes = lambda kind, session: hours  # type: ignore[attr-defined]
    desk.moment = ends
    send_orders(desk.driver())
    assert desk.venue.sends == []
    assert list(desk.rows("order_events")["reason"]) == ["late"]


def test_a_stop_that_the_venue_refuses_is_sent_three_times_a_session_and_named_as_no_protection(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    desk.venue.answers = ["refused"] * 20
    for minutes in range(8):
        desk.moment = NOON + pd.Timedelta(minutes=5 * minutes)
        send_orders(desk.driver())
    assert len(desk.venue.sends) == 3
    (strategy, _) = desk.account.strategies
    unsent = unsent_after(desk.stores.ledger, strategy, DECIDED)
    fault = fault_of_refusals(unsent)
    assert fault.word is TradingWord.TRADES  # no order of its own is missing
    assert "(the stop of AAA: no margin), so that no stop protects AAA there" in fault.why
    desk.moment = NIGHT  # for the next session it is tried again, and taken
    desk.venue.answers = []
    send_orders(desk.driver())
    assert working(desk, "stop") == [-100.0]
    unsent = unsent_after(desk.stores.ledger, strategy, DECIDED)
    assert fault_of_refusals(unsent) is None


def test_positions_filled_on_paper_are_named_as_that_at_the_first_meeting_with_a_venue(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100.0}, account_until=None)
    desk.decided("two", {})
    says = reconcile(desk.driver()).sentence
    assert "differs from its books: one brings 1 position filled on paper, which the venue was never sent: " in says
    assert "AAA: the books hold 100, the venue 0" in says
    accept(desk.driver(), "me", "as the sentence says")
    assert held(desk, "AAA") == {"one": 0.0, "two": 0.0}
    assert reconcile(desk.driver()).state == "agreed"


@pytest.mark.parametrize(("error", "waits"), [(VenueClosedError, 0), (VenueDownError, 2)])
def test_what_waiting_cannot_change_is_not_waited_for_and_what_it_may_is_said(
    desk: Desk, caplog: pytest.LogCaptureFixture, error: type[NnAssetsError], waits: int
) -> None:
    def refuses() -> float:
        raise error(expected="the account's keys", found="status 401", remedy="correct them")

    for name in ("one", "two"):
        desk.decided(name, {})
    desk.venue.cash = refuses  # type: ignore[method-assign]
    slept: list[float] = []
    result = reconcile(replace(desk.driver(), sleep=slept.append))
    assert (result.state, len(slept)) == ("differs", waits)
    said = [record.getMessage() for record in caplog.records]
    assert [line.endswith(f"; asking the venue again in 30 s, {ask} of 3") for ask, line in enumerate(said, 2)] == (
        [True] * waits
    )
    assert all(
        "account desk: the venue cannot be read: expected the account's keys; found status 401" in line for line in said
    )


def test_nothing_is_accepted_that_no_comparison_has_shown(desk: Desk) -> None:
    desk.decided("one", {}, held={"BBB": 10.0})
    desk.decided("two", {})
    desk.venue.held = {"BBB": 25.0}
    with pytest.raises(ControlError, match=r"BBB: the books hold 10, the venue 25, which nobody has seen yet.*same"):
        accept(desk.driver(), "me", "bought by hand")
    desk.venue.held = {"BBB": 26.0}  # another one meanwhile
    with pytest.raises(ControlError, match="the venue 26, which nobody has seen yet"):
        accept(desk.driver(), "me", "bought by hand")
    assert held(desk, "BBB")["one"] == 10.0
    accept(desk.driver(), "me", "bought by hand")
    assert held(desk, "BBB")["one"] == 26.0


def test_an_order_in_doubt_of_a_book_that_is_gone_ends_once_the_venue_does_not_know_it(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    desk.venue.answers = ["lost", "lost"]
    send_orders(replace(desk.driver(), sleep=lambda _: None))
    desk.account = AccountBooks(ACCOUNT, desk.account.strategies[1:])
    desk.moment += pd.Timedelta(minutes=5)
    desk.venue.answers = []
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    assert set(desk.statuses().values()) == {"ended"}


@pytest.mark.parametrize("change", [{"quantity": 31.0}, {"price": 50.5}, {"symbol": "BBB"}])
def test_what_differs_from_a_fill_on_record_under_its_id_is_another_fill(desk: Desk, change: dict[str, float]) -> None:
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    send_orders(desk.driver())
    desk.moment = NOON
    (name,) = desk.venue.taken
    desk.venue.fill(name, 30.0, 50.0)
    assert reconcile(desk.driver()).state == "agreed"
    desk.venue.made[0] = replace(desk.venue.made[0], **change)
    assert "another fill of an id that is on record" in reconcile(desk.driver()).sentence
    assert held(desk, "AAA")["one"] == 30.0


def test_a_price_within_the_widest_collar_of_the_books_needs_no_bar(desk: Desk) -> None:
    wide = a_strategy("two", price_collar_fraction=0.5)
    desk.account = AccountBooks(ACCOUNT, (desk.account.strategies[0], wide))
    desk.decided("one", {"AAA": 100.0})
    desk.decided("two", {})
    send_orders(desk.driver())
    desk.moment = NOON
    (name,) = desk.venue.taken
    desk.venue.fill(name, 100.0, 70.0)
    assert reconcile(desk.driver()).state == "agreed"


@pytest.mark.parametrize(("paid", "state"), [(0.0, "agreed"), (12.0, "agreed"), (12.02, "differs"), (-0.02, "differs")])
def test_interest_of_the_session_that_agreed_last_may_come_yet(desk: Desk, paid: float, state: str) -> None:
    for name in ("one", "two"):
        desk.decided(name, {})
    desk.moment = NIGHT
    assert reconcile(desk.driver()).state == "agreed"
    desk.decided("one", {}, cash=1_000_012.0, interest=12.0, session=TRADED)
    desk.decided("two", {}, session=TRADED)
    desk.venue.cash_usd += paid
    assert reconcile(desk.driver(), settles=False).state == state


# --- what a halt leaves --------------------------------------------------------------------------------


def said(desk: Desk) -> str:
    one = desk.account.strategies[0]
    return "; ".join(
        f"{fault.why} -> {fault.remedy}" for fault in faults_of_sending(desk.stores.ledger, one, DECIDED, desk.moment)
    )


def test_what_a_halt_leaves_is_said_while_it_lasts_and_after_it_until_the_stops_rest_again(desk: Desk) -> None:
    desk.decided("one", {"BBB": 10.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    assert said(desk) == ""
    desk.venue.holds_cancels = True
    desk.halt("one")
    assert "1 order that is stopped may fill at the venue still (BBB) -> nn-assets account cancel" in said(desk)
    desk.venue.holds_cancels = False
    send_orders(desk.driver())
    reconcile(desk.driver(), settles=False)
    now = said(desk)
    assert "may fill" not in now
    assert "1 order for 2024-03-05 was taken back by a control (BBB): the next round decides anew" in now
    assert "no stop protects AAA at the venue while it is halted -> ;" in f"{now};"
    desk.halt("one", "ACTIVE")
    assert f"AAA at the venue since a halt -> nn-assets account sync --account {ACCOUNT} has them rest again" in said(
        desk
    )
    desk.moment = NOON
    send_orders(desk.driver(), waits=False)
    assert working(desk, "stop") == [-100.0]
    assert "no stop protects" not in said(desk)


# --- what a venue does against its word ----------------------------------------------------------------


def test_a_stop_that_rests_while_the_market_closes_beyond_it_is_said(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    one = desk.account.strategies[0]
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0}, session=TRADED, price=50.0, entered=DECIDED)
    assert passed_stops(desk.stores.ledger, one, TRADED) == ()
    following = TRADED + pd.Timedelta(days=1)
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0}, session=following, price=44.5, entered=DECIDED)
    assert passed_stops(desk.stores.ledger, one, following) == ("AAA at 45, which closed at 44.5",)
    (fault, *_) = faults_of_sending(desk.stores.ledger, one, following, NIGHT)
    assert fault.why.startswith("1 stop at the venue did not fill though the market closed beyond (AAA at 45")
    for name in desk.venue.status:  # once the venue says that it ended, it is said no more
        desk.venue.status[name] = "cancelled"
    desk.moment = NIGHT
    reconcile(desk.driver(), settles=False)
    assert passed_stops(desk.stores.ledger, one, following) == ()


def test_a_fill_after_a_confirmed_cancel_gives_no_book_more_than_it_ordered(desk: Desk) -> None:
    desk.decided("one", {"AAA": 1000.0})
    desk.decided("two", {"AAA": -400.0})
    send_orders(desk.driver())
    desk.halt("one")
    for _ in range(2):
        desk.moment += pd.Timedelta(minutes=5)
        send_orders(desk.driver())
    first, again = desk.venue.taken
    assert desk.venue.taken[again].quantity == -400.0
    desk.moment = NOON
    desk.venue.fill(again, -400.0, 50.0)
    assert reconcile(desk.driver()).state == "agreed"
    desk.venue.fill(first, 600.0, 50.0)  # which it had said was cancelled
    compared = reconcile(desk.driver())
    assert compared.state == "differs"
    assert "after its end, and beyond what two ordered: 800 of 400" in compared.sentence
    assert held(desk, "AAA") == {"one": 0.0, "two": -400.0}
