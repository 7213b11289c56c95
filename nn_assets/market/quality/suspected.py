"""What is suspected of prices, splits and dividends, carried on from one publication to the next.

A notice follows from what was seen of its symbol: moves that call for an explanation, bars of two units, dividends with
the prices around them. Of bars that come that alone is added, so that no bar of long ago is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, IntArray, Symbol
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.quality.dividend_suspicions import SCALE_WINDOW, Paid, SymbolBars
from nn_assets.market.quality.notices import Notice
from nn_assets.market.quality.suspicions import (
    LEAST_SPLIT,
    MIXED,
    SPLIT_REACH,
    Jump,
    Mixed,
    SymbolEvents,
    apart,
    events_by_symbol,
    market_moves,
)

AnyArray = npt.NDArray[Any]

_LOOKED_BACK = SCALE_WINDOW + 2  # earlier bars that a judgement depends on, the last of them by its close alone
_NEARLY = 1.0 - 1e-9  # returns are taken in another order of operations
_PARTS: dict[str, type[Jump | Mixed | Paid]] = {"jumps": Jump, "mixed": Mixed, "paid": Paid}
_DAYS = ("session", "session_before")
_TYPES = {"int": "int64", "float": "float64", "str": "str", "pd.Timestamp": "datetime64[ns]"}


@dataclass(frozen=True, eq=False)
class Suspected:
    """What is suspected of all symbols, and what it follows from: carried on as bars and actions come.

    Attributes
    ----------
    tables : dict of str to dict of str to array
        What was seen, a table for each part of :class:`Seen`, ordered by symbol: ``symbol`` and the part's fields.
    notices : tuple of Notice
        Ordered by symbol, then session.
    """

    tables: dict[str, dict[str, AnyArray]]
    notices: tuple[Notice, ...]

    @classmethod
    def of(cls, bars: DailyBars, actions: ActionVersions) -> Suspected:
        """Look at all bars; point out prices, splits and dividends that contradict each other.

        Parameters
        ----------
        bars : DataFrame
            Columns symbol, session, open, high, low, close, volume, one row per symbol and bar, as traded. Rows
            without a close above zero are passed over.
        actions : DataFrame
            Columns symbol, ex_session, kind, value, as stated by the source.

        Returns
        -------
        Suspected
            Rules: ``price_unit`` (100 or 1000 times the bars around, or high over low so), ``split_misapplied`` (a
            stated split that the prices show elsewhere, twice or not at all), ``price_spike`` (a move taken back at
            once), ``unrecorded_action`` (an overnight move without a rush to trade and without an action); value:
            close over the close before, stated splits taken off. And those of
            :func:`~nn_assets.market.quality.dividend_suspicions.dividend_suspicions`. Each message ends in a proposal.
        """
        events = events_by_symbol(bars, actions)
        return cls(
            _tables(events),
            tuple(notice for symbol, of_symbol in events.items() for notice in of_symbol.notices(symbol)),
        )

    def seen(self, symbol: Symbol) -> SymbolEvents:
        """What was seen of a symbol."""
        jumps, mixed, paid = (tuple(_rows(_PARTS[name], self.tables[name], symbol)) for name in _PARTS)
        return SymbolEvents(jumps, mixed, paid)

    def carried_on(
        self, bars: DailyBars, counts: pd.Series, first: pd.Timestamp, actions: ActionVersions
    ) -> Suspected | None:
        """Look only at the new bars; the result equals that of looking at all of them.

        Parameters
        ----------
        bars : DataFrame
            The newest bars of every symbol, those that came and some before them; without gaps, all in use.
        counts : Series of int, index symbol
            How many bars there are of each symbol.
        first : Timestamp
            The first session that came: of sessions before nothing changed, and no action but on bars from then on.
        actions : DataFrame
            All that are known.

        Returns
        -------
        Suspected or None
            None where there are too few bars to look back on.
        """
        tail = _Tail.of(bars, counts, first)
        if tail.short.any():
            return None
        by_symbol = actions.groupby("symbol")
        of_symbol, none = by_symbol.indices, np.zeros(0, dtype=np.int64)
        market, events = None, {}
        for number in np.flatnonzero(tail.eventful(by_symbol["ex_session"].max())).tolist():
            own, first_row = tail.symbol_bars(number, actions.iloc[of_symbol.get(tail.names[number], none)])
            large = own.session[first_row:][np.abs(np.nan_to_num(own.left[first_row:])) >= LEAST_SPLIT]
            if tail.opens_on(large):
                return None
            if len(large) and market is None:
                market = market_moves(tail.bars)
            of_market = np.zeros(len(own)) if market is None else market.reindex(own.session).to_numpy()
            before = self.seen(own.symbol).up_to(own.earlier + first_row)
            events[own.symbol] = before.and_then(SymbolEvents.of(own, of_market, first_row))
        return self._with(events) if events else self

    def _with(self, events: Mapping[Symbol, SymbolEvents]) -> Suspected:
        """A copy in which the events of some symbols are replaced."""
        changed, tables = _tables(events), {}
        for name, table in self.tables.items():
            stays = ~np.isin(table["symbol"], list(events))
            both = {column: np.concatenate([table[column][stays], changed[name][column]]) for column in table}
            order = np.argsort(both["symbol"], kind="stable")
            tables[name] = {column: values[order] for column, values in both.items()}
        notices = [notice for notice in self.notices if notice.symbol not in events]
        notices += [notice for symbol, of_symbol in events.items() for notice in of_symbol.notices(symbol)]
        return Suspected(tables, tuple(sorted(notices, key=lambda notice: notice.symbol)))


def _tables(events: Mapping[Symbol, SymbolEvents]) -> dict[str, dict[str, AnyArray]]:
    tables = {}
    for index, (name, kind) in enumerate(_PARTS.items()):
        rows = [(symbol, part) for symbol, all_of in events.items() for part in all_of.parts[index]]
        table: dict[str, AnyArray] = {"symbol": np.array([symbol for symbol, _ in rows], dtype=np.str_)}
        for field in fields(kind):
            table[field.name] = np.array([getattr(part, field.name) for _, part in rows], dtype=_TYPES[str(field.type)])
        tables[name] = table
    return tables


def _rows(kind: Callable[..., Any], table: dict[str, AnyArray], symbol: Symbol) -> Iterator[Any]:
    """What a table has of a symbol, in order."""
    start, stop = (int(np.searchsorted(table["symbol"], symbol, side=side)) for side in ("left", "right"))
    for row in range(start, stop):
        entry = {name: values[row].item() for name, values in table.items() if name != "symbol"}
        yield kind(**{name: pd.Timestamp(value) if name in _DAYS else value for name, value in entry.items()})


@dataclass(frozen=True, eq=False)
class _Tail:
    """The newest bars of every symbol, ordered by symbol and session; arrays of shape (symbols,) but for ``bars``."""

    bars: DailyBars
    names: list[Symbol]
    start: IntArray  # place of its first row
    size: IntArray
    kept: IntArray  # rows before what came
    earlier: IntArray  # bars that are left out

    @classmethod
    def of(cls, bars: DailyBars, counts: pd.Series, first: pd.Timestamp) -> _Tail:
        """Lay bars out; parameters as of :meth:`Suspected.carried_on`."""
        ordered = bars.sort_values(["symbol", "session"], kind="stable", ignore_index=True)
        code, names = pd.factorize(ordered["symbol"])
        start = np.searchsorted(code, np.arange(len(names)))
        size = np.bincount(code, minlength=len(names))
        kept = np.bincount(code[(ordered["session"] < first).to_numpy()], minlength=len(names))
        return cls(ordered, list(map(str, names)), start, size, kept, counts.reindex(names).to_numpy() - size)

    @property
    def again(self) -> IntArray:
        """Rows from which on is looked again: a split that came may explain a move as far back."""
        return np.asarray(np.maximum(self.kept - SPLIT_REACH, 0))

    @property
    def short(self) -> BoolArray:
        """Symbols with a bar that came, and too few bars before."""
        return np.asarray((self.size > self.kept) & (self.earlier > 0) & (self.again < _LOOKED_BACK))

    def opens_on(self, sessions: pd.DatetimeIndex) -> bool:
        """Whether the move of a symbol on one of some sessions is from a bar that is left out."""
        opening = self.bars["session"].iloc[self.start[self.earlier > 0]]
        return bool(opening.isin(sessions).any())

    def symbol_bars(self, number: int, actions: pd.DataFrame) -> tuple[SymbolBars, int]:
        """Bars of a symbol by its number, and the row of them from which on is looked again."""
        start, earlier = int(self.start[number]), int(self.earlier[number])
        rows = self.bars.iloc[start : start + int(self.size[number])]
        if earlier:  # what stands before is on bars left out
            actions = actions[actions["ex_session"] > rows["session"].iloc[0]]
        own = SymbolBars.of(self.names[number], rows, actions, earlier=earlier)
        return own, int(self.again[number])

    def eventful(self, newest_actions: pd.Series) -> BoolArray:
        """Symbols with a new bar, or with the newest one before it, of which notices may change."""
        number = np.repeat(np.arange(len(self.names)), self.size)
        row_of_symbol = np.arange(len(self.bars)) - self.start[number]
        prices = {name: self.bars[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close")}
        days = self.bars["session"].to_numpy(dtype="datetime64[ns]")
        events = np.zeros(len(self.names), dtype=bool)
        rows = np.flatnonzero((row_of_symbol >= self.kept[number] - 1) & (row_of_symbol > 0))
        close = prices["close"]
        events[number[rows[np.abs(np.log(close[rows] / close[rows - 1])) >= LEAST_SPLIT * _NEARLY]]] = True
        came = np.flatnonzero(row_of_symbol >= self.kept[number])
        events[number[came[apart(*(prices_of_bars[came] for prices_of_bars in prices.values())) >= MIXED]]] = True
        newest = newest_actions.reindex(self.names).to_numpy(dtype="datetime64[ns]")
        before = days[np.maximum(self.start + self.kept - 2, 0)]  # with one on the newest bar the move is another
        events |= ~np.isnat(newest) & ((self.kept < 2) | (newest > before))
        return np.asarray(events & (self.size > self.kept))
