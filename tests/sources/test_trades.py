"""Trades rolled up to bars: against pandas on real trades, against the exchange's own bars, and on a day by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.facts.trades import bars_within_sessions, session_bars_of_trades
from nn_assets.settings import IntradaySettings
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.trades import TradesSource, read_trades
from tests.sources.contract import SourceContract
from tests.sources.members import MemberContract

REAL = "crypto_freqtrade/XRP_ETH-trades.feather"

DAY = """time,symbol,price,size,id,bid,ask
2018-07-03T16:59:59.9Z,ABC,12.0,100,5,11.9,12.1
2018-07-03T13:30:00Z,ABC,10.0,100,1,9.9,10.1
2018-07-03T14:00:00Z,ABC,11.0,300,2,10.95,11.15
2018-07-03T14:00:00Z,ABC,9.5,100,3,,
2018-07-03T14:00:00Z,ABC,11.0,300,2,10.95,11.15
2018-07-03T15:00:00Z,ABC,11.0,100,4,10.9,11.0
2018-07-03T15:00:00Z,ABC,11.5,100,4,10.9,11.0
2018-07-03T13:29:59Z,ABC,99.0,100,6,,
2018-07-03T17:30:00Z,ABC,99.0,100,7,,
2018-07-03T16:00:00Z,ABC,0,100,8,,
2018-07-03T16:00:00Z,ABC,10.0,,9,,
2018-07-05T20:00:00Z,ABC,13.0,50,10,,
2018-07-05T20:00:00.001Z,ABC,14.0,50,11,,
"""


class TestTrades(SourceContract, MemberContract):
    kind = "trades"
    delivers = ("bars",)
    symbols = ("ABC", "XYZ")
    rows = 40
    known_bar = ("ABC", "2017-10-16", 10.0, 11.0, 9.0, 10.5)
    market = {"history_starts": "2017-10-16", "calendar": "XNYS"}  # noqa: RUF012  as of the contract

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        days = pd.bdate_range("2017-10-16", periods=20)
        for symbol, scale in (("ABC", 1.0), ("XYZ", 10.0)):
            lines = ["time,price,size"]
            for number, day in enumerate(days):
                prices = (10.0 + number, 11.0 + number, 9.0 + number, 10.5 + number)
                lines += [f"{day.date()}T{15 + hour}:00:00Z,{price * scale},5" for hour, price in enumerate(prices)]
            (tmp_path / f"{symbol}-trades.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    @pytest.fixture
    def source(self, folder: Path) -> TradesSource:
        return TradesSource(folder, "*-trades.csv", "XNYS")

    @pytest.fixture
    def own_keys(self, folder: Path) -> dict[str, str]:
        return {"path": str(folder)}


def test_a_half_day_by_hand_with_every_row_that_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ticks.csv").write_text(DAY)
    with caplog.at_level(logging.WARNING):
        bars = TradesSource(tmp_path, "ticks.csv", "XNYS").bars()
    half, whole = bars.to_dict("records")
    assert half["session"] == pd.Timestamp("2018-07-03")
    assert [half[name] for name in ("open", "high", "low", "close", "volume", "trades")] == [10, 12, 9.5, 12, 600, 4]
    assert half["vwap"] == pytest.approx((10 * 100 + 11 * 300 + 9.5 * 100 + 12 * 100) / 600)
    spreads = (100 * 0.0 + 300 * 2 * (11.05 - 11.0) / 11.05 + 100 * 0.0) / 500  # of the three trades with quotes
    assert half["effective_spread"] == pytest.approx(spreads)
    assert (half["bid"], half["ask"]) == (11.9, 12.1)
    assert (whole["open"], whole["volume"]) == (13.0, 50.0)  # at the very close; a millisecond after it is too late
    assert np.isnan([whole["bid"], whole["effective_spread"]]).all()
    assert "of 13 trades were left out: 2 faulty, 3 duplicate, 3 out of hours" in caplog.text


def test_real_trades_give_what_pandas_gives_whatever_their_order(shared_data: Path) -> None:
    raw = pd.read_feather(shared_data / REAL)
    moment = pd.to_datetime(raw["timestamp"], unit="ms", utc=True)
    by_day = raw.assign(value=raw["price"] * raw["amount"]).groupby(moment.dt.tz_localize(None).dt.normalize())
    expected = by_day["price"].agg(open="first", high="max", low="min", close="last")
    expected["volume"], expected["trades"] = by_day["amount"].sum(), by_day.size().astype(float)
    expected["vwap"] = by_day["value"].sum() / expected["volume"]
    trades = read_trades(shared_data / REAL, {}, Limits())
    rolled = session_bars_of_trades(trades, "24/7")
    assert rolled.left_out == {"faulty": 0, "duplicate": 0, "out_of_hours": 0}
    assert (expected["trades"].sum(), expected["vwap"].gt(0).sum()) == (12_477, 3)
    made = rolled.bars.set_index("session")[list(expected.columns)]
    np.testing.assert_allclose(made, expected, rtol=1e-12)
    assert rolled.bars["effective_spread"].isna().all()  # these trades carry no quotes
    # Of one moment the order given counts: whole moments are put out of order, and the whole is delivered twice.
    turned = trades.sort_values("at", ascending=False, kind="stable")
    twice = pd.concat([turned, trades], ignore_index=True)
    again = session_bars_of_trades(twice, "24/7")
    assert again.left_out["duplicate"] == len(trades)
    pd.testing.assert_frame_equal(again.bars, rolled.bars)


def test_real_trades_give_the_exchanges_own_minute_bars(shared_data: Path) -> None:
    settings = IntradaySettings(path=str(shared_data / REAL), bar_minutes=1)
    made = read_intraday_files(Path(), settings).set_index("bar_at")
    own = pd.read_feather(shared_data / "crypto_freqtrade" / "XRP_ETH-1m.feather").set_index("date")
    both = made.join(own.add_suffix("_own"), how="inner")
    whole = both.iloc[1:-1]  # the first and the last minute are cut
    assert len(whole) > 2_000
    share = {name: float(np.isclose(whole[name], whole[f"{name}_own"]).mean()) for name in ("high", "low", "close")}
    assert min(share.values()) > 0.99, share


def test_bars_within_the_session_begin_on_whole_minutes() -> None:
    moments = pd.to_datetime(["2018-01-02T14:34:59Z", "2018-01-02T14:35:00Z", "2018-01-02T14:39:59Z"], utc=True)
    trades = pd.DataFrame({"symbol": "A", "at": moments, "price": [1.0, 2.0, 3.0], "size": 1.0, "trade_id": ""})
    bars = bars_within_sessions(trades.assign(bid=np.nan, ask=np.nan), 5).bars
    assert bars["bar_at"].dt.strftime("%H:%M").tolist() == ["14:30", "14:35"]
    assert bars["close"].tolist() == [1.0, 3.0]


def test_the_effective_spread_of_real_trades_beside_real_quotes(shared_data: Path) -> None:
    folder = shared_data / "fx_minute_quotes"
    quotes = pd.read_parquet(folder / "binance__btcusdt-quotes.parquet").sort_values("timestamp")
    raw = pd.read_parquet(folder / "binance__btcusdt-trades.parquet").sort_values("timestamp", kind="stable")
    beside = pd.merge_asof(raw, quotes[["timestamp", "bid", "ask"]], on="timestamp")
    mid = (beside["bid"] + beside["ask"]) / 2.0
    quoted = mid.notna()
    spread = 2.0 * (beside["price"] - mid).abs() / mid
    by_hand = float((spread * beside["quantity"])[quoted].sum() / beside["quantity"][quoted].sum())
    columns = {"timestamp": "at", "quantity": "size", "trade_id": "trade_id"}
    trades = beside.rename(columns=columns).assign(symbol="BTC/USDT")
    trades["trade_id"], trades["at"] = trades["trade_id"].astype("str"), trades["at"].dt.as_unit("ns")
    (bar,) = session_bars_of_trades(trades, "24/7").bars.to_dict("records")
    assert (bar["trades"], bar["session"]) == (2_001, pd.Timestamp("2021-01-08"))
    assert bar["effective_spread"] == pytest.approx(by_hand, rel=1e-12)
    assert 1e-6 < by_hand < 1e-3
