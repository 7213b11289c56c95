"""Bars as aligned arrays: (bar, symbol), on every session of the calendar from a fixed first one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, OnSessions, Session, Symbol
from nn_assets.contracts import DETAILS
from nn_assets.contracts.frames import ActionVersions, BarDetails, DailyBars
from nn_assets.market.adjustment import Adjustment, Convention, adjustment_of

FIELDS = ("open", "high", "low", "close", "volume")
_PRICES = (*FIELDS[:-1], "vwap", "bid", "ask")  # what a split or a dividend changes as it does a price


def _none() -> None:
    """Nothing: a field without a default on the class, so that a feature's panel lacks what the feature leaves out."""


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
    # Each (bars, symbols), or None where no source ever gave any; NaN where it gave none of a bar.
    vwap: FloatArray | None = field(default_factory=_none)  # price
    trades: FloatArray | None = field(default_factory=_none)  # count
    bid: FloatArray | None = field(default_factory=_none)  # price, at the close
    ask: FloatArray | None = field(default_factory=_none)  # price, at the close
    effective_spread: FloatArray | None = field(default_factory=_none)  # fraction of the mid

    @property
    def arrays(self) -> dict[str, FloatArray]:
        """Its fields by name: the five of every bar, and the details that there are."""
        own = vars(self)
        return {name: own[name] for name in (*FIELDS, *DETAILS) if own.get(name) is not None}

    def until(self, session: Session) -> Panel:
        """Cut the panel after ``session``: what a decision of that session may see."""
        stop = int(self.sessions.searchsorted(pd.Timestamp(session), side="right"))
        cut = {name: values[:stop] for name, values in self.arrays.items()}
        adjustment = None if self.adjustment is None else self.adjustment.until(stop)
        return Panel(sessions=self.sessions[:stop], symbols=self.symbols, adjustment=adjustment, **cut)

    def total_return(self) -> Panel:
        """Chain prices forward from the first bar, splits and dividends in them; the panel itself without any.

        Volume is in shares of the first bar; counts and relative spreads are as they were. Row t reads no later row,
        so a new action changes no earlier value.
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
        scaled: dict[str, Any] = {name: values * price for name, values in self.arrays.items() if name in _PRICES}
        scaled["volume"] = self.volume * volume
        for values in scaled.values():
            values.setflags(write=False)
        return replace(self, adjustment=None, **scaled)


def panel_from_bars(
    bars: DailyBars,
    sessions: pd.DatetimeIndex,
    symbols: tuple[Symbol, ...],
    actions: ActionVersions | None = None,
    convention: Convention = "previous_close",
    details: BarDetails | None = None,
    halted: BoolArray | None = None,
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
    details : DataFrame, optional
        Columns symbol, session and those of ``DETAILS``, one row per symbol and session: what is known beyond prices
        and volume, of which only that of bars that are there is taken. None: no source ever said any of it.
    halted : bool array, shape (bars, symbols), optional
        Sessions on which an instrument was known not to trade: a bar that came all the same is left out. None: none.
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
    if halted is not None:
        for values in fields.values():
            values.setflags(write=True)
            values[halted] = np.nan
            values.setflags(write=False)
    adjustment = None
    if actions is not None:
        adjustment = adjustment_of(actions, sessions, symbols, fields["close"], convention)
    if adjustment is not None and np.isfinite(adjustment.delisting).any():
        for values in fields.values():
            values.setflags(write=True)
            values[adjustment.gone] = np.nan
            values.setflags(write=False)
    if details is not None:
        fields |= _details_of(details, sessions, symbols, np.isfinite(fields["close"]))
    return Panel(sessions=sessions, symbols=symbols, adjustment=adjustment, **fields)


def _details_of(
    details: BarDetails, sessions: pd.DatetimeIndex, symbols: tuple[Symbol, ...], has_bar: BoolArray
) -> dict[str, FloatArray]:
    row = sessions.get_indexer(pd.DatetimeIndex(details["session"]))
    column = pd.Index(symbols).get_indexer(pd.Index(details["symbol"]))
    inside = (row >= 0) & (column >= 0)
    fields: dict[str, FloatArray] = {}
    for name in DETAILS:
        values = np.full(has_bar.shape, np.nan)
        values[row[inside], column[inside]] = details[name].to_numpy(dtype=np.float64)[inside]
        values[~has_bar] = np.nan
        values.setflags(write=False)
        fields[name] = values
    return fields
