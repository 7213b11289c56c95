"""Files of any table read as they are (CSV, Parquet, Feather), and columns of them made moments, days or numbers.

For data that are no daily bars. A file that cannot be read, and the first value that is none of its
kind, are errors that name the place.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from nn_assets.errors import SourceError
from nn_assets.sources.days import known_at_fault, without_a_time
from nn_assets.sources.spellings import normalised, quoted

__all__ = ["TABLE_ENDINGS", "column_named", "days_of", "files_of", "moments_of", "numbers_of", "read_plain"]

TABLE_ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq", ".feather")
_NONE = frozenset(["", "na", "n/a", "nan", "null", "none", "-"])
# Below each bound an epoch counts seconds, milliseconds, microseconds; above the last, nanoseconds.
_EPOCHS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
_NANOSECONDS = float(np.iinfo(np.int64).max)
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
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


def read_plain(path: Path) -> pd.DataFrame:
    """Read every column of a table: those of a CSV as texts, others with their own types.

    Raises
    ------
    SourceError
        It cannot be read, has lines of unequal length, or no rows.
    """
    name = path.name.lower()
    try:
        if name.endswith(".feather"):
            table = pd.read_feather(path)
        elif name.endswith((".parquet", ".pq")):
            table = pd.read_parquet(path)
            table = table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
        else:
            _refuse_unequal_lines(path)
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
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
    return table.set_axis([str(header) for header in table.columns], axis=1)


def _refuse_unequal_lines(path: Path) -> None:
    """Refuse lines with fewer or more cells than the header: pandas fills them up, or cuts them."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        filled = (cells for cells in lines if "".join(cells).strip() or len(cells) > 1)
        header = next(filled, [])
        wrong = next((cells for cells in filled if len(cells) != len(header)), None)
    if wrong is not None:
        raise SourceError(
            expected=f"as many cells in each line as in the header, {len(header)}",
            found=f"{len(wrong)} cells: {quoted(','.join(wrong))}",
            remedy="quote a cell that holds a comma, or deliver the file again",
            file=str(path),
            row=lines.line_num,
            rule="readable",
        )


def column_named(table: pd.DataFrame, spellings: Sequence[str], path: Path, *, needed: bool = True) -> str | None:
    """Header of the first spelling that the table has; None where it has none and need not.

    Raises
    ------
    SourceError
        A needed column is absent.
    """
    by_spelling = {normalised(header): header for header in reversed(table.columns)}
    found = next((by_spelling[each] for each in map(normalised, spellings) if each in by_spelling), None)
    if found is None and needed:
        raise SourceError(
            expected=f"a column {' or '.join(spellings)}",
            found=f"columns {', '.join(map(repr, table.columns[:30]))}",
            remedy=f"name the column {spellings[0]!r} in the header",
            file=str(path),
            rule="complete_columns",
            column=spellings[0],
        )
    return found


def moments_of(
    table: pd.DataFrame, column: str, path: Path, *, nullable: bool = False, known_at: bool = False
) -> pd.Series:
    """UTC moments of a column of times, ISO 8601 texts or epochs (s, ms, us or ns by their size).

    A text or time without an offset is taken as UTC, a day alone as its midnight; ``known_at`` refuses such
    days: what a day made known was not known when it began.

    Raises
    ------
    SourceError
        A value is no moment, or one that nanoseconds cannot hold (before 1677 or after 2262).
    """
    written = table[column]
    if pd.api.types.is_datetime64_any_dtype(written):
        aware = written.dt.tz_localize("UTC") if written.dt.tz is None else written.dt.tz_convert("UTC")
    elif pd.api.types.is_numeric_dtype(written):
        sizes = written.abs().to_numpy(dtype=np.float64, na_value=np.nan)
        _refuse_first(table, pd.Series(sizes >= _NANOSECONDS), column, path, _MOMENT)
        largest = np.nanmax(sizes, initial=0.0)
        unit = next((unit for bound, unit in _EPOCHS if largest < bound), "ns")
        aware = pd.to_datetime(written, unit=unit, utc=True)
    else:
        texts = written.astype("str").str.strip()
        blank = texts.str.lower().isin(_NONE) | written.isna()
        aware = pd.to_datetime(texts.mask(blank), format="ISO8601", utc=True, errors="coerce")
    aware = aware.mask(_beyond(aware))
    wrong = aware.isna() & ~(_blank(written) if nullable else False)
    _refuse_first(table, wrong, column, path, _MOMENT)
    days = without_a_time(written, aware)
    if known_at and days.any():
        place = int(days.to_numpy().argmax())
        fault = known_at_fault(column, written.iloc[place], int(days.sum()))
        raise SourceError(**fault, file=str(path), row=place + 1)
    return aware.dt.as_unit("ns")


def days_of(
    table: pd.DataFrame, column: str, path: Path, *, nullable: bool = False, far_is_none: bool = False
) -> pd.Series:
    """Tz-naive midnights of a column of days, written 2018-01-31 or held as times at midnight.

    With ``far_is_none`` a day after those that nanoseconds hold, such as 9999-12-31, is missing.

    Raises
    ------
    SourceError
        A value is no day, or one that nanoseconds cannot hold (before 1677 or after 2262).
    """
    written = table[column]
    if pd.api.types.is_datetime64_any_dtype(written):
        days = written.dt.tz_localize(None)
        days = days.where(days.dt.normalize() == days)
    else:
        texts = written.astype("str").str.strip().str.slice(0, 10)
        days = pd.to_datetime(texts.where(texts.str.fullmatch(_DAY)), format="%Y-%m-%d", errors="coerce")
    beyond = _beyond(days)
    far = beyond & (days > pd.Timestamp.max) & far_is_none
    days = days.mask(beyond)
    wrong = days.isna() & ~far & ~(_blank(written) if nullable else False)
    _refuse_first(table, wrong, column, path, "a day, such as 2018-01-31")
    return days.dt.as_unit("ns")


def numbers_of(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Numbers of a column; NaN where its cell is empty or a common word for none."""
    written = table[column]
    if pd.api.types.is_numeric_dtype(written):
        return written.astype(np.float64)
    values = pd.to_numeric(written.astype("str").str.strip(), errors="coerce")
    _refuse_first(table, values.isna() & ~_blank(written), column, path, "a number")
    return values.astype(np.float64)


def _beyond(times: pd.Series) -> pd.Series:
    """Times that nanoseconds cannot hold."""
    return (times < pd.Timestamp.min.tz_localize(times.dt.tz)) | (times > pd.Timestamp.max.tz_localize(times.dt.tz))


def _blank(written: pd.Series) -> pd.Series:
    return written.isna() | written.astype("str").str.strip().str.lower().isin(_NONE)


def _refuse_first(table: pd.DataFrame, wrong: pd.Series, column: str, path: Path, expected: str) -> None:
    if not wrong.any():
        return
    place = int(wrong.to_numpy().argmax())
    raise SourceError(
        expected=f"{expected} in {column}",
        found=f"{str(table[column].iloc[place])!r}, first of {int(wrong.sum())}",
        remedy="correct the cell, or leave out the row",
        file=str(path),
        row=place + 1,
        rule="values_of_their_kind",
        column=column,
        value=repr(str(table[column].iloc[place])),
    )
