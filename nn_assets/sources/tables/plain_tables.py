"""Files of any table read as they are: CSV, Parquet, Feather. One that cannot be read is an error that names the place.

What columns hold is read by ``columns.py``.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.spellings import UNEQUAL_REMEDY, quoted, separator_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.unchanged import unchanged

TABLE_ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq", ".feather")
Choice = Callable[[list[str], pa.Schema | None], dict[str, str]]
_AGAIN = "deliver the file again, or move it out of the folder"
_ARROW = (".parquet", ".pq", ".feather")
_ARROW_FILE = b"ARROW1"
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, csv.Error, pa.ArrowException)
_MISSING = ["", "na", "NA", "n/a", "N/A", "nan", "NaN", "null", "NULL", "None", "none", "-"]


def files_of(path: Path, key: str, endings: tuple[str, ...] = TABLE_ENDINGS) -> list[Path]:
    """The file itself, or a folder's tables in the order of their names.

    Raises
    ------
    SourceError
        There is none, or one that is no plain file; ``key`` is the setting that names it.
    """
    try:
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")] if path.is_dir() else [path]
        files = sorted(entry for entry in entries if entry.name.lower().endswith(endings) and not entry.is_dir())
        none_at_all = not files or not path.exists()
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
    for file in files:
        if not file.is_file():
            raise unreadable(file, "a plain file", FileNotFoundError("a pipe, or a link that leads nowhere"))
    return files


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
    """Read columns of a Parquet or Feather file; texts that are not UTF-8 are refused."""
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
    read.validate(full=True)  # a text that is not UTF-8 is an error here, where its file is known
    # What is noted beside the columns is no part of the data, and may be anything.
    table: pd.DataFrame = read.replace_schema_metadata(None).to_pandas()
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
        for index in range(file.num_record_batches):
            batches.append(file.get_batch(index))
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
        separator = separator_of(next((line for line in stream if line.strip()), ""), path)
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
        lines = _line_numbers(records, len(headers), separator, path, limits)
    filled = lines > 0
    if not filled.any():
        return pd.DataFrame(columns=list(columns.values()))
    options = {"sep": separator, "names": range(len(headers)), "usecols": list(columns), "skiprows": skipped}
    texts = dict.fromkeys(columns, str)
    typed = dict.fromkeys((column for column, name in columns.items() if name in numbers), np.float64)
    try:
        table = _cells(path, options, {**texts, **typed})
        # A column of TRUE and FALSE alone is read as 1 and 0.
        as_texts = any(table[column].isin([0.0, 1.0, np.nan]).all() for column in typed)
    except ValueError:  # not a number
        as_texts = True
    if as_texts:
        table = _cells(path, options, texts)
    table = table[list(columns)].set_axis(list(columns.values()), axis=1)
    return table[filled].set_axis(lines[filled], axis=0)


def _cells(path: Path, options: Mapping[str, Any], types: Mapping[int, type]) -> pd.DataFrame:
    missing: dict[Any, Any] = {column: _MISSING for column, type_ in types.items() if type_ is not str}
    cells: pd.DataFrame = pd.read_csv(
        path,
        header=None,
        dtype=types,
        keep_default_na=False,
        na_values=missing,
        encoding="utf-8-sig",
        index_col=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        iterator=False,
        chunksize=None,
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


def _line_numbers(
    records: Iterable[tuple[int, int, Sequence[str]]], width: int, separator: str, path: Path, limits: Limits
) -> npt.NDArray[np.int64]:
    """Line of each record, as an editor counts them; 0 of an empty one."""
    lines = array("q")
    for begins, count, cells in records:
        if count <= 1 and not "".join(cells).strip():
            lines.append(0)
        elif count == width:
            lines.append(begins)
        else:
            raise SourceError(
                expected=f"as many cells in each line as in the header, {width}",
                found=f"{count} cell{'s' * (count != 1)}: {quoted(separator.join(cells))}",
                remedy=UNEQUAL_REMEDY,
                file=str(path),
                row=begins,
                rule="readable",
            )
        if len(lines) > limits.rows:
            limits.check_rows(len(lines), path, at_least=True)
    return np.array(lines, dtype=np.int64)
