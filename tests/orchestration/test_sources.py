"""Bars from a database and from a vendor, taken in and published by the assets that every strategy has."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.operations.history import open_history
from nn_assets.operations.intake.sources import source_of
from nn_assets.operations.wings.market import WING
from nn_assets.orchestration.naming import described
from nn_assets.sources.protocol import ActionSource, Source
from nn_assets.sources.simulated import SimulatedSource
from tests.orchestration.conftest import LAST, NAME, TINY, failures_of, run_assets, strategy_of, write_strategy
from tests.sources.secrets import SECRET
from tests.sources.vendor import Answer, Request, running

pytestmark = pytest.mark.slow

SYMBOLS = tuple(TINY["market"]["symbols"])  # type: ignore[arg-type]
OTHER = dict.fromkeys(("seed", "planted_rank_ic"))
ASSETS = ("raw_bars", "validated_bars")
DIVIDEND = {"ticker": SYMBOLS[0], "ex_dividend_date": "2016-06-01", "cash_amount": 0.25, "currency": "USD"}
NUMBERS = ["open", "high", "low", "close", "volume"]


def market() -> pd.DataFrame:
    source = SimulatedSource("XNYS", pd.Timestamp("2016-01-04").date(), seed=5, planted_rank_ic=0.3)
    return source.bars(SYMBOLS, None, pd.Timestamp(LAST)).drop(columns="source")


def published(source: str) -> pd.DataFrame:
    """What the assets publish, after checks that it came from the source."""
    result = run_assets(strategy_of(), "tables", ASSETS)
    assert result.success, failures_of(result)
    with open_history(strategy_of()) as history:
        publication = history.stores.publications.current(NAME)
        assert publication is not None
        bars = history.stores.publications.bars(publication)
        recorded = history.stores.ledger.read("publications", NAME)
    assert len(recorded) == 1
    assert set(bars["source"]) == {source}
    return bars


@pytest.mark.full
def test_bars_of_a_database_are_published(empty_home: Path, monkeypatch) -> None:
    bars = market()
    file = empty_home / "market.sqlite"
    with sqlite3.connect(file) as connection:
        frame = bars.assign(session=bars["session"].dt.strftime("%Y-%m-%d"))
        frame.to_sql("bars", connection, index=False)
    connection.close()
    query = "SELECT * FROM bars WHERE symbol IN :symbols AND session BETWEEN :first AND :last"
    write_strategy(empty_home, source={"kind": "sql", "url_env": "TEST_MARKET_URL", "query": query, **OTHER})
    monkeypatch.setenv("TEST_MARKET_URL", f"sqlite:///{file}")
    actual = published("sql")
    pd.testing.assert_frame_equal(actual[["symbol", "session", *NUMBERS]], bars[["symbol", "session", *NUMBERS]])


@pytest.mark.full
def test_bars_of_a_vendor_are_published_and_its_key_is_stored_nowhere(empty_home: Path, monkeypatch) -> None:
    bars = market()
    moments = bars["session"].dt.tz_localize("America/New_York").dt.as_unit("ms").astype("int64")
    spoken = bars[NUMBERS].set_axis(["o", "h", "l", "c", "v"], axis=1).assign(t=moments)

    def serve(request: Request) -> Answer:
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        if request.path.startswith("/stocks/"):
            paid = "dividends" in request.path and request.query["ticker"] == SYMBOLS[0]
            return Answer({"status": "OK", "results": [DIVIDEND] if paid else []})
        symbol, (first, last) = request.path.split("/")[4], request.path.split("/")[-2:]
        rows = spoken[(bars["symbol"] == symbol) & bars["session"].between(first, last)].to_dict("records")
        return Answer({"status": "OK", "adjusted": False, "ticker": symbol, "resultsCount": len(rows), "results": rows})

    monkeypatch.setenv("TEST_VENDOR_KEY", SECRET)
    with running(serve) as vendor:
        source = {"kind": "massive", "key_env": "TEST_VENDOR_KEY", "base_url": vendor.url, **OTHER}
        write_strategy(empty_home, source=source)
        actual = published("massive")
    pd.testing.assert_frame_equal(actual[["symbol", "session", *NUMBERS]], bars[["symbol", "session", *NUMBERS]])
    with open_history(strategy_of()) as history:
        actions = history.view().actions
    assert actions is not None
    assert actions[["symbol", "kind", "value"]].to_numpy().tolist() == [[SYMBOLS[0], "dividend", 0.25]]
    stored = [file for file in empty_home.rglob("*") if file.is_file()]
    assert stored
    assert not [file for file in stored if SECRET.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("sql", {"url_env": "ABSENT", "query": "SELECT 1"}),
        ("massive", {"key_env": "ABSENT"}),
        ("alpaca", {"key_env": "ABSENT", "secret_env": "ABSENT", "feed": "iex"}),
        ("ccxt", {"exchange": "kraken"}),
        ("yfinance", {}),
    ],
)
def test_a_source_is_made_without_a_key_or_a_question(empty_home: Path, monkeypatch, kind, keys) -> None:
    monkeypatch.delenv("ABSENT", raising=False)
    write_strategy(empty_home, source={"kind": kind, **keys, **OTHER})
    with open_history(strategy_of()) as history:
        source = source_of(history, empty_home / "strategies")
    assert isinstance(source, Source)
    assert source.name == kind
    assert isinstance(source, ActionSource) is (kind != "ccxt")


def test_the_version_of_raw_bars_follows_the_vendor_that_delivers_them_and_no_other(empty_home: Path) -> None:
    versions = []
    for kind, second in (("massive", None), ("alpaca", None), ("massive", {"kind": "yfinance"})):
        write_strategy(empty_home, source={"kind": kind, **OTHER}, market={"compare_with": second})
        tables = {asset.name: asset for asset in WING.assets(strategy_of())}
        descriptions = [described(strategy_of(), name, "data", set(), *tables[name].made_by) for name in ASSETS]
        versions.append([description["code_version"] for description in descriptions])
    raw, validated = (set(column) for column in zip(*versions, strict=True))
    assert (len(raw), len(validated)) == (3, 1)


@pytest.mark.full
def test_a_vendor_that_refuses_the_key_halts_the_run_by_name(empty_home: Path, monkeypatch) -> None:
    monkeypatch.setenv("TEST_VENDOR_KEY", SECRET)
    with running(lambda _: Answer({"message": f"Unknown API Key {SECRET}"}, 401)) as vendor:
        source = {"kind": "massive", "key_env": "TEST_VENDOR_KEY", "base_url": vendor.url, **OTHER}
        write_strategy(empty_home, source=source)
        result = run_assets(strategy_of(), "tables", ASSETS)
    assert not result.success
    (message,) = [text for step, text in failures_of(result).items() if "raw_bars" in step]
    assert "authorised" in message
    assert "source massive" in message
    files = [file for file in empty_home.rglob("*") if file.is_file()]
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
