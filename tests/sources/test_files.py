"""Files as people and vendors write them: spellings, formats, layouts."""

from __future__ import annotations

import gzip
import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.sources.spellings import symbol_from_name
from nn_assets.sources.tables.files import FilesSource
from tests.sources.contract import SourceContract
from tests.sources.members import MemberContract

LONG = """date,open,high,low,close,volume,Name
2018-01-02,10,11,9,10.5,1000,ABC
2018-01-03,10.5,12,10,11.5,1100,ABC
2018-01-04,11.5,12,11,11.75,900,ABC
2018-01-02,20,21,19,20.5,2000,XYZ
2018-01-03,20.5,22,20,21.5,2100,XYZ
2018-01-04,21.5,22,21,21.75,1900,XYZ
"""
ROW = ("2018-01-02", 10.0, 11.0, 9.0, 10.5, 1000.0)


def written(folder: Path, text: str, name: str = "ABC.csv") -> FilesSource:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return FilesSource(path)


class KeepsTheContract(SourceContract):
    symbols = ("ABC", "XYZ")
    rows = 6
    known_bar = ("XYZ", "2018-01-03", 20.5, 22.0, 20.0, 21.5)


class TestOneLongCsv(KeepsTheContract, MemberContract):
    kind = "files"
    delivers = ("bars", "known_at")

    @pytest.fixture
    def source(self, tmp_path) -> FilesSource:
        return written(tmp_path, LONG, "all.csv")

    @pytest.fixture
    def own_keys(self) -> dict[str, str]:
        return {"path": "all.csv"}


class TestAFolderOfOneCsvPerSymbolNewestFirst(KeepsTheContract):
    @pytest.fixture
    def source(self, tmp_path) -> FilesSource:
        header, *rows = LONG.splitlines()
        for symbol, group in itertools.groupby(rows, key=lambda row: row.rsplit(",", 1)[1]):
            newest_first = [header.rsplit(",", 1)[0], *[row.rsplit(",", 1)[0] for row in group][::-1]]
            (tmp_path / f"{symbol}_data.csv").write_text("\n".join(newest_first))
        (tmp_path / "LICENSE.repo").write_text("not data")
        (tmp_path / ".hidden.csv").write_text("not data")
        (tmp_path / "sub.csv").mkdir()
        return FilesSource(str(tmp_path))


class TestOneLongParquet(KeepsTheContract):
    @pytest.fixture
    def source(self, tmp_path) -> FilesSource:
        table = pd.DataFrame(
            [line.split(",") for line in LONG.splitlines()[1:]], columns=LONG.split("\n", 1)[0].split(",")
        )
        for name in ("open", "high", "low", "close", "volume"):
            table[name] = table[name].astype(float)
        table["date"] = pd.to_datetime(table["date"]).dt.tz_localize("America/New_York")
        table.to_parquet(tmp_path / "all.parquet")
        return FilesSource(tmp_path / "all.parquet")


class TestFilesOfSomeStocks(SourceContract):
    symbols = ("BRK.B", "NUE", "O")
    rows = 2 * 1259 + 1243
    known_bar = ("NUE", "2013-02-08", 46.36, 46.8862, 46.36, 46.74)

    @pytest.fixture
    def source(self, shared_data, tmp_path) -> FilesSource:
        for symbol in self.symbols:
            shutil.copy(shared_data / "sp500_5yr" / f"{symbol}_data.csv", tmp_path)
        return FilesSource(tmp_path)

    def test_placeholder_rows_reach_cleaning(self, everything) -> None:
        row = everything[(everything["symbol"] == "O") & (everything["session"] == pd.Timestamp("2016-01-12"))]
        assert row[["open", "high", "low"]].isna().to_numpy().all()
        assert row[["close", "volume"]].to_numpy().tolist() == [[52.43, 0.0]]


@pytest.mark.full
def test_all_five_years_of_122_stocks_load(five_years) -> None:
    bars = five_years
    assert (len(bars), bars["symbol"].nunique()) == (149_034, 122)
    assert (bars["session"].min(), bars["session"].max()) == (
        pd.Timestamp("2013-02-08"),
        pd.Timestamp("2018-02-07"),
    )


class TestYahooFiles(SourceContract):
    symbols = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    rows = 12_154
    # Raw, not adjusted: the adjusted close of that day is 12.52.
    known_bar = ("AAPL", "2000-09-29", 28.19, 29.0, 25.37, 25.75)

    @pytest.fixture
    def source(self, shared_data) -> FilesSource:
        return FilesSource(shared_data / "adjusted_yahoo")


@pytest.mark.full
@pytest.mark.parametrize(
    "header",
    [
        "date,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "timestamp,open_,high_,low_,close_,volume_",
        "SESSION,OPEN,HIGH,LOW,CLOSE,VOL",
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "Datetime,O,H,L,C,V",
        "timestamp,1. open,2. high,3. low,4. close,5. volume",
        '"Trade Date","Open Price","High Price","Low Price","Close Price","Volume"',
        "\ufeffdate,open,high,low,close,volume",
        " date , open , high , low , close , volume ",
    ],
)
def test_common_spellings_of_the_columns_are_understood(tmp_path, header) -> None:
    bars = written(tmp_path, header + "\n2018-01-02,10,11,9,10.5,1000\n").bars()
    assert bars[["open", "high", "low", "close", "volume"]].to_numpy().tolist() == [list(ROW[1:])]
    assert bars["symbol"].tolist() == ["ABC"]


def test_an_adjusted_close_is_left_out_and_the_raw_one_taken(tmp_path) -> None:
    text = "Date,Open,High,Low,Adj Close,Close,Volume,AdjClose\n2018-01-02,10,11,9,1.5,10.5,1000,2.5\n"
    assert written(tmp_path, text).bars()["close"].tolist() == [10.5]


def test_a_symbol_column_wins_over_a_companys_name(tmp_path) -> None:
    text = "Name,symbol,date,open,high,low,close,volume\nApple Inc.,AAPL,2018-01-02,10,11,9,10.5,1000\n"
    assert written(tmp_path, text).bars()["symbol"].tolist() == ["AAPL"]


@pytest.mark.parametrize(
    "day",
    [
        "2018-01-02",
        "2018/01/02",
        "20180102",
        "2018-01-02 00:00:00",
        "2018-01-02T00:00:00Z",
        "2018-01-02 00:00:00+09:00",
        "2018-01-02 00:00:00.000-05:00",
    ],
)
def test_days_are_read_as_they_stand_on_the_wall(tmp_path, day) -> None:
    text = f"date,open,high,low,close,volume\n{day},10,11,9,10.5,1000\n"
    assert written(tmp_path, text).bars()["session"].tolist() == [pd.Timestamp("2018-01-02")]


@pytest.mark.full
@pytest.mark.parametrize(
    "ticker",
    ["TRUE", "INF", "NAN", "NA", "null", "CON", "0700.HK", "BRK.B", "BTC/USDT", "1E5", "^GSPC", "ES=F"],
)
def test_tickers_that_look_like_something_else_stay_tickers(tmp_path, ticker) -> None:
    text = f"date,open,high,low,close,volume,symbol\n2018-01-02,10,11,9,10.5,1000,{ticker}\n"
    assert written(tmp_path, text).bars()["symbol"].tolist() == [ticker]


@pytest.mark.parametrize("ticker", ["TRUE", "CON", "NAN", "BF.B"])
def test_tickers_in_file_names_stay_tickers(tmp_path, ticker) -> None:
    text = "date,open,high,low,close,volume\n2018-01-02,10,11,9,10.5,1000\n"
    assert written(tmp_path, text, f"{ticker}_data.csv").bars()["symbol"].tolist() == [ticker]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("NUE_data.csv", "NUE"),
        ("IBM.csv", "IBM"),
        ("BF.B.csv.gz", "BF.B"),
        ("spy-daily.PARQUET", "spy"),
        ("DATA.csv", "DATA"),
    ],
)
def test_symbols_are_found_in_file_names(name, symbol) -> None:
    assert symbol_from_name(Path(name)) == symbol


def test_faults_of_single_rows_are_delivered_for_cleaning_to_judge(tmp_path) -> None:
    text = (
        "date,open,high,low,close,volume\n"
        "2018-01-02,,11,9,10.5,1000\n"
        "2018-01-03,10,8,9,-10.5,0\n"
        "2018-01-03,10,8,9,-10.5,0\n"
        "\n"
        "2018-01-06,nan,null,N/A,-,\n"
    )
    bars = written(tmp_path, text).bars()
    assert len(bars) == 4
    assert np.isnan(bars["open"][0])
    assert bars.loc[3, ["open", "high", "low", "close", "volume"]].isna().all()


def test_numbers_keep_their_last_bit(tmp_path) -> None:
    text = "date,open,high,low,close,volume\n2018-01-02,0.1,1229.229980,0.30000000000000004,10.5,1e3\n"
    row = written(tmp_path, text).bars().iloc[0]
    assert (row["open"], row["high"], row["low"], row["volume"]) == (0.1, 1229.22998, 0.1 + 0.2, 1000.0)


def test_a_gzipped_csv_is_read_as_one(tmp_path) -> None:
    with gzip.open(tmp_path / "all.csv.gz", "wt") as stream:
        stream.write(LONG)
    assert len(FilesSource(tmp_path).bars()) == 6


def test_a_parquet_with_its_dates_in_the_index_is_understood(tmp_path) -> None:
    index = pd.DatetimeIndex(["2018-01-02", "2018-01-03"], name="Date")
    frame = pd.DataFrame(
        {"Open": [1, 2], "High": [2, 3], "Low": [1, 1], "Close": [2, 2], "Volume": [5, 6]}, index=index
    )
    frame.to_parquet(tmp_path / "CON.parquet")
    bars = FilesSource(tmp_path).bars()
    assert bars["session"].tolist() == list(index)
    assert set(bars["symbol"]) == {"CON"}


def test_a_series_quoted_without_volume_is_read_when_told_so(tmp_path) -> None:
    path = tmp_path / "VIX.csv"
    path.write_text("DATE,OPEN,HIGH,LOW,CLOSE\n1990-01-02,17.24,17.24,17.24,17.24\n")
    bars = FilesSource(path, requires_volume=False).bars()
    assert bars["volume"].isna().all()
    assert bars["close"].tolist() == [17.24]


@pytest.mark.parametrize("written", ["9999-12-31", "9999-12-31T23:59:59.999999Z", "0001-01-01", "1500-06-01T00:00Z"])
def test_a_moment_beyond_what_can_be_stored_is_refused_by_row(tmp_path: Path, written: str) -> None:
    lines = ["symbol,date,open,high,low,close,volume,known_at", "A,2018-01-02,1,1,1,1,1,2018-01-02T22:00Z"]
    file = tmp_path / "bars.csv"
    file.write_text("\n".join([*lines, f"A,2018-01-03,1,1,1,1,1,{written}"]) + "\n")
    with pytest.raises(SourceError, match="expected a moment, such as") as caught:
        FilesSource(file).bars()
    assert f"value '{written}'" in str(caught.value)
