"""Files of closes alone: a column of them, or a column a symbol beside the first column, the date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.errors import SourceError
from nn_assets.sources.tables.columns import column_named, columns_named, numbers_of
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.plain_tables import read_plain

_RANGE = ("open", "high", "low")
_DATES = ("session", "date", "datetime", "timestamp", "day", "time")
_CLOSES = ("close", "close_price")
_SYMBOLS = ("symbol", "ticker")
_KNOWN = ("known_at",)


def read_closes(path: Path, limits: Limits) -> pd.DataFrame:
    """Read closes as bars whose open, high and low are the close, and whose volume is unknown.

    Returns
    -------
    DataFrame
        The columns of a bar, indexed by line. A file with a column close is of the symbols of
        its column symbol, or of its name; any other holds a column of closes for each symbol, named by the header,
        beside the column of dates, the first where none is called so. There an empty cell is no bar.

    Raises
    ------
    SourceError
        The file cannot be read, has opens, highs or lows too, no column of closes, text in a close, or more than the
        limits.
    """
    table = read_plain(path, limits)
    present = [name for name in _RANGE if column_named(table, (name,)) is not None]
    if len(present) == len(_RANGE):
        raise SourceError(
            expected="closes alone",
            found="columns open, high and low beside them",
            remedy="leave source.closes_only out of the strategy file",
            file=str(path),
            rule="closes_alone",
        )
    symbol, known_column = (column_named(table, spellings) for spellings in (_SYMBOLS, _KNOWN))
    close = column_named(table, _CLOSES) if symbol is None else columns_named(table, [_CLOSES], path)[0]
    # Of a wide file the first column is the date: DAY, TIME and C are symbols.
    date_column = str(table.columns[0]) if close is None else columns_named(table, [_DATES], path)[0]
    columns = (
        [close]
        if close is not None
        else [header for header in table.columns if header not in (date_column, known_column)]
    )
    if not columns:
        raise SourceError(
            expected="a column close, or a column of closes for each symbol",
            found=f"the column {date_column!r} alone",
            remedy="name the column of closes close, or each column by its symbol",
            file=str(path),
            rule="complete_columns",
        )
    limits.check_rows(len(table) * len(columns), path)
    parts = []
    for header in columns:
        part = pd.DataFrame({"session": table[date_column]})
        part["close"] = numbers_of(table, header, path)
        if known_column is not None:
            part["known_at"] = table[known_column]
        if close is None:
            part = part[part["close"].notna()].assign(symbol=header.strip())
        elif symbol is not None:
            part["symbol"] = table[symbol].astype("str").str.strip()
        parts.append(part)
    bars = pd.concat(parts)
    return bars.assign(open=bars["close"], high=bars["close"], low=bars["close"], volume=np.nan)
