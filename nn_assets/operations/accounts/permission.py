"""What may be sent now: by the controls of now, the moment, the limits on a session's sendings, and what is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from nn_assets.execution.netting import AccountOrder
from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.outbox import let_through, only_reduces
from nn_assets.operations.accounts.under_way import closable, not_counted, stopped_out
from nn_assets.operations.asof.accounts import AccountRecord
from nn_assets.operations.asof.controls import fill_moment
from nn_assets.portfolio.breakers import Control

UNREAD = "facts"
"""Why an order of a book waits whose corporate actions cannot be read: in which shares it is, is not known."""


def stopped_by(
    driver: Driver, order: AccountOrder, books: Iterable[BookNow], record: AccountRecord
) -> tuple[str, list[str]] | None:
    """Why an order may not be sent now, and for which orders of books; None where it may."""
    every = [child.client_order_id for child in order.children]
    if any(driver.account.of(child.book) is None for child in order.children):
        return "no_strategy", every
    by_name = {book.strategy.name: book for book in books}
    books_of = [by_name[name] for name in sorted({child.book for child in order.children})]
    unread = any(driver.market.splits(book.strategy, book.session, order.session) is None for book in books_of)
    if order.kind == "stop":
        halted = any(driver.control_of(book.strategy.name, record) is Control.HALTED for book in books_of)
        return (UNREAD, every) if unread else ("halted", every) if halted else None
    moments = [fill_moment(book.strategy, order.session) for book in books_of]
    hours = driver.hours_of(order)
    moments += [] if hours is None else [hours.ends]
    if driver.now() >= min(moments):
        return "late", every
    if uncounted := not_counted(order, record):
        return "uncounted", uncounted
    if unread:
        return UNREAD, every
    return _stopped_by_holdings(order, books_of, record) or _stopped_by_controls(driver, order, by_name, record)


def _stopped_by_holdings(
    order: AccountOrder, books: Iterable[BookNow], record: AccountRecord
) -> tuple[str, list[str]] | None:
    """For which orders of books the position is not what they were decided on, and why."""
    hit = stopped_out(record, books)
    if gone := [child.client_order_id for child in order.children if (child.book, order.symbol) in hit]:
        return "stop_filled", gone
    if closes_more_than_is_there(order, abs(order.quantity), record):
        return "not_there", [child.client_order_id for child in order.children]
    return None


def _stopped_by_controls(
    driver: Driver, order: AccountOrder, books: Mapping[str, BookNow], record: AccountRecord
) -> tuple[str, list[str]] | None:
    """Which limit on sendings, or control of a book, keeps an order back, and for which orders of books."""
    if (code := _beyond_what_may_be_sent(order, books, record)) is not None:
        return code, [child.client_order_id for child in order.children]
    for name in sorted({child.book for child in order.children}):
        control = driver.control_of(name, record)
        if control < Control.REDUCING:
            continue
        mine, now = [child for child in order.children if child.book == name], books[name]
        split = driver.market.splits(now.strategy, now.session, order.session)
        passes = let_through(mine, now.moved(record, split or {}), control)
        if passes != mine:
            stopped = [child.client_order_id for child in mine if child not in passes]
            return ("halted" if control is Control.HALTED else "reducing_only"), stopped
    return None


def closes_more_than_is_there(order: AccountOrder, left: float, record: AccountRecord) -> bool:
    """Whether what is left of an order would close more than the venue holds, where its positions differ."""
    there = closable(record, beside=(order.client_order_id,)).get(order.symbol)
    if there is None:
        return False
    return left > (abs(there) if there * order.quantity < 0.0 else 0.0) * (1.0 + 1e-9)


def _worth(order: AccountOrder) -> float:
    """Dollars at the reference price; NaN without one."""
    return math.nan if order.reference_price is None else abs(order.quantity * order.reference_price)


def _beyond_what_may_be_sent(order: AccountOrder, books: Mapping[str, BookNow], record: AccountRecord) -> str | None:
    """Which limit on a session's sendings one more would be beyond, by its code in the pre-trade gate; None: none.

    What was *sent* counts, each time that it was, whatever the books have heard of it: a parent order whose fills are
    never counted is asked for again and again, by other names. So does what earlier sessions sent and may fill still.
    The limits are those of all books together.
    """
    sent = [
        tracked
        for tracked in record.orders.values()
        if tracked.order.kind != "stop"
        and tracked.sendings
        and (tracked.order.session == order.session or tracked.is_live)
    ]
    limits = [book.strategy.execution.maximum_orders_per_session for book in books.values()]
    of_session = [tracked for tracked in sent if tracked.order.session == order.session]
    if sum(len(tracked.sendings) for tracked in of_session) >= sum(limits):
        return "rate"
    others = [tracked.order for tracked in sent if tracked.order.client_order_id != order.client_order_id]
    if not sent or _closes(order, books, others):
        return None
    most = math.fsum(
        book.strategy.execution.maximum_sent_multiple * book.strategy.portfolio.gross_limit * book.left.equity_usd
        for book in books.values()
    )
    value = math.fsum([len(tracked.sendings) * _worth(tracked.order) for tracked in sent] + [_worth(order)])
    return None if value <= most else "sent_value"


def _closes(order: AccountOrder, books: Mapping[str, BookNow], sent: Iterable[AccountOrder]) -> bool:
    """Whether an order only brings positions nearer to zero, what was sent before it taken as filled."""
    before: dict[str, float] = {}
    for earlier in sent:
        for child in earlier.children if earlier.symbol == order.symbol else ():
            before[child.book] = before.get(child.book, 0.0) + child.quantity
    for child in order.children:
        book = books[child.book].left
        held = dict(zip(book.symbols, book.quantity.tolist(), strict=True)).get(order.symbol, 0.0)
        held += before.get(child.book, 0.0)
        before[child.book] = before.get(child.book, 0.0) + child.quantity
        if not only_reduces(held, child.quantity):
            return False
    return True
