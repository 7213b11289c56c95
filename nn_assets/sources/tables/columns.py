"""Columns of any table made moments, days, numbers or symbols; the first value that cannot be read is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.sources.days import (
    NUMBER_REMEDY,
    beyond_nanoseconds,
    days_written,
    known_at_fault,
    moments_written,
    without_a_time,
)
from nn_assets.sources.numbers import blank, numbers_written
from nn_assets.sources.protocol import validate_symbol
from nn_assets.sources.spellings import listed_columns, normalised, quoted

_FAR = r"^(?:22[6-9]|2[3-9][0-9]|[3-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}"  # a day after those that nanoseconds hold


def column_named(table: pd.DataFrame, spellings: Sequence[str]) -> str | None:
    """Header of the first spelling that the table has; None where it has none."""
    by_spelling = {normalised(header): header for header in reversed(table.columns)}
    return next((by_spelling[spelling] for spelling in map(normalised, spellings) if spelling in by_spelling), None)


def columns_named(table: pd.DataFrame, needed: Sequence[Sequence[str]], path: Path) -> list[str]:
    """Headers of columns that are needed, each by the first of its spellings that the table has.

    Raises
    ------
    SourceError
        Some are absent: all of them are told.
    """
    headers = [column_named(table, spellings) for spellings in needed]
    missing = [spellings for spellings, header in zip(needed, headers, strict=True) if header is None]
    if missing:
        raise SourceError(
            expected="; ".join(f"a column {' or '.join(spellings)}" for spellings in missing),
            found=f"columns {', '.join(map(repr, table.columns[:30]))}",
            remedy=f"name {listed_columns([spellings[0] for spellings in missing])} in the header",
            file=str(path),
            rule="complete_columns",
            column=missing[0][0],
        )
    return [header for header in headers if header is not None]


def moments_of(
    table: pd.DataFrame,
    column: str,
    path: Path,
    *,
    nullable: bool = False,
    known_at: bool = False,
    wording: FaultText | None = None,
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
    wrong = aware.isna() & ~(blank(written) if nullable else False)
    refuse_first(
        table, wrong, column, path, wording or FaultText("a moment, such as 2018-01-31 21:15:00+00:00 in {column}")
    )
    days = without_a_time(written, aware)
    if known_at and days.any():
        position = int(days.to_numpy().argmax())
        fault = known_at_fault(column, written.iloc[position], int(days.sum()))
        raise SourceError(**fault, file=str(path), row=int(table.index[position]), **_symbol_in(table, position))
    return aware


def days_of(
    table: pd.DataFrame,
    column: str,
    path: Path,
    *,
    nullable: bool = False,
    far_is_none: bool = False,
    wording: FaultText | None = None,
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
    wrong = days.isna() & ~far & ~(blank(written) if nullable else False)
    refuse_first(table, wrong, column, path, wording or FaultText("a day, such as 2018-01-31 in {column}"))
    return days


def numbers_of(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Numbers of a column; NaN where its cell is empty or a common word for none."""
    values, wrong = numbers_written(table[column])
    refuse_first(table, wrong, column, path, FaultText("a number in {column}", f"{NUMBER_REMEDY}; or leave it empty"))
    return values


def symbols_of(table: pd.DataFrame, path: Path) -> pd.Series | None:
    """Symbols of a column symbol or ticker; None where there is none."""
    column = column_named(table, ("symbol", "ticker"))
    if column is None:
        return None
    symbols = table[column].astype("str").str.strip()
    for line, symbol in symbols.drop_duplicates().items():
        validate_symbol(symbol, file=str(path), row=int(str(line)))
    return symbols


@dataclass(frozen=True)
class FaultText:
    """The message on a value that cannot be read; ``{column}`` is replaced by the column's name."""

    expected: str
    remedy: str = "correct the cell, or leave out the row"
    rule: str = "values_of_their_kind"
    found: str = ""


def refuse_first(
    table: pd.DataFrame,
    wrong: pd.Series,
    column: str,
    path: Path,
    wording: FaultText,
    count: int | None = None,
    **where: object,
) -> None:
    """Refuse a table of which some values are wrong, naming the first and, but for a count of 0, how many there are."""
    if not wrong.any():
        return
    count = int(wrong.sum()) if count is None else count
    position = int(wrong.to_numpy().argmax())
    written = quoted(table[column].iloc[position])
    raise SourceError(
        expected=wording.expected.replace("{column}", column),
        found=f"{wording.found}{written}{f', first of {count}' if count else ''}",
        remedy=wording.remedy,
        file=str(path),
        row=int(table.index[position]),
        rule=wording.rule,
        column=column,
        value=written,
        **{**_symbol_in(table, position), **where},
    )


def _symbol_in(table: pd.DataFrame, position: int) -> dict[str, str]:
    return {"symbol": str(table["symbol"].iloc[position])} if "symbol" in table.columns else {}
