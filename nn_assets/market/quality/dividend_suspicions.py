"""Dividends that do not fit the prices or each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray, Symbol
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.quality.notices import Notice
from nn_assets.measures import NORMAL_MAD

_LARGE = 0.2  # of the close before: beyond it the price must show the dividend
_SHOWN = 0.5  # share of a large dividend that the price must fall by
_UNUSUAL = 4.0  # times the median yield of the symbol's other dividends
_FEWEST_OTHERS = 2
_SHORT_BY = 3.0  # robust standard deviations that the fall may stay short of the dividend
_TWICE_WITHIN = 7  # bars
_TWICE_SLACK = 0.25  # log of the ratio of two amounts
_RARE = 4.0  # times that the symbol's usual gap between dividends is longer
SCALE_WINDOW, _FEWEST_BEFORE = 60, 5


@dataclass(frozen=True)
class Spot:
    """A bar at which something was found: its index among the symbol's bars, and what a notice quotes."""

    at: int  # how many bars of the symbol come before
    session: pd.Timestamp
    close: float
    before: float  # the close before; NaN on the first bar

    def notice(self, rule: str, symbol: Symbol, last: pd.Timestamp, value: float, proposal: str) -> Notice:
        """The notice of what was found, with the proposed correction."""
        prices = f"close {self.close:g}" + ("" if np.isnan(self.before) else f" after {self.before:g}")
        message = f"{prices}; proposed: {proposal}; for a decision, nothing was changed"
        return Notice(rule, symbol, self.session, last, float(value), message)


@dataclass(frozen=True)
class Paid(Spot):
    """A dividend, and what of the bars around it its judgement needs."""

    amount: float
    previous_close: float  # in shares of the bar
    fall: float  # from the close before to open or close, whichever is deeper, fraction
    scale: float  # robust standard deviation of the log returns before; NaN where there are too few
    split: float  # the largest of the bar and its neighbours; 1 where none


@dataclass(frozen=True, eq=False)
class SymbolBars:
    """Bars of one symbol in order, and the actions stated for them; arrays of shape (bars,)."""

    symbol: Symbol
    earlier: int  # bars of the symbol before these
    session: pd.DatetimeIndex
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray  # above zero
    volume: FloatArray
    split: FloatArray  # stated, on the first bar from its ex-session on; 1 where none
    dividend: FloatArray  # likewise; 0 where none

    @classmethod
    def of(cls, symbol: Symbol, bars: DailyBars, actions: ActionVersions, *, earlier: int = 0) -> SymbolBars:
        """Lay out the bars of a symbol, ordered by session; no action may be older than the first of them."""
        sessions = pd.DatetimeIndex(bars["session"])
        split, dividend = np.ones(len(bars)), np.zeros(len(bars))
        rows = sessions.searchsorted(pd.DatetimeIndex(actions["ex_session"]))
        for row, kind, value in zip(rows, actions["kind"], actions["value"], strict=True):
            if row < len(bars) and kind == "split":
                split[row] *= value
            elif row < len(bars) and kind == "dividend":
                dividend[row] += value
        columns = {name: bars[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close", "volume")}
        return cls(symbol=symbol, earlier=earlier, session=sessions, split=split, dividend=dividend, **columns)

    def __len__(self) -> int:
        return len(self.session)

    @cached_property
    def previous_close(self) -> FloatArray:
        """Close before, in shares of the bar; NaN on the first."""
        return np.concatenate([[np.nan], self.close[:-1]]) / self.split

    @cached_property
    def left(self) -> FloatArray:
        """Log return with the stated splits taken off; NaN on the first bar."""
        moves: FloatArray = np.log(self.close / self.previous_close)
        return moves

    def scale_before(self, index: int) -> float:
        """Robust standard deviation of the log returns before a bar; NaN where there are too few."""
        before = self.left[max(1, index - SCALE_WINDOW) : index]
        if len(before) < _FEWEST_BEFORE:
            return float("nan")
        return float(NORMAL_MAD * np.median(np.abs(before)))

    def spot(self, index: int) -> dict[str, Any]:
        """The fields of :class:`Spot` for a bar."""
        before = float(self.close[index - 1]) if index else float("nan")
        session = pd.Timestamp(self.session[index])
        return {"at": self.earlier + index, "session": session, "close": float(self.close[index]), "before": before}


def paid_from(own: SymbolBars, first: int) -> list[Paid]:
    """The dividends paid on bars from index ``first`` on, except on the symbol's first bar."""
    dividends = []
    for index in np.flatnonzero((own.dividend > 0.0) & np.isfinite(own.previous_close)).tolist():
        if index >= first:
            figures = {
                "amount": float(own.dividend[index]),
                "previous_close": float(own.previous_close[index]),
                "fall": _fall(own, index),
                "scale": own.scale_before(index),
                "split": float(own.split[max(0, index - 1) : index + 2].max()),
            }
            dividends.append(Paid(**{**own.spot(index), **figures}))
    return dividends


def dividend_suspicions(symbol: Symbol, paid: Sequence[Paid]) -> list[Notice]:
    """Point out dividends to be judged, of all that a symbol ever paid, in order.

    Rules: ``dividend_size`` (too large for the close before or for the symbol's other dividends, and
    the price did not fall by it; value: the dividend over that close), ``dividend_repeated`` (two
    alike within days where they are rare; value: the one whose price fell less).
    """
    yields = np.array([dividend.amount / dividend.previous_close for dividend in paid])
    oversized = (_oversized(symbol, dividend, yields, index) for index, dividend in enumerate(paid))
    return [*(notice for notice in oversized if notice is not None), *_repeated(symbol, paid)]


def _oversized(symbol: Symbol, paid: Paid, yields: FloatArray, index: int) -> Notice | None:
    own_yield = float(yields[index])
    too_large = own_yield >= _LARGE and paid.fall < _SHOWN * own_yield
    if not too_large and len(yields) > _FEWEST_OTHERS:
        unusual = own_yield >= _UNUSUAL * float(np.median(np.delete(yields, index)))
        too_large = unusual and own_yield - paid.fall > _SHORT_BY * paid.scale > 0.0
    if not too_large:
        return None
    proposal = f"restate the dividend {paid.amount:g}{_in_other_units(paid)}, or withdraw it"
    return paid.notice("dividend_size", symbol, paid.session, own_yield, proposal)


def _in_other_units(paid: Paid) -> str:
    """Name the amount that a currency's subunit, or the shares before a split, would explain."""
    if paid.split > 1.0:
        return f" as {paid.amount / paid.split:g} (stated for shares before the split)"
    return f" as {paid.amount / 100.0:g} (stated in the currency's subunit)"


def _fall(own: SymbolBars, index: int) -> float:
    """Fall from the close before to open or close, whichever is deeper, fraction."""
    prices = np.array([own.open[index], own.close[index]])
    return float(1.0 - np.nanmin(np.where(prices > 0.0, prices, np.nan)) / own.previous_close[index])


def _repeated(symbol: Symbol, paid: Sequence[Paid]) -> list[Notice]:
    notices = []
    gaps = np.diff([dividend.at for dividend in paid])
    for index in np.flatnonzero(gaps <= _TWICE_WITHIN).tolist():
        others = np.delete(gaps, index)
        first, second = paid[index], paid[index + 1]
        alike = abs(np.log(first.amount / second.amount)) <= _TWICE_SLACK
        if not alike or (len(others) and gaps[index] * _RARE > np.median(others)):
            continue
        surplus = max((first, second), key=lambda dividend: dividend.amount / dividend.previous_close - dividend.fall)
        proposal = f"withdraw the dividend {surplus.amount:g} of {surplus.session.date()}"
        notices.append(first.notice("dividend_repeated", symbol, second.session, surplus.amount, proposal))
    return notices
