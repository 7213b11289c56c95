"""A book mended by splits and dividends that became known after their ex-session was decided."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from nn_assets.arrays import BoolArray, DayArray, FloatArray, IntArray, Session
from nn_assets.errors import DecisionError
from nn_assets.portfolio.actions import price_after_actions, shares_after_split, whole_lots
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.fills import day_of

_NO_DAY = np.datetime64("NaT", "D")
_A_WHOLE_LOT = 1e-9  # lots: what rounding left of one


@dataclass(frozen=True, eq=False)
class ActionRows:
    """Splits and dividends by session; arrays of shape (sessions, symbols)."""

    split: FloatArray  # new shares for one old; 1 where there is none
    dividend: FloatArray  # cash per share as counted on the session, dollars; 0 where there is none
    delisting: FloatArray  # cash per share on the first session without the symbol, dollars; NaN where there is none
    assumed: BoolArray  # whether the split is assumed from a factor

    @classmethod
    def nothing(cls, sessions: int, symbols: int) -> Self:
        """No action at all."""
        shape = (sessions, symbols)
        return cls(np.ones(shape), np.zeros(shape), np.full(shape, np.nan), np.zeros(shape, dtype=np.bool_))

    def differs(self, other: ActionRows) -> BoolArray:
        """Which cells another table says otherwise, (sessions, symbols)."""
        both = np.isnan(self.delisting) & np.isnan(other.delisting)
        moved = (self.split != other.split) | (self.dividend != other.dividend) | (self.assumed != other.assumed)
        return np.asarray(moved | ((self.delisting != other.delisting) & ~both))


@dataclass(frozen=True, eq=False)
class LateActions:
    """Actions of sessions gone by that are known otherwise than the book took them.

    The rows are all sessions from the book's first, on which it was flat, to the one before the
    conversion.
    """

    sessions: DayArray  # (sessions,)
    traded: FloatArray  # signed quantity filled, in shares of the session, (sessions, symbols)
    taken: ActionRows  # as known until now: what the book was converted by
    known: ActionRows  # as known now
    mark: FloatArray  # price held into each session, before its actions; NaN or 0 for none, (sessions, symbols)
    quoted: BoolArray  # whether the book saw a bar, (sessions, symbols)
    stop_distance: FloatArray  # of an entry decided on the last row, by what is known now, price, (symbols,)
    held: FloatArray  # quantity on record after each session, (sessions, symbols)
    equity_usd: FloatArray  # on record after each session, (sessions,)
    booked_usd: FloatArray  # dividends, cash for fractions and delistings on record of each session, (sessions,)
    reset: BoolArray  # whether the reset of a loss started new peaks as the session began, (sessions,)
    first_peak_usd: float  # the higher of the first session's equity and the capital before it
    closes: FloatArray | None = None  # as known now, price; NaN or None: as the book marked them, (sessions, symbols)

    @property
    def restated(self) -> FloatArray:
        """Closes as known now where an assumed split came or went, as the bars show; NaN elsewhere."""
        if self.closes is None:
            return np.full(self.mark.shape, np.nan)
        return np.where((self.taken.assumed != self.known.assumed).any(axis=0), self.closes, np.nan)

    @property
    def marked_row(self) -> IntArray:
        """Row of the last bar that the book saw, shape (symbols,); -1 for none."""
        last = len(self.quoted) - 1 - self.quoted[::-1].argmax(axis=0)
        return np.where(self.quoted.any(axis=0), last, -1)

    @property
    def changed(self) -> BoolArray:
        """Symbols of which anything is known otherwise, shape (symbols,)."""
        differ: BoolArray = self.taken.differs(self.known)
        return np.asarray(differ.any(axis=0))


@dataclass(frozen=True, eq=False)
class Owed:
    """What a book would have more (signed), had it known in time and sent the same fills; shape (symbols,)."""

    quantity: FloatArray  # whole lots, in shares of the last row
    in_lieu_usd: FloatArray  # for fractions of lots, at the mark held into the ex-session
    dividends_usd: FloatArray  # received less paid
    delistings_usd: FloatArray  # received less paid

    @property
    def anything(self) -> bool:
        """Whether any share or cash is owed."""
        return any(part.any() for part in (self.quantity, self.in_lieu_usd, self.dividends_usd, self.delistings_usd))


def owed_by_late_actions(late: LateActions, lot_size: float) -> Owed:
    """Keep two books of the same fills, one by the actions taken and one by those known now; give the difference.

    Parameters
    ----------
    late : LateActions
    lot_size : float
        Of the portfolio; each split leaves whole lots.

    Returns
    -------
    Owed
        Exactly zero for symbols of which nothing changed.
    """
    on_taken, on_known = (_kept(late, rows, lot_size) for rows in (late.taken, late.known))
    return Owed(*(now[-1] - before[-1] for now, before in zip(on_known, on_taken, strict=True)))


def _kept(
    late: LateActions, rows: ActionRows, lot_size: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Of a book converted by ``rows``, in their shape: quantity after each row, and what it received until then.

    Cash in lieu, dividends and what delistings left.
    """
    quantity, in_lieu, received, left = (np.zeros(late.traded.shape[1]) for _ in range(4))
    kept = []
    by_row = zip(rows.split, rows.dividend, rows.delisting, rows.assumed, strict=True)
    for row, (split, dividend, delisting, assumed) in enumerate(by_row):
        shares = quantity * split
        whole = shares_after_split(quantity, split, lot_size, assumed)
        in_lieu += (shares - whole) * np.nan_to_num(late.mark[row] / split)
        received += whole * dividend
        gone = np.isfinite(delisting)
        left += whole * np.where(gone, delisting, 0.0)
        quantity = np.where(gone, 0.0, whole) + late.traded[row]
        kept.append((quantity, in_lieu.copy(), received.copy(), left.copy()))
    quantities, fractions, dividends, delistings = (np.array(part) for part in zip(*kept, strict=True))
    return quantities, fractions, dividends, delistings


def _peaked(book: Book, late: LateActions, lot_size: float) -> Book:
    """Give a book the equity and the peaks of one that had known in time; ``book`` as it was before."""
    quantity, in_lieu, received, left = _kept(late, late.known, lot_size)
    marks = np.vstack([late.mark[1:], book.price])
    prices = np.where(np.isfinite(late.restated), late.restated, marks)
    for row in range(1, len(marks)):
        before = prices[row - 1]
        carried = price_after_actions(before, late.known.split[row], late.known.dividend[row])
        prices[row] = np.where(late.quoted[row] | ~(before > 0.0), prices[row], carried)
    value = np.where(quantity == 0.0, 0.0, quantity * prices) - np.where(late.held == 0.0, 0.0, late.held * marks)
    cash = (in_lieu + received + left).sum(axis=1) - np.cumsum(late.booked_usd)
    equity = late.equity_usd + value.sum(axis=1) + cash
    peak = late.first_peak_usd
    # No action reaches back to the first session, before which the book was flat.
    past = replace(book, session=late.sessions[0], equity_usd=float(equity[0]))
    past = replace(past, high_water_mark_usd=peak, highest_ever_usd=peak, week_peak_usd=peak)
    for row in range(1, len(equity)):
        if late.reset[row]:
            past = past.with_new_peaks()
        past = past.worth(late.sessions[row], float(equity[row]))
    return past


def book_after_late_actions(book: Book, late: LateActions, lot_size: float, session: Session) -> Book:
    """Mend a book by actions that became known after sessions were decided without them.

    It ends with the quantities and the cash of a book that had known in time and sent the same fills,
    but for interest. Where anything is owed no order under way is waited for: holdings and equity that
    sized all of them were wrong, and the session's own decision brings the book to its target.

    Parameters
    ----------
    book : Book
        As left by the session before, ``late.sessions[-1]``.
    late : LateActions
    lot_size : float
        Of the portfolio. Fractions of a lot are paid out at the mark held into the ex-session.
    session : session label
        The one being played, before whose first fill the book is mended.

    Returns
    -------
    Book
        Entry and stop of a position entered before the ex-session are carried over the action; one
        entered since keeps its own. So do marks: bars from the ex-session on were already quoted in
        new shares, but a symbol without one since has its mark carried. The pending stop distance of
        the symbols concerned is that of the range as known now, the range as then taken having held
        the split as a loss. Shares that come where none of their side are held (a stop fired
        meanwhile, say) count as entered now at the last mark, with the pending stop distance; a side
        that a stop blocked stays blocked. Equity and peaks are those of the closes since the first
        session, valued by the quantities and cash of what is known now; breakers latched
        meanwhile stay, until a person releases it.

    Raises
    ------
    DecisionError
        A dividend of at least the last mark of a position: the book cannot be right. Or a delisting that became
        known now and lies before a fill of its symbol.
    """
    _demand_no_fill_after_delisting(book, late)
    changed, owed = late.changed, owed_by_late_actions(late, lot_size)
    summed = book.quantity + owed.quantity
    lots = whole_lots(summed, lot_size)
    quantity = np.where(changed & (np.abs(summed - lots) < _A_WHOLE_LOT * lot_size), lots, summed)
    last = np.take_along_axis(late.restated, np.maximum(late.marked_row, 0)[None, :], axis=0)[0]
    price = np.where(changed, _carried(book.price, late.marked_row, late, dividends=True, restated=last), book.price)
    swallowed = (quantity != 0.0) & np.isfinite(book.price) & ~(price > 0.0)
    if swallowed.any():
        column = int(swallowed.argmax())
        raise DecisionError(
            expected=f"dividends below the price held, {book.price[column]:g}",
            found=f"{late.known.dividend[:, column].max():g}",
            remedy="restate or withdraw the dividend; check its currency unit",
            symbol=book.symbols[column],
            value=float(late.known.dividend[:, column].max()),
        )
    entered = np.searchsorted(late.sessions, book.entered_session, side="right") - 1  # after all rows where flat
    kept = np.sign(quantity) == np.sign(book.quantity)
    distance = np.where(changed & np.isfinite(late.stop_distance), late.stop_distance, book.pending_stop_distance)
    stop = price - np.sign(quantity) * distance
    came = (quantity != 0.0) & ~kept
    old_entry = np.where(changed, _carried(book.entry_price, entered, late, dividends=False), book.entry_price)
    old_stop = np.where(changed, _carried(book.stop_price, entered, late, dividends=True), book.stop_price)
    in_lieu = math.fsum(owed.in_lieu_usd.tolist())
    received = math.fsum(owed.dividends_usd.tolist())
    left = math.fsum(owed.delistings_usd.tolist())
    gone = np.isfinite(late.known.delisting).any(axis=0)
    grown = np.divide(quantity, book.quantity, out=np.ones_like(quantity), where=kept & (book.quantity != 0.0))
    return replace(
        _peaked(book, late, lot_size) if owed.anything else book,
        cash_usd=math.fsum([book.cash_usd, in_lieu, received, left]),
        quantity=quantity,
        price=price,
        entry_price=np.where(kept, old_entry, np.where(came, price, np.nan)),
        stop_price=np.where(kept, old_stop, np.where(came & (stop > 0.0), stop, np.nan)),
        entered_session=np.where(kept, book.entered_session, np.where(came, day_of(session), _NO_DAY)),
        pending_stop_distance=distance,
        unscaled_quantity=np.where(gone, 0.0, book.unscaled_quantity * grown),
        target_quantity=np.where(gone, 0.0, book.target_quantity * grown),
        unfilled_quantity=np.zeros_like(quantity) if owed.anything else book.unfilled_quantity,
        session_dividends_usd=book.session_dividends_usd + received,
        session_cash_in_lieu_usd=book.session_cash_in_lieu_usd + in_lieu,
        session_delistings_usd=book.session_delistings_usd + left,
    )


def _demand_no_fill_after_delisting(book: Book, late: LateActions) -> None:
    gone = np.logical_or.accumulate(np.isfinite(late.known.delisting), axis=0) & late.changed
    rows, columns = np.nonzero(gone & (late.traded != 0.0))
    if len(rows) == 0:
        return
    row, column = int(rows[-1]), int(columns[-1])
    symbol, day = book.symbols[column], late.sessions[row]
    raise DecisionError(
        expected=f"no fill of {symbol} from its delisting on, {late.sessions[int(gone[:, column].argmax())]}",
        found=f"{late.traded[row, column]:+g} filled on {day}",
        remedy=f"state the delisting on a session after {day}, with the cash per share that was left then",
        symbol=symbol,
        session=str(day),
        value=float(late.traded[row, column]),
    )


def _carried(
    price: FloatArray, since: IntArray, late: LateActions, *, dividends: bool, restated: FloatArray | None = None
) -> FloatArray:
    """Take the actions of the rows after ``since`` (symbols,) off a price as they were taken, and on as known.

    In between a price is what it was ``restated`` as, where it was.
    """
    rows = np.arange(len(late.sessions))[:, None] > since
    cash = 1.0 if dividends else 0.0
    for row in range(len(late.sessions) - 1, -1, -1):
        before = (price + cash * late.taken.dividend[row]) * late.taken.split[row]
        price = np.where(rows[row], before, price)
    if restated is not None:
        price = np.where(np.isfinite(restated), restated, price)
    for row in range(len(late.sessions)):
        after = price_after_actions(price, late.known.split[row], cash * late.known.dividend[row])
        price = np.where(rows[row], after, price)
    return price
