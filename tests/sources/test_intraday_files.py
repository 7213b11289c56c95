"""Intraday bars from real files: crypto minutes with gaps, currency quotes by side, and faults with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.market.facts.intraday import session_bars, stamped_intraday
from nn_assets.market.quality.intraday_cleaning import CleanedIntraday, clean_intraday
from nn_assets.settings import CleaningSettings, IntradaySettings
from nn_assets.sources.tables.intraday_files import read_intraday_files

ARRIVED = pd.Timestamp("2026-01-05T12:00Z").as_unit("ns")
CRYPTO = "crypto_freqtrade/"
ROLLING = {"rolls_at": "17:00", "timezone": "America/New_York"}


def cleaned(folder: Path, calendar: str, **options) -> CleanedIntraday:
    settings = IntradaySettings(**options)
    frame = stamped_intraday(read_intraday_files(folder, settings), calendar, settings, ARRIVED)
    return clean_intraday(frame, calendar, settings, CleaningSettings(traded_with_volume=False))


def runs_missing(file: Path, step: int) -> list[int]:
    """Lengths of the runs of starts that a file lacks, minute by minute from its first bar to its last day's end."""
    there = {int(at.timestamp()) for at in pd.read_feather(file, columns=["date"])["date"]}
    at, last, day = min(there), max(there), 86_400
    runs, run = [], 0
    while at < (last // day + 1) * day:
        if at in there:
            runs, run = runs + [run] * (run > 0), 0
        else:
            run += 1
        at += step * 60
    return runs + [run] * (run > 0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("path", "minutes", "rows", "gaps", "missing"),
    [
        (f"{CRYPTO}XRP_ETH-1m.feather", 1, 2469, 677, 1851),  # 676 within it, and the end of its last day
        (f"{CRYPTO}ADA_BTC-5m.feather", 5, 5720, 6, 269),
        (f"{CRYPTO}ETH_BTC-5m.feather", 5, 5760, 1, 229),  # whole; it ends at 04:50
        (f"{CRYPTO}futures/*-5m-futures.feather", 5, 1999, 1, 17),
    ],
)
def test_crypto_bars_pass_and_their_gaps_are_counted(shared_data, path, minutes, rows, gaps, missing) -> None:
    result = cleaned(shared_data, "24/7", path=path, bar_minutes=minutes)
    assert (len(result.bars), len(result.quarantine)) == (rows, 0)
    assert (len(result.gaps), int(result.gaps["missing"].sum())) == (gaps, missing)
    (file,) = shared_data.glob(path)
    assert list(result.gaps["missing"]) == runs_missing(file, minutes)
    assert result.due == rows + missing


@pytest.mark.full
def test_a_month_of_pound_quotes_has_its_crossed_minutes_in_quarantine(shared_data) -> None:
    options = {"path": "fx_minute_quotes/*.csv", "bar_minutes": 1, "named": {"fxcm__gbpusd": "GBP/USD"}}
    result = cleaned(shared_data, "24/5", **options, **ROLLING)
    assert dict(result.quarantine["rule"].value_counts()) == {"crossed_quote": 1203}
    assert len(result.bars) == 30117 - 1203
    assert set(result.bars["symbol"]) == {"GBP/USD"}
    first = result.bars.iloc[0]
    assert first["close"] == (1.57576 + 1.57585) / 2.0
    assert (first["bid_open"], first["ask_open"]) == (1.57597, 1.57608)
    assert result.bars["volume"].isna().all()
    # By the calendar's own days the four Sunday evenings belong to no session.
    plain = cleaned(shared_data, "24/5", **options)
    assert plain.counts()["off_calendar"] == 116 + 119 + 120 + 119


@pytest.mark.full
def test_session_bars_of_the_pound_are_nineteen_and_none_is_a_sunday(shared_data) -> None:
    settings = IntradaySettings(path="fx_minute_quotes/*.csv", bar_minutes=1, **ROLLING)
    result = cleaned(shared_data, "24/5", **settings.model_dump(exclude_unset=True))
    made = session_bars(result.bars, "24/5", settings)
    assert len(made.bars) == 19
    assert set(made.bars["session"].dt.day_name()) == {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
    assert [str(day.date()) for day in made.left_out["session"]] == ["2012-02-01", "2012-02-14", "2012-03-01"]


# --- the same facts in other clothes, and faults ------------------------------------------------------------


def minutes(count: int = 3, step: int = 5) -> pd.DataFrame:
    times = pd.date_range("2024-03-08T14:30Z", periods=count, freq=f"{step}min")
    prices = {name: np.full(count, 10.0) for name in ("open", "high", "low", "close")}
    return pd.DataFrame({"date": times, **prices, "volume": 1.0})


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
def test_bars_are_the_same_whatever_their_format(tmp_path, ending) -> None:
    if ending == "csv":
        minutes().to_csv(tmp_path / "AAA-5m.csv", index=False)
    else:
        getattr(minutes(), f"to_{ending}")(tmp_path / f"AAA-5m.{ending}")
    bars = read_intraday_files(tmp_path, IntradaySettings(path="."))
    assert list(bars["symbol"]) == ["AAA"] * 3
    assert bars["bar_at"].iloc[1] == pd.Timestamp("2024-03-08T14:35Z")
    assert list(bars["source"]) == [f"intraday:AAA-5m.{ending}"] * 3


def test_a_side_without_the_other_is_refused_and_a_minute_of_one_side_has_no_mid(tmp_path) -> None:
    minutes().to_csv(tmp_path / "AAA-bid.csv", index=False)
    with pytest.raises(SourceError, match="one side alone of AAA"):
        read_intraday_files(tmp_path, IntradaySettings(path="."))
    minutes(2).assign(close=10.5).to_csv(tmp_path / "AAA-ask.csv", index=False)
    bars = read_intraday_files(tmp_path, IntradaySettings(path="."))
    np.testing.assert_array_equal(bars["close"], [10.25, 10.25, np.nan])
    np.testing.assert_array_equal(bars["volume"], [2.0, 2.0, 1.0])


def test_bars_finer_than_the_settings_say_are_refused(tmp_path) -> None:
    minutes(step=1).to_csv(tmp_path / "AAA-1m.csv", index=False)
    with pytest.raises(SourceError, match="1 minutes apart") as caught:
        read_intraday_files(tmp_path, IntradaySettings(path="."))
    assert caught.value.where["rule"] == "bars_of_their_size"


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [("date", "yesterday", "values_of_their_kind"), ("close", "ten", "values_of_their_kind")],
)
def test_a_cell_that_is_none_of_its_kind_is_named(tmp_path, column, value, rule) -> None:
    table = minutes().astype({column: object})
    table.loc[1, column] = value
    table.to_csv(tmp_path / "AAA-5m.csv", index=False)
    with pytest.raises(SourceError) as caught:
        read_intraday_files(tmp_path, IntradaySettings(path="."))
    assert (caught.value.where["rule"], caught.value.where["row"]) == (rule, 3)


def test_no_file_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"intraday\.path"):
        read_intraday_files(tmp_path, IntradaySettings(path="*-5m.feather"))
