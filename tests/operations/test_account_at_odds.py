"""Where venue and books lie apart for a while: nothing is sold twice, and a halt reaches all that works."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nn_assets.contracts import ACTION_VERSIONS
from nn_assets.errors import NnAssetsError, SettingsError
from nn_assets.execution.venue import OrderAtVenue, VenueDownError
from nn_assets.operations.accounts.books import AccountBooks, _shared
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.halting import end_halted
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import recorded_for
from nn_assets.operations.facts import StoredFacts
from nn_assets.settings import Strategy
from nn_assets.store.lake.publication import PublicationStore
from tests.operations.account_books import DECIDED, NIGHT, NOON, OPEN, TRADED, Desk, Memory, a_strategy

AFTER_OPEN = pd.Timestamp("2024-03-05 14:40", tz="UTC")
LAST_MINUTE = pd.Timestamp("2024-03-05 20:59:58", tz="UTC")


def a_desk(folder: Path, *names: str, venue: Memory | None = None) -> Desk:
    return Desk.of(folder, *(names or ("one",)), venue=venue)


def working(desk: Desk, kind: str, symbol: str = "AAA") -> list[float]:
    return [
        order.quantity
        for name, order in desk.venue.taken.items()
        if order.kind == kind and order.symbol == symbol and desk.venue.status[name] == "working"
    ]


def held(desk: Desk, symbol: str = "AAA") -> dict[str, float]:
    driver = desk.driver()
    moved = {book.strategy.name: book.moved(driver.record(), {}) for book in driver.books()}
    return {name: float(book.quantity[book.symbols.index(symbol)]) for name, book in moved.items()}


def protected(folder: Path) -> Desk:
    desk = a_desk(folder)
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    return desk


# --- closing what is there -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "sold"), [(0.0, []), (-5.0, []), (40.0, [-40.0]), (100.0, [-100.0]), (130.0, [-100.0])]
)
def test_where_positions_differ_no_close_is_of_more_than_the_venue_holds(
    tmp_path: Path, there: float, sold: list[float]
) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": -100.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.venue.held, desk.venue.cash_usd = {"AAA": there}, 1e6
    reconcile(desk.driver(), settles=False)
    send_orders(desk.driver())
    assert working(desk, "at_open") == sold


def test_a_close_committed_before_the_position_was_gone_is_taken_back_or_ended(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": -100.0}, held={"AAA": 100.0})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    assert working(desk, "at_open") == [-100.0]
    desk.venue.held, desk.venue.cash_usd = {}, desk.venue.cash_usd + 5000.0  # sold by hand
    reconcile(desk.driver(), settles=False)
    send_orders(desk.driver())
    assert working(desk, "at_open") == []


@pytest.mark.parametrize("fill_is_told_late", [True, False])
@pytest.mark.parametrize("order", [-100.0, -40.0, 50.0])
def test_a_position_whose_stop_filled_after_the_decision_is_not_traded_by_that_decision(
    tmp_path: Path, fill_is_told_late: bool, order: float
) -> None:
    desk = protected(tmp_path)
    (stop,) = desk.venue.taken
    desk.moment = NIGHT
    assert reconcile(desk.driver()).state == "agreed"
    desk.decided("one", {"AAA": order, "BBB": 10.0}, held={"AAA": 100.0}, stops={"AAA": 45.0}, session=TRADED)
    desk.venue.fill(stop, -100.0, 45.0, at=LAST_MINUTE)
    hidden = [desk.venue.made.pop()] if fill_is_told_late else []
    if not hidden:
        reconcile(desk.driver())
    send_orders(desk.driver())
    desk.venue.made += hidden
    reconcile(desk.driver())
    send_orders(desk.driver())
    assert (working(desk, "at_open"), working(desk, "stop")) == ([], [])
    assert working(desk, "at_open", "BBB") == [10.0]
    assert held(desk) == {"one": 0.0}


class HitMeanwhile(Memory):
    """In the seconds in which the stop of BBB is cancelled, that of AAA is hit, whole or in part."""

    part = 100.0

    def cancel(self, client_order_id: str) -> None:
        if self.taken[client_order_id].symbol == "BBB" and len(self.made) == 1:
            (hit,) = [name for name, order in self.taken.items() if order.symbol == "AAA"]
            self.fill(hit, -self.part, 45.0, at=AFTER_OPEN)
            self.status[hit] = "filled" if self.part == 100.0 else "cancelled"
        super().cancel(client_order_id)

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        def filled(name: str) -> float:
            return sum(fill.quantity for fill in self.made if fill.client_order_id == name)

        answers = super().orders(client_order_ids)
        return [replace(answer, filled_quantity=filled(answer.client_order_id)) for answer in answers]


@pytest.mark.parametrize("part", [100.0, 40.0])
def test_a_stop_that_ended_with_fills_not_told_yet_is_not_replaced_by_one_of_the_whole(
    tmp_path: Path, part: float
) -> None:
    desk = a_desk(tmp_path, venue=HitMeanwhile(cash_usd=1e6))
    desk.venue.part = part  # type: ignore[attr-defined]
    desk.decided("one", {"BBB": 20.0}, held={"AAA": 100.0, "BBB": 10.0}, stops={"AAA": 45.0, "BBB": 45.0})
    desk.venue.held = {"AAA": 100.0, "BBB": 10.0}
    send_orders(desk.driver())
    (bought,) = [name for name, order in desk.venue.taken.items() if order.kind == "at_open"]
    desk.venue.fill(bought, 20.0, 50.0)
    desk.moment = AFTER_OPEN
    reconcile(desk.driver())
    send_orders(desk.driver(), waits=False)
    assert sum(working(desk, "stop")) == -(100.0 - part)


def test_no_stop_rests_for_a_position_that_crosses_to_another_book(tmp_path: Path) -> None:
    desk = a_desk(tmp_path, "one", "two")
    desk.decided("one", {"AAA": -100.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {"AAA": 100.0})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    for moment in (AFTER_OPEN, NIGHT):
        desk.moment = moment
        reconcile(desk.driver(), settles=False)
        send_orders(desk.driver(), waits=False)
        assert working(desk, "stop") == []


def test_what_stays_of_a_position_that_crosses_in_part_keeps_its_stop(tmp_path: Path) -> None:
    desk = a_desk(tmp_path, "one", "two")
    desk.decided("one", {"AAA": -30.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {"AAA": 30.0})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    desk.moment = AFTER_OPEN
    reconcile(desk.driver(), settles=False)
    send_orders(desk.driver(), waits=False)
    assert working(desk, "stop") == [-70.0]


def test_books_that_find_no_bar_to_cross_at_keep_what_they_hold_and_its_stop(tmp_path: Path, monkeypatch) -> None:
    bars = pd.DataFrame(
        {"symbol": ["BBB"], "session": [TRADED]} | dict.fromkeys(("open", "high", "low", "close"), 20.0)
    )
    desk = a_desk(tmp_path, "one", "two")
    desk.decided("one", {"AAA": -100.0}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {"AAA": 100.0})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    desk.moment = NIGHT
    reconcile(desk.driver(), settles=False)
    assert working(desk, "stop") == []  # nothing is published yet: the bar may come
    monkeypatch.setattr(StoredFacts, "published_bars", property(lambda _: bars))
    reconcile(desk.driver(), settles=False)
    send_orders(desk.driver(), waits=False)
    (order,) = [tracked for tracked in desk.driver().record().orders.values() if tracked.order.quantity == 0.0]
    assert (order.status, order.events[-1].reason) == ("ended", "no_bar")
    assert working(desk, "stop") == [-100.0]
    assert len(desk.rows("account_fills")) == 0


def test_a_stops_fill_told_seconds_after_the_close_is_of_the_session_that_closed(tmp_path: Path) -> None:
    desk = protected(tmp_path)
    (stop,) = desk.venue.taken
    desk.venue.fill(stop, -100.0, 45.0, at=pd.Timestamp("2024-03-05 21:00:02", tz="UTC"))
    desk.moment = NIGHT
    reconcile(desk.driver())
    (strategy,) = desk.account.strategies
    assert len(recorded_for(desk.stores.ledger, strategy, TRADED, 10**9).fills) == 1


def test_a_resting_stop_is_lowered_by_the_dividend_of_its_session(tmp_path: Path, monkeypatch) -> None:
    at = DECIDED.tz_localize("UTC")
    row = dict.fromkeys(ACTION_VERSIONS.columns, None) | {"source": "test", "known_at": at, "recorded_at": at}
    row |= {"value": 8.0, "symbol": "AAA", "kind": "dividend", "ex_session": TRADED}
    monkeypatch.setattr(StoredFacts, "action_versions", property(lambda _: pd.DataFrame([row])))
    monkeypatch.setattr(PublicationStore, "current", lambda *_: object())
    desk = a_desk(tmp_path)
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.venue.held = {"AAA": 100.0}
    desk.moment = OPEN - pd.Timedelta(minutes=30)
    send_orders(desk.driver())
    assert [(order.quantity, order.price) for order in desk.venue.taken.values()] == [(-100.0, 37.0)]


# --- a halt reaches all --------------------------------------------------------------------------------


class Refusing(Memory):
    """Fails for one cancel, or for every listing of orders."""

    bad = ""
    blind = False

    def cancel(self, client_order_id: str) -> None:
        if client_order_id == self.bad:
            raise VenueDownError(expected="fields as documented", found="a status 'pending_xyz'", remedy="report it")
        super().cancel(client_order_id)

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        if self.blind:
            raise VenueDownError(expected="rows as documented", found="a status 'pending_xyz'", remedy="report it")
        return super().orders(client_order_ids)


def two_at_work(folder: Path) -> tuple[Desk, Refusing]:
    venue = Refusing(cash_usd=1e6)
    desk = a_desk(folder, venue=venue)
    desk.decided("one", {"AAA": 100.0, "BBB": 100.0})
    send_orders(desk.driver())
    return desk, venue


@pytest.mark.parametrize("by", ["at once", "look", "command"])
def test_a_cancel_that_fails_keeps_no_other_from_being_asked(tmp_path: Path, by: str) -> None:
    desk, venue = two_at_work(tmp_path)
    venue.bad = next(iter(desk.driver().record().orders))
    if by != "command":
        desk.halt("one")
    if by == "at once":
        assert "pending_xyz" in end_halted(desk.driver())[1]
    elif by == "look":
        assert "pending_xyz" in send_orders(desk.driver()).down
    else:
        with pytest.raises(NnAssetsError, match="pending_xyz"):
            cancel_orders(desk.driver())
    assert sorted(venue.status.values()) == ["cancelled", "working"]


@pytest.mark.parametrize("by", ["at once", "look", "command"])
def test_a_listing_that_cannot_be_read_keeps_no_order_from_being_cancelled(tmp_path: Path, by: str) -> None:
    desk, venue = two_at_work(tmp_path)
    venue.blind = True
    if by != "command":
        desk.halt("one")
    if by == "at once":
        assert "pending_xyz" in end_halted(desk.driver())[1]
    elif by == "look":
        assert "pending_xyz" in send_orders(desk.driver()).down
    else:
        with pytest.raises(NnAssetsError, match="pending_xyz"):
            cancel_orders(desk.driver())
    assert sorted(venue.status.values()) == ["cancelled", "cancelled"]


def test_a_halted_books_stops_end_while_another_book_has_not_decided(tmp_path: Path) -> None:
    desk = a_desk(tmp_path, "one", "two")
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    desk.decided("two", {}, held={"BBB": 10.0}, stops={"BBB": 45.0})
    desk.venue.held = {"AAA": 100.0, "BBB": 10.0}
    send_orders(desk.driver())
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0}, session=TRADED)
    desk.moment = NIGHT
    desk.halt("one")
    assert send_orders(desk.driver()).waits_for == ("two",)
    assert (working(desk, "stop"), working(desk, "stop", "BBB")) == ([], [-10.0])


@pytest.mark.parametrize("fault", [ConnectionError("reset by peer"), TypeError("no number")])
def test_a_venue_that_raises_what_is_no_error_of_the_port_is_one_that_cannot_be_read(
    tmp_path: Path, fault: Exception
) -> None:
    desk, venue = two_at_work(tmp_path)

    def raises(*_: Any) -> Any:
        raise fault

    venue.positions = raises  # type: ignore[method-assign]
    says = reconcile(desk.driver(), settles=False).sentence
    assert f"{type(fault).__name__}: {fault}" in says
    venue.orders = raises  # type: ignore[method-assign]
    desk.halt("one")
    assert type(fault).__name__ in send_orders(desk.driver()).down
    assert sorted(venue.status.values()) == ["cancelled", "cancelled"]


# --- what a person accepts -----------------------------------------------------------------------------


def test_a_fill_that_was_held_back_can_be_accepted_as_what_the_venue_holds(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": 100.0})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.fill(name, 100.0, 50.0, commission_usd=900.0)
    desk.moment = NOON
    assert "with a commission of 900 USD" in reconcile(desk.driver()).sentence
    accept(desk.driver(), "me", "a fee of the exchange")
    assert reconcile(desk.driver()).state == "agreed"
    assert held(desk) == {"one": 100.0}


def test_a_fill_that_lies_ahead_of_a_clock_set_back_is_taken_in_once_the_clock_is_right(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": 100.0})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.fill(name, 100.0, 50.0)
    desk.moment = OPEN - pd.Timedelta(minutes=10)
    assert reconcile(desk.driver(), settles=False).state == "differs"
    desk.moment = NOON
    assert reconcile(desk.driver()).state == "agreed"
    assert held(desk) == {"one": 100.0}


def test_what_was_accepted_as_no_books_and_is_sold_moves_no_book(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {})
    desk.venue.held = {"AAA": 50.0}
    reconcile(desk.driver(), settles=False)
    accept(desk.driver(), "me", "another desk's", outside=True)
    desk.venue.held = {"AAA": 20.0}
    reconcile(desk.driver(), settles=False)
    accept(desk.driver(), "me", "they sold some")
    assert (held(desk), desk.driver().record().outside) == ({"one": 0.0}, {"AAA": 20.0})


def test_books_of_two_calendars_share_no_account() -> None:
    crypto = Strategy.model_validate(
        {
            "name": "two",
            "market": {"calendar": "24/7", "symbols": ["BTC"], "history_starts": "2020-01-02"},
            "execution": dict(a_strategy("one").execution.model_dump(exclude_unset=True)),
            "label": {"execution": "next_close"},
        }
    )
    with pytest.raises(SettingsError, match=r"one market.calendar for all strategies of the account desk"):
        _shared("desk", [a_strategy("one"), crypto])
    assert isinstance(_shared("desk", [a_strategy("one")]), AccountBooks)


def test_an_execution_edited_between_decision_and_sending_counts_from_the_next_decision_on(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": 100.0})
    (strategy,) = desk.account.strategies
    edited = strategy.model_copy(update={"label": strategy.label.model_copy(update={"execution": "next_close"})})
    desk.account = replace(desk.account, strategies=(edited,))
    send_orders(desk.driver())
    assert [order.kind for order in desk.venue.taken.values()] == ["at_open"]
    desk.decided("one", {"AAA": 50.0}, session=TRADED)
    desk.moment = OPEN + pd.Timedelta(days=1, minutes=5)  # as the decision says, too late
    send_orders(desk.driver())
    assert working(desk, "at_open") == [100.0]
    assert working(desk, "at_close") == []


# --- what a venue forgets ------------------------------------------------------------------------------


def forgotten_stop(tmp_path: Path) -> tuple[Desk, str]:
    """A desk whose position is held, and whose stop its venue took and knows no longer."""
    desk = protected(tmp_path)
    (stop,) = desk.venue.taken
    del desk.venue.taken[stop], desk.venue.status[stop]
    desk.moment = NOON
    return desk, stop


def test_a_stop_that_the_venue_knows_no_longer_is_a_difference_and_ended_by_a_person_it_is_replaced_once(
    tmp_path: Path,
) -> None:
    desk, stop = forgotten_stop(tmp_path)
    compared = reconcile(desk.driver())
    assert compared.state == "differs"
    assert f"{stop}, the stop of -100, works by the ledger, and the venue knows it no longer" in compared.sentence
    send_orders(desk.driver(), waits=False)
    assert working(desk, "stop") == []  # never a second one by itself: the first may be there after all
    assert cancel_orders(desk.driver(), [stop]) == (stop,)
    desk.moment += pd.Timedelta(seconds=60)
    assert reconcile(desk.driver()).state == "agreed"
    for _ in range(2):
        send_orders(desk.driver(), waits=False)
        assert working(desk, "stop") == [-100.0]


class Blinks(Memory):
    """Leaves everything out of one listing, or of all from some moment on."""

    looks_without: int = 0

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        if self.looks_without:
            self.looks_without -= 1
            return []
        return super().orders(client_order_ids)


def test_a_stop_to_be_replaced_that_one_listing_leaves_out_is_not_doubled(tmp_path: Path) -> None:
    venue = Blinks(cash_usd=1e6, holds_cancels=True)
    desk = a_desk(tmp_path, venue=venue)
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 45.0})
    venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    desk.moment = NIGHT
    desk.decided("one", {}, held={"AAA": 100.0}, stops={"AAA": 47.0}, session=TRADED)
    for _ in range(3):  # the cancel gets lost, and now and then a listing is empty
        send_orders(desk.driver())
        desk.moment += pd.Timedelta(minutes=10)
        venue.looks_without = 1
        send_orders(desk.driver())
        desk.moment += pd.Timedelta(minutes=10)
        assert working(desk, "stop") == [-100.0]
    venue.looks_without = 10**9  # forgotten
    for _ in range(3):
        send_orders(desk.driver())
        desk.moment += pd.Timedelta(minutes=10)
    assert [order.price for order in venue.taken.values()] == [45.0, 47.0]


def test_an_accepted_account_has_no_order_that_its_venue_has_forgotten(tmp_path: Path) -> None:
    desk, stop = forgotten_stop(tmp_path)
    reconcile(desk.driver())
    accept(desk.driver(), "me", "the venue lost it in an outage")
    assert desk.driver().record().orders[stop].status == "ended"
    assert desk.driver().record().outside_orders == ()
    assert reconcile(desk.driver()).state == "agreed"
    send_orders(desk.driver(), waits=False)
    assert working(desk, "stop") == [-100.0]


def test_an_order_that_is_filled_whole_and_forgotten_has_ended(tmp_path: Path) -> None:
    desk = a_desk(tmp_path)
    desk.decided("one", {"AAA": 50.0})
    send_orders(desk.driver())
    (order,) = desk.venue.taken
    desk.venue.fill(order, 50.0, 50.0)
    del desk.venue.taken[order], desk.venue.status[order]
    desk.moment = NOON
    reconcile(desk.driver())
    assert reconcile(desk.driver()).state == "agreed"
    assert desk.driver().record().orders[order].events[-1].reason == "filled"
