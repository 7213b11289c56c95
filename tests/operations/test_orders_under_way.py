"""Orders under way at a venue: the controls of now reach them, and one that never ends is no way round them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.brokers.file_drop import FileDropVenue
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.reconciling import reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import recorded_for
from tests.operations.account_books import OPEN, TRADED, Desk, Fails, speaking

MORNING = pd.Timestamp("2024-03-05 13:40", tz="UTC")
SESSIONS = [pd.Timestamp(day) for day in ("2024-03-04", "2024-03-05", "2024-03-06")]


def at_venue(desk: Desk) -> list[tuple[str, float, str]]:
    taken = desk.venue.taken.items()
    return sorted((order.symbol, order.quantity, desk.venue.status[name]) for name, order in taken)


def night_after(session: pd.Timestamp) -> pd.Timestamp:
    return session.tz_localize("UTC") + pd.Timedelta(hours=22)


# --- the controls of now reach what is at the venue ------------------------------------------------------


@pytest.mark.parametrize("how", ["REDUCING", "differs"])
def test_what_opens_is_ended_at_the_venue_and_what_closes_stays(tmp_path: Path, how: str) -> None:
    desk = Desk.of(tmp_path / how, "one")
    desk.decided("one", {"AAA": 4000.0, "BBB": -100.0}, held={"BBB": 500.0})
    desk.venue.held["BBB"] = 500.0
    send_orders(desk.driver())
    desk.moment = MORNING
    if how == "differs":
        desk.venue.held["AAA"] = 777.0
    else:
        desk.halt("one", how)
    assert reconcile(desk.driver()).state == ("differs" if how == "differs" else "agreed")
    send_orders(desk.driver(), waits=False)
    assert at_venue(desk) == [("AAA", 4000.0, "cancelled"), ("BBB", -100.0, "working")]
    desk.halt("one", "ACTIVE")
    desk.venue.held["AAA"] = 0.0
    reconcile(desk.driver())
    send_orders(desk.driver(), waits=False)  # what a control took back is not sent again for its session
    assert len(desk.venue.sends) == 2


def test_an_order_half_filled_is_judged_by_what_is_left_of_it(tmp_path: Path) -> None:
    """Sold 300 of 200 held would open a short: 150 are sold, and what is left would bring 50 below zero."""
    desk = Desk.of(tmp_path, "one")
    desk.decided("one", {"AAA": -300.0}, held={"AAA": 200.0})
    desk.venue.held["AAA"] = 200.0
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.moment = OPEN + pd.Timedelta(minutes=5)
    desk.venue.fill(name, -150.0, 50.0)
    desk.halt("one", "REDUCING")
    reconcile(desk.driver())
    send_orders(desk.driver(), waits=False)
    assert at_venue(desk) == [("AAA", -300.0, "cancelled")]


def test_a_halt_whose_cancel_was_lost_asks_again_and_has_it_on_record_once(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    desk.decided("one", {"AAA": 100.0})
    send_orders(desk.driver())
    desk.halt("one")
    desk.venue.holds_cancels = True
    for _ in range(2):
        send_orders(desk.driver())
    assert desk.events().count("cancel_asked") == 1
    desk.venue.holds_cancels = False
    send_orders(desk.driver())
    assert at_venue(desk) == [("AAA", 100.0, "cancelled")]


# --- netted with a book that is halted -------------------------------------------------------------------


def netted_and_one_halted(folder: Path, control: str = "HALTED") -> Desk:
    desk = Desk.of(folder, "one", "two")
    desk.decided("one", {"AAA": 300.0})
    desk.decided("two", {"AAA": 500.0})
    send_orders(desk.driver())
    desk.halt("one", control)
    return desk


@pytest.mark.parametrize("control", ["HALTED", pytest.param("REDUCING", marks=pytest.mark.full)])
def test_the_other_book_of_a_netted_order_goes_again_once_and_gets_what_it_ordered(
    tmp_path: Path, control: str
) -> None:
    desk = netted_and_one_halted(tmp_path, control)
    desk.moment = MORNING
    desk.venue.holds_cancels = True
    send_orders(desk.driver(), waits=False)
    assert at_venue(desk) == [("AAA", 800.0, "working")]  # nothing more before its end is known
    desk.venue.holds_cancels = False
    for _ in range(2):
        send_orders(desk.driver(), waits=False)
    assert at_venue(desk) == [("AAA", 500.0, "working"), ("AAA", 800.0, "cancelled")]
    (again,) = [name for name in desk.venue.taken if desk.venue.status[name] == "working"]
    desk.moment = OPEN + pd.Timedelta(minutes=5)
    desk.venue.fill(again, 500.0, 50.0)
    assert reconcile(desk.driver()).state == "agreed"
    record = desk.driver().record()
    assert [float(book.moved(record, {}).quantity[0]) for book in desk.driver().books()] == [0.0, 500.0]


@pytest.mark.full
def test_what_could_not_go_again_is_told_by_its_reason(tmp_path: Path) -> None:
    desk = netted_and_one_halted(tmp_path)
    desk.moment = OPEN + pd.Timedelta(minutes=5)  # too late for another
    send_orders(desk.driver(), waits=False)
    send_orders(desk.driver(), waits=False)
    assert len(desk.venue.sends) == 1
    strategy = desk.account.strategies[1].model_copy(update={"name": "two"})
    ended = recorded_for(desk.stores.ledger, strategy, TRADED, 10**9).ended
    assert ended == {"one-2024-03-04-AAA": "halted", "two-2024-03-04-AAA": "cancelled_with_another_book"}


@pytest.mark.full
def test_what_a_person_cancelled_does_not_go_again(tmp_path: Path) -> None:
    desk = netted_and_one_halted(tmp_path)
    cancel_orders(desk.driver())
    send_orders(desk.driver())
    assert at_venue(desk) == [("AAA", 800.0, "cancelled")]


# --- an order that the venue neither fills nor ends ------------------------------------------------------


def test_an_order_that_never_ends_is_not_sent_again_and_makes_the_account_differ(tmp_path: Path) -> None:
    """Without this each session sent 4,000 shares more, and each agreed."""
    desk = Desk.of(tmp_path, "one")
    desk.venue.holds_cancels = True
    states = []
    for session in SESSIONS:
        desk.moment = night_after(session)
        states.append(reconcile(desk.driver()))
        desk.decided("one", {"AAA": 4000.0}, session=session)
        send_orders(desk.driver())
    assert at_venue(desk) == [("AAA", 4000.0, "working")]
    assert [result.state for result in states] == ["agreed", "differs", "differs"]
    assert "4000, works at the venue and should have ended: its session, 2024-03-05, is over" in states[1].sentence
    strategy = desk.account.strategies[0]
    recorded = recorded_for(desk.stores.ledger, strategy, TRADED, 10**9)
    assert recorded.working == {"one-2024-03-04-AAA"}
    assert recorded.ended == {}
    assert desk.events().count("cancel_asked") == 2  # once for each session in which it was asked
    desk.venue.holds_cancels = False
    desk.moment = night_after(SESSIONS[-1]) + pd.Timedelta(days=1)
    assert reconcile(desk.driver()).state == "agreed"


def test_even_where_a_person_accepts_it_the_symbol_gets_no_further_order(tmp_path: Path) -> None:
    """As one that closes: whatever the order of before still fills comes on top of it."""
    desk = Desk.of(tmp_path, "one")
    desk.venue.holds_cancels = True
    desk.venue.held["AAA"] = 500.0
    desk.decided("one", {"AAA": -200.0}, held={"AAA": 500.0})
    send_orders(desk.driver())
    desk.moment = night_after(TRADED)
    assert reconcile(desk.driver()).state == "differs"
    desk.decided("one", {"AAA": -200.0, "BBB": 7.0}, held={"AAA": 500.0}, session=TRADED)
    send_orders(desk.driver())
    assert at_venue(desk) == [("AAA", -200.0, "working")]
    events = desk.rows("order_events")
    assert list(events[events["event"] == "withdrawn"]["reason"]) == ["uncounted"]


# --- a sale that is filled in part, and never reported ended ----------------------------------------------


def test_a_desk_that_tells_nothing_of_orders_has_them_end_with_their_session_and_what_is_left_is_protected(
    tmp_path: Path,
) -> None:
    desk = Desk.of(tmp_path / "home", "one")
    into = tmp_path / "drop" / "in"
    into.mkdir(parents=True)

    def put(name: str, columns: str, row: str) -> None:
        (into / name).write_text(f"{columns}\n{row}\nend,1\n")

    def state(held: int, cash: float, at: str) -> None:
        put("positions.csv", "symbol,quantity,as_of", f"AAA,{held},{at}")
        put("cash.csv", "cash_usd,as_of", f"{cash},{at}")

    desk.venue = FileDropVenue(tmp_path / "drop")  # type: ignore[assignment]
    state(1000, 1e6, "2024-03-04T22:00:00+00:00")
    desk.decided("one", {"AAA": -300.0}, held={"AAA": 1000.0}, stops={"AAA": 45.0})
    assert reconcile(desk.driver()).state == "agreed"
    send_orders(desk.driver())
    (name,) = desk.statuses()
    columns = "fill_id,client_order_id,symbol,quantity,price,at,commission_usd"
    put("fills-2024-03-05.csv", columns, f"x1,{name},AAA,-200,50,2024-03-05T14:30:00+00:00,1.00")
    state(800, 1_009_999.0, "2024-03-05T14:31:00+00:00")
    desk.moment = OPEN + pd.Timedelta(minutes=5)
    assert reconcile(desk.driver()).state == "agreed"
    assert send_orders(desk.driver()).orders[name] == "working"
    for session in SESSIONS[1:3]:
        desk.moment = night_after(session)
        assert reconcile(desk.driver()).state == "agreed"
        desk.decided("one", {}, held={"AAA": 800.0}, stops={"AAA": 45.0}, cash=1_009_999.0, session=session)
        send_orders(desk.driver())
    assert desk.statuses().pop(name) == "ended"
    out = [path.read_text().splitlines()[1] for path in (tmp_path / "drop" / "out" / "orders").glob("*.csv")]
    assert [row.partition(",")[2] for row in out if ",stop," in row] == ["AAA,-800,stop,2024-03-06,45"]
    assert desk.events().count("cancel_asked") == 0
    assert recorded_for(desk.stores.ledger, desk.account.strategies[0], TRADED, 10**9).working == frozenset()


def test_what_a_sale_that_works_on_leaves_is_protected_once_its_session_is_over(tmp_path: Path) -> None:
    desk = Desk.of(tmp_path, "one")
    desk.venue.holds_cancels = True
    desk.venue.held["AAA"] = 1000.0
    desk.decided("one", {"AAA": -300.0}, held={"AAA": 1000.0}, stops={"AAA": 45.0})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.fill(name, -200.0, 50.0)
    for moment, stops in ((OPEN + pd.Timedelta(hours=5), []), (night_after(TRADED), [-800.0])):
        desk.moment = moment
        reconcile(desk.driver())
        send_orders(desk.driver())
        assert [order.quantity for order in desk.venue.taken.values() if order.kind == "stop"] == stops


# --- killed anywhere --------------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_at_any_point_of_a_halt_what_goes_again_goes_once(tmp_path: Path, monkeypatch) -> None:
    def halted(folder: str, point: str) -> list[str]:
        desk, passed = netted_and_one_halted(tmp_path / folder), list[str]()

        def reached(name: str) -> None:
            passed.append(name)
            if name == point and passed.count(name) == 1:
                raise Fails(name)

        with monkeypatch.context() as patch:
            for module in speaking():
                patch.setattr(module, "reached", reached)
            desk.quiet(lambda: send_orders(desk.driver()))
        send_orders(desk.driver())
        send_orders(desk.driver())
        assert at_venue(desk) == [("AAA", 500.0, "working"), ("AAA", 800.0, "cancelled")], point
        assert len(desk.venue.sends) == len(set(desk.venue.sends))
        return passed

    killed = dict.fromkeys(halted("whole", ""))
    assert len(killed) > 8
    for point in killed:
        halted(point, point)
