"""Bars from CSV and Parquet files: one file or a folder, long or one file per symbol.

The way of a bar begins here: a row of a file becomes a row of ``DELIVERED_BARS``, which
``operations/intake/bars.py`` takes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import model_validator

from nn_assets.contracts import DELIVERED_BARS, DETAILS, conform
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import SourceError
from nn_assets.settings.section import NeverCounts, WhenSet
from nn_assets.settings.sources import Count, NamesFile, SourceSection
from nn_assets.sources.days import NUMBER_REMEDY, known_at_fault
from nn_assets.sources.numbers import detail_columns, numbers_written
from nn_assets.sources.protocol import checked_selection, validate_symbol
from nn_assets.sources.registry import SourceContext, SourceMember
from nn_assets.sources.spellings import day_of_name, map_columns, normalised, symbol_from_name
from nn_assets.sources.tables.archives import ARCHIVES, read_archive
from nn_assets.sources.tables.closes import read_closes
from nn_assets.sources.tables.columns import FaultText, days_of, moments_of, refuse_first
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.plain_tables import files_of, not_empty, read_columns
from nn_assets.sources.tables.unchanged import unchanged

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_MOST_FAULTS = 10
_NUMBERS = ("open", "high", "low", "close", "volume")
_NUMBER = FaultText("a number in {column}", f"{NUMBER_REMEDY}; or leave the cell empty", "numbers_are_numbers", "text ")
_DAY = FaultText(
    "a day, such as 2018-01-31, 2018/01/31 or 20180131, at most with a midnight and an offset, or the epoch of a "
    "midnight of UTC",
    "write dates year first; name a file of intraday bars under intraday, not under source",
    "dates_are_days",
)
_MOMENT = FaultText(
    "a moment, such as 2018-01-31T21:30:00Z; UTC where no offset is given",
    "write moments year first, from 1677 to 2262, or leave the cell empty",
    "moments_are_moments",
)
_HEADER = FaultText(
    "one header, on the first line, and none among the rows, as where files are set one behind the other",
    "delete the line, or deliver the parts as files of their own",
    "one_header",
)


class FilesSettings(SourceSection):
    """A file, or a folder of files; a relative ``path`` starts from the strategy's folder.

    ``member`` is the table within an archive. ``known_at_from: file_name`` says that a file's bars became
    known at the close of the day in its name (a folder of daily drops), and not each at its own session's close.
    ``closes_only``: the files hold closes alone, a column close or a column a symbol; open, high and low are then the
    close, volume is unknown, and nothing may read them.
    The limits are what is read at most; a delivery beyond one is refused, never cut: ``max_columns`` and
    ``max_megabytes`` (unpacked, for a packed file) hold for each file, ``max_rows`` for all.
    """

    kind: Literal["files"] = "files"
    path: NamesFile[str | None] = None
    member: str | None = None
    closes_only: WhenSet[bool] = False
    known_at_from: Literal["close", "file_name"] = "close"
    max_rows: NeverCounts[Count] = 20_000_000
    max_columns: NeverCounts[Count] = 1000
    max_megabytes: NeverCounts[Count] = 2048

    @model_validator(mode="after")
    def _needs_a_path(self) -> FilesSettings:
        if not self.path:
            raise ValueError("source.kind 'files' needs source.path, a file or a folder")
        return self

    @property
    def closes_alone(self) -> bool:
        """Whether a bar is its close alone."""
        return self.closes_only

    @property
    def file_limits(self) -> tuple[int, int, int]:
        """Rows, columns and megabytes that are read at most."""
        return self.max_rows, self.max_columns, self.max_megabytes


class FilesSource:
    """Files that a person or a vendor put into a folder.

    Symbols come from a column where there is one, else from the file's name (``NUE_data.csv``), in an archive the
    member's.
    Adjusted columns are left out: bars are stored raw. Every bar's ``source`` names its file.

    Parameters
    ----------
    path : path or str
        One file, or a folder whose ``.csv``, ``.csv.gz``, ``.parquet`` and ``.pq`` files, and archives
        (``.tar.gz``, ``.tgz``, ``.tar``, ``.zip``) of such files, are read in the order of their
        names; other files in it are passed over, and so are archives without bars.
    requires_volume : bool
        False for series quoted without volume, such as an index of volatility: theirs is NaN.
    member : str, optional
        Name or pattern of the members of an archive that hold bars; those with a bar's columns when
        left out.
    known_on : callable, optional
        From the day in a file's name (``20150323.tar.gz``) to the moment from which all its bars
        count as known. A column ``known_at`` of a file's own comes first. Bars of files without
        either have no moment of their own.
    closes_only : bool
        The files hold closes alone, long or a column a symbol, as ``sources/tables/closes.py`` reads them.
    limits : Limits
        What is read at most; beyond, the delivery is refused.
    """

    name = "files"

    def __init__(
        self,
        path: Path | str,
        *,
        requires_volume: bool = True,
        member: str | None = None,
        known_on: Callable[[pd.Timestamp], pd.Timestamp] | None = None,
        closes_only: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.path = Path(path)
        self.requires_volume = requires_volume
        self.member = member
        self.known_on = known_on
        self.closes_only = closes_only
        self.limits = limits or Limits()

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver the files' bars; see ``Source.bars``. Faults of single rows pass; faults of a file do not.

        Raises
        ------
        SourceError
            No file, or a file that is empty, not text, unreadable, without a needed column, with
            text in a price, a date that cannot be read, an intraday time, an impossible symbol, or more
            than the limits; names file, row, symbol, session, column and value as far as there are such.
        """
        tables: list[pd.DataFrame] = []
        rows = 0
        for _, bars in self.bars_by_file(self.files()):
            if bars is not None:
                tables.append(bars)
                rows += len(bars)
                self.limits.check_rows(rows, self.path, at_least=True)
        return self.select(tables, symbols, first, last)

    def select(
        self,
        tables: list[DeliveredBars],
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Cut what all files hold to what was asked for; see ``Source.bars``."""
        if not tables:
            raise SourceError(
                expected="a file with bars",
                found="archives without any",
                remedy="correct source.path, or source.member, in the strategy file",
                file=str(self.path),
                rule="not_empty",
            )
        return checked_selection(pd.concat(tables, ignore_index=True), self.name, symbols, first, last)

    def files(self) -> list[Path]:
        """Files that hold tables, in the order of their names.

        Raises
        ------
        SourceError
            There is none, or one that is no plain file.
        """
        return files_of(self.path, "source.path", (*_CSV, *_PARQUET, *ARCHIVES))

    def source_of(self, file: Path) -> str:
        """What the bars of a file name as their ``source``."""
        return f"{self.name}:{file.name}"

    def bars_by_file(self, files: Sequence[Path]) -> Iterator[tuple[Path, pd.DataFrame | None]]:
        """Each file with its bars, as ``read`` gives them.

        Raises
        ------
        SourceError
            What ``read`` refuses. The files after one at fault are read all the same: the error tells the
            first fault of each of the first ten of them.
        """
        faults: list[SourceError] = []
        for file in files:
            try:
                bars = self.read(file)
            except SourceError as error:
                faults.append(error)
                if len(faults) == _MOST_FAULTS:
                    break
                continue
            if not faults:
                yield file, bars
        if faults:
            raise _together(faults)

    def read(self, file: Path) -> pd.DataFrame | None:
        """Bars of one file, as ``bars`` gives them but whole and in its order; None for an archive without any."""
        with unchanged(file):
            if file.name.lower().endswith(ARCHIVES):
                table = read_archive(file, self.member, self._table, self.limits)
            else:
                table = self._table(file, file.name)
        if table is None:
            return None
        for line, symbol in table["symbol"].drop_duplicates().items():
            validate_symbol(symbol, file=str(file), row=int(str(line)))
        if "volume" not in table.columns:
            table["volume"] = float("nan")
        parsed = table.assign(session=days_of(table, "session", file, wording=_DAY), source=self.source_of(file))
        known_at = self._known_at(table, file)
        details = {name: parsed[name].reset_index(drop=True) for name in DETAILS if name in parsed.columns}
        bars = conform(parsed, DELIVERED_BARS).reset_index(drop=True).assign(**details)
        if isinstance(known_at, pd.Series):
            known_at = known_at.reset_index(drop=True)
        return bars if known_at is None else bars.assign(known_at=known_at)

    def _table(self, file: Path, name: str) -> pd.DataFrame:
        """Rows of a file that holds one table; without a column of symbols they are of its name."""
        table = read_closes(file, self.limits) if self.closes_only else self._bar_table(file)
        if "symbol" not in table.columns:
            table["symbol"] = validate_symbol(symbol_from_name(Path(name)), file=str(file))
        return table

    def _bar_table(self, file: Path) -> pd.DataFrame:
        """A bar's columns of a file, numbers as numbers, the session and known_at as they are written."""
        is_parquet = file.name.lower().endswith(_PARQUET)
        columns: dict[str, str] = {}

        def choose(headers: list[str], schema: pa.Schema | None) -> dict[str, str]:
            columns.update(map_columns(headers, str(file), needs_volume=self.requires_volume))
            if schema is not None:
                _refuse_types(schema, columns, file)
            return columns

        table = read_columns(file, choose, self.limits, (*_NUMBERS, *DETAILS))
        if not is_parquet:
            fields = [field for field in columns if field != "symbol" and field not in DETAILS]
            table = not_empty(table[~table[fields].isin(["", np.nan]).all(axis=1)], file)
        elif "symbol" in columns:
            table["symbol"] = table["symbol"].astype("str").fillna("")
        details = detail_columns(table, columns, str(file))
        table = table.drop(columns=[name for name in columns if name in DETAILS]).assign(**details)
        return _with_numbers(table, columns, file)

    def _known_at(self, table: pd.DataFrame, file: Path) -> pd.Series | pd.Timestamp | None:
        if "known_at" in table.columns:
            return moments_of(table, "known_at", file, nullable=True, known_at=True, wording=_MOMENT)
        day = None if self.known_on is None else day_of_name(file)
        return None if day is None or self.known_on is None else self.known_on(day)


def _with_numbers(table: pd.DataFrame, columns: dict[str, str], file: Path) -> pd.DataFrame:
    """Texts of a bar's numbers to numbers; of the cells that are no number the first is named, with their count."""
    numeric = [field for field in columns if field in _NUMBERS]
    values = {field: numbers_written(table[field]) for field in numeric}
    wrong = pd.DataFrame({field: is_wrong for field, (_, is_wrong) in values.items()}, index=table.index)
    if wrong.to_numpy().any():
        _refuse_second_header(table, columns, file)
        position = int(wrong.any(axis=1).to_numpy().argmax())
        field = numeric[int(wrong.iloc[position].to_numpy().argmax())]
        symbol = table.iloc[position].get("symbol", symbol_from_name(file))
        session, count = str(table["session"].iloc[position])[:80], int(wrong.to_numpy().sum())
        refuse_first(table, wrong[field], field, file, _NUMBER, count, symbol=symbol, session=session)
    return table.assign(**{field: numbers for field, (numbers, _) in values.items()})


def _refuse_second_header(table: pd.DataFrame, columns: dict[str, str], file: Path) -> None:
    header = normalised(columns["session"])
    repeats = table["session"].astype("str").str.lower().str.strip().map(normalised) == header
    refuse_first(table, repeats, "session", file, _HEADER)


def _refuse_types(schema: pa.Schema, columns: dict[str, str], path: Path) -> None:
    """Refuse columns of flags, bytes, lists or records; days but for the session, times but for it and known_at."""
    kinds = [pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null]
    kinds += [pa.types.is_string, pa.types.is_large_string]
    for field, header in ((field, header) for field, header in columns.items() if field not in DETAILS):
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


def _together(faults: list[SourceError]) -> SourceError:
    """The faults of several files as one: the place of the first, and the others in its words."""
    first, *others = faults
    if not others:
        return first
    details = [f"{error.where.get('file')}{_row_text(error)}: {error.found}" for error in others]
    least = "at least " if len(faults) == _MOST_FAULTS else ""
    return SourceError(
        expected=first.expected,
        found=f"{first.found}; and in {least}{len(others)} more files: {'; '.join(details)}",
        remedy="; ".join(dict.fromkeys(error.remedy for error in faults)),
        **first.where,
    )


def _row_text(error: SourceError) -> str:
    parts = [f", {name} {error.where[name]}" for name in ("row", "column") if name in error.where]
    return "".join(parts)


def _build(settings: FilesSettings, context: SourceContext) -> FilesSource:
    assert settings.path is not None, "settings demand it"
    return FilesSource(
        context.folder / settings.path,
        requires_volume=context.requires_volume,
        member=settings.member,
        known_on=context.known_on if settings.known_at_from == "file_name" else None,
        closes_only=settings.closes_only,
        limits=Limits.of(settings),
    )


SOURCE = SourceMember(
    kind="files",
    settings=FilesSettings,
    build=_build,
    label="Bars from files",
    delivers=("bars", "known_at"),
    may_end=True,
)
