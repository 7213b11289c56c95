"""Bad files: each gets one clear error with its place, never a traceback alone or an empty success."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nn_assets.errors import SourceError
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.plain_tables import read_plain

HEADER = "date,open,high,low,close,volume"
GOOD = "2018-01-02,10,11,9,10.5,1000"


def error_of(path: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        FilesSource(path).bars()
    assert caught.value.remedy
    return caught.value


def refused(folder: Path, content: str | bytes, name: str = "ABC.csv") -> SourceError:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    error = error_of(path)
    assert error.where["file"] == str(path)
    return error


@pytest.mark.parametrize("column", ["date", "open", "high", "low", "close", "volume"])
def test_a_missing_column_is_named(tmp_path, column) -> None:
    table = pd.DataFrame([GOOD.split(",")], columns=HEADER.split(",")).drop(columns=column)
    error = refused(tmp_path, table.to_csv(index=False))
    assert error.where["rule"] == "complete_columns"
    assert error.where["column"] == ("session" if column == "date" else column)


def test_every_missing_column_is_in_the_remedy(tmp_path) -> None:
    error = refused(tmp_path, "when,open,high,low,last,shares\n2018-01-02,10,11,9,10.5,1000\n")
    assert "no column for session, close, volume" in error.found
    named = "name the columns 'session', 'close' and 'volume' in the header"
    assert error.remedy.startswith(named)
    (tmp_path / "ABC.csv").write_text("session,open,high,low,close,volume\n2018-01-02,10,11,9,10.5,1000\n")
    assert len(FilesSource(tmp_path).bars()) == 1  # the remedy


def test_two_columns_for_one_field_are_refused(tmp_path) -> None:
    error = refused(tmp_path, f"{HEADER},Close\n{GOOD},99\n")
    assert "'close', 'Close'" in error.found


@pytest.mark.parametrize(
    ("column", "text"), [("close", "n.a. yet"), ("open", "12,5"), ("volume", "1.2M"), ("high", "TRUE")]
)
def test_text_in_a_number_is_named_with_line_symbol_session_column_and_value(tmp_path, column, text) -> None:
    cells = dict(
        zip(HEADER.split(","), ["2018-01-03", "10", "11", "9", "10.5", "1000"], strict=True),
        **{column: f'"{text}"'},
    )
    error = refused(tmp_path, f"{HEADER},symbol\n{GOOD},XYZ\n{','.join(cells.values())},XYZ\n")
    assert error.where == {
        "file": str(tmp_path / "ABC.csv"),
        "row": 3,
        "symbol": "XYZ",
        "session": "2018-01-03",
        "rule": "numbers_are_numbers",
        "column": column,
        "value": repr(text),
    }


def test_text_in_numbers_is_counted_over_all_columns_of_the_file(tmp_path) -> None:
    lines = [HEADER, GOOD, "2018-01-03,10,11,9,halted,1000", "2018-01-04,soon,11,9,later,1000"]
    error = refused(tmp_path, "\n".join(lines))
    assert error.found == "text 'halted', first of 3"
    assert (error.where["row"], error.where["column"]) == (3, "close")


def write_faulty(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).write_text(f"{HEADER}\n2018-01-03,10,11,9,{Path(name).stem.lower()},1\n", encoding="utf-8")


def test_every_file_at_fault_is_told_in_one_error(tmp_path) -> None:
    write_faulty(tmp_path, ["B.csv", "D.csv"])
    for name in ("A.csv", "C.csv"):
        (tmp_path / name).write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    (tmp_path / "E.csv").write_text("", encoding="utf-8")
    error = error_of(tmp_path)
    assert error.where["file"] == str(tmp_path / "B.csv")
    assert "text 'b', first of 1; and in 2 more files" in error.found
    assert f"{tmp_path / 'D.csv'}, row 2, column close: text 'd', first of 1" in error.found
    assert f"{tmp_path / 'E.csv'}: an empty file" in error.found
    assert "plain numbers" in error.remedy
    assert "remove it" in error.remedy
    for name in ("A.csv", "C.csv"):
        assert name not in error.found


def test_of_many_files_at_fault_ten_are_told(tmp_path) -> None:
    write_faulty(tmp_path, [f"{letter}.csv" for letter in "ABCDEFGHIJKL"])
    message = error_of(tmp_path).found
    assert "at least 9 more files" in message
    assert "J.csv" in message
    assert "K.csv" not in message


@pytest.mark.parametrize("content", ["", "\n", HEADER, f"{HEADER}\n", f"{HEADER}\n\n,,,,,\n"])
def test_an_empty_file_is_an_error(tmp_path, content) -> None:
    assert refused(tmp_path, content).where["rule"] == "not_empty"


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)),
        b"PK\x03\x04" + bytes(64),
        f"{HEADER}\n{GOOD}\n".encode("utf-16"),
        HEADER.encode() + b"\n2018-01-02,\xff\xfe,11,9,10.5,1000\n",
        bytes(range(1, 9)) * 40,
    ],
)
def test_a_file_that_is_not_text_is_an_error(tmp_path, content) -> None:
    assert refused(tmp_path, content).where["rule"] == "readable"


def test_a_line_of_zero_bytes_is_an_error(tmp_path) -> None:
    error = refused(tmp_path, f"{HEADER}\n{GOOD}\n".encode() + bytes(40) + b"\n")
    assert error.where["file"]


def test_a_line_longer_than_the_header_is_an_error(tmp_path) -> None:
    error = refused(tmp_path, f"{HEADER}\n{GOOD}\n2018-01-03,10,11,9,10,5,1000\n")
    assert error.where["rule"] == "readable"
    assert "cells in each line" in error.expected


def test_every_line_longer_than_the_header_is_an_error_too(tmp_path) -> None:
    assert refused(tmp_path, f"{HEADER}\n{GOOD},7\n").where["rule"] == "readable"


def test_a_second_header_among_the_rows_is_named(tmp_path) -> None:
    error = refused(tmp_path, f"{HEADER}\n{GOOD}\n{HEADER}\n2018-01-03,10,11,9,10.5,1000\n")
    assert (error.where["rule"], error.where["row"]) == ("one_header", 3)


@pytest.mark.parametrize(
    "day", ["01/02/2018", "2018-02-30", "yesterday", "", "1514851201", "2018-01-02 09:30:00", "11:34", "٢018-01-02"]
)
def test_a_date_that_is_no_day_is_named(tmp_path, day) -> None:
    error = refused(tmp_path, f"{HEADER}\n{GOOD}\n{day},10,11,9,10.5,1000\n")
    assert error.where["rule"] == "dates_are_days"
    assert (error.where["row"], error.where["symbol"], error.where["value"]) == (3, "ABC", repr(day))


@pytest.mark.parametrize(
    "symbol", ["../../x", "", "A B", "a\tb", "..", ".hidden", "A" * 33, "C:\\x", "/etc/passwd", "é", "A//B"]
)
def test_an_impossible_symbol_is_refused_with_its_line(tmp_path, symbol) -> None:
    with pytest.raises(SourceError, match="legal_symbol"):
        validate_symbol(symbol)
    error = refused(tmp_path, f'{HEADER},symbol\n{GOOD},OK\n2018-01-03,10,11,9,10.5,1000,"{symbol}"\n')
    assert (error.where["rule"], error.where["row"]) == ("legal_symbol", 3)
    assert repr(symbol) in error.found


def test_a_control_character_in_a_symbol_is_shown_escaped() -> None:
    with pytest.raises(SourceError) as caught:
        validate_symbol("AB\x1b[31m")
    assert "\x1b" not in str(caught.value)


def test_an_impossible_symbol_in_a_file_name_is_refused(tmp_path) -> None:
    assert refused(tmp_path, f"{HEADER}\n{GOOD}\n", "..x.csv").where["rule"] == "legal_symbol"


def test_an_unreadable_parquet_is_an_error(tmp_path) -> None:
    assert refused(tmp_path, b"PAR1 and then nothing", "ABC.parquet").where["rule"] == "readable"
    assert refused(tmp_path, b"", "ABC.parquet").where["rule"] == "readable"


def test_a_truncated_parquet_is_an_error(tmp_path) -> None:
    whole = tmp_path / "whole.parquet"
    pd.DataFrame({"date": ["2018-01-02"], "open": [1.0]}).to_parquet(whole)
    assert refused(tmp_path, whole.read_bytes()[:-20], "ABC.parquet").where["rule"] == "readable"


@pytest.mark.parametrize("read", [lambda path: FilesSource(path).bars(), read_plain], ids=["bars", "other tables"])
def test_a_parquet_whose_pages_do_not_sum_up_to_what_it_says_is_an_error(tmp_path, read) -> None:
    whole = tmp_path / "whole.parquet"
    table = pa.table({"date": ["2018-01-02"], **{name: [10.5] for name in HEADER.split(",")[1:]}})
    pq.write_table(
        table, whole, compression="none", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    content = whole.read_bytes()
    price, other = struct.pack("<d", 10.5), struct.pack("<d", 10.25)
    assert content.count(price) == 5
    assert read(whole)["open"].tolist() == [10.5]
    changed = content.replace(price, other, 1)
    assert pq.read_table(pa.BufferReader(changed))["open"].to_pylist() == [10.25]  # without a look at the sums
    damaged = tmp_path / "ABC.parquet"
    damaged.write_bytes(changed)
    with pytest.raises(SourceError, match="checksum") as caught:
        read(damaged)
    assert caught.value.where == {"file": str(damaged), "rule": "readable"}
    assert "deliver the file again" in caught.value.remedy
    damaged.write_bytes(content)
    assert read(damaged)["open"].tolist() == [10.5]


def test_a_parquet_with_text_in_a_price_or_no_rows_is_an_error(tmp_path) -> None:
    columns = HEADER.split(",")
    path = tmp_path / "ABC.parquet"
    pd.DataFrame([["2018-01-02", "ten", "11", "9", "10.5", "1000"]], columns=columns).to_parquet(path)
    error = error_of(path)
    assert (error.where["row"], error.where["column"], error.where["value"]) == (1, "open", "'ten'")
    pd.DataFrame(columns=columns).to_parquet(path)
    assert error_of(path).where["rule"] == "not_empty"


def test_a_damaged_gzip_is_an_error(tmp_path) -> None:
    packed = gzip.compress(f"{HEADER}\n{GOOD}\n".encode() * 50)
    assert refused(tmp_path, packed[:-30], "ABC.csv.gz").where["rule"] == "readable"
    assert refused(tmp_path, b"no gzip at all", "ABC.csv.gz").where["rule"] == "readable"


@pytest.mark.parametrize("name", ["absent", "absent.csv", "notes.txt", "."])
def test_a_path_without_tables_is_an_error_that_names_it(tmp_path, name) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    error = error_of(tmp_path / name)
    assert error.where == {"file": str(tmp_path / name), "rule": "files_there"}


def test_one_bad_file_among_good_ones_is_named(tmp_path) -> None:
    (tmp_path / "AAA.csv").write_text(f"{HEADER}\n{GOOD}\n")
    (tmp_path / "BBB.csv").write_text(f"{HEADER}\n2018-01-02,ten,11,9,10.5,1000\n")
    error = error_of(tmp_path)
    assert error.where["file"] == str(tmp_path / "BBB.csv")
    assert error.where["symbol"] == "BBB"


def test_a_vendors_export_with_a_stray_line_is_named(shared_data) -> None:
    error = error_of(shared_data / "adjusted_quandl" / "tesla-stock-price.csv")
    assert error.where["row"] == 2
