"""An exchange that ccxt speaks to (Binance's linear perpetuals), played by a local server as documented."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from nn_assets.sources.answers import Scope
from nn_assets.sources.vendors.ccxt import CcxtSource
from tests.sources.contract import SourceContract
from tests.sources.faults import VendorFaults
from tests.sources.members import MemberContract
from tests.sources.secrets import refused
from tests.sources.vendor import Answer, Request, Vendor, running


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    """Imported when a test needs it: whoever runs other files alone need not wait for a hundred exchanges."""
    pytest.importorskip("ccxt", reason="the extra ccxt is not installed")


BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
DAYS = pd.date_range("2021-03-20", "2021-04-12", freq="D", tz="UTC")  # Europe's clocks change; UTC's do not
PAYMENTS = pd.date_range("2021-03-20", "2021-03-27", freq="8h", tz="UTC") + pd.Timedelta("3ms")  # as it comes
PAGE = 10
IDS = ("BTCUSDT", "ETHUSDT")


def market(name: str) -> dict[str, Any]:
    base = name.removesuffix("USDT")
    return {
        "symbol": name,
        "pair": name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        ],
    }


def binance(request: Request) -> Answer:
    if request.path == "/fapi/v1/exchangeInfo":
        return Answer({"timezone": "UTC", "serverTime": 1616889600000, "symbols": [market(name) for name in IDS]})
    since, symbol = pd.Timestamp(int(request.query["startTime"]), unit="ms", tz="UTC"), request.query["symbol"]
    if symbol not in IDS:
        return Answer({"code": -1121, "msg": "Invalid symbol."}, 400)
    if request.path == "/fapi/v1/fundingRate":
        chosen = PAYMENTS[since <= PAYMENTS][:PAGE]
        rates = [
            {
                "symbol": symbol,
                "fundingTime": milliseconds(one),
                "fundingRate": f"{rate(one):.8f}",
                "markPrice": "1",
            }
            for one in chosen
        ]
        return Answer(rates)
    assert request.path == "/fapi/v1/klines"
    assert request.query["interval"] == "1d"
    rows = []
    for day in DAYS[since <= DAYS][:PAGE]:
        number = (day - DAYS[0]).days + (50_000 if symbol == "BTCUSDT" else 1_500)
        prices = [f"{value:.2f}" for value in (number, number + 1, number - 1, number + 0.5)]
        opened = milliseconds(day)
        rows.append([opened, *prices, "12.345", opened + 86_399_999, "617250.0", 99, "6.0", "300000.0", "0"])
    return Answer(rows)


def milliseconds(moment: pd.Timestamp) -> int:
    return int(moment.timestamp() * 1000)


def rate(moment: pd.Timestamp) -> float:
    return (moment.hour - 8) / 80_000.0


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running(binance) as vendor:
        yield vendor


@pytest.fixture
def source(vendor: Vendor) -> CcxtSource:
    scope = Scope("24/7", (BTC, ETH), date(2021, 3, 20))
    return CcxtSource(scope, "binanceusdm", vendor.url, vendor.policy, paced=False)


class TestCcxt(SourceContract, VendorFaults, MemberContract):
    kind = "ccxt"
    delivers = ("bars", "funding_rates")
    market = {"calendar": "24/7", "history_starts": "2021-03-20"}  # noqa: RUF012
    symbols = (BTC, ETH)
    rows = 2 * 24
    known_bar = (ETH, "2021-03-28", 1508.0, 1509.0, 1507.0, 1508.5)

    @pytest.fixture
    def source(self, source: CcxtSource) -> CcxtSource:
        return source

    @pytest.fixture
    def own_keys(self, vendor: Vendor) -> dict[str, Any]:
        return {"exchange": "binanceusdm", "base_url": vendor.url}

    @pytest.fixture
    def impatient(self, source: CcxtSource) -> CcxtSource:
        return replace(source, timeout_seconds=0.05)

    @pytest.fixture
    def unreachable(self, source: CcxtSource) -> CcxtSource:
        return replace(source, base_url="http://127.0.0.1:1")


def changed(vendor: Vendor, path: str, change: Callable[[list[Any], Request], Any]) -> None:
    """Let the exchange answer as before, but for one kind of answer."""

    def serve(request: Request) -> Answer:
        answer = binance(request)
        return replace(answer, body=change(answer.body, request)) if request.path.endswith(path) else answer

    vendor.serve = serve


def test_a_day_that_is_not_over_is_delivered_as_it_stands(vendor, source) -> None:
    assert source.bars((BTC,))["session"].max() == pd.Timestamp("2021-04-12")
    assert source.bars((BTC,), None, pd.Timestamp("2021-04-11"))["session"].max() == pd.Timestamp("2021-04-11")


def test_an_instrument_listed_later_begins_where_it_was_listed(source) -> None:
    bars = source.bars((BTC,), pd.Timestamp("2021-03-01"))
    assert bars["session"].min() == pd.Timestamp("2021-03-20")


def test_a_page_missing_in_the_middle_is_refused_by_its_place(vendor, source, caplog) -> None:
    first = milliseconds(DAYS[0])
    changed(vendor, "klines", lambda rows, request: rows if int(request.query["startTime"]) == first else rows[2:])
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("whole_answer", BTC)
    assert error.where["session"] == pd.Timestamp("2021-03-31")


def test_a_day_without_trades_between_pages_needs_no_explanation(vendor, source) -> None:
    gone = milliseconds(DAYS[4])
    changed(vendor, "klines", lambda rows, _: [row for row in rows if row[0] != gone])
    assert len(source.bars((BTC,))) == 23


def test_a_day_that_comes_twice_is_refused(vendor, source, caplog) -> None:
    changed(vendor, "klines", lambda rows, _: [*rows, rows[-2]])
    assert refused(caplog, source.bars).where["rule"] == "whole_answer"


def test_days_of_another_clock_are_refused(vendor, source, caplog) -> None:
    changed(vendor, "klines", lambda rows, _: [[row[0] + 57_600_000, *row[1:]] for row in rows])
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("utc_days", BTC)
    assert (error.expected, error.found) == ("days that begin at midnight UTC", "'2021-03-20 16:00:00+00:00'")
    assert error.remedy == "choose another exchange"


@pytest.mark.parametrize("answer", [{"code": -1, "msg": "odd"}, "text", [["x"]], [[1]], [None], [[0, "ten"]]])
def test_rows_of_another_shape_are_refused(vendor, source, caplog, answer) -> None:
    changed(vendor, "klines", lambda rows, _: answer)
    refused(caplog, source.bars)


@pytest.mark.parametrize("rate", [None, "x"])
def test_a_funding_rate_that_is_no_number_is_refused_and_shown(vendor, source, caplog, rate) -> None:
    changed(vendor, "fundingRate", lambda rows, _: [*rows[:-1], {**rows[-1], "fundingRate": rate}])
    error = refused(caplog, source.funding_rates)
    assert (error.where["rule"], error.where["symbol"]) == ("rows_as_documented", BTC)
    assert f"'fundingRate': {rate!r}" in error.found
    assert (error.expected, error.remedy) == ("rows as ccxt documents them", "report it")


def test_an_answer_without_bars_is_refused(vendor, source, caplog) -> None:
    changed(vendor, "klines", lambda rows, _: [])
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("not_empty", BTC)


def test_a_symbol_the_exchange_refuses_is_named(source, caplog) -> None:
    error = refused(caplog, lambda: source.bars(("DOGE/USDT:USDT",)))
    assert error.where == {"rule": "known_symbol", "source": "ccxt:binanceusdm", "symbol": "DOGE/USDT:USDT"}


def test_an_exchange_that_bans_for_a_while_is_waited_out(vendor, source) -> None:
    vendor.faults = [Answer({"code": -1003, "msg": "banned"}, 418, {"Retry-After": "30"})]
    source.bars()
    assert vendor.slept == [30.0]


def test_an_unknown_exchange_and_one_without_the_data_are_refused(source, caplog) -> None:
    error = refused(caplog, replace(source, exchange="nosuch").bars)
    assert (error.where["rule"], error.where["value"]) == ("known_exchange", "nosuch")
    assert "an exchange that ccxt knows" in error.expected
    error = refused(caplog, replace(source, exchange="kraken").funding_rates)
    assert (error.where["rule"], error.found) == ("offered", "kraken")
    assert (error.expected, error.remedy) == (
        "an exchange that offers fetchFundingRateHistory",
        f"choose another in {source.exchange_key}",
    )


def test_funding_rates_come_with_the_moment_they_were_paid(vendor, source) -> None:
    rates = source.funding_rates((ETH, BTC), pd.Timestamp("2021-03-21"), pd.Timestamp("2021-03-26"))
    assert rates.columns.tolist() == ["name", "symbol", "observed_at", "value"]
    assert rates["symbol"].tolist() == [ETH] * 18 + [BTC] * 18
    assert rates["observed_at"].dtype == "datetime64[ns, UTC]"
    assert rates.loc[0].tolist() == ["funding_rate", ETH, pd.Timestamp("2021-03-21 00:00:00.003", tz="UTC"), -0.0001]
    assert rates["observed_at"].iloc[17] == pd.Timestamp("2021-03-26 16:00:00.003", tz="UTC")
    assert rates.loc[2, "value"] == 0.0001
    assert len(source.funding_rates((BTC,))) == 22


def test_a_funding_page_missing_in_the_middle_is_refused(vendor, source, caplog) -> None:
    first = milliseconds(PAYMENTS[0])
    changed(vendor, "fundingRate", lambda rows, request: rows if int(request.query["startTime"]) == first else rows[1:])
    assert refused(caplog, source.funding_rates).where["rule"] == "whole_answer"


def test_an_exchange_that_gives_its_newest_funding_rates_alone_is_refused_and_one_listed_late_is_not(
    vendor, source, caplog
) -> None:
    def newest(rows: list[dict[str, Any]], request: Request) -> list[dict[str, Any]]:
        since = pd.Timestamp(int(request.query["startTime"]), unit="ms", tz="UTC")
        payments = [{**rows[0], "fundingTime": milliseconds(one)} for one in PAYMENTS[since <= PAYMENTS]]
        return payments[-int(request.query.get("limit", PAGE)) :]

    late = source.funding_rates((BTC,), pd.Timestamp("2021-02-01"))
    assert late["observed_at"].min() == PAYMENTS[0]
    changed(vendor, "fundingRate", newest)
    error = refused(caplog, lambda: source.funding_rates((BTC,), pd.Timestamp("2021-02-01")))
    assert (error.where["rule"], error.where["symbol"]) == ("from_the_start", BTC)
    assert "the newest alone, from 2021-03-24" in error.found
    assert error.expected == "rates from 2021-02-01 on, the oldest first"
    assert "take a file of rates" in error.remedy


def test_funding_rates_that_all_lie_after_the_span_are_none(source, caplog) -> None:
    other = replace(source, symbols_key="series.symbols")
    asked = refused(caplog, lambda: other.funding_rates((BTC,), pd.Timestamp("2021-03-01"), pd.Timestamp("2021-03-05")))
    assert asked.where["rule"] == "not_empty"
    assert "series.symbols" in asked.remedy
    assert f"funding rates of {BTC} from 2021-03-01 to 2021-03-05" in asked.expected


def test_remedies_name_the_setting_that_stated_the_symbol_and_the_exchange(source, caplog) -> None:
    other = replace(source, symbols_key="series.symbols", exchange_key="series.exchange")
    assert "series.symbols" in refused(caplog, lambda: other.funding_rates(("DOGE/USDT:USDT",))).remedy
    assert "series.exchange" in refused(caplog, replace(other, exchange="nosuch").funding_rates).remedy


def test_an_answer_without_funding_rates_is_refused(vendor, source, caplog) -> None:
    changed(vendor, "fundingRate", lambda rows, _: [])
    assert refused(caplog, source.funding_rates).where["rule"] == "not_empty"


@pytest.mark.parametrize("moment", [None, "soon", 0])
def test_rows_whose_moment_cannot_be_read_are_counted_and_named_and_none_is_dropped(
    vendor, source, caplog, moment
) -> None:
    """By ccxt they would be: what is left looks like a whole answer."""
    changed(vendor, "klines", lambda rows, _: [*rows[:3], *([moment, *row[1:]] for row in rows[3:5]), *rows[5:]])
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("readable_moment", BTC)
    assert error.found.startswith(f"2 of {PAGE} rows without a moment that can be read, the first [")
    assert "50003.0" in error.found
    changed(vendor, "fundingRate", lambda rows, _: [{**rows[0], "fundingTime": moment}, *rows[1:]])
    error = refused(caplog, source.funding_rates)
    assert (error.where["rule"], error.where["symbol"]) == ("readable_moment", BTC)
    assert error.found.startswith(f"1 of {PAGE} rows without a moment that can be read, the first {{")
    changed(vendor, "nothing", lambda rows, _: rows)
    assert len(source.bars()) == 2 * 24
    assert len(source.funding_rates((BTC,))) == 22
