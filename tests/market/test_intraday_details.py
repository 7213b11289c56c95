"""What bars within the session say beyond prices and volume, from files to session bars, against a plain loop."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.contracts import DETAILS
from nn_assets.market.facts.intraday import session_bars, stamped_intraday
from nn_assets.settings import IntradaySettings
from nn_assets.sources.tables.intraday_files import read_intraday_files

HOUR = IntradaySettings(path="bars", bar_minutes=60, min_session_coverage_fraction=0.1)
ARRIVED = pd.Timestamp("2024-04-01T00:00Z").as_unit("ns")


def bars(days: int = 4, symbols: tuple[str, ...] = ("AAA", "BBB")) -> pd.DataFrame:
    """Hourly bars around the clock with all details, some of them missing."""
    draw = np.random.default_rng(3)
    dates = pd.date_range("2024-03-01", periods=24 * days, freq="h", tz="UTC").as_unit("ns")
    count = len(dates) * len(symbols)
    close = 100.0 + draw.normal(size=count)
    frame = pd.DataFrame(
        {
            "symbol": np.repeat(symbols, len(dates)),
            "date": np.tile(dates, len(symbols)),
            "open": close,
            "high": close + 1.0,
            "low": close - 1.0,
            "close": close,
            "volume": draw.integers(0, 4, count) * 100.0,
            "vwap": close + draw.uniform(-0.9, 0.9, count),
            "trades": draw.integers(0, 50, count).astype(float),
            "bid": close - draw.uniform(0.01, 0.02, count),
            "ask": close + draw.uniform(0.01, 0.02, count),
            "effective_spread": draw.uniform(0.0001, 0.0003, count),
        }
    )
    day = frame["date"].dt.day
    frame.loc[frame["volume"] == 0.0, "vwap"] = np.nan  # nothing traded: none is due
    frame.loc[(day == 2) & (frame["symbol"] == "AAA") & (frame["date"].dt.hour == 5), ["vwap", "trades"]] = np.nan
    frame.loc[(day == 2) & (frame["date"].dt.hour == 5), "volume"] = 100.0
    frame.loc[(day == 3) & (frame["date"].dt.hour == 23), "bid"] = np.nan
    frame.loc[(day == 3) & (frame["date"].dt.hour < 9), "effective_spread"] = np.nan
    return frame


def by_hand(of_session: pd.DataFrame) -> dict[str, float]:
    """Details of one session, bar by bar."""
    value = volume = trades = spread = weight = 0.0
    for bar in of_session.sort_values("date").itertuples():
        volume += bar.volume
        trades += bar.trades
        if bar.volume > 0.0:
            value += bar.vwap * bar.volume
        if bar.effective_spread == bar.effective_spread:
            spread, weight = spread + bar.effective_spread * bar.volume, weight + bar.volume
    return {
        "vwap": value / volume,
        "trades": trades,
        "bid": bar.bid,
        "ask": bar.ask,
        "effective_spread": spread / weight,
    }


def made_of(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Session bars of a file of bars."""
    frame.to_feather(folder / "bars.feather")
    read = read_intraday_files(folder, HOUR.model_copy(update={"path": "bars.feather"}))
    versions = stamped_intraday(read, "24/7", HOUR, ARRIVED)
    details = read[["symbol", "bar_at", *DETAILS]] if "vwap" in read else None
    return session_bars(versions, "24/7", HOUR, details).bars


def test_a_session_has_the_vwap_trades_quotes_and_spread_of_its_bars(tmp_path: Path) -> None:
    frame = bars()
    made = made_of(frame.sample(frac=1.0, random_state=1, ignore_index=True), tmp_path)
    assert len(made) == 8
    for row in made.itertuples():
        within = frame[(frame["symbol"] == row.symbol) & (frame["date"].dt.day == row.session.day)]
        for name, expected in by_hand(within).items():
            assert getattr(row, name) == pytest.approx(expected, rel=1e-12, nan_ok=True), (row.session, name)
    second = made[made["symbol"] == "AAA"].set_index("session").loc["2024-03-02"]
    assert np.isnan(second[["vwap", "trades"]].astype(float)).all()  # part of a sum is no sum
    plain = made_of(frame.drop(columns=list(DETAILS)), tmp_path)
    pd.testing.assert_frame_equal(made[plain.columns], plain)
    assert not set(plain.columns) & set(DETAILS)


def test_trades_within_the_session_are_told_as_the_trades_themselves_tell_them(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    start = pd.Timestamp("2024-03-01T00:00Z")
    trades = pd.DataFrame(
        {
            "time": start + pd.to_timedelta(np.sort(draw.integers(0, 2 * 86_400, 4000)), unit="s"),
            "price": 50.0 + draw.normal(size=4000).cumsum() * 0.01,
            "size": draw.integers(1, 9, 4000).astype(float),
        }
    )
    trades["bid"], trades["ask"] = trades["price"] - 0.02, trades["price"] + 0.01
    made = made_of(trades.assign(symbol="AAA"), tmp_path).set_index("session")
    by_day = trades.groupby(trades["time"].dt.tz_localize(None).dt.normalize())
    mid = (trades["bid"] + trades["ask"]) / 2.0
    spread = 2.0 * (trades["price"] - mid).abs() / mid
    for day, group in by_day:
        row, size = made.loc[day], group["size"]
        assert row["vwap"] == pytest.approx(np.average(group["price"], weights=size), rel=1e-12)
        assert row["trades"] == len(group)
        assert (row["bid"], row["ask"]) == (group["bid"].iloc[-1], group["ask"].iloc[-1])
        assert row["effective_spread"] == pytest.approx(np.average(spread[group.index], weights=size), rel=1e-12)


def test_two_columns_for_one_detail_are_told_and_none_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = bars(1).drop(columns=["bid"]).rename(columns={"trades": "Transactions"}).assign(VWAP=1.0)
    frame["effective_spread"] = "unknown"
    frame.to_csv(tmp_path / "bars.csv", index=False)
    with caplog.at_level(logging.WARNING):
        read = read_intraday_files(tmp_path, HOUR.model_copy(update={"path": "bars.csv"}))
    assert {*DETAILS} & {*read.columns} == {"trades", "ask"}
    assert "2 columns for vwap: none is taken" in caplog.text
    assert "column of effective_spread holds 'unknown'" in caplog.text
