"""What is sent to a venue obeys the controls of now and limits on what was sent: the venue's own count is the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.execution.netting import AccountOrder, BookOrder
from nn_assets.operations.accounts import outbox
from nn_assets.operations.accounts.books import AccountBooks
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import ORDERS as OUTBOX
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.account_books import NIGHT, OPEN, TRADED, Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    return Desk.of(tmp_path, "one")


def sent_usd(desk: Desk) -> float:
    """What the venue took, every time that it did."""
    return sum(abs(desk.venue.taken[name].quantity) * 50.0 for name in desk.venue.sends)


# --- controls of now ----------------------------------------------------------------------------------------


def test_a_folder_called_halt_sends_nothing_lets_cancels_pass_and_stays_on_record(desk: Desk, tmp_path: Path) -> None:
    desk.decided("one", {"AAA": 100})
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    (tmp_path / "HALT").mkdir()
    desk.decided("one", {"BBB": 7}, session=TRADED)
    desk.moment = OPEN + pd.Timedelta(hours=8)  # after the close, for the next session
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    assert len(cancel_orders(desk.driver())) == 1
    assert set(desk.venue.status.values()) == {"cancelled"}
    (tmp_path / "HALT").rmdir()
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    with Ledger() as ledger:
        assert kill_switch_now(ledger, "one") == "HALTED"
        assert kill_switch_now(ledger, "index_daily") == "HALTED"  # everything
    desk.halt("one", "ACTIVE")
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 2


def test_a_file_that_appears_between_two_sendings_stops_the_second(desk: Desk, tmp_path: Path) -> None:
    desk.decided("one", {"AAA": 100, "BBB": 50})
    take = desk.venue.send

    def then_halt(order) -> None:
        take(order)
        (tmp_path / "HALT").touch()

    desk.venue.send = then_halt  # type: ignore[method-assign]
    send_orders(desk.driver())
    assert len(desk.venue.sends) == 1
    assert sorted(desk.statuses().values()) == ["withdrawn", "working"]


def test_a_file_that_is_seen_while_sending_and_taken_away_has_resumed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    desk = Desk.of(tmp_path, "one", "two")
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {})
    file = tmp_path / "HALT"
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "reached", lambda point: file.touch() if point == "outbox_committed" else None)
        send_orders(desk.driver())
    file.unlink()
    assert [kill_switch_now(desk.stores.ledger, name) for name in ("one", "two")] == ["HALTED", "HALTED"]
    desk.decided("one", {"AAA": 100}, session=TRADED)
    desk.decided("two", {}, session=TRADED)
    desk.moment = NIGHT
    send_orders(desk.driver())
    assert desk.venue.sends == []


@pytest.mark.parametrize(
    ("breaker", "passes"),
    [
        ("session_loss", {("BBB", -30.0)}),
        pytest.param("drawdown", {("BBB", -30.0)}, marks=pytest.mark.full),
        ("stale_data", set()),
        pytest.param("unheard_of", set(), marks=pytest.mark.full),
    ],
)
def test_a_breaker_that_the_decision_left_latched_is_obeyed(
    desk: Desk, breaker: str, passes: set[tuple[str, float]]
) -> None:
    """The rows say it, whatever orders a decision left there: what sends believes the strictest of them."""
    desk.decided("one", {"AAA": 100, "BBB": -30}, held={"BBB": 30})
    state = desk.stores.ledger.read("portfolio_states", "one").iloc[-1].to_dict()
    book = {**state["book"], "breaker_reason": "why"} if isinstance(state["book"], dict) else state["book"]
    with desk.stores.ledger.transaction("test", strategy="one") as transaction:
        transaction.append("portfolio_states", [state | {"breaker": breaker, "book": book}], reason="a test")
    send_orders(desk.driver())
    assert {(order.symbol, order.quantity) for order in desk.venue.taken.values()} == passes


# --- a parent whose fills are never counted, sent again and again under other names --------------------------


def asked_again(desk: Desk, times: int, quantity: float, settings: dict[str, object] | None = None) -> None:
    """Ask for the same again and again, and have the driver send, twice; the venue fills it, and nobody counts that."""
    if settings is not None:
        (strategy,) = desk.account.strategies
        execution = strategy.execution.model_copy(update=settings)
        desk.account = AccountBooks(desk.account.name, (strategy.model_copy(update={"execution": execution}),))
    driver = replace(desk.driver(), sleep=lambda _: None)
    for half in (range(times // 2), range(times // 2, times)):
        children = [BookOrder("one", f"child {number}", "AAA", quantity, "at_open", None, 50.0) for number in half]
        orders = [
            AccountOrder(f"again {child.client_order_id}", TRADED, "AAA", quantity, "at_open", None, 50.0, (child,))
            for child in children
        ]
        with driver.alone():
            driver.append(OUTBOX, [order.to_record() for order in orders])
        send_orders(driver)
        for name in desk.venue.sends:
            if desk.venue.status[name] == "working":
                desk.venue.fill(name, quantity, 50.0)


def test_the_value_that_was_sent_stops_it(desk: Desk) -> None:
    """Equity 1,000,000, gross limit 1: twice that may be sent. Without the limit 12 x 400,000 would be."""
    desk.decided("one", {})
    asked_again(desk, 12, 8_000.0)
    assert sent_usd(desk) == 2_000_000.0
    assert desk.venue.held["AAA"] == 40_000.0
    reasons = desk.rows("order_events")
    assert set(reasons[reasons["event"] == "withdrawn"]["reason"]) == {"sent_value"}


def test_the_number_that_was_sent_stops_it(desk: Desk) -> None:
    desk.decided("one", {})
    asked_again(desk, 8, 1.0, {"maximum_orders_per_session": 3})
    assert len(desk.venue.sends) == 3
    reasons = desk.rows("order_events")
    assert list(reasons[reasons["event"] == "withdrawn"]["reason"]) == ["rate"] * 5


def test_a_sale_that_is_never_counted_is_no_way_out_either(desk: Desk) -> None:
    """Each seems to reduce what the book holds, 8,000: the first closes it, each further one opens a short."""
    desk.decided("one", {}, held={"AAA": 8_000})
    asked_again(desk, 6, -8_000.0, {"maximum_sent_multiple": 0.8})
    assert sent_usd(desk) == 800_000.0  # of equity 1,400,000 at most 1,120,000


@pytest.mark.full
def test_a_limit_that_a_person_states_is_the_one_that_holds(desk: Desk) -> None:
    desk.decided("one", {})
    asked_again(desk, 6, 8_000.0, {"maximum_sent_multiple": 1.3})
    assert sent_usd(desk) == 1_200_000.0
