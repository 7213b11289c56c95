"""Bars from CSV and Parquet files: one file or a folder, long or one file per symbol."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.frames import DELIVERED_BARS, conform
from nn_assets.sources.days import days_written
from nn_assets.sources.protocol import checked_selection, validate_symbol
from nn_assets.sources.spellings import symbol_from_name
from nn_assets.sources.tables import LINE, read_csv, read_parquet

__all__ = ["FilesSource"]

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")


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
    """

    name = "files"

    def __init__(self, path: Path | str, *, requires_volume: bool = True) -> None:
        self.path = Path(path)
        self.requires_volume = requires_volume

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
            text in a price, a date that is none, an intraday time, or an impossible symbol; names
            file, row, symbol, session, column and value as far as there are such.
        """
        delivered = pd.concat([self._read(file) for file in self._files()], ignore_index=True)
        return checked_selection(delivered, self.name, symbols, first, last)

    def _files(self) -> list[Path]:
        if self.path.is_file():
            found = [self.path]
        elif self.path.is_dir():
            entries = [entry for entry in self.path.iterdir() if not entry.name.startswith(".")]
            found = sorted(entry for entry in entries if entry.is_file() and _is_table(entry))
        else:
            found = []
        if not found or not _is_table(found[0]):
            raise SourceError(
                expected=f"a {', '.join((*_CSV, *_PARQUET))} file, or a folder of such files",
                found="nothing there" if not self.path.exists() else "none",
                remedy="correct source.path in the strategy file",
                file=str(self.path),
                rule="files_there",
            )
        return found

    def _read(self, file: Path) -> pd.DataFrame:
        read = read_parquet if file.name.lower().endswith(_PARQUET) else read_csv
        table = read(file, needs_volume=self.requires_volume)
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
    days = days_written(table["session"])
    _refuse_first(table, days.isna(), file)
    return days


def _refuse_first(table: pd.DataFrame, wrong: pd.Series, file: Path) -> None:
    if not wrong.any():
        return
    row = table[wrong].iloc[0]
    raise SourceError(
        expected="a day, such as 2018-01-31, 2018/01/31 or 20180131, at most with a midnight and an offset",
        found=f"{str(row['session'])!r}, first of {int(wrong.sum())}",
        remedy="write dates year first; intraday bars do not belong into a file of daily ones",
        file=str(file),
        row=int(row[LINE]),
        symbol=row["symbol"],
        rule="dates_are_days",
        column="session",
        value=repr(str(row["session"])),
    )
