"""Bars as aligned arrays: (bar, symbol), on every session of the calendar from a fixed first one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray, OnSessions, Session, Symbol
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.adjustment import Adjustment, Convention, adjustment_of

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Panel(OnSessions):
    """Raw bars of several symbols on one session axis. Arrays are read-only float64; NaN means no bar.

    The axis starts at a fixed session and holds *every* session of the calendar, so that a bar's
    row number never depends on what arrived later.
    """

    sessions: pd.DatetimeIndex  # (bars,)
    symbols: tuple[Symbol, ...]
    open: FloatArray  # (bars, symbols), price
    high: FloatArray  # (bars, symbols), price
    low: FloatArray  # (bars, symbols), price
    close: FloatArray  # (bars, symbols), price
    volume: FloatArray  # (bars, symbols), shares or contracts
    adjustment: Adjustment | None = None  # None where no split or dividend is known

    def until(self, session: Session) -> Panel:
        """Cut the panel after ``session``: what a decision of that session may see."""
        stop = int(self.sessions.searchsorted(pd.Timestamp(session), side="right"))
        cut = {name: getattr(self, name)[:stop] for name in FIELDS}
        adjustment = None if self.adjustment is None else self.adjustment.until(stop)
        return Panel(sessions=self.sessions[:stop], symbols=self.symbols, adjustment=adjustment, **cut)

    def total_return(self) -> Panel:
        """Chain prices forward from the first bar, splits and dividends in them; the panel itself without any.

        Volume is in shares of the first bar. Row t reads no later row, so a new action changes no
        earlier value.
        """
        if self.adjustment is None:
            return self
        return self._scaled(self.adjustment.growth, 1.0 / self.adjustment.shares)

    def backward_adjusted(self) -> Panel:
        """Adjust the past to the last bar's shares, dividends taken off: for display and comparison only.

        Volume is multiplied by the split ratio only.
        """
        if self.adjustment is None:
            return self
        return self._scaled(self.adjustment.backward_price, self.adjustment.backward_volume)

    def _scaled(self, price: FloatArray, volume: FloatArray) -> Panel:
        scaled = {name: getattr(self, name) * price for name in FIELDS[:-1]} | {"volume": self.volume * volume}
        for values in scaled.values():
            values.setflags(write=False)
        return replace(self, adjustment=None, **scaled)


def panel_from_bars(
    bars: DailyBars,
    sessions: pd.DatetimeIndex,
    symbols: tuple[Symbol, ...],
    actions: ActionVersions | None = None,
    convention: Convention = "previous_close",
) -> Panel:
    """Spread a long frame of bars over (bar, symbol) arrays.

    Parameters
    ----------
    bars : DataFrame
        Columns symbol, session, open, high, low, close, volume; one row per symbol and session.
    sessions : DatetimeIndex, shape (bars,)
        The axis. Bars outside it are left out.
    symbols : tuple of str
        The order of the symbol axis. Symbols absent from ``bars`` give columns of NaN.
    actions : DataFrame, optional
        Columns symbol, ex_session, kind, value: the splits, dividends and delistings known. Bars from a
        delisting on are left out: a ticker that is used again is another instrument. So a label whose
        span has one is none.
    convention : {"previous_close", "ex_close"}
        How a dividend adjusts; see :func:`nn_assets.market.adjustment.adjustment_of`.
    """
    row = sessions.get_indexer(pd.DatetimeIndex(bars["session"]))
    column = pd.Index(symbols).get_indexer(pd.Index(bars["symbol"]))
    inside = (row >= 0) & (column >= 0)
    fields: dict[str, FloatArray] = {}
    for name in FIELDS:
        values = np.full((len(sessions), len(symbols)), np.nan)
        values[row[inside], column[inside]] = bars[name].to_numpy(dtype=np.float64)[inside]
        values.setflags(write=False)
        fields[name] = values
    adjustment = None
    if actions is not None:
        adjustment = adjustment_of(actions, sessions, symbols, fields["close"], convention)
    if adjustment is not None and np.isfinite(adjustment.delisting).any():
        for values in fields.values():
            values.setflags(write=True)
            values[adjustment.gone] = np.nan
            values.setflags(write=False)
    return Panel(sessions=sessions, symbols=symbols, adjustment=adjustment, **fields)
