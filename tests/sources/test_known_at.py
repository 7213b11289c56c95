"""``known_at`` is a moment: a day alone, read as its midnight, would be known before its session began."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nn_assets.errors import SourceError
from nn_assets.settings import FileSeriesSettings, IntradaySettings, UniverseSettings
from nn_assets.sources.answers import Scope
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.sql import SqlSource
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.membership_files import read_membership_file
from nn_assets.sources.tables.series_files import read_series_file

RULE = "known_at_is_a_moment"
DAYS = ["2018-01-02", "20180102", "2018-01"]
MOMENTS = {
    "2018-01-02T00:00:00Z": "2018-01-02",
    "2018-01-02 00:00:00": "2018-01-02",
    "2018-01-02T22:00Z": "2018-01-02 22:00",
    "2018-01-02 17:00:00-05:00": "2018-01-02 22:00",
}
BARS = "symbol,date,open,high,low,close,volume,known_at\nA,2018-01-02,1,1,1,1,1,\nA,2018-01-03,1,1,1,1,1,{}\n"
SERIES = "date,close,known_at\n2018-01-02,1,2018-01-02T22:00Z\n2018-01-03,1,{}\n"
MEMBERS = "symbol,start_date,end_date,known_at\nA,2018-01-02,,\nB,2018-01-02,,{}\n"


def bars(folder: Path, written: str) -> pd.DataFrame:
    (folder / "bars.csv").write_text(BARS.format(written), encoding="utf-8")
    return FilesSource(folder / "bars.csv").bars()


def series(folder: Path, written: str, column: str = "known_at") -> pd.DataFrame:
    (folder / "fear.csv").write_text(SERIES.replace("known_at", column).format(written), encoding="utf-8")
    return read_series_file(folder, FileSeriesSettings(name="fear", path="fear.csv"), "XNYS")


def members(folder: Path, written: str, column: str = "known_at") -> pd.DataFrame:
    (folder / "members.csv").write_text(MEMBERS.replace("known_at", column).format(written), encoding="utf-8")
    return read_membership_file(folder, UniverseSettings(path="members.csv"))


def intraday(folder: Path, written: str) -> pd.DataFrame:
    lines = ["date,open,high,low,close,known_at", "2018-01-02 15:00,1,1,1,1,", f"2018-01-02 15:05,1,1,1,1,{written}"]
    (folder / "A.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_intraday_files(folder, IntradaySettings(path="A.csv", bar_minutes=5))


READERS = {"intraday": intraday, "bars": bars, "series": series, "membership": members}


@pytest.mark.parametrize("written", DAYS)
@pytest.mark.parametrize("kind", READERS)
def test_a_day_alone_is_refused_in_a_file_by_row(tmp_path, kind, written) -> None:
    with pytest.raises(SourceError) as caught:
        READERS[kind](tmp_path, written)
    assert caught.value.where["rule"] == RULE
    assert caught.value.where["row"] == 3
    assert repr(written) in caught.value.found
    assert "leave the column known_at out" in caught.value.remedy


@pytest.mark.parametrize(("reader", "column"), [(series, "published_at"), (members, "announced_at")])
def test_a_day_alone_is_refused_under_the_columns_other_name(tmp_path, reader, column) -> None:
    with pytest.raises(SourceError, match=RULE) as caught:
        reader(tmp_path, "2018-01-02", column)
    assert caught.value.where["column"] == column


@pytest.mark.full
@pytest.mark.parametrize("written", MOMENTS)
@pytest.mark.parametrize("kind", READERS)
def test_a_moment_stays_as_it_is_written_midnight_too(tmp_path, kind, written) -> None:
    assert READERS[kind](tmp_path, written)["known_at"].iloc[1] == pd.Timestamp(MOMENTS[written], tz="UTC")


DATES, TIMES = pa.array([dt.date(2018, 1, 2)]), pa.array([dt.datetime(2018, 1, 2)], pa.timestamp("us", "UTC"))


def table_of(known_at: pa.Array) -> pa.Table:
    columns = {"symbol": ["A"], "date": ["2018-01-02"], "start_date": ["2018-01-02"], "end_date": [None]}
    return pa.table(
        {**columns, **{name: [1.0] for name in ("open", "high", "low", "close", "volume")}, "known_at": known_at}
    )


@pytest.mark.parametrize("kind", READERS)
def test_of_parquet_columns_days_are_refused_and_times_kept(tmp_path, kind) -> None:
    def read() -> pd.DataFrame:
        if kind == "bars":
            return FilesSource(tmp_path / "a.parquet").bars()
        if kind == "series":
            return read_series_file(tmp_path, FileSeriesSettings(name="fear", path="a.parquet"), "XNYS")
        return read_membership_file(tmp_path, UniverseSettings(path="a.parquet"))

    pq.write_table(table_of(DATES), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=RULE):
        read()
    pq.write_table(table_of(TIMES), tmp_path / "a.parquet")
    assert read()["known_at"].iloc[0] == pd.Timestamp("2018-01-02", tz="UTC")


@pytest.mark.parametrize(
    ("known_at", "kept"),
    [("day", None), ("'2018-01-02'", None), ("day || 'T00:00:00Z'", "2018-01-02"), ("NULL", None)],
)
def test_a_query_that_gives_days_is_refused(tmp_path, monkeypatch, known_at, kept) -> None:
    with sqlite3.connect(tmp_path / "bars.sqlite") as connection:
        connection.execute("create table bars (symbol text, day date, price real)")
        connection.execute("insert into bars values ('A', '2018-01-02', 1.0)")
    connection.close()
    monkeypatch.setenv("MINE_URL", f"sqlite:///{tmp_path / 'bars.sqlite'}")
    columns = ", ".join(f"price AS {name}" for name in ("open", "high", "low", "close", "volume"))
    query = f"SELECT symbol, day AS session, {columns}, {known_at} AS known_at FROM bars"
    source = SqlSource(Scope("XNYS", ("A",), dt.date(2018, 1, 2)), EnvironmentKey("MINE_URL"), query)
    if kept is None and known_at != "NULL":
        with pytest.raises(SourceError, match=RULE):
            source.bars()
        return
    moment = source.bars()["known_at"].iloc[0]
    assert pd.isna(moment) if kept is None else moment == pd.Timestamp(kept, tz="UTC")


@pytest.mark.parametrize(("value", "refused"), [(dt.date(2018, 1, 2), True), (dt.datetime(2018, 1, 2), False)])
def test_of_typed_columns_of_a_database_days_are_refused_and_times_kept(monkeypatch, value, refused) -> None:
    columns = {"symbol": ["A"], "session": [dt.date(2018, 1, 2)], "known_at": pd.Series([value], dtype=object)}
    columns |= {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    monkeypatch.setattr(SqlSource, "_read", lambda *_: pd.DataFrame(columns))
    source = SqlSource(Scope("XNYS", ("A",), dt.date(2018, 1, 2)), EnvironmentKey("MINE_URL"), "SELECT 1")
    if refused:
        with pytest.raises(SourceError, match=RULE):
            source.bars()
    else:
        assert source.bars()["known_at"].iloc[0] == pd.Timestamp("2018-01-02", tz="UTC")
