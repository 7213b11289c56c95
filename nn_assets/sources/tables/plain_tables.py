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
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
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
    "column_named",
    "columns_named",
    "days_of",
    "files_named",
    "files_of",
    "moments_of",
    "numbers_of",
    "read_plain",
    "read_texts",
    "symbol_of_file",
]

TABLE_ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq", ".feather")
_ARROW_FILE = b"ARROW1"
_NONE = frozenset(["", "na", "n/a", "nan", "null", "none", "-"])
_FAR = r"^(?:22[6-9]|2[3-9][0-9]|[3-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}"  # a day after those that nanoseconds hold
_MOMENT = "a moment, such as 2018-01-31 21:15:00+00:00"


def files_of(path: Path, key: str) -> list[Path]:
    """The file itself, or a folder's tables in the order of their names.

    Raises
    ------
    SourceError
        There is none; ``key`` is the setting that names it.
    """
    if path.is_dir():
        inside = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
        found = sorted(entry for entry in inside if entry.name.lower().endswith(TABLE_ENDINGS))
    else:
        found = [path] if path.is_file() and path.name.lower().endswith(TABLE_ENDINGS) else []
    if not found:
        raise SourceError(
            expected=f"a {', '.join(TABLE_ENDINGS)} file, or a folder of such files",
            found="none" if path.exists() else "nothing there",
            remedy=f"correct {key} in the strategy file",
            file=str(path),
            rule="files_there",
        )
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
    name = path.name.lower()
    try:
        with unchanged(path):
            arrow = name.endswith((".feather", ".parquet", ".pq"))
            table = _read_arrow(path, limits) if arrow else read_texts(path, limits)
    except (OSError, EOFError, ValueError, zlib.error, csv.Error, pa.ArrowException) as error:
        raise SourceError(
            expected="a readable table",
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            remedy="deliver the file again, or move it out of the folder",
            file=str(path),
            rule="readable",
        ) from error
    if table.empty:
        raise SourceError(
            expected="at least one row",
            found="a header alone",
            remedy="deliver the file again, or remove it",
            file=str(path),
            rule="not_empty",
        )
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        table = table.set_axis(range(1, len(table) + 1), axis=0)
    return table.set_axis([str(header) for header in table.columns], axis=1)


def _read_arrow(path: Path, limits: Limits) -> pd.DataFrame:
    """Read a Parquet or Feather file; texts that are none and columns of one name are refused."""
    limits.check_bytes(path.stat().st_size, path)
    if path.name.lower().endswith(".feather"):
        arrow = _read_feather(path, limits)
    else:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            limits.check_parquet(file, path)
            arrow = limits.read_parquet(file, path)
    _refuse_repeated(arrow.column_names, path)
    arrow.validate(full=True)
    table: pd.DataFrame = arrow.to_pandas()
    return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()


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


def read_texts(path: Path, limits: Limits = USUAL_LIMITS) -> pd.DataFrame:
    """Read every cell of a CSV as text; cells apart by commas, or by what its first line tells them apart by.

    Returns
    -------
    DataFrame
        The index is each row's line in the file, as an editor counts them; empty lines are left out.

    Raises
    ------
    SourceError
        Two columns of one name; a line with fewer or more cells than the header, which pandas would fill up or
        cut; the file changed while it was read; or it holds more than the limits.
    OSError, ValueError, EOFError, zlib.error, csv.Error
        It cannot be read as text.
    """
    with unchanged(path):
        limits.check_text(path)
        return _read_texts(path, limits)


def _read_texts(path: Path, limits: Limits) -> pd.DataFrame:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
        separator = separator_of(stream.readline(), path)
        stream.seek(0)
        lines = csv.reader(stream, delimiter=separator)
        places, filled = array("q"), array("b")  # of each record, blank ones too
        width = before = ends = 0
        for cells in lines:
            begins, ends = ends + 1, lines.line_num
            blank = len(cells) <= 1 and not "".join(cells).strip()
            if not width:
                width, before = (0, before + 1) if blank else (len(cells), before)
                limits.check_columns(width, path)
                _refuse_repeated(cells, path)
                continue
            if not blank and len(cells) != width:
                raise SourceError(
                    expected=f"as many cells in each line as in the header, {width}",
                    found=f"{len(cells)} cells: {quoted(separator.join(cells))}",
                    remedy=UNEQUAL_REMEDY,
                    file=str(path),
                    row=begins,
                    rule="readable",
                )
            places.append(begins)
            filled.append(not blank)
            if len(places) > limits.rows:
                limits.check_rows(len(places), path, at_least=True)
    table = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        index_col=False,
        skiprows=before,
        skip_blank_lines=False,
    )
    return table.set_axis(pd.Index(places, dtype="int64"), axis=0)[np.array(filled, dtype=bool)]


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
    table: pd.DataFrame, column: str, path: Path, *, nullable: bool = False, known_at: bool = False
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
    aware = moments_written(written)
    wrong = aware.isna() & ~(_blank(written) if nullable else False)
    _refuse_first(table, wrong, column, path, _MOMENT)
    days = without_a_time(written, aware)
    if known_at and days.any():
        place = int(days.to_numpy().argmax())
        fault = known_at_fault(column, written.iloc[place], int(days.sum()))
        raise SourceError(**fault, file=str(path), row=int(table.index[place]))
    return aware


def days_of(
    table: pd.DataFrame, column: str, path: Path, *, nullable: bool = False, far_is_none: bool = False
) -> pd.Series:
    """Tz-naive midnights of a column of days, as :func:`nn_assets.sources.days.days_written` reads them.

    With ``far_is_none`` a day after those that nanoseconds hold, such as 9999-12-31, is missing.

    Raises
    ------
    SourceError
        A value is no day, or one that nanoseconds cannot hold (before 1677 or after 2262).
    """
    written = table[column]
    days = days_written(written)
    if pd.api.types.is_datetime64_any_dtype(written):
        far = beyond_nanoseconds(written) & (written.dt.year > 2000) & far_is_none
    else:
        far = written.astype("str").str.strip().str.match(_FAR) & far_is_none
    wrong = days.isna() & ~far & ~(_blank(written) if nullable else False)
    _refuse_first(table, wrong, column, path, "a day, such as 2018-01-31")
    return days


def numbers_of(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Numbers of a column; NaN where its cell is empty or a common word for none."""
    written = table[column]
    if pd.api.types.is_numeric_dtype(written) and not pd.api.types.is_bool_dtype(written):
        return written.astype(np.float64)
    values = pd.to_numeric(written.astype("str").str.strip(), errors="coerce")
    _refuse_first(
        table, values.isna() & ~_blank(written), column, path, "a number", f"{NUMBER_REMEDY}; or leave it empty"
    )
    return values.astype(np.float64)


def _blank(written: pd.Series) -> pd.Series:
    return written.isna() | written.astype("str").str.strip().str.lower().isin(_NONE)


def _refuse_first(
    table: pd.DataFrame,
    wrong: pd.Series,
    column: str,
    path: Path,
    expected: str,
    remedy: str = "correct the cell, or leave out the row",
) -> None:
    if not wrong.any():
        return
    place = int(wrong.to_numpy().argmax())
    raise SourceError(
        expected=f"{expected} in {column}",
        found=f"{str(table[column].iloc[place])!r}, first of {int(wrong.sum())}",
        remedy=remedy,
        file=str(path),
        row=int(table.index[place]),
        rule="values_of_their_kind",
        column=column,
        value=repr(str(table[column].iloc[place])),
    )
