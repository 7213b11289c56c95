"""Fills as arrays: what the paper broker gives and the book takes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray, IntArray, Session, Symbol
from nn_assets.contracts import FILLS, framed
from nn_assets.contracts.frames import FillRows
from nn_assets.contracts.ledger import STATED_LATER

NUMBERS = tuple(name for name, column in FILLS.columns.items() if column.kind == "number" and name not in STATED_LATER)
"""Columns of numbers of the fills frame, which are arrays of the same names."""


def day_of(session: Session | None) -> np.datetime64:
    """Return a session as ``datetime64[D]``, the book's own spelling of a day; NaT stays NaT, and None becomes one.

    A bar within the session that begins at no midnight is a ``datetime64[m]``.
    """
    stamp = pd.NaT if session is None else pd.Timestamp(session)
    if pd.isna(stamp):
        return np.datetime64("NaT", "D")
    whole = stamp == stamp.normalize()
    return np.datetime64(stamp.date(), "D") if whole else stamp.to_datetime64().astype("datetime64[m]")


@dataclass(frozen=True)
class FillArrays:
    """Fills of one session, shape (fills,); money in dollars, quantity signed, price without commission.

    A part that a broker's file does not state (mid, spread, commission, impact) is NaN.
    """

    fill_id: tuple[str, ...]
    client_order_id: tuple[str, ...]
    symbol: IntArray  # place on the symbol axis
    quantity: FloatArray
    price: FloatArray  # what was paid: spread and impact included
    mid_price: FloatArray  # mid at the fill, impact included
    half_spread_usd: FloatArray
    commission_usd: FloatArray
    impact_usd: FloatArray
    is_stop: npt.NDArray[np.bool_]
    source: str = "paper"
    # Of a venue's fills alone; None: nothing is said of any.
    filled_at: tuple[pd.Timestamp | None, ...] | None = None  # UTC
    later_mid_price: FloatArray | None = None  # mid 30 to 60 minutes after the fill
    is_assumed: npt.NDArray[np.bool_] | None = None  # whose commission is paid by the cost model, and was not stated

    def __len__(self) -> int:
        return len(self.fill_id)

    @property
    def stated_commission_usd(self) -> FloatArray:
        """Commissions that a broker stated, (fills,); NaN where what is booked was assumed."""
        return (
            self.commission_usd if self.is_assumed is None else np.where(self.is_assumed, np.nan, self.commission_usd)
        )

    @property
    def order_value_usd(self) -> FloatArray:
        """Dollars that all fills of the same order in this batch traded, (fills,): the price moves by the whole of it.

        The paper broker prices each of its fills by itself: of one, and of a fill that names no order, its own.
        """
        value = np.abs(self.quantity * self.price)
        if self.source == "paper" or not len(self):
            return value
        _, order = np.unique(np.array(self.client_order_id), return_inverse=True)
        named = np.array([bool(name) for name in self.client_order_id])
        return np.where(named, np.bincount(order, value)[order], value)

    @property
    def rested(self) -> npt.NDArray[np.bool_]:
        """Paper fills of orders that waited at their limit, (fills,): they moved nothing, so state no impact."""
        return np.isnan(self.impact_usd) & (self.source == "paper")


def no_fills() -> FillArrays:
    """Return an empty batch."""
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS, np.zeros(0))
    nowhere, none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    return FillArrays(fill_id=(), client_order_id=(), symbol=nowhere, is_stop=none, **numbers)


def joined(first: FillArrays, then: FillArrays) -> FillArrays:
    """Two batches of one source as one, in their order."""
    if not len(first) or not len(then):
        return first if len(first) else then
    both: dict[str, Any] = {}
    for name in (field.name for field in fields(FillArrays) if field.name != "source"):
        one, two = getattr(first, name), getattr(then, name)
        if one is None or two is None:
            both[name] = None
            continue
        both[name] = one + two if isinstance(one, tuple) else np.concatenate([one, two])
    return replace(then, **both)


def fills_frame(
    fills: FillArrays, symbols: tuple[Symbol, ...], *, session: Session, known_at: pd.Timestamp
) -> FillRows:
    """Return the fills as the frame that crosses rooms, one row per fill in their order.

    Parameters
    ----------
    symbols : tuple of str
        The symbol axis that ``fills.symbol`` counts on.
    session : timestamp
        Session of the fills.
    known_at : Timestamp
        UTC moment of the fills, or from which they could be acted on.
    """
    from_the_caller = ("symbol", "session", "known_at", *STATED_LATER)
    columns: dict[str, Any] = {name: getattr(fills, name) for name in FILLS.columns if name not in from_the_caller}
    at = pd.NaT if fills.filled_at is None else pd.Series(fills.filled_at, dtype="datetime64[ns, UTC]")
    later = np.nan if fills.later_mid_price is None else fills.later_mid_price
    columns |= {"filled_at": at, "later_mid_price": later, "commission_usd": fills.stated_commission_usd}
    names = [symbols[index] for index in fills.symbol]
    return framed(FILLS, len(fills), symbol=names, session=day_of(session), known_at=known_at, **columns)
