"""Files as other programs write them: read where they mean one thing only, else refused with a remedy that helps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.operations.intake import fills
from nn_assets.settings import FileSeriesSettings, IntradaySettings
from nn_assets.sources.days import moments_written
from nn_assets.sources.tables.actions_file import ActionsFile
from nn_assets.sources.tables.files import FilesSource
from nn_assets.sources.tables.intraday_files import read_intraday_files
from nn_assets.sources.tables.series_files import read_series_file

DAYS = ("2025-01-02", "2025-01-03", "2025-01-06")
HOURS = ("2025-01-02T00:00Z", "2025-01-02T01:00Z", "2025-01-02T02:00Z")
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def bars(file: Path) -> pd.DataFrame:
    return FilesSource(file).bars()


def series(file: Path) -> pd.DataFrame:
    return read_series_file(file.parent, FileSeriesSettings(name="fear", path=file.name, lag_minutes=1), "XNYS")


def intraday(file: Path) -> pd.DataFrame:
    return read_intraday_files(file.parent, IntradaySettings(path=file.name, bar_minutes=60))


def actions(file: Path) -> pd.DataFrame:
    return ActionsFile(file).actions()


Reader = Callable[[Path], pd.DataFrame]
# Of each kind of file: its header, three rows, and the place of a number in a row.
KINDS: dict[str, tuple[Reader, str, list[str], int]] = {
    "bars": (bars, "date,open,high,low,close,volume", [f"{day},10.5,11.5,9.5,10.25,1000" for day in DAYS], 4),
    "series": (series, "date,close", [f"{day},13.5" for day in DAYS], 1),
    "intraday": (intraday, "date,open,high,low,close,volume", [f"{hour},10.5,11.5,9.5,10.25,7" for hour in HOURS], 4),
    "actions": (actions, "symbol,ex_session,kind,value", [f"A,{day},split,2.5" for day in DAYS], 3),
}


def written(folder: Path, header: str, rows: list[str]) -> Path:
    file = folder / "AAA.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def refused(reader: Reader, file: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        reader(file)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_cells_apart_by_another_mark_are_read_and_it_is_said(tmp_path, caplog, kind, mark, name) -> None:
    reader, header, rows, _ = KINDS[kind]
    plain = reader(written(tmp_path, header, rows))
    file = written(tmp_path, header.replace(",", mark), [row.replace(",", mark) for row in rows])
    with caplog.at_level(logging.WARNING):
        pd.testing.assert_frame_equal(reader(file), plain)
    assert f"AAA.csv: cells stand apart by {name}, and are read so" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", ["1,25", "1,250"])
def test_a_comma_in_a_number_is_refused_by_its_line_and_the_remedy_helps(tmp_path, kind, number) -> None:
    reader, header, rows, column = KINDS[kind]
    cells = rows[1].split(",")
    cells[column] = number
    # An empty line counts in an editor.
    error = refused(
        reader, written(tmp_path, header.replace(",", ";"), [rows[0].replace(",", ";"), "", ";".join(cells)])
    )
    assert number in str(error)
    assert error.where["row"] == 4
    assert "with a point and no thousands separators" in error.remedy
    assert "1250 for 1,250, and 1.25 for 1,25" in error.remedy
    cells[column] = {"1,25": "10.25", "1,250": "10.75"}[number]
    assert len(reader(written(tmp_path, header, [rows[0], "", ",".join(cells)]))) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_decimal_comma_makes_a_cell_too_many_and_the_remedy_helps(tmp_path, kind) -> None:
    reader, header, rows, _ = KINDS[kind]
    error = refused(reader, written(tmp_path, header, [rows[0], rows[1].replace(".5", ",5", 1), rows[2]]))
    assert error.where["row"] == 3
    assert "write decimals with a point (1.25 for 1,25)" in error.remedy
    assert len(reader(written(tmp_path, header, rows))) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_date_at_fault_is_named_by_the_line_that_an_editor_shows(tmp_path, kind) -> None:
    reader, header, rows, _ = KINDS[kind]
    wrong = rows[2].replace("2025-01-06", "06.01.2025").replace("2025-01-02T02:00Z", "02.01.2025 02:00")
    error = refused(reader, written(tmp_path, header, [rows[0], "", rows[1], wrong]))
    assert error.where["row"] == 5
    assert "0" in str(error)


@pytest.mark.parametrize("kind", ["bars", "series", "actions"])
@pytest.mark.parametrize("midnight", ["T00:00:00Z", " 00:00:00+00:00", "T00:00"])
def test_midnights_are_days(tmp_path, kind, midnight) -> None:
    reader, header, rows, _ = KINDS[kind]
    plain = reader(written(tmp_path, header, rows))
    for day in DAYS:
        rows = [row.replace(day, day + midnight) for row in rows]
    pd.testing.assert_frame_equal(reader(written(tmp_path, header, rows)), plain)


def epochs(texts: tuple[str, ...], unit: str) -> list[int]:
    seconds = [int(pd.Timestamp(text if text.endswith("Z") else f"{text}T00:00Z").timestamp()) for text in texts]
    return [second * UNITS[unit] for second in seconds]


@pytest.mark.parametrize("mixed", [("s", "s", "s"), ("ms", "ms", "us"), ("s", "ms", "ns"), ("us", "ns", "ms")])
@pytest.mark.parametrize("kind", ["bars", "intraday"])
@pytest.mark.parametrize("form", ["csv", "parquet", "parquet with a gap"])
def test_epochs_are_judged_row_by_row(tmp_path, kind, mixed, form) -> None:
    reader, header, rows, _ = KINDS[kind]
    times = DAYS if kind == "bars" else HOURS
    stamps = [epochs(times, unit)[at] for at, unit in enumerate(mixed)]
    plain = reader(written(tmp_path, header, rows)).drop(columns="source")
    table = pd.DataFrame([row.split(",")[1:] for row in rows], columns=header.split(",")[1:]).astype(float)
    table.insert(0, "date", stamps)
    if form == "csv":
        table.to_csv(tmp_path / "AAA.csv", index=False)
        actual = reader(tmp_path / "AAA.csv")
    else:
        numbers = table.astype({"date": float}) if form.endswith("gap") else table
        numbers.to_parquet(tmp_path / "AAA.parquet")
        actual = reader(tmp_path / "AAA.parquet")
    pd.testing.assert_frame_equal(actual.drop(columns="source"), plain)


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_an_epoch_counts_the_next_smaller_unit_from_a_size_on_and_just_below_it_is_no_moment(kind: str) -> None:
    bounds = [10**8, 10**11, 10**14, 10**17]  # of seconds, milliseconds, microseconds, nanoseconds
    below = [bound - 1 for bound in bounds[:3]] + [10**17 - 16]  # the next smaller one that a float holds
    same = pd.Timestamp("1973-03-03 09:46:40", tz="UTC")
    assert moments_written(pd.Series(bounds).astype(kind)).tolist() == [same] * 4
    assert moments_written(pd.Series(below).astype(kind)).isna().all()


def test_every_row_of_the_case_of_mixed_epochs_is_there() -> None:
    case = Path(__file__).parents[3] / "shared" / "cases" / "epoch_units_mixed"
    if not case.is_dir():
        pytest.skip("the case epoch_units_mixed is not here")
    bars = read_intraday_files(case, IntradaySettings(path="minutes", bar_minutes=60))
    per_symbol = bars.groupby("symbol")["bar_at"]
    assert per_symbol.size().to_dict() == dict.fromkeys(bars["symbol"].unique(), 3720)
    assert set(per_symbol.min()) == {pd.Timestamp("2024-12-28T00:00Z")}
    assert set(per_symbol.max()) == {pd.Timestamp("2025-05-31T23:00Z")}
    assert (per_symbol.diff().dropna() == pd.Timedelta(hours=1)).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1735776000500", "no midnight"),
        ("201801311530", "half past three, or 1976"),
        ("99999999999999999999", "more than nanoseconds hold"),
        ("17357", "too few digits"),
    ],
)
def test_a_number_that_may_mean_something_else_is_refused_with_its_line(tmp_path, text, reason) -> None:
    reader, header, rows, _ = KINDS["bars"]
    error = refused(reader, written(tmp_path, header, [rows[0], rows[1].replace("2025-01-03", text)]))
    assert (error.where["rule"], error.where["row"]) == ("dates_are_days", 3), reason


FILL = "fill_id,client_order_id,symbol,session,quantity,price"


@pytest.mark.parametrize(
    ("rows", "expected", "row", "mended"),
    [
        (["1,a,A,2025-01-02,10,5", "", '2,b,A,2025-01-02,"1,250",5'], "'1,250'", 4, "2,b,A,2025-01-02,1250,5"),
        (["1,a,A,2025-01-02,10,5", '2,b,A,2025-01-02,10,"5,5"'], "'5,5'", 3, "2,b,A,2025-01-02,10,5.5"),
        (["1,a,A,2025-01-02,10,5", "1,b,A,2025-01-02,11,5"], "'1' stands in row 2", 3, "2,b,A,2025-01-02,11,5"),
        (["1,a,A,2025-01-02,10,5", "2,b,A,02.01.2025,11,5"], "'02.01.2025'", 3, "2,b,A,2025-01-02,11,5"),
        (["1,a,A,2025-01-02,10,5", "2,b,A,2025-01-04,11,5"], "a session of XNYS", 3, "2,b,A,2025-01-03,11,5"),
    ],
)
def test_a_fill_at_fault_is_named_by_its_line_and_the_remedy_helps(tmp_path, rows, expected, row, mended) -> None:
    error = refused(lambda file: fills.read_fills(file, "XNYS")[0], written(tmp_path, FILL, rows))
    assert expected in str(error)
    assert error.where["row"] == row
    read, equal = fills.read_fills(written(tmp_path, FILL, [*rows[:-1], mended]), "XNYS")
    assert (len(read), equal) == (2, 0)


def test_a_fill_written_twice_is_one_fill_and_counted(tmp_path) -> None:
    rows = ["1;a;A;2025-01-02T00:00:00Z;10;5", "1;a;A;2025-01-02T00:00:00Z;10;5", "2;b;A;2025-01-03;-3;5"]
    read, equal = fills.read_fills(written(tmp_path, FILL.replace(",", ";"), rows), "XNYS")
    assert (len(read), equal) == (2, 1)
    assert read["quantity"].tolist() == [10.0, -3.0]
