"""Alpaca, played by a local server that answers as the vendor's documentation shows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from nn_assets.sources.answers import Scope
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.vendors.alpaca import AlpacaSource
from tests.sources.contract import SourceContract
from tests.sources.faults import VendorFaults
from tests.sources.members import MemberContract
from tests.sources.secrets import SECRET, refused
from tests.sources.vendor import Answer, Request, Vendor, running

KEY, KEY_SECRET = "TEST_ALPACA_KEY", "TEST_ALPACA_SECRET"
DAYS = pd.bdate_range("2017-10-16", "2017-11-10")  # clocks go back on 5 November; no holiday in between
PAGE = 8

ACTIONS: dict[str, list[dict[str, Any]]] = {
    "forward_splits": [
        {"symbol": "XYZ", "new_rate": 2, "old_rate": 1, "process_date": "2017-10-20", "ex_date": "2017-10-20"}
    ],
    "reverse_splits": [
        {"symbol": "XYZ", "new_rate": 1, "old_rate": 10, "process_date": "2017-11-01", "ex_date": "2017-11-01"}
    ],
    "stock_dividends": [{"symbol": "XYZ", "rate": 0.05, "process_date": "2017-11-03", "ex_date": "2017-11-02"}],
    "cash_dividends": [
        # Paid weeks after the ex-day, as most are; and one whose ex-day lies before the span asked for.
        {"symbol": "XYZ", "rate": 0.63, "special": False, "process_date": "2018-01-12", "ex_date": "2017-10-25"},
        {"symbol": "XYZ", "rate": 0.60, "special": False, "process_date": "2017-10-18", "ex_date": "2017-07-25"},
    ],
}


def bar(symbol: str, day: pd.Timestamp) -> dict[str, Any]:
    number = DAYS.get_loc(day) + (100.0 if symbol == "XYZ" else 10.0)
    moment = day.tz_localize("America/New_York").tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "t": moment,
        "o": number,
        "h": number + 1,
        "l": number - 1,
        "c": number + 0.5,
        "v": 1000,
        "n": 7,
        "vw": number,
    }


def alpaca(request: Request) -> Answer:
    assert request.headers["apca-api-key-id"] == request.headers["apca-api-secret-key"] == SECRET
    asked, parts = dict(request.query), request.path.strip("/").split("/")
    start = int(asked.pop("page_token", "page-0").removeprefix("page-"))
    if parts == ["v1", "corporate-actions"]:
        low, high = asked["start"], asked.get("end", "9999")
        listed = [(kind, row) for kind, rows in ACTIONS.items() for row in rows]
        chosen = [(kind, row) for kind, row in listed if row["symbol"] in asked["symbols"]]
        chosen = sorted(
            (one for one in chosen if low <= one[1]["process_date"] <= high), key=lambda one: one[1]["process_date"]
        )
        page: dict[str, list[Any]] = {}
        for kind, row in chosen[start : start + 2]:
            page.setdefault(kind, []).append(row)
        token = f"page-{start + 2}" if start + 2 < len(chosen) else None
        return Answer({"corporate_actions": page, "next_page_token": token})
    assert (parts[:2], parts[3:]) == (["v2", "stocks"], ["bars"])
    last = asked.pop("end", "2100-01-01T00:00:00-05:00")
    first = asked.pop("start")
    assert asked == {"timeframe": "1Day", "adjustment": "raw", "feed": "sip", "limit": "10000", "sort": "asc"}
    symbol = parts[2]
    if symbol not in ("ABC", "XYZ"):
        return Answer({"message": f"invalid symbol: {symbol}"}, 400)
    moments = DAYS.tz_localize("America/New_York")
    rows = [bar(symbol, day) for day in DAYS[(pd.Timestamp(first) <= moments) & (moments <= pd.Timestamp(last))]]
    token = f"page-{start + PAGE}" if start + PAGE < len(rows) else None
    return Answer({"bars": rows[start : start + PAGE] or None, "symbol": symbol, "next_page_token": token})


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv(KEY_SECRET, SECRET)
    with running(alpaca) as vendor:
        yield vendor


@pytest.fixture
def source(vendor: Vendor) -> AlpacaSource:
    scope = Scope("XNYS", ("ABC", "XYZ"), date(2017, 10, 16))
    keys = EnvironmentKey(KEY), EnvironmentKey(KEY_SECRET)
    return AlpacaSource(scope, *keys, base_url=vendor.url, policy=vendor.policy)


class TestAlpaca(SourceContract, VendorFaults, MemberContract):
    kind = "alpaca"
    symbols = ("ABC", "XYZ")
    rows = 40
    known_bar = ("XYZ", "2017-11-06", 115.0, 116.0, 114.0, 115.5)  # a day after the clocks went back
    variables = (KEY, KEY_SECRET)

    @pytest.fixture
    def source(self, source: AlpacaSource) -> AlpacaSource:
        return source

    @pytest.fixture
    def own_keys(self, vendor: Vendor) -> dict[str, Any]:
        return {"key_env": KEY, "secret_env": KEY_SECRET, "base_url": vendor.url}

    @pytest.fixture
    def impatient(self, source: AlpacaSource) -> AlpacaSource:
        return replace(source, timeout_seconds=0.05)

    @pytest.fixture
    def unreachable(self, source: AlpacaSource) -> AlpacaSource:
        return replace(source, base_url="http://127.0.0.1:1")


def changed(vendor: Vendor, change: Callable[[dict[str, Any], Request], object]) -> None:
    """Let the vendor answer as before, but for a change."""

    def serve(request: Request) -> Answer:
        answer = alpaca(request)
        body = copy.deepcopy(answer.body)
        change(body, request)
        return replace(answer, body=body)

    vendor.serve = serve


def test_vwap_and_how_many_trades_there_were_come_with_the_bars(source) -> None:
    bars = source.bars()
    assert bars["vwap"].notna().all()
    assert (bars["trades"] > 0.0).all()


def test_a_page_missing_in_the_middle_is_refused_by_its_place(vendor, source, caplog, monkeypatch) -> None:
    monkeypatch.setattr("nn_assets.sources.answers._LONGEST_SILENCE_SESSIONS", 5)

    def skip(body: dict[str, Any], request: Request) -> None:
        if body["next_page_token"] == "page-8":
            body["next_page_token"] = "page-16"

    changed(vendor, skip)
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("whole_answer", "ABC")
    assert error.where["session"] == date(2017, 11, 7)


@pytest.mark.parametrize("token", ["page-0", "page-8"])
def test_a_page_that_comes_twice_is_refused(vendor, source, caplog, token) -> None:
    changed(vendor, lambda body, _: body.update(next_page_token=token))
    assert refused(caplog, source.bars).where["rule"] == "whole_answer"


def test_a_page_lost_on_the_way_is_refused(vendor, source, caplog) -> None:
    def lose(body: dict[str, Any], request: Request) -> None:
        if request.query.get("page_token") == "page-8":
            body.clear()

    changed(vendor, lose)
    assert refused(caplog, source.bars).where["rule"] == "rows_as_documented"


@pytest.mark.full
@pytest.mark.parametrize("before", [0, *range(150, 200, 4)])
def test_no_part_of_a_key_in_a_good_answer_is_told(vendor, source, caplog, before) -> None:
    def echo(body: dict[str, Any], _: Request) -> None:
        body.clear()
        body["x" * before] = [{SECRET: SECRET}]

    changed(vendor, echo)
    assert refused(caplog, source.bars, SECRET[:3]).where["rule"] == "rows_as_documented"


@pytest.mark.full
def test_an_empty_page_that_names_a_next_one_is_no_end(vendor, source) -> None:
    whole = source.bars()

    def serve(request: Request) -> Answer:
        token = request.query.get("page_token", "")
        if token == "page-8":
            return Answer({"bars": None, "symbol": request.path.split("/")[3], "next_page_token": "late-8"})
        return alpaca(
            replace(request, query={**request.query, "page_token": token.replace("late", "page") or "page-0"})
        )

    vendor.serve = serve
    pd.testing.assert_frame_equal(source.bars(), whole)


def test_splits_and_dividends_are_as_paid_on_the_day(source) -> None:
    actions = source.actions((), None, pd.Timestamp("2017-12-29"))
    assert actions.to_dict("list") == {
        "symbol": ["XYZ"] * 4,
        "ex_session": [pd.Timestamp(day) for day in ("2017-10-20", "2017-10-25", "2017-11-01", "2017-11-02")],
        "kind": ["split", "dividend", "split", "split"],
        "value": [2.0, 0.63, 0.1, 1.05],
        "source": ["alpaca"] * 4,
    }
    assert source.actions(("ABC",)).empty


def test_an_action_of_an_unknown_kind_or_of_no_size_is_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: body["corporate_actions"].update(mergers=[{}]))
    assert refused(caplog, source.actions).where["rule"] == "rows_as_documented"
    changed(
        vendor, lambda body, _: [row.update(old_rate=0) for row in body["corporate_actions"].get("forward_splits", [])]
    )
    assert "a split of no size" in refused(caplog, source.actions).found
