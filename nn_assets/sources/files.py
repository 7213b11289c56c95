"""Bars from CSV and Parquet files: one file or a folder, long or one file per symbol."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.frames import DELIVERED_BARS, conform
from nn_assets.sources.limits import Limits
from nn_assets.sources.protocol import checked_selection, validate_symbol
from nn_assets.sources.spellings import quoted, symbol_from_name
from nn_assets.sources.tables import LINE, read_csv, read_parquet, unreadable

__all__ = ["FilesSource"]

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
# A date, then at most a midnight and an offset: an offset says whose midnight, not another day.
_DATE = r"^(\d{4})[-/]?(\d{2})[-/]?(\d{2})(?:[ T]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"

_HELD = ("1700-01-01", "2261-12-31")  # what nanoseconds can hold


class FilesSource:
    """Files that a person or a vendor put into a folder.

    Symbols come from a column where there is one, else from the file's name (``NUE_data.csv``).
    Adjusted columns are left out: bars are stored raw. Every bar's ``source`` names its file.

    Parameters
    ----------
    path : path or str
        One file, or a folder whose ``.csv``, ``.csv.gz``, ``.parquet`` and ``.pq`` files are read
        in the order of their names; other files in it are passed over.
    requires_volume : bool
        False for series quoted without volume, such as an index of volatility: theirs is NaN.
    limits : Limits
        What is read at most; beyond, the delivery is refused.
    """

    name = "files"

    def __init__(self, path: Path | str, *, requires_volume: bool = True, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self.requires_volume = requires_volume
        self.limits = limits or Limits()

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Deliver the files' bars; see ``Source.bars``. Faults of single rows pass; faults of a file do not.

        Raises
        ------
        SourceError
            No file, or a file that is empty, not text, unreadable, without a needed column, with
            text in a price, a date that is none, an intraday time, an impossible symbol, or more
            than the limits; names file, row, symbol, session, column and value as far as there are such.
        """
        tables, rows = [], 0
        for file in self._files():
            tables.append(self._read(file))
            rows += len(tables[-1])
            self.limits.check_rows(rows, self.path, at_least=True)
        delivered = pd.concat(tables, ignore_index=True)
        return checked_selection(delivered, self.name, symbols, first, last)

    def _files(self) -> list[Path]:
        try:
            found = self._there()
        except OSError as error:
            raise unreadable(self.path, "a file or folder", error) from error
        if not found or not _is_table(found[0]):
            raise SourceError(
                expected=f"a {', '.join((*_CSV, *_PARQUET))} file, or a folder of such files",
                found="nothing there" if not self.path.exists() else "none",
                remedy="correct source.path in the strategy file",
                file=str(self.path),
                rule="files_there",
            )
        return found

    def _there(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            return []
        entries = [entry for entry in self.path.iterdir() if not entry.name.startswith(".")]
        found = sorted(entry for entry in entries if _is_table(entry) and not entry.is_dir())
        for entry in found:
            if not entry.is_file():
                raise unreadable(entry, "a plain file", FileNotFoundError("a pipe, or a link that leads nowhere"))
        return found

    def _read(self, file: Path) -> pd.DataFrame:
        read = read_parquet if file.name.lower().endswith(_PARQUET) else read_csv
        table = read(file, needs_volume=self.requires_volume, limits=self.limits)
        if "symbol" not in table.columns:
            table["symbol"] = validate_symbol(symbol_from_name(file), file=str(file))
        _check_symbols(table, file)
        if "volume" not in table.columns:
            table["volume"] = float("nan")
        table["session"] = _sessions(table, file)
        return conform(table.assign(source=f"{self.name}:{file.name}"), DELIVERED_BARS)


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith((*_CSV, *_PARQUET))


def _check_symbols(table: pd.DataFrame, file: Path) -> None:
    first_lines = table.drop_duplicates("symbol")
    for symbol, line in zip(first_lines["symbol"], first_lines[LINE], strict=True):
        validate_symbol(symbol, file=str(file), row=int(line))


def _sessions(table: pd.DataFrame, file: Path) -> pd.Series:
    """Days of a column of dates, as tz-naive midnights; the wall date where an offset is given."""
    written = table["session"]
    if pd.api.types.is_datetime64_any_dtype(written):
        wall = written.dt.tz_localize(None)
        _refuse_first(table, ~wall.between(*_HELD) | (wall.dt.normalize() != wall), file)
        return wall.dt.as_unit("ns")
    texts = written.astype("str").fillna("").str.strip()
    parts = texts.str.extract(_DATE)
    joined = parts[0] + "-" + parts[1] + "-" + parts[2]
    days = pd.to_datetime(joined, format="%Y-%m-%d", errors="coerce")
    days = days.where(days.between(*_HELD))
    _refuse_first(table, days.isna(), file)
    return days.dt.as_unit("ns")


def _refuse_first(table: pd.DataFrame, wrong: pd.Series, file: Path) -> None:
    if not wrong.any():
        return
    row = table[wrong].iloc[0]
    raise SourceError(
        expected="a day, such as 2018-01-31, 2018/01/31 or 20180131, at most with a midnight and an offset",
        found=f"{quoted(row['session'])}, first of {int(wrong.sum())}",
        remedy="write dates year first; intraday bars do not belong into a file of daily ones",
        file=str(file),
        row=int(row[LINE]),
        symbol=row["symbol"],
        rule="dates_are_days",
        column="session",
        value=quoted(row["session"]),
    )
