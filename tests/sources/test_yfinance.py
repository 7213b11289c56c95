"""Yahoo behind yfinance, played by a local server that answers as Yahoo's chart does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.sources.answers import Scope
from nn_assets.sources.vendors.yfinance import YfinanceSource
from tests.sources.contract import SourceContract
from tests.sources.faults import VendorFaults
from tests.sources.members import MemberContract
from tests.sources.secrets import refused
from tests.sources.vendor import Answer, Request, Vendor, running

yfinance = pytest.importorskip("yfinance", reason="the extra yfinance is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:yfinance.*")  # its own, about pandas 4

DAYS = pd.bdate_range("2017-10-16", "2017-11-10")  # clocks go back on 5 November; no holiday in between


def traded(symbol: str, day: pd.Timestamp) -> tuple[list[float], float]:
    """Open, high, low, close and volume as they were on the day."""
    number = DAYS.get_loc(day) + (100.0 if symbol == "XYZ" else 10.0)
    return [number, number + 1.0, number - 1.0, number + 0.5], 1_000_000.0


def yahoo(splits: dict[str, tuple[int, int]], dividends: dict[str, float]) -> Callable[[Request], Answer]:
    """Yahoo after the splits (new shares, old shares) and dividends (as paid) of XYZ: adjusted, as 32-bit numbers."""

    def later(symbol: str, day: pd.Timestamp) -> float:
        ratios = [new / old for one, (new, old) in splits.items() if pd.Timestamp(one) > day]
        return float(np.prod(ratios)) if symbol == "XYZ" else 1.0

    def serve(request: Request) -> Answer:
        if "/v8/finance/chart/" not in request.path:
            return Answer(b"crumb", kind="text/plain")
        symbol = request.path.rsplit("/", 1)[1]
        if symbol not in ("ABC", "XYZ"):
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return Answer({"chart": {"result": None, "error": error}}, 404)
        first = pd.Timestamp(int(request.query.get("period1", 0)), unit="s", tz="UTC")
        opens = {day: (day + pd.Timedelta("9:30:00")).tz_localize("America/New_York") for day in DAYS}
        days = [day for day in DAYS if opens[day] >= first]
        quote: dict[str, list[Any]] = {name: [] for name in ("open", "high", "low", "close", "volume")}
        for day in days:
            prices, volume = traded(symbol, day)
            for name, price in zip(quote, prices, strict=False):
                quote[name].append(float(np.float32(price / later(symbol, day))))
            quote["volume"].append(int(volume * later(symbol, day)))
        events: dict[str, dict[str, Any]] = {}
        if symbol == "XYZ":
            stamps = {str(day.date()): int(opens[day].timestamp()) for day in days}
            paid = {
                str(stamps[d]): {"amount": cash / later(symbol, pd.Timestamp(d)), "date": stamps[d]}
                for d, cash in dividends.items()
                if d in stamps
            }
            cut = {
                str(stamps[d]): {
                    "date": stamps[d],
                    "numerator": float(new),
                    "denominator": float(old),
                    "splitRatio": f"{new}:{old}",
                }
                for d, (new, old) in splits.items()
                if d in stamps
            }
            events = {"dividends": paid, "splits": cut}
        meta = {
            "currency": "USD",
            "symbol": symbol,
            "instrumentType": "EQUITY",
            "exchangeTimezoneName": "America/New_York",
            "timezone": "EST",
            "gmtoffset": -18000,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "max"],
        }
        result = {
            "meta": meta,
            "timestamp": [int(opens[day].timestamp()) for day in days],
            "events": events,
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
        }
        return Answer({"chart": {"result": [result], "error": None}})

    return serve


SPLITS = {"2017-10-24": (2, 1), "2017-11-02": (1, 10)}
DIVIDENDS = {"2017-10-20": 0.63, "2017-10-31": 0.08}


@pytest.fixture(scope="module", autouse=True)
def _a_place_for_its_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Opened by the library once a process, so no test's own folder."""
    yfinance.set_tz_cache_location(str(tmp_path_factory.mktemp("yfinance")))


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    yfinance.data.YfData.cache_get.cache_clear()
    with running(yahoo(SPLITS, DIVIDENDS)) as vendor:
        vendor.counts = lambda request: "/chart/" in request.path
        yield vendor


@pytest.fixture
def source(vendor: Vendor) -> YfinanceSource:
    scope = Scope("XNYS", ("ABC", "XYZ"), date(2017, 10, 16))
    return YfinanceSource(scope, vendor.url, vendor.policy)


class TestYfinance(SourceContract, VendorFaults, MemberContract):
    kind = "yfinance"
    symbols = ("ABC", "XYZ")
    rows = 40
    known_bar = ("XYZ", "2017-10-23", 105.0, 106.0, 104.0, 105.5)  # before both splits

    @pytest.fixture
    def source(self, source: YfinanceSource) -> YfinanceSource:
        return source

    @pytest.fixture
    def own_keys(self, vendor: Vendor) -> dict[str, Any]:
        return {"base_url": vendor.url}

    @pytest.fixture
    def impatient(self, source: YfinanceSource) -> YfinanceSource:
        return replace(source, timeout_seconds=0.05)

    @pytest.fixture
    def unreachable(self, source: YfinanceSource) -> YfinanceSource:
        return replace(source, base_url="http://127.0.0.1:1")


def test_yahoos_split_adjustment_is_undone_for_prices_and_volume(source) -> None:
    bars = source.bars(("XYZ",)).set_index("session")
    for day in DAYS:
        prices, volume = traded("XYZ", day)
        assert bars.loc[day, ["open", "high", "low", "close", "volume"]].tolist() == [*prices, volume]


def test_splits_after_the_last_session_asked_for_are_undone_too(source) -> None:
    bars = source.bars(("XYZ",), None, pd.Timestamp("2017-10-18"))
    assert bars["close"].tolist() == [100.5, 101.5, 102.5]


@pytest.mark.full
@pytest.mark.parametrize("ratio", [(3, 1), (7, 1), (3, 2), (20, 1), (1, 30)])
def test_a_new_split_changes_no_price_of_the_past(vendor, source, ratio) -> None:
    before = source.bars()
    vendor.serve = yahoo({**SPLITS, "2017-11-10": ratio}, DIVIDENDS)
    after = source.bars()
    merged = ratio[0] < ratio[1]  # Yahoo's whole shares then lose digits that no one can give back
    counted = ["volume"] if merged else []
    pd.testing.assert_frame_equal(after.drop(columns=counted), before.drop(columns=counted), check_exact=True)
    np.testing.assert_allclose(after["volume"], before["volume"], rtol=1e-3)


def test_splits_and_dividends_are_as_paid_on_the_day(source) -> None:
    actions = source.actions((), None, pd.Timestamp("2017-11-30"))
    assert actions.to_dict("list") == {
        "symbol": ["XYZ"] * 4,
        "ex_session": [pd.Timestamp(day) for day in ("2017-10-20", "2017-10-24", "2017-10-31", "2017-11-02")],
        "kind": ["dividend", "split", "dividend", "split"],
        "value": [0.63, 2.0, 0.08, 0.1],
        "source": ["yfinance"] * 4,
    }
    assert source.actions(("ABC",)).empty
    assert source.actions(("XYZ",), None, pd.Timestamp("2017-10-23"))["value"].tolist() == [0.63]


def changed(vendor: Vendor, change: Callable[[dict[str, Any]], object]) -> None:
    """Let Yahoo answer charts as before, but for a change."""
    honest = yahoo(SPLITS, DIVIDENDS)

    def serve(request: Request) -> Answer:
        answer = honest(request)
        if "/chart/" not in request.path:
            return answer
        body = copy.deepcopy(answer.body)
        change(body["chart"]["result"][0])
        return replace(answer, body=body)

    vendor.serve = serve


def test_fewer_prices_than_timestamps_are_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda chart: chart["indicators"]["quote"][0]["close"].pop())
    assert refused(caplog, source.bars).where["rule"] == "rows_as_documented"


def test_bars_wider_than_a_day_are_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda chart: chart["meta"].update(dataGranularity="3mo"))
    error = refused(caplog, source.bars)
    assert (error.where["rule"], error.where["symbol"]) == ("daily_bars", "ABC")


def test_a_chart_without_bars_is_refused(vendor, source, caplog) -> None:
    changed(vendor, lambda chart: chart.update(timestamp=[], indicators={"quote": [{}], "adjclose": [{}]}))
    assert refused(caplog, source.bars).where["symbol"] == "ABC"


def test_a_missing_price_is_delivered_for_cleaning_to_judge(vendor, source) -> None:
    changed(vendor, lambda chart: chart["indicators"]["quote"][0]["high"].__setitem__(3, None))
    assert source.bars(("ABC",))["high"].isna().sum() == 1
