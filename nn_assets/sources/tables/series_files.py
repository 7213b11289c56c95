"""Other series from CSV, Parquet and Feather files: an index of volatility, funding rates, a metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.contracts import DELIVERED_SERIES, conform
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import session_ends
from nn_assets.settings import FileSeriesSettings
from nn_assets.sources.tables.columns import column_named, columns_named, days_of, moments_of, numbers_of, symbols_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import files_named, read_plain, symbol_of_file

_TIMES = ("observed_at", "session", "date", "datetime", "timestamp", "time", "day")
_VALUES = ("value", "close", "rate")
_PUBLISHED = ("known_at", "published_at")
_RANGE = ("open", "low", "high")


def read_series_file(
    folder: Path, settings: FileSeriesSettings, calendar: str, limits: Limits = USUAL_LIMITS
) -> pd.DataFrame:
    """Read one series as its files give it.

    Parameters
    ----------
    folder : Path
        That a relative path starts from.
    settings : FileSeriesSettings
    calendar : str
        The series' own, or the market's: a day of the file is observed at the end of its session.
    limits : Limits
        What is read of a file at most.

    Returns
    -------
    DataFrame
        Columns of ``DELIVERED_SERIES``. ``open``, ``low`` and ``high`` are those beside a value
        called close; a day without a session is observed at its end, UTC.

    Raises
    ------
    SourceError
        No file, an unreadable one, a missing column, a value of another kind than its column's, neither a publication
        time nor a stated lag, several files that give different values of one moment without saying of which
        symbol, or more than the limits.
    """
    files = files_named(folder, settings.path, "series.path")
    parts = [_read(file, settings, calendar, limits) for file in files]
    delivered = pd.concat(parts, ignore_index=True)
    if len(files) > 1 and settings.symbol_from == "column" and not settings.symbol:
        _refuse_contradicting_files(delivered, settings, folder)
    return delivered


def _refuse_contradicting_files(delivered: pd.DataFrame, settings: FileSeriesSettings, folder: Path) -> None:
    """Refuse files that say, of one moment of the market as a whole, what another file does not."""
    of_market = delivered[(delivered["symbol"] == "") & delivered["known_at"].isna()]
    values = of_market.drop_duplicates(["observed_at", "value"])
    apart = values[values.duplicated("observed_at", keep=False)]
    sources = apart.groupby("observed_at")["source"].agg(["min", "max"])
    moments = sources.index[sources["min"] != sources["max"]]
    if len(moments):
        moment = moments[0]
        first, second = apart[apart["observed_at"] == moment].drop_duplicates("source").iloc[:2].to_dict("records")
        raise SourceError(
            expected="files that agree, or say of which symbol they are",
            found=f"{first['source']} {first['value']:g} and {second['source']} {second['value']:g} at "
            f"{moment.isoformat()}, the first of {len(moments):,} moments",
            remedy="where each file is of one symbol, set series.symbol_from: file_name; else give the files a column "
            "symbol",
            file=str(folder / settings.path),
            rule="one_value_a_moment",
        )


def _read(file: Path, settings: FileSeriesSettings, calendar: str, limits: Limits) -> pd.DataFrame:
    table = read_plain(file, limits)
    values = (settings.value_column,) if settings.value_column else _VALUES
    times, value = columns_named(table, [_TIMES, values], file)
    published = column_named(table, _PUBLISHED)
    if published is None and settings.lag_minutes is None:
        raise SourceError(
            expected=f"when each value of {settings.name} was published, or after what lag it counts as known",
            found="no column known_at or published_at, and no lag_minutes",
            remedy="state series.lag_minutes in the strategy file",
            file=str(file),
            rule="known_at_stated",
        )
    if settings.stamps == "days":
        observed = session_ends(calendar, days_of(table, times, file))
    else:
        observed = moments_of(table, times, file)
    _refuse_empty_close(table, value, file, settings)
    beside = {name: column_named(table, (name,)) for name in _RANGE}
    ranged = value.strip().lower() == "close" and all(beside.values())
    columns: dict[str, Any] = {
        "name": settings.name,
        "symbol": _symbols(table, file, settings),
        "observed_at": observed,
        "value": numbers_of(table, value, file),
        "source": f"series:{file.name}",
        "known_at": _published(table, published, file, settings),
    }
    columns |= {name: numbers_of(table, beside[name] or "", file) if ranged else float("nan") for name in _RANGE}
    return conform(pd.DataFrame(columns, index=table.index), DELIVERED_SERIES)


def _refuse_empty_close(table: pd.DataFrame, value: str, file: Path, settings: FileSeriesSettings) -> None:
    """Refuse a close of zeros beside an open without zeros, where the close is the default: the value is in open."""
    opens = column_named(table, ("open",))
    if settings.value_column or value.strip().lower() != "close" or opens is None:
        return
    if not numbers_of(table, value, file).any() and numbers_of(table, opens, file).any():
        raise SourceError(
            expected=f"values of {settings.name} in the column close",
            found="zeros alone, beside an open with values",
            remedy="set series.value_column: open, or the column that holds the values",
            file=str(file),
            rule="values_there",
            column=value,
        )


def _published(table: pd.DataFrame, column: str | None, file: Path, settings: FileSeriesSettings) -> pd.Series:
    if column is None:
        return pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]")
    # A cell may be empty where a stated lag takes its place.
    return moments_of(table, column, file, nullable=settings.lag_minutes is not None, known_at=True)


def _symbols(table: pd.DataFrame, file: Path, settings: FileSeriesSettings) -> pd.Series | str:
    if settings.symbol_from == "file_name":
        return symbol_of_file(file, settings.named)
    symbols = None if settings.symbol else symbols_of(table, file)
    return settings.symbol if symbols is None else symbols
