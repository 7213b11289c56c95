"""Other series from files as vendors deliver them, and the faults of such files named with their place."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.market.facts.series_intake import judge_series
from nn_assets.settings import FileSeriesSettings
from nn_assets.sources.tables.columns import columns_named
from nn_assets.sources.tables.plain_tables import read_plain
from nn_assets.sources.tables.series_files import read_series_file


def settings(**changes) -> FileSeriesSettings:
    return FileSeriesSettings(**{"name": "fear", "path": "fear.csv", "lag_minutes": 15, **changes})


def written(folder: Path, text: str, name: str = "fear.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


# --- real files --------------------------------------------------------------------------------------------


@pytest.mark.full
def test_the_volatility_index_of_36_years_has_33_rows_on_holidays_and_47_outside_their_range(shared_data) -> None:
    series_settings = settings(name="vix", path="vix/vix-daily.csv")
    delivered = read_series_file(shared_data, series_settings, "XNYS")
    judged = judge_series(delivered, series_settings, "XNYS")
    assert len(delivered) == 9235
    assert dict(judged.quarantine["rule"].value_counts()) == {"off_calendar": 33}
    assert judged.outside_range == 47
    assert len(judged.observations) == 9235 - 33
    crash = judged.observations[judged.observations["session"] == "2020-03-16"].iloc[0]
    assert crash["value"] == 82.69  # its highest close
    assert crash["observed_at"] == pd.Timestamp("2020-03-16T20:00Z")
    assert crash["known_at"] == pd.Timestamp("2020-03-16T20:15Z")


def test_a_month_of_funding_has_59_stamps_late_by_milliseconds_all_eight_hours_apart(shared_data) -> None:
    series_settings = settings(
        name="funding",
        path="crypto_freqtrade/futures/XRP_USDT_USDT-8h-funding_rate.feather",
        symbol="XRP/USDT:USDT",
        value_column="open",
        stamps="moments",
        lag_minutes=0,
        grid_minutes=60,
        intervals_minutes=(480, 240, 60),
    )
    judged = judge_series(read_series_file(shared_data, series_settings, "24/7"), series_settings, "24/7")
    assert (len(judged.observations), judged.snapped, judged.gaps) == (91, 59, 0)
    assert judged.intervals_minutes == {480: 90}
    assert judged.observations["value"].min() == pytest.approx(-0.00219334)
    assert judged.quarantine.empty
    # Paid at 00:00, it is part of the session that ends there.
    assert judged.observations["session"].iloc[0] == pd.Timestamp("2021-11-17")


# --- the same facts in other clothes ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather"])
def test_a_table_says_the_same_whatever_its_format(tmp_path, ending) -> None:
    frame = pd.DataFrame({"date": pd.to_datetime(["2024-01-02", "2024-01-03"]), "close": [13.2, np.nan]})
    if ending == "csv":
        frame.to_csv(tmp_path / "fear.csv", index=False)
    else:
        getattr(frame, f"to_{ending}")(tmp_path / f"fear.{ending}")
    series = read_series_file(tmp_path, settings(path=f"fear.{ending}"), "XNYS")
    assert list(series["observed_at"]) == list(pd.to_datetime(["2024-01-02T21:00Z", "2024-01-03T21:00Z"]))
    np.testing.assert_array_equal(series["value"], [13.2, np.nan])
    assert list(series["source"]) == [f"series:fear.{ending}"] * 2


@pytest.mark.parametrize("stamp", [1704182400, 1704182400000, 1704182400000000, 1704182400000000000])
def test_epochs_are_read_by_their_size(tmp_path, stamp) -> None:
    pd.DataFrame({"timestamp": [stamp], "rate": [0.0001]}).to_parquet(tmp_path / "rate.parquet")
    series = read_series_file(tmp_path, settings(path="rate.parquet", stamps="moments"), "24/7")
    assert series["observed_at"].iloc[0] == pd.Timestamp("2024-01-02T08:00Z")


def test_a_publication_time_of_the_files_own_is_kept_and_a_symbol_column_read(tmp_path) -> None:
    written(tmp_path, "date,symbol,value,published_at\n2024-01-02,NAN,1,2024-01-09T12:00:00Z\n2024-01-03,TRUE,2,\n")
    series = read_series_file(tmp_path, settings(), "XNYS")
    assert list(series["symbol"]) == ["NAN", "TRUE"]
    assert series["known_at"].iloc[0] == pd.Timestamp("2024-01-09T12:00Z")
    assert pd.isna(series["known_at"].iloc[1])
    with pytest.raises(SourceError, match="a moment"):
        read_series_file(tmp_path, settings(lag_minutes=None), "XNYS")


# --- faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule", "row"),
    [
        ("date,close\n2024-01-02,13\n2024-13-45,14\n", "values_of_their_kind", 3),
        ("date,close\n2024-01-02,13\n2024-01-03,much\n", "values_of_their_kind", 3),
        ("date,mood\n2024-01-02,13\n", "complete_columns", None),
        ("when,close\n2024-01-02,13\n", "complete_columns", None),
        ("date,close\n", "not_empty", None),
        ("date,close\n2018-01-02,1,234.5\n", "readable", 2),
        ("date,close\n2018-01-02,1\n\n2018-01-03\n", "readable", 4),
        ("date,close\n2018-01-02,1\n9999-12-31,2\n", "values_of_their_kind", 3),
        ("date,close\n2018-01-02,1\n1000-01-01,2\n", "values_of_their_kind", 3),
        ("date,close,known_at\n2018-01-02,1,9999-12-31\n", "values_of_their_kind", 2),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_place(tmp_path, text, rule, row) -> None:
    with pytest.raises(SourceError) as caught:
        read_series_file(written(tmp_path, text), settings(), "XNYS")
    assert caught.value.where["rule"] == rule
    assert caught.value.where.get("row") == row
    assert "fear.csv" in str(caught.value)


def test_a_series_with_neither_publication_time_nor_lag_is_refused(tmp_path) -> None:
    written(tmp_path, "date,close\n2024-01-02,13\n")
    with pytest.raises(SourceError, match="lag_minutes"):
        read_series_file(tmp_path, settings(lag_minutes=None), "XNYS")


@pytest.mark.parametrize("wrong", [1e30, np.inf, -np.inf])
def test_an_epoch_beyond_what_a_moment_holds_is_named_with_its_place(tmp_path, wrong) -> None:
    frame = pd.DataFrame({"time": [1.7e9, wrong], "value": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "fear.parquet", index=False)
    with pytest.raises(SourceError) as caught:
        read_series_file(tmp_path, settings(path="fear.parquet", stamps="moments"), "XNYS")
    assert (caught.value.where["rule"], caught.value.where["row"]) == ("values_of_their_kind", 2)
    assert str(wrong) in str(caught.value.where["value"])


@pytest.mark.parametrize("stamps", ["days", "moments"])
def test_a_time_beyond_what_a_moment_holds_is_named_with_its_place(tmp_path, stamps) -> None:
    times = pd.Series(["2018-01-02", "9999-12-31"]).astype("datetime64[us]")
    pd.DataFrame({"time": times, "value": [1.0, 2.0]}).to_parquet(tmp_path / "fear.parquet", index=False)
    with pytest.raises(SourceError, match="9999-12-31") as caught:
        read_series_file(tmp_path, settings(path="fear.parquet", stamps=stamps), "XNYS")
    assert caught.value.where["row"] == 2


def test_a_damaged_gzip_is_named(tmp_path) -> None:
    whole = gzip.compress(b"date,close\n" + b"2018-01-02,1\n" * 99)
    (tmp_path / "fear.csv.gz").write_bytes(whole[:10] + b"\xff" * 9 + whole[19:])
    with pytest.raises(SourceError, match="readable table") as caught:
        read_series_file(tmp_path, settings(path="fear.csv.gz"), "XNYS")
    assert isinstance(caught.value.__cause__, zlib.error)


def test_a_file_that_is_not_there_and_one_that_is_no_table_are_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="nothing there"):
        read_series_file(tmp_path, settings(), "XNYS")
    (tmp_path / "bad.feather").write_bytes(b"not a feather")
    with pytest.raises(SourceError, match="readable table"):
        read_series_file(tmp_path, settings(path="bad.feather"), "XNYS")


# --- a file a symbol ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [20, pytest.param(539, marks=pytest.mark.full)])
def test_a_folder_of_funding_files_is_one_series_each_file_its_symbol_s(tmp_path, count) -> None:
    moments = pd.date_range("2024-01-01", periods=6, freq="8h", tz="UTC")
    draw = np.random.default_rng(4)
    expected = {f"C{n:03d}_USDT_USDT": draw.normal(0.0, 1e-4, 6).round(8) for n in range(count)}
    for symbol, rates in expected.items():
        table = pd.DataFrame({"date": moments, "open": rates, "high": 0.0, "low": 0.0, "close": 0.0})
        table.to_csv(tmp_path / f"{symbol}-8h-funding_rate.csv", index=False)
        if symbol.startswith("C00"):
            table.to_csv(tmp_path / f"{symbol}-8h-mark.csv", index=False)
    series_settings = settings(
        path="*-funding_rate.csv", stamps="moments", value_column="open", lag_minutes=1,
        symbol_from="file_name", named={"C007_USDT_USDT": "BOND"},
    )  # fmt: skip
    judged = judge_series(read_series_file(tmp_path, series_settings, "24/7"), series_settings, "24/7")
    observations = judged.observations
    assert (len(observations), len(judged.quarantine), judged.equal_rows) == (count * 6, 0, 0)
    by_symbol = {symbol: rows.tolist() for symbol, rows in observations.groupby("symbol")["value"]}
    by_symbol["C007_USDT_USDT"] = by_symbol.pop("BOND")
    assert by_symbol == {symbol: rates.tolist() for symbol, rates in expected.items()}


def test_files_that_contradict_each_other_are_no_series_of_the_market_and_the_remedy_mends_it(tmp_path) -> None:
    written(tmp_path, "date,value\n2018-03-01,1\n2018-03-02,2\n", "AAA.csv")
    written(tmp_path, "date,value\n2018-03-01,1\n2018-03-02,5\n", "BBB.csv")
    with pytest.raises(SourceError) as refused:
        read_series_file(tmp_path, settings(path="."), "XNYS")
    assert "series:AAA.csv 2 and series:BBB.csv 5 at 2018-03-02T21:00:00+00:00" in str(refused.value)
    assert "set series.symbol_from: file_name" in refused.value.remedy
    mended = read_series_file(tmp_path, settings(path=".", symbol_from="file_name"), "XNYS")
    assert mended.groupby("symbol")["value"].sum().to_dict() == {"AAA": 3.0, "BBB": 6.0}


def test_files_of_one_market_s_years_stay_one_series(tmp_path) -> None:
    written(tmp_path, "date,value\n2018-03-01,1\n2018-03-02,2\n", "2018a.csv")
    written(tmp_path, "date,value\n2018-03-02,2\n2018-03-05,3\n", "2018b.csv")
    assert len(read_series_file(tmp_path, settings(path="."), "XNYS")) == 4


def test_a_close_of_zeros_beside_an_open_is_no_rate_of_zero(shared_data) -> None:
    options = {"path": "crypto_freqtrade/futures/XRP_USDT_USDT-8h-funding_rate.feather", "stamps": "moments"}
    with pytest.raises(SourceError, match="zeros alone") as refused:
        read_series_file(shared_data, settings(**options), "24/7")
    assert "series.value_column: open" in refused.value.remedy
    assert read_series_file(shared_data, settings(**options, value_column="open"), "24/7")["value"].any()
    assert not read_series_file(shared_data, settings(**options, value_column="close"), "24/7")["value"].any()


def test_every_column_that_is_missing_is_told_at_once(tmp_path) -> None:
    (tmp_path / "mood.csv").write_text("when,mood\n2024-01-02,13\n", encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        columns_named(read_plain(tmp_path / "mood.csv"), [("date", "day"), ("mood",), ("value",)], tmp_path)
    assert refused.value.expected == "a column date or day; a column value"
    assert refused.value.remedy == "name the columns 'date' and 'value' in the header"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_days_of_a_parquet_may_be_midnights_of_any_timezone(tmp_path, zone) -> None:
    days = pd.DatetimeIndex(["2018-01-02", "2018-01-03"])
    for name, written in (("plain", days), ("zoned", days.tz_localize(zone))):
        pd.DataFrame({"date": written, "value": [1.0, 2.0]}).to_parquet(tmp_path / f"{name}.parquet")
    plain, zoned = (
        read_series_file(tmp_path, FileSeriesSettings(name="fear", path=f"{name}.parquet", lag_minutes=1), "XNYS")
        for name in ("plain", "zoned")
    )
    assert plain["observed_at"].tolist() == zoned["observed_at"].tolist()
