"""Files of any table read as they are (CSV, Parquet, Feather), and columns of them made moments, days or numbers.

For data that are no daily bars. A file that cannot be read, and the first value that is none of its
kind, are errors that name the place.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from nn_assets.errors import SourceError
from nn_assets.sources.days import (
    NUMBER_REMEDY,
    beyond_nanoseconds,
    days_written,
    known_at_fault,
    moments_written,
    without_a_time,
)
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.spellings import UNEQUAL_REMEDY, listed_columns, normalised, quoted, separator_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.unchanged import unchanged

__all__ = [
    "TABLE_ENDINGS",
    "Choice",
    "Words",
    "column_named",
    "columns_named",
    "days_of",
    "files_named",
    "files_of",
    "moments_of",
    "not_empty",
    "numbers_of",
    "numbers_written",
    "read_columns",
    "read_plain",
    "read_texts",
    "refuse_first",
    "symbol_of_file",
    "symbols_of",
    "unreadable",
]

TABLE_ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq", ".feather")
Choice = Callable[[list[str], pa.Schema | None], dict[str, str]]
_AGAIN = "deliver the file again, or move it out of the folder"
_ARROW = (".parquet", ".pq", ".feather")
_ARROW_FILE = b"ARROW1"
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, csv.Error, pa.ArrowException)
_MISSING = ["", "na", "NA", "n/a", "N/A", "nan", "NaN", "null", "NULL", "None", "none", "-"]
_NONE = frozenset(["", "na", "n/a", "nan", "null", "none", "-"])
_FAR = r"^(?:22[6-9]|2[3-9][0-9]|[3-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}"  # a day after those that nanoseconds hold


def files_of(path: Path, key: str, endings: tuple[str, ...] = TABLE_ENDINGS) -> list[Path]:
    """The file itself, or a folder's tables in the order of their names.

    Raises
    ------
    SourceError
        There is none, or one that is no plain file; ``key`` is the setting that names it.
    """
    try:
        there = [entry for entry in path.iterdir() if not entry.name.startswith(".")] if path.is_dir() else [path]
        found = sorted(each for each in there if each.name.lower().endswith(endings) and not each.is_dir())
        none_at_all = not found or not path.exists()
    except OSError as error:
        raise unreadable(path, "a file or folder", error) from error
    if none_at_all:
        raise SourceError(
            expected=f"a {', '.join(endings)} file, or a folder of such files",
            found="none" if path.exists() else "nothing there",
            remedy=f"correct {key} in the strategy file",
            file=str(path),
            rule="files_there",
        )
    for each in found:
        if not each.is_file():
            raise unreadable(each, "a plain file", FileNotFoundError("a pipe, or a link that leads nowhere"))
    return found


def files_named(folder: Path, path: str, key: str) -> list[Path]:
    """The tables that a setting names: a file, a folder, or a pattern (``*-5m.feather``), in the order of their names.

    Raises
    ------
    SourceError
        There is none; ``key`` is the setting.
    """
    if not set(path) & set("*?["):
        return files_of(folder / path, key)
    return sorted(file for file in folder.glob(path) if file.name.lower().endswith(TABLE_ENDINGS)) or files_of(
        folder / path, key
    )


def symbol_of_file(file: Path, named: Mapping[str, str]) -> str:
    """The symbol that a file is of: its name up to the first hyphen (``ADA_BTC-5m.feather``), or what ``named`` says.

    Raises
    ------
    SourceError
        It can be none.
    """
    stem = file.name.partition("-")[0].partition(".")[0]
    return validate_symbol(named.get(stem, stem), file=str(file))


def read_plain(path: Path, limits: Limits = USUAL_LIMITS) -> pd.DataFrame:
    """Read every column of a table: those of a CSV as texts, others with their own types.

    The index says where each row stands: its line in a CSV, as an editor counts them, else its row from 1.

    Raises
    ------
    SourceError
        It cannot be read, changed meanwhile, has two columns of one name, lines of unequal length, no rows, or more
        than the limits.
    """
    return read_columns(path, partial(_every_column, path), limits)


def read_texts(path: Path, limits: Limits = USUAL_LIMITS, remedy: str = _AGAIN) -> pd.DataFrame:
    """Read every column of a CSV as texts, as :func:`read_plain` does, whatever its name; it may have no rows.

    Parameters
    ----------
    remedy : str
        What to do where it cannot be read.
    """
    return _whole(path, partial(_read_csv, path, partial(_every_column, path), limits, ()), remedy)


def _every_column(path: Path, headers: list[str], _schema: pa.Schema | None) -> dict[str, str]:
    _refuse_repeated(headers, path)
    return {header: header for header in headers}


def read_columns(path: Path, choose: Choice, limits: Limits, numbers: Collection[str] = ()) -> pd.DataFrame:
    """Read some columns of a table, as :func:`read_plain` does.

    Parameters
    ----------
    choose : callable
        Gives the headers to read by their new names, from all headers as written and, but of a CSV, their types.
    numbers : collection of str
        New names of columns of a CSV that are read as numbers where all of their cells are some, or none.
    """
    if path.name.lower().endswith(_ARROW):
        return not_empty(_whole(path, partial(_read_arrow, path, choose, limits)), path)
    return not_empty(_whole(path, partial(_read_csv, path, choose, limits, numbers)), path)


def _whole(path: Path, read: Callable[[], pd.DataFrame], remedy: str = _AGAIN) -> pd.DataFrame:
    try:
        with unchanged(path):
            return read()
    except _UNREADABLE as error:
        raise unreadable(path, "a readable table", error, remedy) from error


def not_empty(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Give a table with rows back; one without is refused."""
    if table.empty:
        raise _empty(path, "at least one row", "a header alone")
    return table


def unreadable(path: Path, expected: str, error: Exception, remedy: str = _AGAIN) -> SourceError:
    """Give the error of a file that cannot be read, with the cause's own words."""
    return SourceError(
        expected=expected,
        found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        remedy=remedy,
        file=str(path),
        rule="readable",
    )


def _empty(path: Path, expected: str, found: str) -> SourceError:
    remedy = "deliver the file again, or remove it"
    return SourceError(expected=expected, found=found, remedy=remedy, file=str(path), rule="not_empty")


def _read_arrow(path: Path, choose: Choice, limits: Limits) -> pd.DataFrame:
    """Read columns of a Parquet or Feather file; texts that are none are refused."""
    limits.check_bytes(path.stat().st_size, path)
    if path.name.lower().endswith(".feather"):
        read = _read_feather(path, limits)
        columns = choose(read.column_names, read.schema)
        read = read.select(list(columns.values()))
    else:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            limits.check_parquet(file, path)
            columns = choose(list(file.schema_arrow.names), file.schema_arrow)
            read = limits.read_parquet(file, path, list(columns.values()))
    read.validate(full=True)  # a text that is none is an error here, where its file is known
    table: pd.DataFrame = read.to_pandas()
    table = table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
    new_names = {header: name for name, header in columns.items()}
    table = table.set_axis([new_names.get(str(header), str(header)) for header in table.columns], axis=1)
    return table.set_axis(range(1, len(table) + 1), axis=0)


def _read_feather(path: Path, limits: Limits) -> pa.Table:
    """Read a Feather file a batch at a time: it does not say how large it is unpacked."""
    with path.open("rb") as stream:
        packed = stream.read(len(_ARROW_FILE)) == _ARROW_FILE
    if not packed:  # of the first version, which packs nothing
        table = feather.read_table(path, memory_map=False)
        limits.check_columns(table.num_columns, path)
        limits.check_rows(table.num_rows, path)
        return table
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        limits.check_columns(len(file.schema), path)
        batches, rows, size = [], 0, 0
        for place in range(file.num_record_batches):
            batches.append(file.get_batch(place))
            rows, size = rows + batches[-1].num_rows, size + batches[-1].nbytes
            limits.check_rows(rows, path, at_least=True)
            limits.check_bytes(size, path, at_least=True)
        return pa.Table.from_batches(batches, schema=file.schema)


def _refuse_repeated(headers: Sequence[str], path: Path) -> None:
    """Refuse two columns of one name, of which pandas would rename one; columns without a name have none."""
    names = [header.strip() for header in headers]
    repeated = next((name for name, count in Counter(names).items() if name and count > 1), None)
    if repeated is not None:
        raise SourceError(
            expected="a header of its own for each column",
            found=f"{names.count(repeated)} columns {quoted(repeated)}",
            remedy="delete or rename the columns that are not meant",
            file=str(path),
            rule="headers_differ",
            column=repeated[:80],
        )


def _read_csv(path: Path, choose: Choice, limits: Limits, numbers: Collection[str]) -> pd.DataFrame:
    """Read columns of a CSV, gzipped or not; cells apart by commas, or by what its first line tells them apart by.

    A line with fewer or more cells than the header, which pandas would fill up or cut, is refused; empty lines are
    left out.
    """
    quotes = limits.check_text(path)
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
        separator = separator_of(stream.readline(), path)
        stream.seek(0)
        reader = csv.reader(stream, delimiter=separator, skipinitialspace=True)
        numbered = ((count, cells) for count, cells in enumerate(reader, 1) if "".join(cells).strip())
        skipped, headers = next(numbered, (0, []))
        if not headers:
            raise _empty(path, "a header line and rows", f"an empty file ({path.stat().st_size} bytes)")
        if any(ord(letter) < ord(" ") and letter != "\t" for header in headers for letter in header):
            raise unreadable(path, "a CSV text file", ValueError("control characters in its first line"))
        limits.check_columns(len(headers), path)
        columns = {headers.index(header): name for name, header in choose(headers, None).items()}
        records = _records(reader) if quotes else _lines(stream, reader.line_num + 1, separator)
        places = _places(records, len(headers), separator, path, limits)
    filled = places > 0
    if not filled.any():
        return pd.DataFrame(columns=list(columns.values()))
    options = {"sep": separator, "names": range(len(headers)), "usecols": list(columns), "skiprows": skipped}
    texts = dict.fromkeys(columns, str)
    typed = dict.fromkeys((place for place, name in columns.items() if name in numbers), np.float64)
    try:
        table = _cells(path, options, {**texts, **typed})
        # A column of TRUE and FALSE alone is read as 1 and 0.
        as_texts = any(table[place].isin([0.0, 1.0, np.nan]).all() for place in typed)
    except ValueError:  # a number that is none
        as_texts = True
    if as_texts:
        table = _cells(path, options, texts)
    table = table[list(columns)].set_axis(list(columns.values()), axis=1)
    return table[filled].set_axis(places[filled], axis=0)


def _cells(path: Path, options: Mapping[str, Any], types: Mapping[int, type]) -> pd.DataFrame:
    cells: pd.DataFrame = pd.read_csv(
        path,
        header=None,
        dtype=types,
        keep_default_na=False,
        na_values={place: _MISSING for place, type_ in types.items() if type_ is not str},
        encoding="utf-8-sig",
        index_col=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        **options,
    )
    return cells


def _records(reader: Any) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Line of each further record of a CSV, as an editor counts them, how many cells it has, and these."""
    ends = reader.line_num
    for cells in reader:
        begins, ends = ends + 1, reader.line_num
        yield begins, len(cells), cells


def _lines(stream: Iterable[str], first: int, separator: str) -> Iterator[tuple[int, int, Sequence[str]]]:
    """As :func:`_records`, of a CSV without quotation marks, each of whose lines is a record."""
    for begins, line in enumerate(stream, first):
        yield begins, line.count(separator) + 1, (line.rstrip("\r\n"),)


def _places(
    records: Iterable[tuple[int, int, Sequence[str]]], width: int, separator: str, path: Path, limits: Limits
) -> npt.NDArray[np.int64]:
    """Line of each record, as an editor counts them; 0 of an empty one."""
    places = array("q")
    for begins, count, cells in records:
        if count <= 1 and not "".join(cells).strip():
            places.append(0)
        elif count == width:
            places.append(begins)
        else:
            raise SourceError(
                expected=f"as many cells in each line as in the header, {width}",
                found=f"{count} cells: {quoted(separator.join(cells))}",
                remedy=UNEQUAL_REMEDY,
                file=str(path),
                row=begins,
                rule="readable",
            )
        if len(places) > limits.rows:
            limits.check_rows(len(places), path, at_least=True)
    return np.array(places, dtype=np.int64)


def column_named(table: pd.DataFrame, spellings: Sequence[str]) -> str | None:
    """Header of the first spelling that the table has; None where it has none."""
    by_spelling = {normalised(header): header for header in reversed(table.columns)}
    return next((by_spelling[each] for each in map(normalised, spellings) if each in by_spelling), None)


def columns_named(table: pd.DataFrame, needed: Sequence[Sequence[str]], path: Path) -> list[str]:
    """Headers of columns that are needed, each by the first of its spellings that the table has.

    Raises
    ------
    SourceError
        Some are absent: all of them are told.
    """
    found = [column_named(table, spellings) for spellings in needed]
    missing = [spellings for spellings, header in zip(needed, found, strict=True) if header is None]
    if missing:
        raise SourceError(
            expected="; ".join(f"a column {' or '.join(spellings)}" for spellings in missing),
            found=f"columns {', '.join(map(repr, table.columns[:30]))}",
            remedy=f"name {listed_columns([spellings[0] for spellings in missing])} in the header",
            file=str(path),
            rule="complete_columns",
            column=missing[0][0],
        )
    return [header for header in found if header is not None]


def moments_of(
    table: pd.DataFrame,
    column: str,
    path: Path,
    *,
    nullable: bool = False,
    known_at: bool = False,
    words: Words | None = None,
) -> pd.Series:
    """UTC moments of a column of times, ISO 8601 texts or epochs (s, ms, us or ns, row by row by their size).

    A text or time without an offset is taken as UTC, a day alone as its midnight; ``known_at`` refuses such
    days: what a day made known was not known when it began.

    Raises
    ------
    SourceError
        A value is no moment, or one that nanoseconds cannot hold (before 1677 or after 2262).
    """
    written = table[column]
    aware = moments_written(written.reset_index(drop=True)).set_axis(
        table.index
    )  # lines may stand twice, of two members
    wrong = aware.isna() & ~(_blank(written) if nullable else False)
    refuse_first(table, wrong, column, path, words or Words("a moment, such as 2018-01-31 21:15:00+00:00 in {column}"))
    days = without_a_time(written, aware)
    if known_at and days.any():
        place = int(days.to_numpy().argmax())
        fault = known_at_fault(column, written.iloc[place], int(days.sum()))
        raise SourceError(**fault, file=str(path), row=int(table.index[place]), **_symbol_in(table, place))
    return aware


def days_of(
    table: pd.DataFrame,
    column: str,
    path: Path,
    *,
    nullable: bool = False,
    far_is_none: bool = False,
    words: Words | None = None,
) -> pd.Series:
    """Tz-naive midnights of a column of days, as :func:`nn_assets.sources.days.days_written` reads them.

    With ``far_is_none`` a day after those that nanoseconds hold, such as 9999-12-31, is missing.

    Raises
    ------
    SourceError
        A value is no day, or one that nanoseconds cannot hold (before 1677 or after 2262).
    """
    written = table[column]
    days = days_written(written.reset_index(drop=True)).set_axis(table.index)
    if pd.api.types.is_datetime64_any_dtype(written):
        far = beyond_nanoseconds(written) & (written.dt.year > 2000) & far_is_none
    else:
        far = written.astype("str").str.strip().str.match(_FAR) & far_is_none
    wrong = days.isna() & ~far & ~(_blank(written) if nullable else False)
    refuse_first(table, wrong, column, path, words or Words("a day, such as 2018-01-31 in {column}"))
    return days


def numbers_of(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Numbers of a column; NaN where its cell is empty or a common word for none."""
    values, wrong = numbers_written(table[column])
    refuse_first(table, wrong, column, path, Words("a number in {column}", f"{NUMBER_REMEDY}; or leave it empty"))
    return values


def numbers_written(written: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Numbers of a column, and where a cell is none: neither a number, nor empty, nor a common word for none."""
    if pd.api.types.is_numeric_dtype(written) and not pd.api.types.is_bool_dtype(written):
        return written.astype(np.float64), pd.Series(data=False, index=written.index)
    values = pd.to_numeric(written.astype("str").str.strip(), errors="coerce").astype(np.float64)
    return values, values.isna() & ~_blank(written)


def symbols_of(table: pd.DataFrame, path: Path) -> pd.Series | None:
    """Symbols of a column symbol or ticker; None where there is none."""
    column = column_named(table, ("symbol", "ticker"))
    if column is None:
        return None
    symbols = table[column].astype("str").str.strip()
    for place, symbol in symbols.drop_duplicates().items():
        validate_symbol(symbol, file=str(path), row=int(str(place)))
    return symbols


def _blank(written: pd.Series) -> pd.Series:
    return written.isna() | written.astype("str").str.strip().str.lower().isin(_NONE)


@dataclass(frozen=True)
class Words:
    """What is said of a value that is none of its kind; ``{column}`` stands for the column's name."""

    expected: str
    remedy: str = "correct the cell, or leave out the row"
    rule: str = "values_of_their_kind"
    found: str = ""


def refuse_first(
    table: pd.DataFrame,
    wrong: pd.Series,
    column: str,
    path: Path,
    words: Words,
    count: int | None = None,
    **where: object,
) -> None:
    """Refuse a table of which some values are wrong, naming the first and how many there are; not so of a count of 0."""
    if not wrong.any():
        return
    count = int(wrong.sum()) if count is None else count
    place = int(wrong.to_numpy().argmax())
    written = quoted(table[column].iloc[place])
    raise SourceError(
        expected=words.expected.replace("{column}", column),
        found=f"{words.found}{written}{f', first of {count}' if count else ''}",
        remedy=words.remedy,
        file=str(path),
        row=int(table.index[place]),
        rule=words.rule,
        column=column,
        value=written,
        **{**_symbol_in(table, place), **where},
    )


def _symbol_in(table: pd.DataFrame, place: int) -> dict[str, str]:
    return {"symbol": str(table["symbol"].iloc[place])} if "symbol" in table.columns else {}
