"""What splits and dividends do to prices: the step at each ex-session, chained forward or backward.

Prices are stored raw. *Forward*, total-return prices start at the first bar and grow by every action,
so that a new action changes no earlier value: what features and labels read. *Backward*, prices end at
the last bar as quoted: for display and for comparison with vendors only, because every action
rewrites the past.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol, read_only, read_only_fields
from nn_assets.contracts import LEFT_BY
from nn_assets.contracts.frames import ActionVersions
from nn_assets.errors import SchemaError
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR

Convention = Literal["previous_close", "ex_close"]


@dataclass(frozen=True, eq=False)
class Adjustment:
    """Actions on the axes of a panel; arrays of shape (bars, symbols), read-only.

    ``split``, ``dividend`` and ``delisting`` stand on the ex-session, or on the next session after an ex-day that is
    none; ``step`` and ``price_split`` on the first bar from there on, where the price shows them.
    """

    split: FloatArray  # new shares for one old; 1 where there is none
    dividend: FloatArray  # cash per share as counted on that session; 0 where there is none
    delisting: FloatArray  # cash per share, or a settlement, on the first session without the symbol; NaN for none
    step: FloatArray  # what a price before this bar is multiplied by to compare with it
    price_split: FloatArray  # new shares for one old
    assumed: BoolArray  # whether a split on that session is one that nobody stated

    def __post_init__(self) -> None:
        read_only_fields(self)

    def until(self, stop: int) -> Adjustment:
        """Cut after ``stop`` rows."""
        return Adjustment(**{field.name: getattr(self, field.name)[:stop] for field in fields(self)})

    @property
    def gone(self) -> BoolArray:
        """Whether a symbol was delisted by each session, (bars, symbols)."""
        return read_only(np.logical_or.accumulate(np.isfinite(self.delisting), axis=0))

    @cached_property
    def growth(self) -> FloatArray:
        """Shares that one share of the first bar has become, dividends reinvested; row t reads no later row."""
        return _running_product(1.0 / self.step)

    @cached_property
    def shares(self) -> FloatArray:
        """Shares that one share of the first bar has become by splits alone."""
        return _running_product(self.price_split)

    @property
    def backward_price(self) -> FloatArray:
        """Factor of each bar's prices under backward adjustment: the product of all later steps."""
        return _product_of_later(self.step)

    @property
    def backward_volume(self) -> FloatArray:
        """Factor of each bar's volume under backward adjustment: the product of all later splits."""
        return _product_of_later(self.price_split)


def adjustment_of(
    actions: ActionVersions,
    sessions: pd.DatetimeIndex,
    symbols: tuple[Symbol, ...],
    close: FloatArray,
    convention: Convention,
) -> Adjustment | None:
    """Lay actions out beside a panel's closes and find the step of each.

    Parameters
    ----------
    actions : DataFrame
        Columns symbol, ex_session, kind, value; one row an action, as known at some moment. Where there is a column
        source, splits by ``UNEXPLAINED_FACTOR`` are assumed.
    sessions : DatetimeIndex, shape (bars,)
    symbols : tuple of str
    close : ndarray, shape (bars, symbols)
        Raw closes; NaN where there is no bar.
    convention : {"previous_close", "ex_close"}
        The step of a split is 1 / split. That of a dividend D is 1 - D / C[ex-1], as Yahoo computes
        it, with C the last close before, in shares of the ex-session; or C[ex] / (C[ex] + D), as
        Quandl did.

    Returns
    -------
    Adjustment or None
        None where no action falls on the panel. Actions of other symbols, and those at or before a
        symbol's first bar, change nothing.

    Raises
    ------
    SchemaError
        A dividend of at least the close before it, under ``previous_close``: no price is left.
    """
    row = np.asarray(sessions.searchsorted(pd.DatetimeIndex(actions["ex_session"])))
    column = pd.Index(symbols).get_indexer(pd.Index(actions["symbol"]))
    value = actions["value"].to_numpy(dtype=np.float64)
    kind = actions["kind"].to_numpy(dtype=object)
    inside = (row < len(sessions)) & (column >= 0)
    inside &= (actions["ex_session"] >= sessions[0]).to_numpy() if len(sessions) else False
    if not inside.any():
        return None
    split, step, price_split = (np.ones(close.shape) for _ in range(3))
    dividend = np.zeros(close.shape)
    delisting = np.full(close.shape, np.nan)
    splits, dividends = (inside & (kind == name) for name in ("split", "dividend"))
    delistings = inside & np.isin(kind, LEFT_BY)
    np.multiply.at(split, (row[splits], column[splits]), value[splits])
    np.add.at(dividend, (row[dividends], column[dividends]), value[dividends])
    delisting[row[delistings], column[delistings]] = value[delistings]
    assumed = np.zeros(close.shape, dtype=np.bool_)
    if "source" in actions:
        by_nobody = splits & (actions["source"] == UNEXPLAINED_FACTOR).to_numpy()
        assumed[row[by_nobody], column[by_nobody]] = True
    moving = inside & ~delistings
    for index, column_index in sorted(set(zip(row[moving].tolist(), column[moving].tolist(), strict=True))):
        quoted = np.flatnonzero(np.isfinite(close[:, column_index]))
        before, after = quoted[quoted < index], quoted[quoted >= index]
        if len(before) == 0 or len(after) == 0:
            continue
        ratio, cash = split[index, column_index], dividend[index, column_index]
        # Another action may have gone ex since that close, with no bar between.
        previous = float(close[before[-1], column_index]) * step[after[0], column_index]
        if convention == "previous_close":
            paid = 1.0 - cash * ratio / previous
        else:
            paid = close[after[0], column_index] / (close[after[0], column_index] + cash)
        if paid <= 0.0:
            raise SchemaError(
                expected=f"a dividend below the close before it, {previous / ratio:g}",
                found=f"{cash:g}",
                remedy="restate or withdraw the dividend; check its currency unit",
                symbol=symbols[column_index],
                session=sessions[index].date(),
                rule="dividend_size",
                value=cash,
            )
        step[after[0], column_index] *= paid / ratio
        price_split[after[0], column_index] *= ratio
    return Adjustment(split, dividend, delisting, step, price_split, assumed)


def _running_product(values: FloatArray) -> FloatArray:
    product: FloatArray = np.cumprod(values, axis=0, dtype=np.float64)
    return read_only(product)


def _product_of_later(values: FloatArray) -> FloatArray:
    later = np.ones(values.shape)
    later[:-1] = _running_product(values[:0:-1])[::-1]
    return read_only(later)
