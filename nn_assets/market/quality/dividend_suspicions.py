"""Dividends that do not fit the prices, the vendor's own factor or each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.market.quality.notices import Notice

__all__ = ["SymbolBars", "dividend_suspicions"]

FloatArray = npt.NDArray[np.float64]

_LARGE = 0.2  # of the close before: beyond it the price must show the dividend
_SHOWN = 0.5  # share of a large dividend that the price must fall by
_UNUSUAL = 4.0  # times the median yield of the symbol's other dividends
_FEWEST_OTHERS = 2
_SHORT_BY = 3.0  # robust standard deviations that the fall may stay short of the dividend
_TWICE_WITHIN = 7  # bars
_TWICE_SLACK = 0.25  # log of the ratio of two amounts
_RARE = 4.0  # times that the symbol's usual gap between dividends is longer
_FACTOR_SLACK = 0.02  # of the dividend
_PRICE_SLACK = 2e-5  # of the close: what single precision and rounded factors leave
_WINDOW, _FEWEST_BEFORE = 60, 5
_NORMAL_MAD = 1.4826  # standard deviation of a normal variable over its median absolute deviation


@dataclass(frozen=True, eq=False)
class SymbolBars:
    """Bars of one symbol in order, and the actions stated for them; arrays of shape (bars,)."""

    symbol: str
    session: pd.DatetimeIndex
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray  # above zero
    volume: FloatArray
    adjusted_close: FloatArray  # the vendor's; NaN where it gives none
    split: FloatArray  # stated, on the first bar from its ex-session on; 1 where none
    dividend: FloatArray  # likewise; 0 where none
    split_in_price: bool

    @classmethod
    def of(cls, symbol: str, bars: pd.DataFrame, actions: pd.DataFrame, *, split_in_price: bool) -> SymbolBars:
        """Lay out the bars of a symbol, ordered by session."""
        sessions = pd.DatetimeIndex(bars["session"])
        split, dividend = np.ones(len(bars)), np.zeros(len(bars))
        rows = sessions.searchsorted(pd.DatetimeIndex(actions["ex_session"]))
        for row, kind, value in zip(rows, actions["kind"], actions["value"], strict=True):
            if row < len(bars) and kind == "split":
                split[row] *= value
            elif row < len(bars) and kind == "dividend":
                dividend[row] += value
        columns = {name: bars[name].to_numpy(dtype=np.float64) for name in ("open", "high", "low", "close", "volume")}
        adjusted = np.full(len(bars), np.nan)
        if "adjusted_close" in bars.columns:
            adjusted = bars["adjusted_close"].to_numpy(dtype=np.float64)
        return cls(
            symbol=symbol,
            session=sessions,
            adjusted_close=adjusted,
            split=split,
            dividend=dividend,
            split_in_price=split_in_price,
            **columns,
        )

    def __len__(self) -> int:
        return len(self.session)

    @cached_property
    def previous_close(self) -> FloatArray:
        """Close before, in shares of the bar; NaN on the first."""
        before = np.concatenate([[np.nan], self.close[:-1]])
        return before / self.split if self.split_in_price else before

    @cached_property
    def left(self) -> FloatArray:
        """Log return with the stated splits taken off; NaN on the first bar."""
        moves: FloatArray = np.log(self.close / self.previous_close)
        return moves

    def scale_before(self, at: int) -> float:
        """Robust standard deviation of the log returns before a bar; NaN where there are too few."""
        before = self.left[max(1, at - _WINDOW) : at]
        if len(before) < _FEWEST_BEFORE:
            return float("nan")
        return float(_NORMAL_MAD * np.median(np.abs(before)))

    def notice(self, rule: str, first: int, last: int, value: float, proposal: str) -> Notice:
        """Say what was found, and what to do if a person agrees."""
        at = f"close {self.close[first]:g} after {self.close[first - 1]:g}" if first else f"close {self.close[first]:g}"
        message = f"{at}; proposed: {proposal}; for a decision, nothing was changed"
        return Notice(rule, self.symbol, self.session[first], self.session[last], float(value), message)


def dividend_suspicions(own: SymbolBars) -> list[Notice]:
    """Point out dividends to be judged.

    Rules: ``dividend_size`` (too large for the close before or for the symbol's other dividends, and
    the price did not fall by it; value: the dividend over that close), ``dividend_repeated`` (two
    alike within days where they are rare; value: the one whose price fell less), ``dividend_factor``
    (the vendor's adjusted close takes off another amount than the dividend stated, or one where none
    is stated; value: the amount that its factor takes off).
    """
    paid = np.flatnonzero((own.dividend > 0.0) & np.isfinite(own.previous_close))
    oversized = [notice for at in paid if (notice := _oversized(own, paid, int(at))) is not None]
    return [*oversized, *_repeated(own, paid), *_against_the_factor(own)]


def _oversized(own: SymbolBars, paid: npt.NDArray[np.intp], at: int) -> Notice | None:
    yields = own.dividend[paid] / own.previous_close[paid]
    own_yield = float(own.dividend[at] / own.previous_close[at])
    fall = _fall(own, at)
    too_large = own_yield >= _LARGE and fall < _SHOWN * own_yield
    others = yields[paid != at]
    scale = own.scale_before(at)
    if not too_large and len(others) >= _FEWEST_OTHERS:
        unusual = own_yield >= _UNUSUAL * float(np.median(others))
        too_large = unusual and own_yield - fall > _SHORT_BY * scale > 0.0
    if not too_large:
        return None
    proposal = f"restate the dividend {own.dividend[at]:g}{_in_other_units(own, at)}, or withdraw it"
    return own.notice("dividend_size", at, at, own_yield, proposal)


def _in_other_units(own: SymbolBars, at: int) -> str:
    """Name the amount that a currency's subunit, or the shares before a split, would explain."""
    split = float(own.split[max(0, at - 1) : at + 2].max())
    if split > 1.0:
        return f" as {own.dividend[at] / split:g} (stated for shares before the split)"
    return f" as {own.dividend[at] / 100.0:g} (stated in the currency's subunit)"


def _fall(own: SymbolBars, at: int) -> float:
    """Fall from the close before to open or close, whichever is deeper, fraction."""
    prices = np.array([own.open[at], own.close[at]])
    return float(1.0 - np.nanmin(np.where(prices > 0.0, prices, np.nan)) / own.previous_close[at])


def _repeated(own: SymbolBars, paid: npt.NDArray[np.intp]) -> list[Notice]:
    notices = []
    gaps = np.diff(paid)
    for index, gap in enumerate(gaps):
        others = np.delete(gaps, index)
        first, second = int(paid[index]), int(paid[index + 1])
        alike = abs(np.log(own.dividend[first] / own.dividend[second])) <= _TWICE_SLACK
        if gap > _TWICE_WITHIN or not alike or (len(others) and gap * _RARE > np.median(others)):
            continue
        missed = {at: own.dividend[at] / own.previous_close[at] - _fall(own, at) for at in (first, second)}
        surplus = max(missed, key=lambda at: missed[at])
        proposal = f"withdraw the dividend {own.dividend[surplus]:g} of {own.session[surplus].date()}"
        notices.append(own.notice("dividend_repeated", first, second, own.dividend[surplus], proposal))
    return notices


def _against_the_factor(own: SymbolBars) -> list[Notice]:
    """Hold the step of the vendor's adjusted over plain close against the dividend stated."""
    if np.isnan(own.adjusted_close).all():
        return []
    factor = own.adjusted_close / own.close
    # Splits stand in both closes of a factor, or, with raw closes, in the adjusted one alone.
    step = np.concatenate([[np.nan], factor[:-1] / factor[1:]]) * (own.split if own.split_in_price else 1.0)
    taken_off = (1.0 - step) * own.previous_close
    slack = _FACTOR_SLACK * own.dividend + _PRICE_SLACK * own.previous_close
    if np.allclose(own.adjusted_close, own.adjusted_close.round(2), rtol=0.0, atol=1e-6, equal_nan=True):
        slack += 0.01 / own.adjusted_close * own.close
    notices = []
    for at in np.flatnonzero(np.abs(taken_off - own.dividend) > slack):
        declared, implied = own.dividend[at], taken_off[at]
        proposal = f"confirm the dividend: {declared:g} is stated, the vendor's factor takes off {implied:g}"
        notices.append(own.notice("dividend_factor", int(at), int(at), implied, proposal))
    return notices
