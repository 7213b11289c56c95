"""Bars as flat arrays in the order that cleaning reads them: symbol by symbol, session by session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, IntArray, nanoseconds
from nn_assets.contracts.frames import ActionVersions, BarVersions, ComparedBars, DailyBars
from nn_assets.market.calendar.sessions import assumed_known_at
from nn_assets.market.facts.compared import second_source_prices

_TIES = ("open", "high", "low", "close", "volume", "known_at", "ingested_at", "source")
_PRICES = ("open", "high", "low", "close")
_NOT_A_TIME = np.iinfo(np.int64).min  # how NaT reads as an integer


@dataclass(frozen=True)
class Cut:
    """Symbols whose earlier rows are left out, and those of them whose left-out rows a judgement would have needed."""

    left_out: BoolArray  # (symbols,), by code
    lacking: set[int] = field(default_factory=set)

    def note(self, symbols: IntArray, short: BoolArray) -> None:
        """Note that more is asked for than there is of some symbols, by code, wherever ``short``."""
        self.lacking.update(symbols[short & self.left_out[symbols]].tolist())


@dataclass(frozen=True)
class Rows:
    """Bars as arrays of shape (rows,), ordered by symbol and session; the rows of one symbol adjoin."""

    symbol: IntArray  # code of the symbol
    session: IntArray  # nanoseconds since the epoch
    open: FloatArray  # price, NaN where the source has none; likewise below
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray  # shares or contracts
    known_at: IntArray  # UTC nanoseconds since the epoch
    ingested_at: IntArray  # UTC nanoseconds since the epoch
    closes_at: IntArray  # UTC nanoseconds of the session's close; the least integer off the calendar
    shares: FloatArray  # what one share of the symbol's first row has become by the splits stated
    second: FloatArray | None = None  # (rows, 4), open, high, low and close by a second source, NaN where it is silent
    asked: BoolArray | None = None  # rows that a judgement is asked of; None: all. The others are only looked back on
    cut: Cut | None = None  # symbols of which earlier rows are left out; None: none

    def __len__(self) -> int:
        return len(self.symbol)

    def of_asked(self, chosen: BoolArray) -> npt.NDArray[np.intp]:
        """Places among some rows that a judgement is asked of."""
        return np.flatnonzero(chosen if self.asked is None else chosen & self.asked)

    @property
    def on_calendar(self) -> BoolArray:
        """Whether each row's session is one of the calendar's."""
        among_sessions: BoolArray = self.closes_at != _NOT_A_TIME
        return among_sessions

    @property
    def follows(self) -> BoolArray:
        """Whether the row before is one of the same symbol."""
        same_symbol = np.zeros(len(self), dtype=bool)
        same_symbol[1:] = self.symbol[1:] == self.symbol[:-1]
        return same_symbol

    def previous(self, values: FloatArray) -> FloatArray:
        """Each row's value one row earlier in its symbol; NaN on a symbol's first row."""
        shifted = np.full(len(self), np.nan)
        shifted[1:] = values[:-1]
        return np.where(self.follows, shifted, np.nan)

    def in_first_shares(self) -> Rows:
        """The same rows with stated splits taken out: price and volume of what one share was at the symbol's first row.

        Row t reads no split of a later session.
        """
        if (self.shares == 1.0).all():
            return self
        prices = {name: getattr(self, name) * self.shares for name in _PRICES}
        return replace(self, **prices, volume=self.volume / self.shares)

    def beside_second(self) -> tuple[FloatArray, FloatArray]:
        """Log distances from the second source's bar: of each price within its bar, and of the bar as a whole.

        Two sources may adjust by other factors. The median of a bar's four distances is its level, shape (rows,);
        what is left of each is the other result, (rows, 4): no adjustment moves it. Where one of the two bars has no
        range its close alone is compared.
        """
        if self.second is None:
            return np.full((len(self), 4), np.nan), np.full(len(self), np.nan)
        first = np.column_stack([self.open, self.high, self.low, self.close])
        apart = np.log(first / self.second)
        apart[(self.high == self.low) | (self.second[:, 1] == self.second[:, 2]), :3] = np.nan
        level = row_medians(apart)
        return apart - level[:, None], level

    def take(self, chosen: npt.NDArray[np.intp]) -> Rows:
        """Keep the rows at the places chosen, which ascend."""
        if len(chosen) == len(self):
            return self
        arrays = {
            attribute.name: getattr(self, attribute.name) for attribute in fields(self) if attribute.name != "cut"
        }
        return Rows(**{name: values[chosen] for name, values in arrays.items() if values is not None}, cut=self.cut)


def row_medians(values: FloatArray) -> FloatArray:
    """Median of each row, shape (rows,), NaN left out; NaN where nothing is left."""
    ordered, row = np.sort(values, axis=1), np.arange(len(values))  # NaN last
    count = np.maximum(np.isfinite(values).sum(axis=1), 1)
    return np.asarray((ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2.0)


def ordered_by_symbol(bars: BarVersions) -> BarVersions:
    """Order bars by symbol and session, ties by the rest of their columns, with a fresh index.

    The order of the rows given shows nowhere in the result.
    """
    symbol = pd.factorize(bars["symbol"], sort=True)[0].astype(np.int64)
    session = pd.factorize(bars["session"], sort=True)[0].astype(np.int64)
    key = symbol * (int(session.max(initial=0)) + 1) + session
    order = np.argsort(key, kind="stable")
    apart = np.diff(key[order]) > 0
    if not apart.all():  # rare, and twenty times as slow
        by = ["symbol", "session", *[name for name in _TIES if name in bars.columns]]
        return bars.sort_values(by, kind="stable", na_position="last").reset_index(drop=True)
    in_order = bool((order == np.arange(len(order))).all())
    return (bars if in_order else bars.take(order)).reset_index(drop=True)


def equal_to_the_row_before(ordered: pd.DataFrame, key: Sequence[str], values: Sequence[str]) -> BoolArray:
    """Rows that say what the row before says, shape (rows,): delivered twice, a row is one row.

    Parameters
    ----------
    ordered : DataFrame
        Rows of one key adjoin, ordered by their values.
    key, values : sequence of str
        Columns that are compared; those of ``values`` are numbers, of which NaN equals NaN.
    """
    equal = np.ones(len(ordered), dtype=bool)
    equal[:1] = False
    for name in (*reversed(key), *values):
        if not equal.any():
            break
        column = ordered[name].to_numpy()
        indices = np.flatnonzero(equal)
        same = column[indices] == column[indices - 1]
        if name in values:
            same |= np.isnan(column[indices]) & np.isnan(column[indices - 1])
        equal[indices] = same
    return equal


def shares_after_splits(
    ordered: pd.DataFrame, actions: ActionVersions | None, begins: Mapping[str, pd.Timestamp] | pd.Series | None = None
) -> FloatArray:
    """What one share of each symbol's first row has become by the splits stated, shape (rows,); 1 without any.

    Parameters
    ----------
    ordered : DataFrame
        Columns symbol and session, as ``ordered_by_symbol`` orders them.
    actions : DataFrame, optional
        Columns symbol, ex_session, kind and value. A split counts from its ex-session on, or from the symbol's next
        row; one at or before the first row, or of no value above zero, changes nothing.
    begins : mapping of str to Timestamp, optional
        Session of the first row of symbols whose earlier rows are left out.
    """
    shares = np.ones(len(ordered))
    if actions is None:
        return shares
    splits = actions[(actions["kind"] == "split") & (actions["value"] > 0.0) & np.isfinite(actions["value"])]
    if splits.empty:
        return shares
    code, names = pd.factorize(ordered["symbol"].to_numpy(dtype=object))
    number = pd.Index(names, dtype=object).get_indexer(pd.Index(splits["symbol"], dtype=object))
    ex_session = splits["ex_session"].to_numpy(dtype="datetime64[ns]")
    start, index, stop = rows_from(code, ordered["session"].to_numpy(dtype="datetime64[ns]"), number, ex_session)
    counts = index > start
    if begins is not None and len(names):
        counts |= pd.Series(begins, dtype="datetime64[ns]").reindex(names).to_numpy()[number] < ex_session
    values = splits["value"].to_numpy(dtype=np.float64)
    for split in np.flatnonzero(counts & (index < stop)).tolist():
        shares[index[split] : stop[split]] *= values[split]
    return shares


def rows_from(
    code: IntArray, session: npt.NDArray[Any], number: IntArray, day: npt.NDArray[Any]
) -> tuple[IntArray, IntArray, IntArray]:
    """Find a symbol's first row, its first row of a day or later, and the end of its rows, each of shape (days,).

    Parameters
    ----------
    code, session : array, shape (rows,)
        Symbol of each row by its number, and session, in order of both.
    number, day : array, shape (days,)
        A symbol's number and a day; a number below 0 has no rows.
    """
    sessions, rank = np.unique(session, return_inverse=True)
    width = len(sessions) + 1
    index = np.searchsorted(code * width + rank, number * width + np.searchsorted(sessions, day))
    return np.searchsorted(code, number), index, np.searchsorted(code, number, side="right")


def in_first_shares(
    bars: DailyBars, actions: ActionVersions | None, begins: Mapping[str, pd.Timestamp] | pd.Series | None = None
) -> DailyBars:
    """Bars, columns of ``BARS`` ordered by symbol and session, with the splits stated taken out of price and volume.

    ``begins`` as of :func:`shares_after_splits`.
    """
    shares = shares_after_splits(bars, actions, begins)
    if (shares == 1.0).all():
        return bars
    return bars.assign(**{name: bars[name] * shares for name in _PRICES}, volume=bars["volume"] / shares)


def rows_of(
    ordered: BarVersions,
    calendar: str,
    actions: ActionVersions | None = None,
    compared: ComparedBars | None = None,
    begins: Mapping[str, pd.Timestamp] | pd.Series | None = None,
) -> Rows:
    """Lay out a frame that ``ordered_by_symbol`` made, columns of ``BAR_VERSIONS``, as arrays.

    ``actions`` as known; ``compared`` are a second source's versions, as ``second_source_prices`` reads them;
    ``begins`` as of :func:`shares_after_splits`.
    """
    sessions = pd.DatetimeIndex(ordered["session"])
    days, inverse = np.unique(sessions.to_numpy(dtype="datetime64[ns]"), return_inverse=True)
    closes = assumed_known_at(calendar, pd.DatetimeIndex(days), 0)
    prices: dict[str, Any] = {name: ordered[name].to_numpy(dtype=np.float64) for name in _PRICES}
    return Rows(
        symbol=pd.factorize(ordered["symbol"])[0].astype(np.int64),
        session=days.astype(np.int64)[inverse],
        **prices,
        volume=ordered["volume"].to_numpy(dtype=np.float64),
        known_at=nanoseconds(ordered["known_at"]),
        ingested_at=nanoseconds(ordered["ingested_at"]),
        closes_at=nanoseconds(closes)[inverse],
        shares=shares_after_splits(ordered, actions, begins),
        second=None if compared is None else second_source_prices(ordered, compared),
    )
