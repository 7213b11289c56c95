"""Massive, played by a local server that answers as the vendor's documentation shows."""

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
from nn_assets.sources.vendors.massive import MassiveSource
from tests.sources.contract import SourceContract
from tests.sources.faults import VendorFaults
from tests.sources.members import MemberContract
from tests.sources.secrets import SECRET, refused
from tests.sources.vendor import Answer, Request, Vendor, running

KEY = "TEST_MASSIVE_KEY"
DAYS = pd.bdate_range("2017-10-16", "2017-11-10")  # clocks go back on 5 November; no holiday in between
PAGE = 8


def bar(symbol: str, day: pd.Timestamp) -> dict[str, Any]:
    number = DAYS.get_loc(day) + (100.0 if symbol == "XYZ" else 10.0)
    moment = int(day.tz_localize("America/New_York").timestamp() * 1000)
    return {
        "v": 1000.0,
        "vw": number,
        "o": number,
        "c": number + 0.5,
        "h": number + 1,
        "l": number - 1,
        "t": moment,
        "n": 7,
    }


def paged(request: Request, url: str, rows: list[Any], **also: object) -> Answer:
    start = int(request.query.get("cursor", 0))
    page = rows[start : start + PAGE]
    body: dict[str, Any] = {"status": "OK", "request_id": "x", **also}
    if page:
        body |= {"results": page}
    if start + PAGE < len(rows):
        body["next_url"] = f"{url}{request.path}?cursor={start + PAGE}"
    return Answer(body)


SPLITS = [
    {"id": "E1", "ticker": "XYZ", "execution_date": "2017-10-20", "split_from": 1, "split_to": 2},
    {"id": "E2", "ticker": "XYZ", "execution_date": "2017-11-01", "split_from": 10, "split_to": 1},
]
DIVIDENDS = [
    {
        "id": "D1",
        "ticker": "XYZ",
        "ex_dividend_date": "2017-10-25",
        "cash_amount": 0.63,
        "split_adjusted_cash_amount": 6.3,
        "currency": "USD",
    }
]


def massive(vendor: Vendor) -> Callable[[Request], Answer]:
    def serve(request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["stocks", "v1"]:
            day, rows = ("execution_date", SPLITS) if parts[2] == "splits" else ("ex_dividend_date", DIVIDENDS)
            low, high = request.query[f"{day}.gte"], request.query.get(f"{day}.lte", "9999")
            chosen = [row for row in rows if row["ticker"] == request.query["ticker"] and low <= str(row[day]) <= high]
            answer = paged(request, vendor.url, chosen)
            return replace(answer, body={"results": [], **answer.body})
        assert parts[:3] == ["v2", "aggs", "ticker"]
        assert parts[4:7] == ["range", "1", "day"]
        if "cursor" not in request.query:
            assert request.query == {"adjusted": "false", "sort": "asc", "limit": "50000"}
        symbol, first, last = parts[3], *map(pd.Timestamp, parts[7:])
        days = DAYS[(first <= DAYS) & (last >= DAYS)] if symbol in ("ABC", "XYZ") else DAYS[:0]
        rows = [bar(symbol, day) for day in days]
        page = rows[int(request.query.get("cursor", 0)) :][:PAGE]
        count = {"queryCount": len(page), "resultsCount": len(page), "count": len(page)}
        return paged(request, vendor.url, rows, ticker=symbol, adjusted=False, **count)

    return serve


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setenv(KEY, SECRET)
    with running(lambda request: Answer({})) as vendor:
        vendor.serve = massive(vendor)
        yield vendor


@pytest.fixture
def source(vendor: Vendor) -> MassiveSource:
    scope = Scope("XNYS", ("ABC", "XYZ"), date(2017, 10, 16))
    return MassiveSource(scope, EnvironmentKey(KEY), vendor.url, vendor.policy)


class TestMassive(SourceContract, VendorFaults, MemberContract):
    kind = "massive"
    symbols = ("ABC", "XYZ")
    rows = 40
    known_bar = ("XYZ", "2017-11-06", 115.0, 116.0, 114.0, 115.5)  # a day after the clocks went back
    variables = (KEY,)

    @pytest.fixture
    def source(self, source: MassiveSource) -> MassiveSource:
        return source

    @pytest.fixture
    def own_keys(self, vendor: Vendor) -> dict[str, Any]:
        return {"key_env": KEY, "base_url": vendor.url}

    @pytest.fixture
    def impatient(self, source: MassiveSource) -> MassiveSource:
        return replace(source, timeout_seconds=0.05)

    @pytest.fixture
    def unreachable(self, source: MassiveSource) -> MassiveSource:
        return replace(source, base_url="http://127.0.0.1:1")


def changed(vendor: Vendor, change: Callable[[dict[str, Any], Request], None]) -> None:
    """Let the vendor answer as before, but for a change."""
    honest = vendor.serve

    def serve(request: Request) -> Answer:
        answer = honest(request)
        body = copy.deepcopy(answer.body)
        change(body, request)
        return replace(answer, body=body)

    vendor.serve = serve


def test_vwap_and_how_many_trades_there_were_come_with_the_bars(source) -> None:
    bars = source.bars()
    assert bars["vwap"].notna().all()
    assert (bars["trades"] > 0.0).all()


def test_a_vendor_that_answers_fewer_rows_than_it_announces_is_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: body["results"].pop())
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"], error.where["value"]) == ("whole_answer", "ABC", 8)
    assert "7 rows of 8 announced" in error.found


def test_a_page_missing_in_the_middle_is_refused_by_its_place(vendor, source, caplog, monkeypatch) -> None:
    monkeypatch.setattr("nn_assets.sources.answers._LONGEST_SILENCE_SESSIONS", 5)

    def skip(body: dict[str, Any], request: Request) -> None:
        body["next_url"] = body.get("next_url", "").replace("cursor=8", "cursor=16") or None

    changed(vendor, skip)
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("whole_answer", "ABC")
    assert error.where["session"] == date(2017, 11, 7)
    assert "8 sessions missing between a page that ends 2017-10-25 and the next" in error.found


@pytest.mark.parametrize("change", ["again", "itself", "backwards"])
def test_a_page_that_comes_twice_is_refused(vendor, source, caplog, change) -> None:
    def twist(body: dict[str, Any], request: Request) -> None:
        if change == "backwards":
            body["results"] = body["results"][::-1]
        elif "next_url" in body and ("cursor" in request.query or change == "again"):
            body["next_url"] = (
                f"{vendor.url}{request.path}?cursor={0 if change == 'again' else request.query['cursor']}"
            )

    changed(vendor, twist)
    assert refused(caplog, source.bars).where["rule"] == "whole_answer"


def test_adjusted_prices_are_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: body.update(adjusted=True))
    assert refused(caplog, source.bars).where["rule"] == "raw_prices"


def test_bars_of_another_symbol_are_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: body.update(ticker="OTHER"))
    assert refused(caplog, source.bars).where == {
        "source": "massive",
        "symbol": "ABC",
        "rule": "same_symbol",
        "column": "ticker",
        "value": "'OTHER'",
    }


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "https://example.invalid"])
def test_the_key_is_sent_to_no_other_host(vendor, source, caplog, host) -> None:
    changed(vendor, lambda body, _: body.update(next_url=f"{host}/v2?cursor=8"))
    assert refused(caplog, source.bars).where["rule"] == "own_pages"


@pytest.mark.full
@pytest.mark.parametrize("spelling", [SECRET, SECRET.replace("/", "\\/")])
@pytest.mark.parametrize("spare", range(3, 24, 4))
def test_no_part_of_a_key_is_told_where_the_vendors_answer_is_cut(vendor, source, caplog, spelling, spare) -> None:
    body = b"x" * (200 - spare) + spelling.encode() + b"y" * 900
    vendor.faults = [Answer(body, 401)]
    message = refused(caplog, source.bars, SECRET[:3]).found
    assert message.startswith("HTTP 401: xxx")
    vendor.faults = [Answer(b" " * (800 - spare) + spelling.encode(), kind="text/html")]
    assert refused(caplog, source.bars, SECRET[:3]).found.endswith(": ***")


@pytest.mark.full
@pytest.mark.parametrize("column", ["status", "ticker", "adjusted", "results"])
@pytest.mark.parametrize("before", [0, 110])
def test_no_part_of_a_key_in_a_good_answer_is_told(vendor, source, caplog, column, before) -> None:
    changed(vendor, lambda body, _: body.update({column: "x" * before + SECRET}))
    refused(caplog, source.bars, SECRET[:3])


def test_a_key_that_the_vendor_echoes_in_the_next_address_is_not_sent_or_logged(vendor, source, caplog) -> None:
    changed(
        vendor,
        lambda body, _: body.update(next_url=body["next_url"] + f"&apiKey={SECRET}") if "next_url" in body else None,
    )
    with caplog.at_level("DEBUG"):
        assert len(source.bars()) == 40
    assert SECRET not in caplog.text
    assert not any("apiKey" in request.query for request in vendor.asked)


@pytest.mark.parametrize(
    ("column", "value"),
    [("c", "10.5"), ("t", "noon"), ("t", None), ("v", True), ("o", [1]), ("h", {}), ("t", 9e18), ("t", 10**17)],
)
def test_a_value_of_the_wrong_kind_is_named(vendor, source, caplog, column, value) -> None:
    changed(vendor, lambda body, _: body["results"][3].update({column: value}))
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("rows_as_documented", "ABC")
    assert repr(value)[:3] in str(error.where["value"])


def test_a_row_without_a_price_is_named(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: body["results"][3].pop("c"))
    assert refused(caplog, source.bars).where["row"] == 3


def test_splits_and_dividends_are_as_paid_on_the_day(vendor, source) -> None:
    actions = source.actions((), None, pd.Timestamp("2017-12-29"))
    assert actions.to_dict("list") == {
        "symbol": ["XYZ"] * 3,
        "ex_session": [pd.Timestamp(day) for day in ("2017-10-20", "2017-10-25", "2017-11-01")],
        "kind": ["split", "dividend", "split"],
        "value": [2.0, 0.63, 0.1],
        "source": ["massive"] * 3,
    }
    assert source.actions(("ABC",)).empty
    assert source.actions(("XYZ",), pd.Timestamp("2017-10-21"), pd.Timestamp("2017-10-31"))["value"].tolist() == [0.63]


def test_a_dividend_in_another_currency_is_refused(vendor, source, caplog) -> None:
    changed(
        vendor, lambda body, _: [row.update(currency="CAD") for row in body.get("results", []) if "cash_amount" in row]
    )
    assert refused(caplog, source.actions).where["rule"] == "dividend_currency"


def test_a_split_without_a_ratio_is_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda body, _: [row.pop("split_to") for row in body.get("results", []) if "split_to" in row])
    assert refused(caplog, source.actions).where["rule"] == "rows_as_documented"


@pytest.mark.parametrize("kind", ["splits", "dividends"])
@pytest.mark.parametrize("without", [lambda body: body.pop("results"), lambda body: body.update(results=None)])
def test_an_answer_without_a_list_of_actions_does_not_say_that_there_are_none(
    vendor, source, caplog, kind, without
) -> None:
    changed(vendor, lambda body, request: without(body) if request.path.endswith(kind) else None)
    error = refused(caplog, source.actions)
    assert (error.where["rule"], error.where["symbol"]) == ("list_of_actions", "ABC")
