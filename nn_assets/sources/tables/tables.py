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
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nn_assets.errors import SourceError
from nn_assets.sources.days import NUMBER_REMEDY, known_at_fault
from nn_assets.sources.spellings import UNEQUAL_REMEDY, map_columns, normalised, quoted, separator_of, symbol_from_name
from nn_assets.sources.tables.limits import Limits

__all__ = ["LINE", "read_csv", "read_parquet", "unreadable"]

LINE = "line"
"""Column that carries a row's place in its file: the line of a CSV, the row (from 1) of a Parquet."""

_OTHER = "other "
_NUMBERS = ("open", "high", "low", "close", "volume")
_MISSING = ["", "na", "NA", "n/a", "N/A", "nan", "NaN", "null", "NULL", "None", "none", "-"]
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeError, csv.Error, pa.ArrowException)


def read_csv(path: Path, *, needs_volume: bool, limits: Limits) -> pd.DataFrame:
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
        length, text where a number should be, or more than the limits; with file, line, column and value.
    """
    headers, separator = _csv_headers(path, limits)
    limits.check_columns(len(headers), path)
    columns = map_columns(headers, str(path), needs_volume=needs_volume)
    fields = {header: field for field, header in columns.items()}
    # Columns that are none of a bar's are read too, so that a line of more cells is noticed.
    names = [fields.get(header, f"{_OTHER}{place}") for place, header in enumerate(headers)]
    numeric = [field for field in columns if field in _NUMBERS]
    try:
        _refuse_unequal_lines(path, len(headers), separator)
        table = _parsed(path, separator, names, columns, numeric, limits.rows + 1)
    except _UNREADABLE as error:
        raise unreadable(path, "a CSV text file", error) from error
    limits.check_rows(len(table), path, at_least=True)
    blank = table[[field for field in columns if field != "symbol"]].isin(["", np.nan]).all(axis=1)
    table = table[~blank].reset_index(drop=True)
    return _refuse_empty(table, path)


def _parsed(
    path: Path, separator: str, names: list[str], columns: dict[str, str], numeric: list[str], rows: int
) -> pd.DataFrame:
    try:
        table = _parse(path, separator, names, dict.fromkeys(numeric, np.float64), rows)
        small = [field for field in numeric if table[field].max() <= 1.0]
        flags = [field for field in small if table[field].isin([0.0, 1.0, np.nan]).all()]
        if flags:  # a column of TRUE and FALSE alone is read as 1 and 0
            _with_numbers(_parse(path, separator, names, {}, rows), flags, path)
        return table
    except UnicodeError:
        raise
    except ValueError:  # a number that is none: read again as text to find which
        table = _parse(path, separator, names, {}, rows)
        _refuse_second_header(table, columns, path)
        return _with_numbers(table, numeric, path)


def _csv_headers(path: Path, limits: Limits) -> tuple[list[str], str]:
    """The cells of the first line, and what tells cells apart."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        limits.check_text(path)
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            separator = separator_of(stream.readline(), path)
            stream.seek(0)
            first = next(csv.reader(stream, delimiter=separator), [])
    except (*_UNREADABLE, ValueError) as error:
        raise unreadable(path, "a CSV text file", error) from error
    if any(ord(letter) < 32 and letter != "\t" for header in first for letter in header):
        raise unreadable(path, "a CSV text file", ValueError("control characters in its first line"))
    if not any(header.strip() for header in first):
        raise SourceError(
            expected="a header line and rows",
            found=f"an empty file ({path.stat().st_size} bytes)",
            remedy="deliver the file again, or remove it",
            file=str(path),
            rule="not_empty",
        )
    return first, separator


def _refuse_unequal_lines(path: Path, cells: int, separator: str) -> None:
    """Refuse lines with fewer or more cells than the header: pandas fills them up, or cuts them."""
    wrong: list[pa_csv.InvalidRow] = []

    def note(row: pa_csv.InvalidRow) -> str:
        if row.text.strip():
            wrong.append(row)
        return "skip"

    names = [str(place) for place in range(cells)]
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
        reader = pa_csv.open_csv(
            stream,
            pa_csv.ReadOptions(column_names=names, use_threads=False),
            pa_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note
            ),
            pa_csv.ConvertOptions(include_columns=["0"], column_types={"0": pa.binary()}),
        )
        for _ in reader:
            if wrong:
                break
    if wrong:
        row = wrong[0]
        raise unreadable(
            path,
            f"as many cells in each line as in the header, {cells}",
            ValueError(f"{row.actual_columns} cells: {quoted(row.text)}"),
            row=row.number,
            remedy=UNEQUAL_REMEDY,
        )


def _parse(path: Path, separator: str, names: list[str], numeric: dict[str, type], rows: int) -> pd.DataFrame:
    types = {field: numeric.get(field, str) for field in names}
    with warnings.catch_warnings():
        # Pandas drops surplus cells with a warning; a line longer than its header is an error here.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                sep=separator,
                header=0,
                names=names,
                dtype=types,
                keep_default_na=False,
                na_values=dict.fromkeys(numeric, _MISSING),
                skip_blank_lines=False,
                index_col=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
                nrows=rows,
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            expected = "as many cells in each line as in the header"
            raise unreadable(path, expected, error, remedy=UNEQUAL_REMEDY) from error
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
            value=quoted(row["session"]),
        )


def _with_numbers(table: pd.DataFrame, fields: list[str], path: Path) -> pd.DataFrame:
    """Texts of some columns to numbers; of the cells that are none the first is named, and how many there are."""
    texts = table[fields].apply(lambda column: column.astype("str").str.strip())
    texts = texts.where(~texts.isin(_MISSING), np.nan)
    values = texts.apply(pd.to_numeric, errors="coerce")
    wrong = values.isna() & texts.notna()
    if wrong.any(axis=None):
        place = int(wrong.any(axis=1).to_numpy().argmax())
        row, field = table.iloc[place], fields[int(wrong.iloc[place].to_numpy().argmax())]
        symbol = row.get("symbol", symbol_from_name(path))
        raise SourceError(
            expected=f"a number in {field}",
            found=f"text {quoted(row[field])}, first of {int(wrong.to_numpy().sum())}",
            remedy=f"{NUMBER_REMEDY}; or leave the cell empty",
            file=str(path),
            row=int(row[LINE]),
            symbol=symbol,
            session=str(row["session"])[:80],
            rule="numbers_are_numbers",
            column=field,
            value=quoted(row[field]),
        )
    return table.assign(**values.astype(np.float64))


def read_parquet(path: Path, *, needs_volume: bool, limits: Limits) -> pd.DataFrame:
    """Read the bar's columns of a Parquet file; columns as ``read_csv``, dates possibly as times.

    Raises
    ------
    SourceError
        Unreadable, no rows, a missing column, text where a number should be, or, by what the file
        says of itself before it is loaded, more than the limits.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            limits.check_parquet(file, path)
            columns = map_columns(list(file.schema_arrow.names), str(path), needs_volume=needs_volume)
            _refuse_types(file.schema_arrow, columns, path)
            # Without the frame's own notes: an index is then a column like any other.
            read = limits.read_parquet(file, path, list(columns.values())).replace_schema_metadata(None)
            read.validate(full=True)  # a text that is none is an error here, where its file is known
            raw = read.to_pandas()
    except (*_UNREADABLE, ValueError) as error:
        raise unreadable(path, "a Parquet file", error) from error
    table = raw[list(columns.values())].set_axis(list(columns), axis=1)
    table.insert(0, LINE, np.arange(1, len(table) + 1, dtype=np.int64))
    numeric = [field for field in columns if field in _NUMBERS]
    plain = [field for field in numeric if table[field].dtype.kind in "iuf"]
    table[plain] = table[plain].astype(np.float64)
    table = _with_numbers(table, [field for field in numeric if field not in plain], path)
    if "symbol" in table.columns:
        table["symbol"] = table["symbol"].astype("str").fillna("")
    return _refuse_empty(table, path)


def _refuse_types(schema: pa.Schema, columns: dict[str, str], path: Path) -> None:
    """Refuse columns of flags, bytes, lists or records; days but for the session, times but for it and known_at."""
    kinds = [pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null]
    kinds += [pa.types.is_string, pa.types.is_large_string]
    for field, header in columns.items():
        type_ = schema.field(header).type
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        days = field == "session" and pa.types.is_date(plain)
        times = field in ("session", "known_at") and pa.types.is_timestamp(plain)
        if field == "known_at" and pa.types.is_date(plain):
            raise SourceError(**known_at_fault(header, f"a column of type {type_}"), file=str(path))
        if not days and not times and not any(is_kind(plain) for is_kind in kinds):
            raise SourceError(
                expected=f"{'days' if field == 'session' else 'numbers' if field in _NUMBERS else 'texts'} in {field}",
                found=f"a column of type {str(type_)[:80]}",
                remedy="write the column as numbers or text",
                file=str(path),
                rule="types_fit",
                column=field,
            )


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


def unreadable(
    path: Path,
    expected: str,
    error: Exception,
    row: int | None = None,
    remedy: str = "deliver the file again, or move it out of the folder",
) -> SourceError:
    """Give the error of a file that cannot be read, with the cause's own words."""
    return SourceError(
        expected=expected,
        found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
        remedy=remedy,
        file=str(path),
        row=row,
        rule="readable",
    )
