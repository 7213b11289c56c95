"""Alpaca's account, played by a local server that answers as the vendor's documentation shows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.brokers import alpaca
from nn_assets.brokers.alpaca import LIVE_VARIABLE, AlpacaVenue
from nn_assets.errors import NnAssetsError, SettingsError
from nn_assets.execution.own_venues import ALPACA_PAPER as PAPER
from nn_assets.execution.venue import VenueClosedError, VenueDownError, VenueRefusedError, VenueUnsureError
from nn_assets.execution.venues import venue_of
from nn_assets.sources.keys import EnvironmentKey
from tests.brokers.alpaca_account import KEY, KEY_SECRET, AlpacaAccount
from tests.contracts.venues import BEFORE, OPENED, VenueContract, order
from tests.sources.secrets import SECRET
from tests.sources.vendor import Answer, Request, Vendor, cut_off, running

LIVE = "https://api.alpaca.markets"


class Desk(AlpacaAccount):
    """The account, as the contract moves it."""

    def fill(self, client_order_id: str, quantity: float, price: float, at: pd.Timestamp | None = None) -> None:
        self.now = max(self.now, OPENED)
        super().fill(client_order_id, quantity, price, at)


@pytest.fixture
def other_side() -> Desk:
    return Desk()


@pytest.fixture
def vendor(other_side: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)
    with running(other_side.serve) as vendor:
        yield vendor


@pytest.fixture
def venue(vendor: Vendor) -> AlpacaVenue:
    policy = replace(vendor.policy, attempts=4)
    return AlpacaVenue(EnvironmentKey(KEY), EnvironmentKey(KEY_SECRET), vendor.url, policy)


@pytest.fixture
def down(venue: AlpacaVenue) -> AlpacaVenue:
    return replace(venue, base_url="http://127.0.0.1:1")


class TestAlpaca(VenueContract):
    refuses = order("bad", 10.0, "NO_SUCH")

    @pytest.fixture
    def other_side(self, other_side: Desk) -> Desk:
        return other_side

    @pytest.fixture
    def venue(self, venue: AlpacaVenue) -> AlpacaVenue:
        return venue

    @pytest.fixture
    def down(self, down: AlpacaVenue) -> AlpacaVenue:
        return down


def posts(vendor: Vendor) -> list[Request]:
    return [request for request in vendor.asked if request.method == "POST"]


def acting(desk: Desk, answer: Answer) -> Callable[[Request], Answer]:
    """Answer a POST with something else, once it was acted on; and the rest as ever."""

    def serve(request: Request) -> Answer:
        whole = desk.serve(request)
        return answer if request.method == "POST" else whole

    return serve


# --- what is sent -----------------------------------------------------------------------------------------


def test_each_kind_of_order_is_sent_as_alpaca_spells_it(venue, vendor) -> None:
    for name, kind, price in (
        ("1", "at_open", None),
        ("2", "at_close", None),
        ("3", "market", None),
        ("4", "limit", 50.239),
        ("5", "stop", 0.123456),
    ):
        venue.send(order(name, 7.5, kind=kind, price=price))
    sent = [
        {key: value for key, value in request.body.items() if key != "client_order_id"} for request in posts(vendor)
    ]
    common = {"symbol": "AAA", "qty": "7.5", "side": "buy"}
    assert sent == [
        {**common, "type": "market", "time_in_force": "opg"},
        {**common, "type": "market", "time_in_force": "cls"},
        {**common, "type": "market", "time_in_force": "day"},
        {**common, "type": "limit", "time_in_force": "day", "limit_price": "50.23"},
        {**common, "type": "stop", "time_in_force": "gtc", "stop_price": "0.1234"},
    ]
    assert [request.body["client_order_id"] for request in posts(vendor)] == ["1", "2", "3", "4", "5"]


def test_prices_of_sells_are_rounded_up_so_that_a_stop_is_never_later_than_decided(venue, vendor) -> None:
    for name, price in (("1", 50.231), ("2", 50.23), ("3", 1.0), ("4", 0.12341)):
        venue.send(order(name, -1000000.0 + 999000.0, kind="stop", price=price))
    assert [request.body["stop_price"] for request in posts(vendor)] == ["50.24", "50.23", "1.00", "0.1235"]
    assert {(request.body["side"], request.body["qty"]) for request in posts(vendor)} == {("sell", "1000")}


# --- what may have arrived, and what did not --------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"code": 50010000, "message": "internal server error"}, 500),
        Answer(b"<html>bad gateway</html>", 502, kind="text/html"),
        Answer({"message": "maintenance"}, 503),
        Answer({}, 504),
        Answer(b"", hangs_up=True),
        Answer({"id": "x"}),
        Answer(b"<html>welcome</html>", kind="text/html"),
        cut_off({"id": "0", "client_order_id": "one", "status": "accepted"}),
    ],
    ids=["500", "502", "503", "504", "hung up", "another order", "a page for people", "cut off"],
)
def test_an_order_that_was_taken_behind_a_bad_answer_is_unsure_found_by_its_id_and_sent_once(
    venue, vendor, other_side, answer
) -> None:
    vendor.serve = acting(other_side, answer)
    with pytest.raises(VenueUnsureError) as unsure:
        venue.send(order("one", 100.0))
    assert unsure.value.where["client_order_id"] == "one"
    assert len(posts(vendor)) == 1
    (row,) = venue.orders(["one"])
    assert (row.client_order_id, row.status) == ("one", "working")


def test_a_time_out_after_acceptance_is_unsure_and_sent_once(venue, vendor, other_side) -> None:
    vendor.serve = acting(other_side, Answer({}, silent=True))
    with pytest.raises(VenueUnsureError):
        replace(venue, timeout_seconds=0.05).send(order("one", 100.0))
    assert [entry["what"] for entry in other_side.journal] == ["taken"]
    assert len(posts(vendor)) == 1


@pytest.mark.parametrize("answer", [Answer({}, 500), Answer({}, 503), Answer(b"", hangs_up=True)])
def test_an_order_that_was_lost_is_unsure_too_and_not_known_by_its_id(venue, vendor, answer) -> None:
    vendor.faults = [answer]
    with pytest.raises(VenueUnsureError):
        venue.send(order("one", 100.0))
    assert venue.orders(["one"]) == []
    venue.send(order("one", 100.0))
    assert len(venue.orders()) == 1


def test_a_rate_limit_is_waited_out_since_nothing_was_done(venue, vendor, other_side) -> None:
    vendor.faults = [Answer({"code": 42910000, "message": "rate limit exceeded"}, 429, {"Retry-After": "17"})] * 2
    venue.send(order("one", 100.0))
    assert vendor.slept == [17.0, 17.0]
    assert [entry["what"] for entry in other_side.journal] == ["taken"]
    reset = {"Date": "Fri, 05 Jan 2018 12:00:20 GMT", "X-RateLimit-Reset": "1515153660"}  # a minute after noon
    vendor.faults = [Answer({}, 429, reset)]
    assert venue.cash() == 100_000.0
    assert vendor.slept[2:] == [40.0]
    vendor.faults = [Answer({}, 429)] * 4
    with pytest.raises(VenueDownError, match="rate limit"):
        venue.send(order("two", 100.0))
    assert venue.orders(["two"]) == [row for row in venue.orders() if row.client_order_id == "one"]


@pytest.mark.parametrize(("status", "message"), [(401, "request is not authorized"), (403, "forbidden.")])
def test_an_account_that_is_refused_is_down_whatever_is_asked(venue, vendor, status, message) -> None:
    for ask in (lambda: venue.send(order("one", 1.0)), venue.cash, venue.positions, lambda: venue.cancel("one")):
        vendor.faults = [Answer({"message": message}, status)]
        with pytest.raises(VenueClosedError, match="authorised"):
            ask()
    assert vendor.slept == []


def test_maintenance_is_down_and_over_once_it_answers(venue, vendor) -> None:
    vendor.faults = [Answer({"message": "maintenance"}, 503)] * 4
    with pytest.raises(VenueDownError, match="503"):
        venue.orders()
    vendor.faults = [Answer({"message": "maintenance"}, 503)] * 3
    assert venue.cash() == 100_000.0


# --- what is refused, and what is there already -----------------------------------------------------------


def test_a_refusal_has_alpacas_reason_and_code(venue) -> None:
    for name, quantity, symbol, reason in (
        ("1", 2e6, "AAA", "insufficient buying power (40310000)"),
        ("2", 1.0, "NONE", 'could not find asset "NONE" (42210000)'),
    ):
        with pytest.raises(VenueRefusedError) as refused:
            venue.send(order(name, quantity, symbol))
        assert refused.value.where["reason"] == reason


def test_an_id_that_is_there_is_passed_over_even_where_the_first_took_all_buying_power(venue, vendor) -> None:
    venue.send(order("one", 100.0))
    vendor.faults = [Answer({"code": 40310000, "message": "insufficient buying power"}, 403)]
    venue.send(order("one", 100.0))
    assert len(venue.orders()) == 1


@pytest.mark.parametrize("second", [Answer({}, 503), Answer({"code": 40410000, "message": "order not found"}, 404)])
def test_an_id_that_is_taken_by_an_order_that_is_not_told_yet_is_unsure(venue, vendor, second) -> None:
    duplicate = Answer({"code": 40010001, "message": "client_order_id must be unique"}, 422)
    vendor.faults = [duplicate, *([second] * 4)]
    with pytest.raises(VenueUnsureError, match="must be unique"):
        venue.send(order("one", 100.0))


# --- what comes back --------------------------------------------------------------------------------------


def test_orders_and_fills_of_many_pages_come_once_each(venue, vendor, other_side, monkeypatch) -> None:
    monkeypatch.setattr(alpaca, "_ORDERS_A_PAGE", 3)
    monkeypatch.setattr(alpaca, "_FILLS_A_PAGE", 3)
    names = [str(number) for number in range(10)]
    for name in names:
        venue.send(order(name, 10.0))
    assert [row.client_order_id for row in venue.orders()] == names
    for name in names:
        other_side.fill(name, 4.0, 50.0)
    fresh = replace(venue, _our_ids={})
    assert [fill.client_order_id for fill in fresh.fills(BEFORE)] == names
    assert [row.client_order_id for row in fresh.orders(["3", "none"])] == names


def test_a_page_that_comes_again_and_again_is_no_answer(venue, vendor, other_side, monkeypatch) -> None:
    monkeypatch.setattr(alpaca, "_ORDERS_A_PAGE", 1)
    venue.send(order("one", 1.0))

    def serve(request: Request) -> Answer:
        return other_side.serve(replace(request, query={**request.query, "after_order_id": None}))

    vendor.serve = lambda request: serve(request) if request.path == "/v2/orders" else other_side.serve(request)
    other_side._list = lambda query: [dict(row) for row in other_side.orders.values()]
    with pytest.raises(VenueDownError, match="once more"):
        venue.orders()


def test_updates_out_of_order_and_pages_out_of_date_say_at_most_less_and_never_twice(venue, vendor, other_side) -> None:
    venue.send(order("one", 100.0))
    other_side.fill("one", 30.0, 50.0)
    stale = copy.deepcopy((other_side.orders, other_side.activities))
    other_side.fill("one", 70.0, 51.0, at=OPENED - pd.Timedelta(minutes=1))  # told late, of an earlier moment
    assert sorted(fill.quantity for fill in venue.fills(BEFORE)) == [30.0, 70.0]
    fresh = other_side.orders, other_side.activities
    other_side.orders, other_side.activities = stale
    (row,) = venue.orders()
    assert (row.status, row.filled_quantity) == ("working", 30.0)
    assert [fill.quantity for fill in venue.fills(BEFORE)] == [30.0]
    other_side.orders, other_side.activities = fresh
    assert len({fill.fill_id for fill in venue.fills(BEFORE)}) == 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending_cancel", ("working", None)),
        ("held", ("working", None)),
        ("done_for_day", ("working", None)),
        ("filled", ("filled", None)),
        ("canceled", ("cancelled", "canceled")),
        ("expired", ("expired", "expired")),
        ("rejected", ("rejected", "rejected")),
        ("replaced", ("cancelled", "replaced by 9")),
    ],
)
def test_every_status_of_alpaca_is_one_of_the_port(venue, other_side, status, expected) -> None:
    venue.send(order("one", 100.0))
    (row,) = other_side.orders.values()
    row.update(status=status, replaced_by="9" if status == "replaced" else None)
    (seen,) = venue.orders(["one"])
    assert (seen.status, seen.reason) == expected


@pytest.mark.parametrize(
    "change", [{"status": "quite new"}, {"qty": None}, {"qty": "many"}, {"side": "up"}, {"filled_qty": "NaN"}]
)
def test_what_is_not_as_documented_is_a_named_error_and_never_guessed(venue, other_side, change) -> None:
    venue.send(order("one", 100.0))
    next(iter(other_side.orders.values())).update(change)
    with pytest.raises(VenueDownError) as error:
        venue.orders(["one"])
    assert error.value.where["rule"] == "rows_as_documented"


def test_an_order_of_somebody_else_in_dollars_or_of_several_legs_is_told_and_leaves_the_account_up(
    venue, other_side
) -> None:
    venue.send(order("one", 100.0))
    (ours,) = other_side.orders.values()
    theirs = {
        "a": {"client_order_id": "by app", "symbol": "CCC", "qty": None, "notional": "500"},
        "b": {"client_order_id": [], "symbol": "", "side": "", "order_class": "mleg", "legs": [{"symbol": "DDD"}]},
    }
    other_side.orders |= {name: ours | {"id": name} | row for name, row in theirs.items()}
    rows = venue.orders(["one", "of no one"])
    assert [(row.client_order_id, row.symbol) for row in rows] == [("one", "AAA"), ("by app", "CCC"), ("", "DDD")]
    assert [row.quantity for row in rows] == pytest.approx([100.0, np.nan, np.nan], nan_ok=True)
    with pytest.raises(VenueDownError):
        venue.orders(["by app"])  # as one of ours it is not as it was sent


def test_positions_of_one_symbol_twice_and_a_fill_without_a_moment_are_named(venue, vendor, other_side) -> None:
    venue.send(order("one", 100.0))
    other_side.fill("one", 30.0, 50.0)
    other_side.activities[0]["transaction_time"] = "NaT"

    def twice(request: Request) -> Answer:
        whole = other_side.serve(request)
        return Answer([*whole.body, *whole.body]) if request.path.endswith("positions") else whole

    vendor.serve = twice
    for ask in (venue.positions, lambda: venue.fills(BEFORE)):
        with pytest.raises(VenueDownError) as error:
            ask()
        assert error.value.where["rule"] == "rows_as_documented"


def test_fills_of_an_order_that_alpaca_no_longer_tells_bear_no_id_of_ours(venue, other_side) -> None:
    venue.send(order("one", 100.0))
    other_side.fill("one", 30.0, 50.0)
    other_side.orders.clear()
    (fill,) = replace(venue, _our_ids={}).fills(BEFORE)
    assert (fill.client_order_id, fill.quantity) == ("", 30.0)


def test_a_cancel_that_may_have_arrived_is_unsure(venue, vendor, other_side) -> None:
    venue.send(order("one", 100.0))

    def serve(request: Request) -> Answer:
        whole = other_side.serve(request)
        return Answer({}, 500) if request.method == "DELETE" else whole

    vendor.serve = serve
    with pytest.raises(VenueUnsureError):
        venue.cancel("one")
    assert venue.orders(["one"])[0].status == "cancelled"


# --- keys, and live accounts ------------------------------------------------------------------------------


def test_keys_are_read_when_asked_and_are_in_no_error_nor_description(venue, vendor, monkeypatch) -> None:
    vendor.faults = [Answer({"message": f"no such key {SECRET}", "code": 1}, 422), Answer({"message": SECRET}, 404)]
    texts = [repr(venue)]
    for ask in (lambda: venue.send(order("one", 1.0)),):
        with pytest.raises(NnAssetsError) as caught:
            ask()
        texts.append(str(caught.value))
    monkeypatch.delenv(KEY)
    with pytest.raises(VenueDownError, match=KEY) as unset:
        venue.cash()
    texts.append(str(unset.value))
    assert SECRET not in "".join(texts)


def test_the_paper_account_is_what_is_opened_and_a_live_one_must_be_asked_for_twice(monkeypatch) -> None:
    monkeypatch.delenv(LIVE_VARIABLE, raising=False)
    assert venue_of("alpaca")("main").base_url == PAPER  # type: ignore[attr-defined]
    for settings, message in (({"base_url": LIVE}, "state live: true"), ({"live": True}, "address of a live account")):
        with pytest.raises(SettingsError, match=message):
            venue_of("alpaca", settings)
    live = venue_of("alpaca", {"base_url": LIVE, "live": True})
    for repeated in ("", PAPER, "1"):
        monkeypatch.setenv(LIVE_VARIABLE, repeated)
        with pytest.raises(SettingsError, match=LIVE_VARIABLE):
            live("main")
    monkeypatch.setenv(LIVE_VARIABLE, LIVE)
    assert live("main").base_url == LIVE  # type: ignore[attr-defined]
