"""Funding rates asked from an exchange (a local server): by version, as each decision knew them.

Dagster plays a first answer that is whole, one that fails, and what is said of them; all else is played by the
operation that its asset calls.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dagster._core.execution import compute_logs

from nn_assets.contracts import SERIES, validate
from nn_assets.errors import NnAssetsError
from nn_assets.market.calendar.sessions import session_close
from nn_assets.operations.asof.series import series_known
from nn_assets.operations.catalog import folder_of
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.series import TakenSeries, ingest_series
from nn_assets.sources.vendors import ccxt
from tests.operations.homes import take_in
from tests.orchestration.conftest import LAST, NAME, failures_of, living_in, run_assets, strategy_of, write_strategy
from tests.sources.test_ccxt import market, milliseconds
from tests.sources.vendor import Answer, Request, Vendor, cut_off, running

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
PAGE = 400
DENSER = pd.Timestamp("2017-03-01", tz="UTC")  # paid every 4 hours from here on
LAG = pd.Timedelta(minutes=1)
SYMBOLS = {"SIM01": BTC, "SIM02": ETH}
Rates = dict[int, float]


@lru_cache
def payments(first: str, seed: int) -> Rates:
    """Rates by their stamp, milliseconds late as exchanges are; they go on after the strategy's history ends.

    To be copied before they are changed: they are drawn once.
    """
    every = pd.date_range(first, "2017-07-20", freq="4h", tz="UTC")
    moments = every[(every.hour % 8 == 0) | (every >= DENSER)]
    draw = np.random.default_rng(seed)
    late = draw.integers(0, 30, len(moments))
    values = draw.normal(0.0, 1e-4, len(moments)).round(8)
    return {milliseconds(at) + int(ms): float(rate) for at, ms, rate in zip(moments, late, values, strict=True)}


class Exchange:
    """Binance's linear perpetuals, as documented; what it says can be changed between two requests."""

    def __init__(self) -> None:
        self.rates = {"BTCUSDT": dict(payments("2015-11-02", 1)), "ETHUSDT": dict(payments("2016-05-09", 2))}
        self.change: Callable[[Request, Answer], Answer] = lambda _, answer: answer

    def __call__(self, request: Request) -> Answer:
        if request.path == "/fapi/v1/exchangeInfo":
            return Answer({"timezone": "UTC", "serverTime": 1, "symbols": [market(name) for name in self.rates]})
        assert request.path == "/fapi/v1/fundingRate"
        name, since = request.query["symbol"], int(request.query["startTime"])
        chosen = [(at, rate) for at, rate in self.rates[name].items() if at >= since][:PAGE]
        records = [
            {"symbol": name, "fundingTime": at, "fundingRate": f"{rate:.8f}", "markPrice": "1"} for at, rate in chosen
        ]
        return self.change(request, Answer(records))


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture(scope="module")
def server() -> Iterator[Vendor]:
    """The exchange's server: at one address throughout, since another address is asked for everything again."""
    with running(Exchange()) as vendor:
        vendor.counts = lambda request: request.path.endswith("fundingRate")
        yield vendor


@contextmanager
def asking(server: Vendor, exchange: Exchange) -> Iterator[Vendor]:
    """Have an exchange answer what is asked for a while; the requests before are forgotten."""
    server.serve = exchange
    server.asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccxt, "CcxtSource", partial(ccxt.CcxtSource, policy=server.policy, paced=False))
        yield server
    assert not server.broken


@pytest.fixture
def vendor(server: Vendor, exchange: Exchange) -> Iterator[Vendor]:
    with asking(server, exchange) as vendor:
        yield vendor


@pytest.fixture
def home(empty_home: Path, vendor: Vendor) -> Path:
    prepared(empty_home, vendor)
    return empty_home


@pytest.fixture(scope="module")
def taken_home(server: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that took the rates in once."""
    home = tmp_path_factory.mktemp("taken")
    with living_in(home), asking(server, Exchange()):
        prepared(home, server)
        take()
    return home


@pytest.fixture
def taken(taken_home: Path, vendor: Vendor, tmp_path: Path) -> Iterator[Path]:
    """A copy of that home, lived in."""
    home = tmp_path / "home"
    shutil.copytree(taken_home, home)
    with living_in(home):
        yield home


def prepared(home: Path, vendor: Vendor, sections: dict[str, dict] | None = None, **changes: object) -> None:
    """Write the tiny strategy with a series asked from the exchange."""
    file = write_strategy(home, **(sections or {}))
    asked = {
        "name": "funding",
        "kind": "ccxt_funding",
        "exchange": "binanceusdm",
        "symbols": SYMBOLS,
        "base_url": vendor.url,
    }
    series = {key: value for key, value in {**asked, **changes}.items() if value is not None}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text(encoding="utf-8")), "series": [series]}))


def take() -> TakenSeries:
    """Take the series in; what came of it."""
    with open_history(strategy_of()) as history:
        (taken,) = ingest_series(history, folder_of(NAME))
    return taken


def fails() -> str:
    with pytest.raises(NnAssetsError) as failed:
        take()
    return str(failed.value)


def versions() -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        return history.series_versions


def quarantine() -> pd.DataFrame:
    with open_history(strategy_of()) as history:
        return history.stores.lake.read_table("tiny", "series_quarantine")


def known(until: str = LAST) -> np.ndarray:
    with open_history(strategy_of()) as history:
        sessions = history.sessions(until)
        inputs = (history.strategy, history.series_versions)
        return series_known(*inputs, "funding", sessions, ("SIM01", "SIM02")).values


def moments_asked(vendor: Vendor, name: str) -> list[pd.Timestamp]:
    asked = [int(request.query["startTime"]) for request in vendor.asked if request.query["symbol"] == name]
    return [pd.Timestamp(at, unit="ms", tz="UTC") for at in asked]


def decision(session: object) -> pd.Timestamp:
    return session_close("XNYS", session) + pd.Timedelta(minutes=30)


def seen_at(rates: Rates, moment: pd.Timestamp) -> tuple[float, float]:
    """The plain reference: the newest rate known at a moment, and the minutes since the one before."""
    first, last = milliseconds(pd.Timestamp("2016-01-04", tz="UTC")), milliseconds(moment - LAG)
    observed = sorted((at, rate) for at, rate in rates.items() if first <= at <= last)
    if len(observed) < 2:
        return np.nan, np.nan
    return observed[-1][1], round((observed[-1][0] - observed[-2][0]) / 60_000)


@pytest.mark.full
def test_rates_are_stored_under_the_bars_symbols_up_to_the_last_decision(home, exchange, vendor) -> None:
    result = run_assets(strategy_of(), "tables", ("other_series",))
    assert result.success, failures_of(result)
    metadata = result.asset_materializations_for_node("tiny__other_series")[0].metadata
    stored = validate(versions(), SERIES)
    first, end = pd.Timestamp("2016-01-04", tz="UTC"), decision(LAST)
    for own, name in (("SIM01", "BTCUSDT"), ("SIM02", "ETHUSDT")):
        rows = stored[stored["symbol"] == own].sort_values("observed_at")
        due = {pd.Timestamp(at, unit="ms", tz="UTC"): rate for at, rate in exchange.rates[name].items()}
        due = {at: rate for at, rate in due.items() if first <= at <= end}
        assert rows["value"].tolist() == list(due.values())
        assert rows["observed_at"].tolist() == [at.floor("h") for at in due]
        assert rows["known_at"].tolist() == [at + LAG for at in due]
        assert set(rows["source"]) == {f"ccxt:binanceusdm {SYMBOLS[own]}"}
        assert len(moments_asked(vendor, name)) > len(due) // PAGE > 1
    assert metadata["added"].value == len(stored)
    assert "of 240 min" in metadata["series"].value
    assert "of 480 min" in metadata["series"].value


def test_asked_again_it_adds_nothing_and_asks_for_the_last_week_alone(taken, vendor) -> None:
    before = versions()
    assert take().counted.added == 0
    assert min(moments_asked(vendor, "BTCUSDT")) == pd.Timestamp("2017-06-23", tz="UTC")
    pd.testing.assert_frame_equal(versions(), before)


@pytest.mark.full
def test_a_restated_rate_is_a_new_version_known_from_its_arrival(taken, exchange) -> None:
    before = known()
    at = next(at for at in exchange.rates["BTCUSDT"] if at >= milliseconds(pd.Timestamp("2017-06-29", tz="UTC")))
    exchange.rates["BTCUSDT"][at] = 0.01
    assert take().counted.revised == 1
    restated = versions().query("value == 0.01").iloc[0]
    assert restated["observed_at"] == pd.Timestamp("2017-06-29", tz="UTC")
    assert restated["known_at"] == restated["ingested_at"]
    assert known().tobytes() == before.tobytes()


def refusing(request: Request, answer: Answer) -> Answer:
    return Answer({"code": -1121, "msg": "Invalid symbol."}, 400) if request.query["symbol"] == "ETHUSDT" else answer


def down(request: Request, answer: Answer) -> Answer:
    return Answer({"msg": "maintenance"}, 503) if request.query["symbol"] == "ETHUSDT" else answer


def cut(request: Request, answer: Answer) -> Answer:
    return cut_off(answer.body) if request.query["symbol"] == "ETHUSDT" else answer


def empty(request: Request, answer: Answer) -> Answer:
    return Answer([]) if request.query["symbol"] == "ETHUSDT" else answer


def ended_early(request: Request, answer: Answer) -> Answer:
    last = milliseconds(pd.Timestamp("2017-06-28", tz="UTC"))
    return Answer([row for row in answer.body if row["symbol"] == "BTCUSDT" or row["fundingTime"] < last])


FAULTS = [
    (refusing, "series.symbols"),
    (down, "run again later"),
    (cut, "ask again later"),
    (empty, "series.symbols"),
    (ended_early, "run again"),
]


@pytest.mark.parametrize(("change", "remedy"), FAULTS)
def test_an_answer_that_is_none_names_exchange_symbol_and_remedy_and_leaves_the_store_alone(
    taken, exchange, change, remedy
) -> None:
    before, held = versions(), quarantine()
    exchange.rates["BTCUSDT"] = {at: 2.0 * rate for at, rate in exchange.rates["BTCUSDT"].items()}
    exchange.change = change
    message = fails()
    assert "ccxt:binanceusdm" in message
    assert ETH in message
    assert remedy in message
    pd.testing.assert_frame_equal(versions(), before)
    pd.testing.assert_frame_equal(quarantine(), held)


@pytest.mark.full
def test_a_first_answer_that_fails_stores_nothing(home, exchange) -> None:
    exchange.change = empty
    result = run_assets(strategy_of(), "tables", ("other_series",))
    assert not result.success
    assert f"funding rates of {ETH} from 2016-01-04 to 2017-06-30" in failures_of(result)["tiny__other_series"]
    assert versions().empty


@pytest.mark.full
def test_the_feature_reads_the_rates_of_the_bars_symbol(home, exchange) -> None:
    file = home / "strategies" / "tiny.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["features"] |= {"names": ["log_return_1", "funding_rate_per_day"], "series": {"funding_rate": "funding"}}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        cube = history.view().cube
    values = cube.feature("funding_rate_per_day")
    for column, name in ((0, "BTCUSDT"), (1, "ETHUSDT")):
        seen = [seen_at(exchange.rates[name], decision(session)) for session in cube.sessions]
        expected = [rate * 1440.0 / minutes for rate, minutes in seen]
        assert np.isfinite(expected).sum() > 250
        np.testing.assert_allclose(values[:, column], expected, rtol=1e-12)
    assert np.isnan(values[:, 2:]).all()  # without a series of their own, and there is none of the market


@pytest.mark.full
def test_a_rate_stamped_after_a_decision_is_not_seen_by_it(home, exchange) -> None:
    day = pd.Timestamp("2016-12-01")
    after = milliseconds(decision(day))
    exchange.rates["BTCUSDT"][after - 3_600_000 * 5 // 10 - 20] = (
        0.005  # 21:00 less 20 ms: known at 21:01, before 21:30
    )
    exchange.rates["BTCUSDT"][after + 1_800_000] = 0.007  # 22:00
    exchange.rates["BTCUSDT"] = dict(sorted(exchange.rates["BTCUSDT"].items()))
    take()
    whole = known()
    row = len(known(str(day.date()))) - 1
    assert whole[row, 0] == 0.005
    assert seen_at(exchange.rates["BTCUSDT"], decision(day))[0] == 0.005
    assert known(str(day.date())).tobytes() == whole[: row + 1].tobytes()


@pytest.mark.full
def test_other_settings_ask_for_the_whole_history_again(taken, vendor) -> None:
    count = len(versions())
    prepared(taken, vendor, {"market": {"history_starts": "2015-12-01"}})
    earlier = take().counted.added
    assert min(moments_asked(vendor, "BTCUSDT")) == pd.Timestamp("2015-12-01", tz="UTC")
    assert earlier == (pd.Timestamp("2016-01-04") - pd.Timestamp("2015-12-01")).days * 3
    assert len(versions()) == count + earlier


@pytest.mark.full
def test_a_rate_off_the_grid_stays_in_quarantine_though_it_is_not_asked_for_again(home, exchange, vendor) -> None:
    off = milliseconds(pd.Timestamp("2016-06-01 10:17", tz="UTC"))
    late = milliseconds(pd.Timestamp("2017-06-28 10:17", tz="UTC"))
    exchange.rates["BTCUSDT"] = dict(sorted({**exchange.rates["BTCUSDT"], off: 0.5, late: 0.6}.items()))
    assert len(take().judged.quarantine) == 2
    held = quarantine()
    assert list(held["rule"]) == ["off_grid"] * 2
    assert len(take().judged.quarantine) == 1  # of the week asked again
    pd.testing.assert_frame_equal(quarantine(), held)
    del exchange.rates["BTCUSDT"][late]
    take()
    assert list(quarantine()["value"]) == ["0.5"]


@pytest.mark.full
def test_nothing_of_the_vault_is_stored(empty_home, vendor) -> None:
    prepared(empty_home, vendor, {"market": {"live_starts": None, "vault_starts": "2017-06-01"}})
    take()
    newest = versions()["observed_at"].max()
    assert newest == pd.Timestamp("2017-05-31 20:00", tz="UTC")


def test_an_exchange_left_out_is_the_bars_and_a_market_that_never_closes_reads_the_midnight_rate(
    empty_home, exchange, vendor
) -> None:
    source = {"kind": "ccxt", "exchange": "binanceusdm", "base_url": vendor.url, "seed": None, "planted_rank_ic": None}
    sections = {"source": source, "market": {"calendar": "24/7", "symbols": [BTC], "known_at_lag_minutes": 5}}
    prepared(empty_home, vendor, sections, exchange=None, base_url=None, symbols=[BTC])
    take()
    stored = versions()
    assert set(stored["symbol"]) == {BTC}
    midnight = stored[stored["observed_at"] == pd.Timestamp("2017-07-01", tz="UTC")]
    assert list(midnight["session"]) == [pd.Timestamp(LAST)]  # it closes then
    assert stored["observed_at"].max() == pd.Timestamp("2017-07-01", tz="UTC")


def test_without_the_extra_the_error_names_it(home, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    assert "pip install -c constraints.txt -e '.[ccxt]'" in fails()
    assert versions().empty


@pytest.mark.full
def test_a_line_before_and_after_says_what_is_asked_and_what_came(home, capfd, monkeypatch) -> None:
    monkeypatch.setattr(compute_logs, "tail_to_stream", compute_logs.execute_posix_tail)  # as it is outside of tests
    assert run_assets(strategy_of(), "tables", ("other_series",)).success
    output = capfd.readouterr().err
    assert f"funding: asking ccxt:binanceusdm for the rates of {BTC}, {ETH} from 2016-01-04" in output
    assert "rates, 2016-01-04 to 2017-06-30" in output
