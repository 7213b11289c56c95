"""An account at a venue: sent once, collected once, compared, accepted; whatever fails, and wherever it is killed."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest

from nn_assets.cli.accounts import send, show
from nn_assets.errors import ControlError, SettingsError
from nn_assets.execution.venue import VenueFill, VenueOrder
from nn_assets.execution.venues import account_of
from nn_assets.operations.accounts import points
from nn_assets.operations.accounts.books import account_named, accounts
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.collecting import collect
from nn_assets.operations.accounts.reconciling import accept, reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import recorded_for
from tests.operations.account_books import NIGHT, NOON, OPEN, TRADED, Desk, Fails, speaking
from tests.orchestration.conftest import living_in, strategy_of, write_strategy


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.of(tmp_path, "one", "two")


def the_order(desk: Desk, symbol: str = "AAA", kind: str = "at_open") -> str:
    (name,) = [name for name, order in desk.venue.taken.items() if order.symbol == symbol and order.kind == kind]
    return name


def book_quantities(desk: Desk, symbol: str = "AAA") -> dict[str, float]:
    record = desk.driver().record()
    moved = {book.strategy.name: book.moved(record, {}) for book in desk.driver().books()}
    return {name: float(book.quantity[book.symbols.index(symbol)]) for name, book in moved.items()}


def book_cash(desk: Desk) -> dict[str, float]:
    record = desk.driver().record()
    return {book.strategy.name: book.moved(record, {}).cash_usd for book in desk.driver().books()}


# --- sending -------------------------------------------------------------------------------------------


def test_books_net_to_one_order_and_each_gets_its_part_to_the_cent(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {"AAA": -40})
    send_orders(desk.driver())
    name = the_order(desk)
    assert desk.venue.taken[name].quantity == 60.0
    desk.venue.fill(name, 20.0, 50.01, commission_usd=0.05)
    desk.venue.fill(name, 40.0, 50.03, commission_usd=0.07)
    desk.moment = NOON
    with desk.driver().alone():
        assert collect(desk.driver()).fills == 2
    assert book_quantities(desk) == {"one": 100.0, "two": -40.0}
    # By hand: of 20 at 50.01 book one gets 33 (a third of 100) and two gives 13; the rest, 67 and 27, is at 50.03.
    cents = {"one": -33 * 5001 - 67 * 5003, "two": 13 * 5001 + 27 * 5003}
    paid = {name: round((cash - 1e6) * 100) - cents[name] for name, cash in book_cash(desk).items()}
    assert sum(paid.values()) == -12  # the commission, in cents
    assert math.fsum(book_cash(desk).values()) == pytest.approx(desk.venue.cash_usd, abs=1e-6)
    assert reconcile(desk.driver()).state == "agreed"


def test_nothing_is_sent_before_every_book_has_decided_unless_told_to(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    assert send_orders(desk.driver()).waits_for == ("two",)
    assert desk.venue.sends == []
    send_orders(desk.driver(), waits=False)
    assert len(desk.venue.sends) == 1
    desk.decided("two", {"AAA": 5})  # late: its own order, and the first one is not sent again
    send_orders(desk.driver())
    assert sorted(order.quantity for order in desk.venue.taken.values()) == [5.0, 100.0]
    assert len(desk.venue.sends) == 2


@pytest.mark.parametrize(
    "answer",
    ["taken, then lost", *(pytest.param(name, marks=pytest.mark.full) for name in ("lost", "down", "refused"))],
)
def test_an_order_reaches_the_venue_once_whatever_it_answers(desk: Desk, answer: str) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    desk.venue.answers = [answer]
    send_orders(desk.driver())
    send_orders(desk.driver())
    desk.moment += pd.Timedelta(minutes=5)
    send_orders(desk.driver())
    assert len(desk.venue.taken) == (answer != "refused")
    assert desk.venue.sends.count(desk.venue.sends[0]) == {"lost": 2, "down": 2}.get(answer, 1)
    status = "refused" if answer == "refused" else "working"
    assert set(desk.statuses().values()) == {status}


@pytest.mark.full
def test_what_the_venue_does_not_know_is_not_sent_again_before_the_settle_time_nor_after_its_moment(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    desk.venue.answers = ["lost", "lost"]
    driver = replace(desk.driver(), sleep=lambda _: None)  # no time goes by
    send_orders(driver)
    send_orders(driver)
    assert len(desk.venue.sends) == 1
    desk.moment = OPEN
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    assert set(desk.statuses().values()) == {"ended"}
    assert list(desk.rows("order_events")["reason"])[-1] == "unknown_to_the_venue"


@pytest.mark.full
def test_a_late_decision_is_not_sent(desk: Desk) -> None:
    desk.moment = OPEN
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    send_orders(desk.driver())
    assert desk.venue.sends == []
    assert desk.rows("account_orders").empty


@pytest.mark.full
def test_the_kill_switch_of_now_stops_a_book_and_lets_the_others_and_what_reduces_pass(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100, "BBB": -30}, held={"BBB": 30})
    desk.decided("two", {"AAA": 10})
    desk.halt("one", "REDUCING")
    send_orders(desk.driver())
    assert sorted((order.symbol, order.quantity) for order in desk.venue.taken.values()) == [
        ("AAA", 10.0),
        ("BBB", -30.0),
    ]


def test_a_switch_that_flips_after_the_outbox_was_committed_stops_what_was_not_sent(desk: Desk, monkeypatch) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {"AAA": 10, "BBB": 7})
    with monkeypatch.context() as patch:
        _kill_at(patch, "outbox_committed")
        desk.quiet(lambda: send_orders(desk.driver()))
    assert [order.quantity for order in desk.driver().record().orders.values() for order in [order.order]] == [
        110.0,
        7.0,
    ]
    desk.halt("one")
    send_orders(desk.driver())
    assert sorted(order.quantity for order in desk.venue.taken.values()) == [7.0, 10.0]
    desk.halt("one", "ACTIVE")  # what a halt took back is not sent again for its session
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 2


def test_cancels_pass_under_a_halt_and_what_filled_before_stays(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    send_orders(desk.driver())
    name = the_order(desk)
    desk.halt("one")
    assert cancel_orders(desk.driver()) == (name,)
    desk.venue.fill(name, 30.0, 50.0)  # filled after the cancel was acknowledged
    desk.moment = NOON
    reconcile(desk.driver())
    assert desk.statuses()[name] == "ended"
    assert book_quantities(desk)["one"] == 30.0


# --- kills ---------------------------------------------------------------------------------------------


def _kill_at(patch, point: str, nth: int = 1) -> list[str]:
    passed: list[str] = []

    def reached(name: str) -> None:
        passed.append(name)
        if name == point and passed.count(name) == nth:
            raise Fails(name)

    for module in speaking():
        patch.setattr(module, "reached", reached)
    return passed


def live_a_day(desk: Desk, patch=None, point: str = "", nth: int = 1) -> list[str]:
    """Send, fill, collect, reconcile, stop, accept; killed once at a point where one is named, and gone on after it."""
    passed = _kill_at(patch, point, nth) if patch is not None else []

    def step(work) -> None:
        for _ in range(3):
            try:
                work()
                return
            except Fails:
                continue
            except ControlError:  # it was accepted before it was killed
                return

    step(lambda: send_orders(desk.driver()))
    for name, order in list(desk.venue.taken.items()):
        if order.kind == "at_open" and not any(fill.client_order_id == name for fill in desk.venue.made):
            desk.venue.fill(name, order.quantity, 50.0, fill_id=f"fill of {name}")
    desk.moment = NOON
    step(lambda: reconcile(desk.driver()))
    step(lambda: send_orders(desk.driver()))
    desk.venue.held["ZZZ"] = 5.0
    desk.moment = NIGHT
    step(lambda: reconcile(desk.driver()))
    if desk.driver().record().last_reconciliation["state"] == "differs":
        step(lambda: accept(desk.driver(), "me", "a gift"))
    step(lambda: reconcile(desk.driver()))
    return passed


def _day(folder: Path) -> Desk:
    desk = Desk.of(folder, "one", "two")
    desk.decided("one", {}, held={"BBB": 30}, stops={"BBB": 40.0}, session=pd.Timestamp("2024-03-01"))
    desk.decided("two", {}, session=pd.Timestamp("2024-03-01"))
    send_orders(desk.driver())
    desk.decided("one", {"AAA": 100, "BBB": -30}, held={"BBB": 30}, stops={"BBB": 40.0}, cash=1e6)
    desk.decided("two", {"AAA": -40})
    desk.venue.held["BBB"] = 30.0
    desk.venue.sends.clear()
    return desk


def _shape(desk: Desk) -> dict[str, object]:
    return {
        "sent": sorted((o.symbol, o.quantity, o.kind, o.price) for o in desk.venue.taken.values()),
        "held": desk.venue.positions(),
        "cash": round(desk.venue.cash_usd, 2),
        "fills": sorted(zip(desk.rows("account_fills")["fill_id"], desk.rows("account_fills")["state"], strict=True)),
        "books": book_quantities(desk),
        "state": desk.driver().record().last_reconciliation["state"],
        "doubled": len(desk.venue.sends) - len(set(desk.venue.sends)),
    }


def killed_everywhere(folder: Path, monkeypatch, wanted: tuple[str, ...], most: int) -> int:
    """Kill a day at each passing of some points, and demand that it ends as one never killed; how many kills."""
    whole, kills = _day(folder / "whole"), 0
    with monkeypatch.context() as patch:
        passed = live_a_day(whole, patch)
    assert set(points.POINTS) - set(passed) == set()
    expected = _shape(whole)
    assert expected["doubled"] == 0
    for point in wanted:
        for nth in range(1, min(passed.count(point), most) + 1):
            desk, kills = _day(folder / f"{point}-{nth}"), kills + 1
            with monkeypatch.context() as patch:
                live_a_day(desk, patch, point, nth)
            assert _shape(desk) == expected, (point, nth)
    return kills


@pytest.mark.full
def test_killed_between_a_record_and_its_call_a_rerun_ends_as_a_run_never_killed(tmp_path: Path, monkeypatch) -> None:
    assert killed_everywhere(tmp_path, monkeypatch, ("sent",), 1) == 1


@pytest.mark.full
def test_killed_at_any_point_a_rerun_ends_as_a_run_never_killed(tmp_path: Path, monkeypatch) -> None:
    assert killed_everywhere(tmp_path, monkeypatch, points.POINTS, 12) > 60


# --- what comes back -----------------------------------------------------------------------------------


def sent(desk: Desk) -> str:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    send_orders(desk.driver())
    desk.moment = NOON
    return the_order(desk)


def test_doubled_and_reordered_answers_change_nothing(desk: Desk) -> None:
    name = sent(desk)
    desk.venue.fill(name, 30.0, 50.0)
    desk.venue.fill(name, 70.0, 51.0, at=NOON)
    desk.venue.made = [*reversed(desk.venue.made), *desk.venue.made]
    reconcile(desk.driver())
    desk.venue.made.reverse()
    assert reconcile(desk.driver()).state == "agreed"
    assert len(desk.rows("account_fills")) == 2
    assert book_quantities(desk)["one"] == 100.0


FAULTY = {
    "of no order of the account": {"client_order_id": "nobody's"},
    "names no order": {"client_order_id": ""},
    "on the other side": {"quantity": -10.0},
    "beyond its order: 101 of 100": {"quantity": 101.0},
    "of BBB, and its order is of AAA": {"symbol": "BBB"},
    "of AAA.OLD, and its order is of AAA": {"symbol": "AAA.OLD"},
    "without a price": {"price": math.nan},
    "nan, without a price": {"price": -1.0},
    "without a quantity": {"quantity": 0.0},
    "with a commission of 500000 USD on 500 USD": {"commission_usd": 500_000.0},
    "with a commission of nan USD on 500 USD": {"commission_usd": math.nan},
}


def test_a_fill_that_is_none_of_its_order_is_held_back_by_name_and_makes_the_account_differ(desk: Desk) -> None:
    name = sent(desk)
    honest = VenueFill("x", name, "AAA", 10.0, 50.0, OPEN, 0.0)
    desk.venue.made += [replace(honest, fill_id=why, **fault) for why, fault in FAULTY.items()]
    for _ in range(2):
        assert reconcile(desk.driver()).state == "differs"
        rows = desk.rows("account_fills")
        assert len(rows) == len(FAULTY)
        assert set(rows["state"]) == {"held_back"}
        assert all(
            fill_id.rpartition(", ")[2] in why for fill_id, why in zip(rows["fill_id"], rows["reason"], strict=True)
        )
    assert book_quantities(desk) == {"one": 0.0, "two": 0.0}


@pytest.mark.full
def test_another_fill_under_a_known_id_is_held_back_and_the_first_stays(desk: Desk) -> None:
    name = sent(desk)
    fill = desk.venue.fill(name, 30.0, 50.0)
    assert reconcile(desk.driver()).state == "agreed"
    desk.venue.made[0] = replace(fill, quantity=31.0)
    result = reconcile(desk.driver())
    assert "another fill of an id that is on record" in result.sentence
    assert book_quantities(desk)["one"] == 30.0


def test_a_price_far_from_the_reference_waits_for_the_bar_and_is_held_back_where_it_is_far_from_that_too(
    desk: Desk,
) -> None:
    name = sent(desk)
    desk.venue.fill(name, 100.0, 80.0)  # decided at 50, collar 20%
    driver = desk.driver()
    with driver.alone():
        assert collect(driver).not_judged == 1
    assert desk.rows("account_fills").empty
    object.__setattr__(driver.market, "bar", lambda symbol, session: {"low": 40.0, "high": 60.0, "open": 50.0})
    with driver.alone():
        (why,) = collect(driver).held_back.values()
    assert "at 80, far from the bar of 2024-03-05, 40 to 60" in why


@pytest.mark.full
def test_a_gap_that_the_bar_shows_is_a_price_like_another(desk: Desk) -> None:
    name = sent(desk)
    desk.venue.fill(name, 100.0, 80.0)
    driver = desk.driver()
    object.__setattr__(driver.market, "bar", lambda symbol, session: {"low": 78.0, "high": 85.0, "open": 80.0})
    with driver.alone():
        assert collect(driver).fills == 1


@pytest.mark.full
def test_orders_that_cancel_each_other_out_cross_at_the_official_open(desk: Desk) -> None:
    desk.decided("one", {"AAA": 40})
    desk.decided("two", {"AAA": -40})
    send_orders(desk.driver())
    assert desk.venue.sends == []
    desk.moment = NIGHT
    driver = desk.driver()
    object.__setattr__(driver.market, "bar", lambda symbol, session: {"low": 49.0, "high": 52.0, "open": 51.0})
    reconcile(driver)
    reconcile(driver)
    assert book_quantities(desk) == {"one": 40.0, "two": -40.0}
    assert book_cash(desk) == {"one": 1e6 - 40 * 51.0, "two": 1e6 + 40 * 51.0}
    assert reconcile(driver).state == "agreed"


# --- stops ---------------------------------------------------------------------------------------------


def working_stops(desk: Desk) -> list[tuple[str, float, float | None]]:
    return sorted(
        (order.symbol, order.quantity, order.price)
        for name, order in desk.venue.taken.items()
        if order.kind == "stop" and desk.venue.status[name] == "working"
    )


def test_stops_rest_as_the_books_hold_and_are_replaced_once_fills_move_them(desk: Desk) -> None:
    desk.decided("one", {"AAA": 50}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {"BBB": 20}, held={"AAA": 10}, stops={"AAA": 45.0})
    desk.venue.held = {"AAA": 110.0}
    send_orders(desk.driver())
    assert working_stops(desk) == [("AAA", -110.0, 45.0)]
    send_orders(desk.driver())
    assert working_stops(desk) == [("AAA", -110.0, 45.0)]
    assert len(desk.venue.taken) == 3
    desk.venue.fill(the_order(desk), 50.0, 50.0)
    desk.venue.fill(the_order(desk, "BBB"), 20.0, 50.0)
    desk.moment = NOON
    reconcile(desk.driver())
    send_orders(desk.driver())
    # Of what one adds, 50 at 50 less 4 is 46: (100 x 45 + 50 x 46) / 150 = 45 1/3; of two's new position 46.
    stops = working_stops(desk)
    assert [(symbol, quantity) for symbol, quantity, _ in stops] == [("AAA", -150.0), ("AAA", -10.0), ("BBB", -20.0)]
    assert {round(price, 6) for _, _, price in stops} == {45.333333, 45.0, 46.0}


def test_a_stop_is_cancelled_before_an_order_that_closes_the_same_and_what_is_left_is_protected_after(
    desk: Desk,
) -> None:
    desk.decided("one", {}, held={"AAA": 100}, stops={"AAA": 45.0}, session=pd.Timestamp("2024-03-01"))
    desk.decided("two", {}, session=pd.Timestamp("2024-03-01"))
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    assert working_stops(desk) == [("AAA", -100.0, 45.0)]
    desk.decided("one", {"AAA": -100}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.holds_cancels = True
    send_orders(desk.driver())
    assert [order.kind for order in desk.venue.taken.values()] == ["stop"]  # it waits for the stop's end
    desk.venue.holds_cancels = False
    send_orders(desk.driver())
    assert working_stops(desk) == []
    desk.venue.fill(the_order(desk), -60.0, 50.0)
    desk.venue.status[the_order(desk)] = "expired"
    desk.moment = NOON
    reconcile(desk.driver())
    send_orders(desk.driver())
    assert working_stops(desk) == [("AAA", -40.0, 45.0)]


@pytest.mark.full
def test_a_halt_takes_the_stops_back_and_reducing_leaves_them(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {}, held={"BBB": 10}, stops={"BBB": 45.0})
    desk.venue.held = {"AAA": 100.0, "BBB": 10.0}
    send_orders(desk.driver())
    desk.halt("one")
    desk.halt("two", "REDUCING")
    send_orders(desk.driver())
    assert working_stops(desk) == [("BBB", -10.0, 45.0)]


@pytest.mark.full
def test_a_stop_that_filled_is_booked_as_one(desk: Desk) -> None:
    desk.decided("one", {}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    send_orders(desk.driver())
    desk.moment = NOON
    desk.venue.fill(the_order(desk, kind="stop"), -100.0, 44.9, at=NOON)
    assert reconcile(desk.driver()).state == "agreed"
    (share,) = desk.rows("account_fills")["allotment"].iloc[0]
    assert (share["book"], share["quantity"], share["is_stop"]) == ("one", -100.0, True)
    assert desk.rows("account_fills")["session"].iloc[0] == TRADED


# --- comparing and accepting ---------------------------------------------------------------------------


@pytest.mark.full
def test_a_difference_is_asked_about_again_before_it_is_named(desk: Desk) -> None:
    name = sent(desk)
    fill = VenueFill("late", name, "AAA", 100.0, 50.0, OPEN, 0.0)
    desk.venue.held["AAA"] = 100.0
    desk.venue.cash_usd -= 5000.0
    driver = replace(desk.driver(), sleep=lambda _: desk.venue.made.append(fill))
    assert reconcile(driver).state == "agreed"


def test_a_foreign_position_stops_new_risk_until_it_is_accepted_and_the_sum_is_then_the_account(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100}, held={"BBB": 10})
    desk.decided("two", {"BBB": 5}, held={"BBB": 30})
    desk.venue.held = {"BBB": 25.0, "TSLA": 7.0}
    desk.venue.cash_usd += 1234.57
    result = reconcile(desk.driver())
    assert result.state == "differs"
    assert "BBB: the books hold 40, the venue 25" in result.sentence
    assert "TSLA: the books hold 0, the venue 7" in result.sentence
    assert "cash: the books have 2,000,000.00 USD, the venue 2,001,234.57 USD" in result.sentence
    send_orders(desk.driver())
    assert desk.venue.sends == []  # both would add
    with pytest.raises(ControlError, match="a reason"):
        accept(desk.driver(), "me", " ")
    accept(desk.driver(), "me", "moved by hand")
    assert reconcile(desk.driver()).state == "agreed"
    assert book_quantities(desk, "BBB") == {"one": 6.0, "two": 19.0}  # 15 less by 10 to 30: 3.75 and 11.25
    assert round(math.fsum(book_cash(desk).values()), 2) == 2_001_234.57
    assert all(abs(cash * 100 - round(cash * 100)) < 1e-4 for cash in book_cash(desk).values())
    with pytest.raises(ControlError, match="nothing needs to be accepted"):
        accept(desk.driver(), "me", "again")
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 2
    desk.venue.held["TSLA"] = 8.0  # what was accepted as no book's is left out for as long as it stays as it is
    assert "TSLA: the books hold 7, the venue 8" in reconcile(desk.driver()).sentence


@pytest.mark.full
def test_money_of_others_in_the_account_is_accepted_as_no_books(desk: Desk) -> None:
    sent(desk)
    desk.venue.cash_usd += 500_000.0
    reconcile(desk.driver())
    accept(desk.driver(), "me", "the desk's own money", outside=True)
    assert reconcile(desk.driver()).state == "agreed"
    assert book_cash(desk) == {"one": 1e6, "two": 1e6}


@pytest.mark.full
def test_an_order_of_somebody_else_is_named(desk: Desk) -> None:
    sent(desk)
    desk.venue.taken["by hand"] = VenueOrder("by hand", "AAA", 5.0, "limit", TRADED, 40.0)
    desk.venue.status["by hand"] = "working"
    assert "by hand, 5, works at the venue and is no order of the account" in reconcile(desk.driver()).sentence
    desk.venue.taken["by hand"] = VenueOrder("by hand", "AAA", math.nan, "limit", TRADED)  # 500 dollars of it
    assert "by hand, of no number of shares, works" in reconcile(desk.driver()).sentence


def test_a_venue_that_is_down_is_named_nothing_is_sent_and_it_agrees_again_once_it_answers(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    desk.venue.down = True
    assert "the venue cannot be read: expected an answer; found maintenance: wait" in reconcile(desk.driver()).sentence
    assert desk.venue.sends == []
    with pytest.raises(ControlError, match="cannot be accepted unseen"):
        accept(desk.driver(), "me", "because")
    desk.venue.down = False
    assert reconcile(desk.driver()).state == "agreed"
    assert list(desk.rows("reconciliations")["state"]) == ["differs", "agreed"]


@pytest.mark.full
def test_the_same_comparison_is_on_record_once(desk: Desk) -> None:
    sent(desk)
    for _ in range(3):
        reconcile(desk.driver())
    assert len(desk.rows("reconciliations")) == 1


@pytest.mark.full
def test_a_halt_asks_for_the_end_of_what_is_under_way_and_of_that_alone(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {"BBB": 20})
    send_orders(desk.driver())
    desk.halt("one")
    send_orders(desk.driver())
    assert [desk.venue.status[the_order(desk, symbol)] for symbol in ("AAA", "BBB")] == ["cancelled", "working"]
    assert desk.events().count("cancel_asked") == 1


@pytest.mark.full
def test_two_drivers_at_once_send_each_order_once(desk: Desk) -> None:
    desk.decided("one", {"AAA": 100, "BBB": 20})
    desk.decided("two", {})
    send, both = desk.venue.send, Barrier(2)

    def slowly(order: VenueOrder) -> None:
        time.sleep(0.05)
        send(order)

    desk.venue.send = slowly  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(lambda: (both.wait(), send_orders(desk.driver()))) for _ in range(2)]:
            done.result()
    assert len(desk.venue.sends) == 2
    assert sorted(desk.statuses().values()) == ["working", "working"]


# --- which books share an account ----------------------------------------------------------------------


def test_strategies_of_one_account_and_venue_share_it_and_two_venues_are_refused_by_name(tmp_path: Path) -> None:
    def traded_at(folder: str) -> dict[str, object]:
        return {"broker": "file_drop", "broker_settings": {"folder": folder}, "account": "desk"}

    write_strategy(tmp_path, "one", execution=traded_at("/a"))
    write_strategy(tmp_path, "two", execution=traded_at("/a"))
    write_strategy(tmp_path, "alone", execution={**traded_at("/b"), "account": None})
    write_strategy(tmp_path, "on_paper")
    with living_in(tmp_path):
        assert [(account.name, len(account.strategies)) for account in accounts()] == [("alone", 1), ("desk", 2)]
        assert account_of(strategy_of("on_paper")) is None
        assert "desk: never compared; books one, two" in show()["text"]
        with pytest.raises(ControlError, match=r"alone, desk.*--account NAME"):
            send(None, alone=False)
        write_strategy(tmp_path, "two", execution=traded_at("/c"))
        with pytest.raises(
            SettingsError, match=r"one execution.broker_settings for all strategies of the account desk"
        ):
            account_named("desk")


@pytest.mark.full
def test_a_halt_after_the_outbox_was_committed_crosses_nothing(desk: Desk, monkeypatch) -> None:
    desk.decided("one", {"AAA": 40})
    desk.decided("two", {"AAA": -40})
    send_orders(desk.driver())
    desk.halt("two")
    send_orders(desk.driver())
    assert [order.quantity for order in desk.venue.taken.values()] == [40.0]


@pytest.mark.full
def test_a_book_that_filled_on_paper_for_a_while_takes_no_fill_twice(desk: Desk) -> None:
    sent(desk)
    desk.venue.fill(the_order(desk), 100.0, 50.0)
    reconcile(desk.driver())
    until = desk.stores.ledger.head().sequence
    ledger, strategy = desk.stores.ledger, desk.account.strategies[0]
    assert len(recorded_for(ledger, strategy, TRADED, until).fills) == 1
    recorded_on = int(desk.rows("account_fills")["sequence"].iloc[0])
    assert recorded_for(ledger, strategy, TRADED, recorded_on - 1).fills == []  # as it was known before
    desk.decided("one", {}, held={"AAA": 100}, session=TRADED)
    following = pd.Timestamp("2024-03-06")
    desk.decided("one", {}, held={"AAA": 100}, session=following, account_until=None)
    assert book_quantities(desk)["one"] == 100.0
    after = pd.Timestamp("2024-03-07")
    assert recorded_for(ledger, strategy, after, desk.stores.ledger.head().sequence).fills == []


def test_orders_and_stops_for_an_ex_session_are_sent_in_its_shares(desk: Desk) -> None:
    desk.decided("one", {"AAA": 50}, held={"AAA": 100}, stops={"AAA": 45.0})
    desk.decided("two", {})
    desk.venue.held = {"AAA": 100.0}
    driver = desk.driver()
    object.__setattr__(driver.market, "splits", lambda strategy, after, until: {"AAA": 2.0} if until >= TRADED else {})
    send_orders(driver)
    assert desk.venue.taken[the_order(desk)].quantity == 100.0
    assert working_stops(desk) == [("AAA", -200.0, 22.5)]
    assert reconcile(driver).state == "agreed"  # the evening before, the venue holds the old shares
    desk.venue.fill(the_order(desk), 100.0, 25.0)
    desk.venue.held["AAA"] += 100.0  # the split of what was held
    desk.moment = NOON
    assert reconcile(driver).state == "agreed"
    assert desk.rows("account_fills")["state"].tolist() == ["allotted"]


def test_cash_may_lie_apart_by_fees_not_stated_and_no_more_and_falls_back_to_none(desk: Desk) -> None:
    name = sent(desk)
    desk.venue.fill(name, 100.0, 50.0, commission_usd=None)  # the books pay 2 bps of 5,000 USD, the venue nothing
    assert book_cash(desk) == {"one": 1e6, "two": 1e6}
    assert reconcile(desk.driver()).state == "agreed"
    fee = 5000.0 * desk.account.strategies[0].costs.commission_bps / 1e4
    assert fee > 0.1
    assert book_cash(desk)["one"] == pytest.approx(1e6 - 5000.0 - fee)
    desk.venue.cash_usd -= fee  # it is charged at last
    assert reconcile(desk.driver()).state == "agreed"
    desk.venue.cash_usd -= 0.02
    assert "cash: the books have" in reconcile(desk.driver()).sentence
