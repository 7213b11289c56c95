"""CSV and Parquet files read as tables of a bar's fields: dates as text or times, numbers as numbers.

What is wrong with a file as such (not text, no rows, text where a price should be) is an error
that names the place. What is wrong with a bar (a price missing or negative) is not judged here.
"""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nn_assets.errors import SourceError
from nn_assets.sources.spellings import map_columns, normalised, symbol_from_name

__all__ = ["LINE", "read_csv", "read_parquet"]

LINE = "line"
"""Column that carries a row's place in its file: the line of a CSV, the row (from 1) of a Parquet."""

_OTHER = "other "
_NUMBERS = ("open", "high", "low", "close", "volume")
_MISSING = ["", "na", "NA", "n/a", "N/A", "nan", "NaN", "null", "NULL", "None", "none", "-"]
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeError, csv.Error, pa.ArrowException)


def read_csv(path: Path, *, needs_volume: bool) -> pd.DataFrame:
    """Read the bar's columns of a CSV, gzipped or not.

    Returns
    -------
    DataFrame
        ``line`` (int64), ``session`` (text), ``symbol`` (text, where there is such a column), prices
        and volume (float64; NaN for an empty cell or a common word for none).

    Raises
    ------
    SourceError
        Not text, no rows, a missing column, a second header among the rows, lines of unequal
        length, or text where a number should be; with file, line, column and value.
    """
    headers = _csv_headers(path)
    columns = map_columns(headers, str(path), needs_volume=needs_volume)
    fields = {header: field for field, header in columns.items()}
    # Columns that are none of a bar's are read too, so that a line of more cells is noticed.
    names = [fields.get(header, f"{_OTHER}{place}") for place, header in enumerate(headers)]
    numeric = [field for field in columns if field in _NUMBERS]
    try:
        table = _parsed(path, names, columns, numeric)
    except _UNREADABLE as error:
        raise _unreadable(path, "a CSV text file", error) from error
    blank = table[[field for field in columns if field != "symbol"]].isin(["", np.nan]).all(axis=1)
    table = table[~blank].reset_index(drop=True)
    return _refuse_empty(table, path)


def _parsed(path: Path, names: list[str], columns: dict[str, str], numeric: list[str]) -> pd.DataFrame:
    try:
        return _parse(path, names, dict.fromkeys(numeric, np.float64))
    except UnicodeError:
        raise
    except ValueError:  # a number that is none: read again as text to find which
        table = _parse(path, names, {})
        _refuse_second_header(table, columns, path)
        for field in numeric:
            table[field] = _numbers(table, field, path)
        return table


def _csv_headers(path: Path) -> list[str]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            first = next(csv.reader(stream), [])
    except _UNREADABLE as error:
        raise _unreadable(path, "a CSV text file", error) from error
    if any(ord(letter) < 32 and letter != "\t" for header in first for letter in header):
        raise _unreadable(path, "a CSV text file", ValueError("control characters in its first line"))
    if not any(header.strip() for header in first):
        raise SourceError(
            expected="a header line and rows",
            found=f"an empty file ({path.stat().st_size} bytes)",
            remedy="deliver the file again, or remove it",
            file=str(path),
            rule="not_empty",
        )
    return first


def _parse(path: Path, names: list[str], numeric: dict[str, type]) -> pd.DataFrame:
    types = {field: numeric.get(field, str) for field in names}
    with warnings.catch_warnings():
        # Pandas drops surplus cells with a warning; a line longer than its header is an error here.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                header=0,
                names=names,
                dtype=types,
                keep_default_na=False,
                na_values=dict.fromkeys(numeric, _MISSING),
                skip_blank_lines=False,
                index_col=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise _unreadable(path, "as many cells in each line as in the header", error) from error
    table.insert(0, LINE, np.arange(2, len(table) + 2, dtype=np.int64))
    return table[[name for name in table.columns if not name.startswith(_OTHER)]]


def _refuse_second_header(table: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    header = normalised(columns["session"])
    repeats = table["session"].str.lower().str.strip().map(normalised) == header
    if repeats.any():
        row = table[repeats].iloc[0]
        raise SourceError(
            expected="one header, on the first line",
            found="a header among the rows: files set one behind the other",
            remedy="delete the line, or deliver the parts as files of their own",
            file=str(path),
            row=int(row[LINE]),
            rule="one_header",
            value=repr(row["session"]),
        )


def _numbers(table: pd.DataFrame, field: str, path: Path) -> pd.Series:
    """Text to numbers; the first that is none is named."""
    texts = table[field].astype("str").str.strip()
    texts = texts.where(~texts.isin(_MISSING), np.nan)
    values = pd.to_numeric(texts, errors="coerce")
    wrong = values.isna() & texts.notna()
    if wrong.any():
        row = table[wrong].iloc[0]
        symbol = row.get("symbol", symbol_from_name(path))
        raise SourceError(
            expected=f"a number in {field}",
            found=f"text {row[field]!r}",
            remedy="write plain numbers with a point and no thousands separators, or leave the cell empty",
            file=str(path),
            row=int(row[LINE]),
            symbol=symbol,
            session=row["session"],
            rule="numbers_are_numbers",
            column=field,
            value=repr(row[field]),
        )
    return values.astype(np.float64)


def read_parquet(path: Path, *, needs_volume: bool) -> pd.DataFrame:
    """Read the bar's columns of a Parquet file; columns as ``read_csv``, dates possibly as times.

    Raises
    ------
    SourceError
        Unreadable, no rows, a missing column, or text where a number should be.
    """
    try:
        raw = pq.ParquetFile(path).read().to_pandas()
    except (*_UNREADABLE, ValueError) as error:
        raise _unreadable(path, "a Parquet file", error) from error
    if not isinstance(raw.index, pd.RangeIndex):
        raw = raw.reset_index()  # vendors' frames keep their dates in the index
    headers = [str(header) for header in raw.columns]
    columns = map_columns(headers, str(path), needs_volume=needs_volume)
    raw.columns = headers
    table = raw[list(columns.values())].set_axis(list(columns), axis=1).reset_index(drop=True)
    table.insert(0, LINE, np.arange(1, len(table) + 1, dtype=np.int64))
    for field in _NUMBERS:
        if field in table.columns:
            plain = pd.api.types.is_numeric_dtype(table[field])
            table[field] = table[field].astype(np.float64) if plain else _numbers(table, field, path)
    if "symbol" in table.columns:
        table["symbol"] = table["symbol"].astype("str").fillna("")
    return _refuse_empty(table, path)


def _refuse_empty(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if table.empty:
        raise SourceError(
            expected="at least one row",
            found="a header alone",
            remedy="deliver the file again, or remove it",
            file=str(path),
            rule="not_empty",
        )
    return table


def _unreadable(path: Path, expected: str, error: Exception) -> SourceError:
    return SourceError(
        expected=expected,
        found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        remedy="deliver the file again, or move it out of the folder",
        file=str(path),
        rule="readable",
    )
