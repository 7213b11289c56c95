"""Intraday bars from CSV, Parquet and Feather files, one symbol a file or long; bid and ask files are joined."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.contracts import DETAILS, QUOTES
from nn_assets.errors import SourceError
from nn_assets.market.facts.trades import bars_within_sessions
from nn_assets.settings import IntradaySettings
from nn_assets.sources.numbers import detail_columns
from nn_assets.sources.spellings import map_details
from nn_assets.sources.tables.columns import column_named, columns_named, moments_of, numbers_of, symbols_of
from nn_assets.sources.tables.limits import USUAL_LIMITS, Limits
from nn_assets.sources.tables.plain_tables import files_named, read_plain, symbol_of_file
from nn_assets.sources.tables.trades import holds_trades, trades_of

_log = logging.getLogger(__name__)

_TIMES = ("bar_at", "date", "datetime", "timestamp", "time", "open_time")
_PRICES = ("open", "high", "low", "close")
_SIDES = ("bid", "ask")
_KEY = ["symbol", "bar_at"]


def read_intraday_files(folder: Path, settings: IntradaySettings, limits: Limits = USUAL_LIMITS) -> pd.DataFrame:
    """Read every bar of the files that the settings name; a file of trades is rolled up to such bars.

    Parameters
    ----------
    folder : Path
        That a relative path starts from; the path may be a file, a folder, or a pattern (``*-5m.feather``).
    settings : IntradaySettings
    limits : Limits
        What is read of a file at most.

    Returns
    -------
    DataFrame
        symbol, bar_at (UTC, the bar's start), open, high, low, close, volume (NaN where the file has
        none), the columns of ``QUOTES`` (NaN where there are no quotes) and source, ordered by symbol and
        bar_at; ``known_at``, where a file has that column, NaT where it is empty; and those of ``DETAILS`` that a file
        has, or that trades say, NaN where there is none. Of bid and ask files the prices are the mids, known when both
        sides are; where one side is missing they are NaN; details of one side are none of the mid.

    Raises
    ------
    SourceError
        No file, an unreadable one, a missing column, a value of another kind than its column's, bars closer
        together than the settings say, a bid without its ask, or more than the limits.
    """
    tables = [_read(file, settings, limits) for file in files_named(folder, settings.path, "intraday.path")]
    plain = [table for table in tables if "side" not in table.columns]
    sided = [table for table in tables if "side" in table.columns]
    bars = pd.concat([*plain, *([_mids(pd.concat(sided, ignore_index=True))] if sided else [])], ignore_index=True)
    return bars.sort_values(_KEY, kind="stable").reset_index(drop=True)


def _read(file: Path, settings: IntradaySettings, limits: Limits) -> pd.DataFrame:
    table = read_plain(file, limits)
    if holds_trades(table):
        return _of_trades(table, file, settings)
    times, *prices = columns_named(table, [_TIMES, *((name,) for name in _PRICES)], file)
    symbols = symbols_of(table, file)
    columns: dict[str, object] = {
        "symbol": symbol_of_file(file, settings.named) if symbols is None else symbols,
        "bar_at": moments_of(table, times, file),
    }
    columns |= {name: numbers_of(table, column, file) for name, column in zip(_PRICES, prices, strict=True)}
    for name in ("volume", *QUOTES):
        column = column_named(table, (name,))
        columns[name] = np.nan if column is None else numbers_of(table, column, file)
    if (known_column := column_named(table, ("known_at",))) is not None:
        columns["known_at"] = moments_of(table, known_column, file, nullable=True, known_at=True)
    named = map_details([str(header) for header in table.columns if header not in QUOTES], str(file))
    written = pd.DataFrame({field: table[header] for field, header in named.items()}, index=table.index)
    columns |= detail_columns(written, named, str(file))
    bars = pd.DataFrame(columns, index=table.index).assign(source=f"intraday:{file.name}")
    _refuse_finer(bars, file, settings)
    side = next((side for side in _SIDES if side in re.split(r"[-_.]", file.name.lower())), None)
    return bars if side is None else bars.assign(side=side)


def _of_trades(table: pd.DataFrame, file: Path, settings: IntradaySettings) -> pd.DataFrame:
    """Bars of the trades of a file, and what trades say beside; quotes at single trades have no range of a bar."""
    rolled = bars_within_sessions(trades_of(table, file, settings.named), settings.bar_minutes)
    if any(rolled.left_out.values()):
        _log.warning("%s: trades left out: %s", file, rolled.left_out)
    bars = rolled.bars[["symbol", "bar_at", *_PRICES, "volume", *DETAILS]]
    return bars.assign(**dict.fromkeys(QUOTES, np.nan), source=f"intraday:{file.name}")


def _refuse_finer(bars: pd.DataFrame, file: Path, settings: IntradaySettings) -> None:
    steps = bars.sort_values(_KEY).groupby("symbol")["bar_at"].diff().dropna()
    steps = steps[steps > pd.Timedelta(0)]
    usual = steps.mode().min()
    if len(steps) and usual < pd.Timedelta(minutes=settings.bar_minutes):
        raise SourceError(
            expected=f"bars of {settings.bar_minutes} minutes",
            found=f"bars {usual.total_seconds() / 60:g} minutes apart",
            remedy="correct intraday.bar_minutes, or deliver bars of that size",
            file=str(file),
            rule="bars_of_their_size",
        )


def _mids(sided: pd.DataFrame) -> pd.DataFrame:
    """Join bid and ask by symbol and start; a bar of one side alone keeps it, without a mid."""
    halves = {
        side: rows.drop(columns=["side", *QUOTES, *DETAILS], errors="ignore") for side, rows in sided.groupby("side")
    }
    alone = set(halves["bid"]["symbol"]) ^ set(halves["ask"]["symbol"]) if len(halves) == 2 else {*sided["symbol"]}
    if alone:
        raise SourceError(
            expected="a bid file and an ask file of each symbol",
            found=f"one side alone of {', '.join(sorted(alone))}",
            remedy="deliver the other side beside it, or take bid and ask out of the file's name",
            file=str(sided["source"].iloc[0]).partition(":")[2],
            symbol=min(alone),
            rule="two_sides",
        )
    # Bars delivered twice meet by their order, so that neither side is multiplied.
    for side, rows in halves.items():
        halves[side] = rows.assign(turn=rows.groupby(_KEY).cumcount())
    both = halves["bid"].merge(halves["ask"], on=[*_KEY, "turn"], how="outer", suffixes=("_bid", "_ask"))
    columns = {"symbol": both["symbol"], "bar_at": both["bar_at"]}
    for name in _PRICES:
        columns[name] = (both[f"{name}_bid"] + both[f"{name}_ask"]) / 2.0
    columns["volume"] = both[["volume_bid", "volume_ask"]].sum(axis=1, min_count=1)
    for side in _SIDES:
        columns |= {f"{side}_{name}": both[f"{name}_{side}"] for name in _PRICES}
    columns["source"] = both["source_bid"].fillna(both["source_ask"])
    if "known_at" in sided.columns:
        columns["known_at"] = both[["known_at_bid", "known_at_ask"]].max(axis=1)
    return pd.DataFrame(columns)
