"""A book carried over an ex-session: quantities and prices in the new shares, dividends and delistings booked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import FloatArray
from nn_assets.errors import DecisionError
from nn_assets.portfolio.book import Book

_ROUNDED_OFF = 1e-9  # relative, of a holding: 100 shares times 0.07 are seven, whatever the last bit says


def whole_lots(quantity: FloatArray, lot_size: float) -> FloatArray:
    """Round signed quantities towards zero to whole lots; what rounding left just below one counts as one."""
    lots = np.abs(quantity) / lot_size
    return np.sign(quantity) * np.floor(lots * (1.0 + _ROUNDED_OFF)) * lot_size + 0.0


def shares_after_split(
    quantity: FloatArray, split: FloatArray, lot_size: float, assumed: npt.NDArray[np.bool_] | None
) -> FloatArray:
    """Shares that a split leaves, (symbols,): whole lots of one that was stated, fractions too of one assumed."""
    shares = quantity * split
    whole = np.where(split == 1.0, quantity, whole_lots(shares, lot_size))
    return whole if assumed is None else np.where(assumed, shares, whole)


def price_after_actions(price: FloatArray, split: FloatArray, dividend: FloatArray) -> FloatArray:
    """Give the equivalent, on the ex-session, of a price of the session before, shape (symbols,).

    Divided by the split, less the dividend; NaN where nothing above zero is left.
    """
    after = price / split - dividend
    return np.where(after > 0.0, after, np.nan)


def book_after_actions(
    book: Book, split: FloatArray, dividend: FloatArray, lot_size: float, assumed: npt.NDArray[np.bool_] | None = None
) -> Book:
    """Convert a book before the ex-session's first fill. Its equity does not change.

    Parameters
    ----------
    book : Book
        As left by the session before.
    split : ndarray, shape (symbols,)
        New shares for one old; 1 where there is none.
    dividend : ndarray, shape (symbols,)
        Cash per share as counted on the ex-session, dollars; 0 where there is none.
    lot_size : float
        Of the portfolio. Fractions of a lot that a split leaves are paid out at the last mark.
    assumed : ndarray of bool, shape (symbols,), optional
        Assumed splits: fractions stay, since no cash was paid for them.

    Returns
    -------
    Book
        Longs received the dividend, shorts paid it; what the session booked before is added to. Marks and
        stops are divided by the split and lowered by the dividend, so that neither triggers the other;
        entry prices, which say what was paid, and stop distances by the split alone.

    Raises
    ------
    DecisionError
        A dividend of at least the last mark of a position: the book cannot be right.
    """
    held = book.quantity != 0.0
    swallowed = held & ~(book.price / split - dividend > 0.0)
    if swallowed.any():
        index = int(swallowed.argmax())
        raise DecisionError(
            expected=f"a dividend below the price held, {book.price[index] / split[index]:g}",
            found=f"{dividend[index]:g}",
            remedy="restate or withdraw the dividend; check its currency unit",
            symbol=book.symbols[index],
            value=float(dividend[index]),
        )
    whole = np.where(split == 1.0, book.unfilled_quantity, whole_lots(book.unfilled_quantity * split, lot_size))
    shares = book.quantity * split
    quantity = shares_after_split(book.quantity, split, lot_size, assumed)
    marks = np.nan_to_num(book.price / split)
    in_lieu = math.fsum(((shares - quantity) * marks).tolist())
    received = math.fsum((quantity * dividend).tolist())
    closed = held & (quantity == 0.0)
    return replace(
        book,
        cash_usd=math.fsum([book.cash_usd, in_lieu, received]),
        quantity=quantity,
        price=price_after_actions(book.price, split, dividend),
        entry_price=np.where(closed, np.nan, book.entry_price / split),
        stop_price=np.where(closed, np.nan, price_after_actions(book.stop_price, split, dividend)),
        entered_session=np.where(closed, np.datetime64("NaT", "D"), book.entered_session),
        pending_stop_distance=book.pending_stop_distance / split,
        unfilled_quantity=whole,
        unscaled_quantity=book.unscaled_quantity * split,
        target_quantity=book.target_quantity * split,
        session_dividends_usd=book.session_dividends_usd + received,
        session_cash_in_lieu_usd=book.session_cash_in_lieu_usd + in_lieu,
    )


def book_after_delistings(book: Book, delisting: FloatArray) -> Book:
    """Close what is delisted, before the first fill of the first session without it.

    Parameters
    ----------
    book : Book
        After the session's splits and dividends.
    delisting : ndarray, shape (symbols,)
        Cash per share, dollars, 0 where nothing is left; NaN where there is none.

    Returns
    -------
    Book
        Longs received the cash, shorts paid it; stops, targets and what was on order are gone. The gain or loss
        against the last mark is the session's.
    """
    gone = np.isfinite(delisting)
    if not gone.any():
        return book
    received = math.fsum((book.quantity * np.where(gone, delisting, 0.0)).tolist())
    nothing, nan = np.where(gone, 0.0, 1.0), np.where(gone, np.nan, 0.0)
    return replace(
        book,
        cash_usd=math.fsum([book.cash_usd, received]),
        quantity=book.quantity * nothing,
        entry_price=book.entry_price + nan,
        stop_price=book.stop_price + nan,
        entered_session=np.where(gone, np.datetime64("NaT", "D"), book.entered_session),
        pending_stop_distance=book.pending_stop_distance + nan,
        unfilled_quantity=book.unfilled_quantity * nothing,
        unscaled_quantity=book.unscaled_quantity * nothing,
        target_quantity=book.target_quantity * nothing,
        session_delistings_usd=book.session_delistings_usd + received,
    )
