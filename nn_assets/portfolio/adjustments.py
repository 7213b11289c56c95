"""What a person had a book take over from its account: positions and cash as the venue says them, on record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from nn_assets.errors import DecisionError
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.fills import FillArrays


@dataclass(frozen=True)
class BookAdjustment:
    """What is added to a book as its next session begins, at its marks and without a cost.

    Attributes
    ----------
    session : str
        The last session that was over when it was accepted: the quantities are those of after its actions.
    positions : tuple of (symbol, quantity, price)
        Signed shares, and the mark, dollars, that what is added is entered at.
    cash_usd : float
    who, why : str
    """

    session: str
    positions: tuple[tuple[str, float, float], ...]
    cash_usd: float
    who: str
    why: str

    def to_record(self) -> dict[str, Any]:
        """As a decision keeps it."""
        return {**vars(self), "positions": [list(position) for position in self.positions]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what a decision, or the ledger, kept."""
        rows = record["positions"]
        positions = tuple((str(symbol), float(quantity), float(price)) for symbol, quantity, price in rows)
        return cls(str(record["session"]), positions, float(record["cash_usd"]), str(record["who"]), str(record["why"]))

    def before(self, session: pd.Timestamp) -> bool:
        """Whether it was accepted before a session was over, so that the session's own actions come after it."""
        return pd.Timestamp(self.session) < session


def book_after_adjustment(book: Book, adjustment: BookAdjustment, session: pd.Timestamp) -> Book:
    """Return the book with what was accepted added to it: positions at their marks, and cash; nothing is a cost.

    Raises
    ------
    DecisionError
        A symbol is not the book's.
    """
    indices = {symbol: number for number, symbol in enumerate(book.symbols)}
    lacking = sorted({symbol for symbol, _, _ in adjustment.positions} - indices.keys())
    if lacking:
        raise DecisionError(
            expected=f"{', '.join(lacking)} among the symbols, since a person had the book take over a position of it",
            found=f"only {', '.join(book.symbols)}",
            remedy="put the symbol back among the strategy's symbols until the position is closed",
            session=session.date(),
            key="market.symbols",
        )
    count = len(adjustment.positions)
    zero, unknown = np.zeros(count), np.full(count, np.nan)
    fills = FillArrays(
        fill_id=tuple(f"accepted {symbol}" for symbol, _, _ in adjustment.positions),
        client_order_id=("",) * count,
        symbol=np.array([indices[symbol] for symbol, _, _ in adjustment.positions], dtype=np.int64),
        quantity=np.array([quantity for _, quantity, _ in adjustment.positions], dtype=np.float64),
        price=np.array([price for _, _, price in adjustment.positions], dtype=np.float64),
        mid_price=unknown,
        half_spread_usd=unknown,
        commission_usd=zero,
        impact_usd=unknown,
        is_stop=np.zeros(count, dtype=np.bool_),
    )
    moved = book.filled(fills, session)
    cash_usd = math.fsum([book.cash_usd, adjustment.cash_usd])
    return replace(moved, cash_usd=cash_usd, unfilled_quantity=book.unfilled_quantity)
