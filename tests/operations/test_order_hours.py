"""A venue that takes orders for an auction by the clock: they wait for it, are said to wait, and reach it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nn_assets.brokers.alpaca import AlpacaVenue
from nn_assets.execution.netting import BookOrder
from nn_assets.execution.venue import OrderHours
from nn_assets.operations.account_faults import faults_of_sending
from nn_assets.operations.accounts import of_the_day
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.outbox import no_further_than_zero
from nn_assets.operations.accounts.reconciling import reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.oversight.headline import Fault, TradingWord
from nn_assets.portfolio.book import empty_book
from nn_assets.settings import Strategy
from nn_assets.sources.keys import EnvironmentKey
from tests.brokers.alpaca_account import KEY, KEY_SECRET, AlpacaAccount
from tests.operations.account_books import DECIDED, Desk, a_strategy
from tests.sources.secrets import SECRET
from tests.sources.vendor import running

AFTER_THE_ROUND = pd.Timestamp("2024-03-04 21:45", tz="UTC")  # 16:45 in New York
SEVEN = pd.Timestamp("2024-03-05 00:00", tz="UTC")
MORNING = pd.Timestamp("2024-03-05 13:40", tz="UTC")


@dataclass
class AtAlpaca(Desk):
    """The desk, at an account that answers as Alpaca documents."""

    there: AlpacaAccount | None = None

    def driver(self) -> Driver:
        self.there.now = self.moment
        return super().driver()

    def faults(self, book: str = "one") -> list[Fault]:
        return list(faults_of_sending(self.stores.ledger, a_strategy(book), DECIDED, self.moment))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtAlpaca]:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)
    account = AlpacaAccount(money=Decimal(1_000_000), symbols=("AAA",), now=AFTER_THE_ROUND)
    with running(account.serve) as vendor:
        venue = AlpacaVenue(EnvironmentKey(KEY), EnvironmentKey(KEY_SECRET), vendor.url, vendor.policy)
        desk = AtAlpaca.of(tmp_path, "one")
        desk.venue, desk.there, desk.moment = venue, account, AFTER_THE_ROUND
        yield desk


def test_an_order_for_the_open_waits_in_the_evening_and_reaches_the_venue_once(desk: AtAlpaca) -> None:
    reconcile(desk.driver())
    desk.decided("one", {"AAA": 300.0})
    (state,) = send_orders(desk.driver()).orders.values()
    assert (state, desk.moment) == ("waiting", AFTER_THE_ROUND)  # nor was time spent on asking again
    (fault,) = desk.faults()
    assert fault.why == "1 order for 2024-03-05 waits until 2024-03-05 00:00 UTC, from when on the venue takes it"
    assert (fault.word, fault.remedy) == (TradingWord.TRADES, "")
    send_orders(desk.driver())
    assert desk.events() == ["not_yet"]
    desk.moment = MORNING
    assert desk.faults()[0].remedy.startswith("nn-assets account sync --account desk")
    for _ in (1, 2):
        assert list(send_orders(desk.driver(), waits=False).orders.values()) == ["working"]
    assert [(row["qty"], row["time_in_force"]) for row in desk.there.working()] == [("300", "opg")]
    assert desk.faults() == []


def test_what_comes_in_the_last_two_minutes_is_late_and_said_to_be(desk: AtAlpaca) -> None:
    desk.decided("one", {"AAA": 300.0})
    send_orders(desk.driver())
    desk.moment = pd.Timestamp("2024-03-05 14:28", tz="UTC")
    assert list(send_orders(desk.driver()).orders.values()) == ["withdrawn"]
    assert desk.there.journal == []
    assert [fault.why for fault in desk.faults()] == ["1 order came too late to be sent (AAA)"]


def test_a_refused_order_is_in_the_first_line_and_an_alert(desk: AtAlpaca, monkeypatch) -> None:
    desk.decided("one", {"BBB": 300.0})
    desk.moment, alerts = MORNING, []
    driver = desk.driver()
    send_orders(driver)
    (fault,) = desk.faults()
    assert fault.why == 'the venue refused 1 order for 2024-03-05 (BBB: could not find asset "BBB" (42210000))'
    assert fault.word is TradingWord.DOES_NOT_TRADE
    monkeypatch.setattr(of_the_day, "append_alert", lambda name, _, **about: alerts.append((name, about["cause"])))
    of_the_day._alert_of_refusals(SimpleNamespace(stores=desk.stores), driver, "test")
    assert alerts == [("account:desk:one:2024-03-05:refused:1", fault.why)]


def test_an_order_that_would_turn_a_position_closes_it_and_the_next_round_opens_the_other_side(desk: AtAlpaca) -> None:
    desk.there.turns_positions, desk.there.held["AAA"] = False, Decimal(100)
    desk.decided("one", {"AAA": -250.0}, held={"AAA": 100.0})
    desk.moment = MORNING
    assert list(send_orders(desk.driver()).orders.values()) == ["working"]
    (row,) = desk.there.working()
    assert (row["side"], row["qty"]) == ("sell", "100")
    desk.there.fill(row["client_order_id"], -100.0, 50.0)
    desk.moment = pd.Timestamp("2024-03-05 15:00", tz="UTC")
    assert reconcile(desk.driver()).state == "agreed"
    assert desk.there.held["AAA"] == 0
    desk.decided("one", {"AAA": -150.0}, cash=1_005_000.0, session=pd.Timestamp("2024-03-05"))
    desk.moment = pd.Timestamp("2024-03-06 13:40", tz="UTC")
    send_orders(desk.driver())
    assert [(row["side"], row["qty"]) for row in desk.there.working()] == [("sell", "150")]


def test_of_the_two_orders_that_turn_a_position_the_close_alone_goes_at_every_look() -> None:
    book = replace(empty_book(("AAA", "BBB"), 1e6), quantity=np.array([-100.0, 0.0]))
    close, opening, other = (
        BookOrder("one", name, symbol, quantity, "at_open")
        for name, symbol, quantity in (("close", "AAA", 100.0), ("open", "AAA", 60.0), ("new", "BBB", 5.0))
    )
    whole = [close, opening, other]
    assert no_further_than_zero(whole, whole, book) == [close, other]
    assert no_further_than_zero([opening], whole, book) == []  # the close was netted at the look before
    assert no_further_than_zero([replace(close, quantity=40.0)], whole, book)[0].quantity == 40.0  # its rest alone


@pytest.mark.parametrize(
    ("kind", "session", "begins", "ends"),
    [
        ("at_open", "2024-03-05", "2024-03-05 00:00", "2024-03-05 14:28"),
        ("at_close", "2024-03-05", "2024-03-05 00:00", "2024-03-05 20:50"),
        ("at_open", "2024-03-11", "2024-03-10 23:00", "2024-03-11 13:28"),  # summer time since Sunday
        ("at_close", "2024-07-03", "2024-07-02 23:00", "2024-07-03 16:50"),  # closes at 13:00
    ],
)
def test_alpacas_hours_are_those_that_it_documents(kind: str, session: str, begins: str, ends: str) -> None:
    venue = AlpacaVenue(EnvironmentKey(KEY), EnvironmentKey(KEY_SECRET))
    expected = OrderHours(pd.Timestamp(begins, tz="UTC"), pd.Timestamp(ends, tz="UTC"))
    assert venue.takes(kind, pd.Timestamp(session)) == expected
    assert venue.takes("stop", pd.Timestamp(session)) is None


def test_the_account_is_looked_after_in_the_hour_from_which_its_venue_takes_orders() -> None:
    at_alpaca = a_strategy("one").model_dump()
    at_alpaca["execution"] |= {"broker": "alpaca", "broker_settings": {}}
    strategy = Strategy.model_validate(at_alpaca)
    due = {
        moment: not isinstance(of_the_day.account_due(strategy, moment), str)
        for moment in pd.date_range("2024-03-08 13:00", "2024-03-11 13:00", freq="30min", tz="UTC")
    }
    evening = [moment for moment in due if due[moment] and moment >= pd.Timestamp("2024-03-09", tz="UTC")]
    # Of a weekend: Sunday from 19:00 in New York, and Monday from an hour before the open.
    assert [f"{moment:%d %H:%M}" for moment in evening] == ["10 23:00", "10 23:30", "11 12:30", "11 13:00"]
    assert isinstance(of_the_day.account_due(a_strategy("one"), SEVEN), str)  # a file drop takes them at any time
