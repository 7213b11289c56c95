"""Bars as flat arrays in the order that cleaning reads them: symbol by symbol, session by session."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.market.calendar.sessions import assumed_known_at

__all__ = ["BoolArray", "FloatArray", "IntArray", "ObjectArray", "Rows", "ordered_by_symbol", "rows_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ObjectArray = npt.NDArray[np.object_]

_TIES = ("open", "high", "low", "close", "volume", "known_at", "ingested_at", "source")
_NOT_A_TIME = np.iinfo(np.int64).min  # how NaT reads as an integer


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

    def __len__(self) -> int:
        return len(self.symbol)

    @property
    def on_calendar(self) -> BoolArray:
        """Whether each row's session is one of the calendar's."""
        return self.closes_at != _NOT_A_TIME

    @property
    def follows(self) -> BoolArray:
        """Whether the row before is one of the same symbol."""
        found = np.zeros(len(self), dtype=bool)
        found[1:] = self.symbol[1:] == self.symbol[:-1]
        return found

    def previous(self, values: FloatArray) -> FloatArray:
        """Each row's value one row earlier in its symbol; NaN on a symbol's first row."""
        shifted = np.full(len(self), np.nan)
        shifted[1:] = values[:-1]
        return np.where(self.follows, shifted, np.nan)

    def take(self, chosen: npt.NDArray[np.intp]) -> Rows:
        """Keep the rows at the places chosen, in the same order."""
        return Rows(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def ordered_by_symbol(bars: pd.DataFrame) -> pd.DataFrame:
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


def rows_of(ordered: pd.DataFrame, calendar: str) -> Rows:
    """Lay out a frame that ``ordered_by_symbol`` made, columns of ``BAR_VERSIONS``, as arrays."""
    sessions = pd.DatetimeIndex(ordered["session"])
    days, place = np.unique(sessions.to_numpy(dtype="datetime64[ns]"), return_inverse=True)
    closes = assumed_known_at(calendar, pd.DatetimeIndex(days), 0)
    prices = {name: ordered[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close")}
    return Rows(
        symbol=pd.factorize(ordered["symbol"])[0].astype(np.int64),
        session=days.astype(np.int64)[place],
        **prices,
        volume=ordered["volume"].to_numpy(dtype=np.float64),
        known_at=ordered["known_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64),
        ingested_at=ordered["ingested_at"].to_numpy(dtype="datetime64[ns]").astype(np.int64),
        closes_at=closes.to_numpy(dtype="datetime64[ns]").astype(np.int64)[place],
    )
