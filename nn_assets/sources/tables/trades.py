"""Trades, tick by tick, from files: rolled up to the daily bars that a strategy stores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from nn_assets.contracts import DELIVERED_BARS, DETAILS, conform
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.market.facts.trades import session_bars_of_trades
from nn_assets.settings.section import NeverCounts, WhenSet
from nn_assets.settings.sources import Count, NamesFile, SourceSection
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.registry import SourceContext, SourceMember
from nn_assets.sources.tables.columns import column_named, columns_named, moments_of, numbers_of, symbols_of
from nn_assets.sources.tables.limits import Limits
from nn_assets.sources.tables.plain_tables import files_named, read_plain, symbol_of_file

_log = logging.getLogger(__name__)

_TIMES = ("time", "timestamp", "datetime", "date", "at")
_PRICE = ("price",)
_SIZE = ("size", "amount", "quantity", "qty", "volume")
_ID = ("id", "trade_id", "tradeid")


class TradesSettings(SourceSection):
    """Trades from a file, a folder or a pattern (``*-trades.feather``): time, price and size of each.

    A file's name up to the first hyphen is its symbol, or the key of ``named`` that says it, where there is no column
    of symbols. The limits are those of ``files``.
    """

    kind: Literal["trades"] = "trades"
    path: NamesFile[str] = Field(min_length=1)
    named: WhenSet[Mapping[str, str]] = Field(default_factory=dict)
    max_rows: NeverCounts[Count] = 20_000_000
    max_columns: NeverCounts[Count] = 1000
    max_megabytes: NeverCounts[Count] = 2048

    @property
    def file_limits(self) -> tuple[int, int, int]:
        """Rows, columns and megabytes that are read at most."""
        return self.max_rows, self.max_columns, self.max_megabytes


@dataclass(frozen=True)
class TradesSource:
    """Files of trades, whose daily bars carry volume-weighted price, count and, with quotes, effective spread.

    All files are read at each asking: a session's trades may lie in several.

    Parameters
    ----------
    folder : Path
        That a relative path starts from.
    path : str
        A file, a folder or a pattern.
    calendar : str
        Whose hours say which session a trade is of.
    named : mapping of str to str
        Symbols by the beginnings of file names.
    limits : Limits
    """

    folder: Path
    path: str
    calendar: str
    named: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    name: str = "trades"

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver bars of the trades; see ``Source.bars``. Trades that are left out are counted in a warning.

        Raises
        ------
        SourceError
            No file, an unreadable one, a missing column, a value of another kind than its column's, or more than the
            limits.
        """
        parts, rows = [], 0
        for file in files_named(self.folder, self.path, "source.path"):
            parts.append(read_trades(file, self.named, self.limits))
            rows += len(parts[-1])
            self.limits.check_rows(rows, self.folder / self.path, at_least=True)
        rolled = session_bars_of_trades(pd.concat(parts, ignore_index=True), self.calendar)
        if any(rolled.left_out.values()):
            counts = ", ".join(f"{count:,} {rule.replace('_', ' ')}" for rule, count in rolled.left_out.items())
            _log.warning("%s: of %s trades were left out: %s", self.folder / self.path, f"{rows:,}", counts)
        details = {name: rolled.bars[name] for name in DETAILS}
        bars = conform(rolled.bars.assign(source=self.name), DELIVERED_BARS).assign(**details)
        return checked_selection(bars, self.name, symbols, first, last)


def holds_trades(table: pd.DataFrame) -> bool:
    """Whether a table is of trades: it has a price and a size, and neither an open nor a close."""
    has_bars = column_named(table, ("open",)) is not None or column_named(table, ("close",)) is not None
    return not has_bars and column_named(table, _PRICE) is not None and column_named(table, _SIZE) is not None


def read_trades(file: Path, named: Mapping[str, str], limits: Limits) -> pd.DataFrame:
    """Read the trades of a file, as :func:`trades_of` gives them; errors as of :meth:`TradesSource.bars`."""
    return trades_of(read_plain(file, limits), file, named)


def trades_of(table: pd.DataFrame, file: Path, named: Mapping[str, str]) -> pd.DataFrame:
    """Trades of a table: symbol, at (UTC), price, size, bid, ask (NaN without quotes) and trade_id (empty without)."""
    times, price, size = columns_named(table, [_TIMES, _PRICE, _SIZE], file)
    symbols, trade_id = symbols_of(table, file), column_named(table, _ID)
    quotes = {side: column_named(table, (side,)) for side in ("bid", "ask")}
    columns: dict[str, object] = {
        "symbol": symbol_of_file(file, named) if symbols is None else symbols,
        "at": moments_of(table, times, file),
        "price": numbers_of(table, price, file),
        "size": numbers_of(table, size, file),
        "trade_id": "" if trade_id is None else table[trade_id].astype("str").fillna(""),
    }
    for side, column in quotes.items():
        columns[side] = np.nan if column is None else numbers_of(table, column, file)
    return pd.DataFrame(columns, index=table.index).reset_index(drop=True)


def _build(settings: TradesSettings, context: SourceContext) -> TradesSource:
    return TradesSource(context.folder, settings.path, context.market.calendar, settings.named, Limits.of(settings))


SOURCE = SourceMember(
    kind="trades",
    settings=TradesSettings,
    build=_build,
    label="Bars from trades",
    delivers=("bars",),
    may_end=True,
)
