"""Files that change while they are read, headers that repeat, and contents that no library names the file of."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq
import pytest

from nn_assets.errors import NnAssetsError, SourceError
from nn_assets.operations.intake.fills import read_fills
from nn_assets.settings import FileSeriesSettings, IntradaySettings, UniverseSettings
from nn_assets.sources.tables import files, plain_tables
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.membership_files import read_membership_file
from nn_assets.sources.tables.series_files import read_series_file

BARS = "date,open,high,low,close,volume\n2018-01-02,10,11,9,10.5,1000\n"
CLOSES = "date,AAA,BBB\n2018-01-02,1,2\n"


def bars_of(path: Path) -> pd.DataFrame:
    return FilesSource(path).bars()


def closes_of(path: Path) -> pd.DataFrame:
    return FilesSource(path, closes_only=True, requires_volume=False).bars()


def intraday_of(path: Path) -> pd.DataFrame:
    return read_intraday_files(path.parent, IntradaySettings(path=path.name, bar_minutes=60))


def series_of(path: Path) -> pd.DataFrame:
    settings = FileSeriesSettings(name="rate", path=path.name, lag_minutes=5)
    return read_series_file(path.parent, settings, "XNYS")


def members_of(path: Path) -> pd.DataFrame:
    return read_membership_file(path.parent, UniverseSettings(name="index", path=path.name))


def actions_of(path: Path) -> pd.DataFrame:
    return ActionsFile(path).actions()


def fills_of(path: Path) -> object:
    return read_fills(path, "XNYS")


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "bars": (bars_of, BARS),
    "closes": (closes_of, CLOSES),
    "intraday": (intraday_of, "time,open,high,low,close\n2018-01-02 15:00:00,1,2,1,2\n"),
    "series": (series_of, "time,value\n2018-01-02,1\n"),
    "members": (members_of, "symbol,from,to\nAAA,2018-01-02,\n"),
    "actions": (actions_of, "symbol,ex_session,kind,value\nAAA,2018-01-02,split,2\n"),
    "fills": (
        fills_of,
        "fill_id,client_order_id,symbol,session,quantity,price\n1,a,AAA,2018-01-02,3,10\n",
    ),
}
BY_PANDAS = [name for name in READERS if name != "bars"]


def refused(read: Callable[[Path], object], path: Path) -> NnAssetsError:
    with pytest.raises(NnAssetsError) as caught:
        read(path)
    assert caught.value.remedy
    assert caught.value.where["file"] == str(path)
    return caught.value


def with_column(text: str, header: str, cell: str) -> str:
    first, second, *_ = text.splitlines()
    return f"{first},{header}\n{second},{cell}\n"


@pytest.mark.parametrize("name", BY_PANDAS)
def test_a_header_that_repeats_is_refused_by_name(tmp_path: Path, name: str) -> None:
    read, text = READERS[name]
    path = tmp_path / "ADA.csv"
    path.write_text(text)
    read(path)  # sound as it is
    for repeated in (text.splitlines()[0].split(",")[1], "note,note"):
        column = repeated.partition(",")[0]
        path.write_text(with_column(text, repeated, "1,1" if "," in repeated else "1"))
        error = refused(read, path)
        assert (error.where["rule"], error.where["column"]) == ("headers_differ", column)
    path.write_text(with_column(text, " ", ""))  # the comma at each line's end, as spreadsheets write it, is no column
    if name != "closes":
        read(path)


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
def test_a_column_that_repeats_in_other_tables_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    table = pa.table([pa.array(["2018-01-02"]), pa.array([1.0]), pa.array([2.0])], names=["date", "AAA", "AAA"])
    path = tmp_path / f"ADA{ending}"
    (pq.write_table if ending == ".parquet" else pa_feather.write_feather)(table, path)
    with pytest.raises(SourceError) as caught:
        plain_tables.read_plain(path)
    assert (caught.value.where["file"], caught.value.where["column"]) == (str(path), "AAA")


@pytest.mark.parametrize("read", [bars_of, closes_of])
def test_a_zero_byte_is_named_with_its_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "ADA.csv"
    path.write_text(CLOSES if read is closes_of else BARS)
    read(path)
    path.write_bytes(path.read_bytes() + b"2018-01-03,\0,1\n")
    error = refused(read, path)
    assert "zero byte" in error.found
    assert error.where["rule"] == "readable"


def texts_of(*cells: bytes) -> pa.Array:
    ends = np.cumsum([0, *map(len, cells)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(cells), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(cells))])


@pytest.mark.parametrize("read", [bars_of, closes_of, intraday_of, series_of])
@pytest.mark.parametrize("kept", ["plain", "dictionary"])
def test_a_parquet_date_that_is_no_text_is_named_with_its_file(
    tmp_path: Path, read: Callable[[Path], object], kept: str
) -> None:
    path = tmp_path / "ADA.parquet"
    numbers = {name: [1.0, 1.0] for name in ("open", "high", "low", "close", "volume", "value")}
    if read is closes_of:
        numbers = {"close": [1.0, 1.0]}
    for date, sound in ((b"2018-01-03", True), (b"\xff\xfe", False)):
        dates = texts_of(b"2018-01-02", date)
        pq.write_table(
            pa.table({"date": dates.dictionary_encode() if kept == "dictionary" else dates, **numbers}), path
        )
        if sound:
            read(path)
        else:
            assert refused(read, path).where["rule"] == "readable"


def test_flags_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ADA.csv"
    for text in ("TRUE", "true", "False"):
        for column, index in (("close", 4), ("volume", 5)):
            lines = [line.split(",") for line in BARS.splitlines()]
            lines[1][index] = text
            path.write_text("\n".join(",".join(line) for line in lines) + "\n")
            error = refused(bars_of, path)
            assert (error.where["rule"], error.where["column"], error.where["row"]) == (
                "numbers_are_numbers",
                column,
                2,
            )
            assert text in error.found
    path.write_text(BARS.replace("10,11,9,10.5,1000", "1,1,1,1,0"))
    assert bars_of(path)[["open", "close", "volume"]].iloc[0].tolist() == [1.0, 1.0, 0.0]
    flags = pd.DataFrame({"time": ["2018-01-02"], "value": [True]})
    flags.to_parquet(tmp_path / "ADA.parquet")
    assert refused(series_of, tmp_path / "ADA.parquet").where["column"] == "value"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", ["grows", "replaced", "gone"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, text = READERS[name]
    path = tmp_path / "ADA.csv"
    path.write_text(text)
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    genuine = pd.read_csv

    def meanwhile(*arguments: object, **named: object) -> pd.DataFrame:
        frame = genuine(*arguments, **named)
        if how == "gone":
            path.unlink()
        elif how == "grows":
            path.write_text(text + text.splitlines()[1] + "\n")
        else:
            other = path.with_suffix(".part")
            other.write_text(text)
            os.utime(other, ns=(1_000_000_000, 1_000_000_000))
            other.rename(path)
        return frame

    monkeypatch.setattr(pd, "read_csv", meanwhile)
    error = refused(read, path)
    assert error.where["rule"] == "unchanged"
    assert "changed while it was read" in error.found
    assert "rename" in error.remedy
    monkeypatch.undo()
    part = tmp_path / "ADA.part"  # what the remedy says
    part.write_text(text)
    part.rename(path)
    read(path)


def test_an_archive_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "20180102.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("AAA.csv", BARS)
    genuine = files.read_archive

    def meanwhile(*arguments: object) -> object:
        result = genuine(*arguments)
        with zipfile.ZipFile(path, "a") as packed:
            packed.writestr("BBB.csv", BARS)
        return result

    monkeypatch.setattr(files, "read_archive", meanwhile)
    assert refused(bars_of, path).where["rule"] == "unchanged"


@pytest.mark.parametrize("name", ["actions", "fills"])
def test_a_parquet_file_in_place_of_a_csv_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ADA.parquet"
    pq.write_table(pa.table({"symbol": ["AAA"], "value": [1.0]}), path)
    assert refused(READERS[name][0], path).where["rule"] == "readable"


@pytest.mark.parametrize("name", READERS)
def test_after_a_cell_of_two_lines_a_row_is_named_by_the_line_that_an_editor_shows(tmp_path: Path, name: str) -> None:
    read, text = READERS[name]
    path = tmp_path / "ADA.csv"
    header, row = text.splitlines()
    path.write_text(f'{header},note\n{row}, "two\nlines"\n{row}\n')
    assert refused(read, path).where["row"] == 4
    path.write_text(f'{header},note\n{row}, "two\nlines"\n')
    if name != "closes":  # there every column is a symbol's
        read(path)
