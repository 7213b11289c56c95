"""Orders of books put on record as the account's, netted, before anything is sent: the outbox."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from nn_assets.execution.netting import BookOrder, netted
from nn_assets.execution.venue import closes_first
from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.under_way import closable, netted_before, stopped_out
from nn_assets.operations.asof.accounts import ORDERS
from nn_assets.portfolio.actions import whole_lots
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.breakers import Control


def commit_orders(driver: Driver, books: Collection[BookNow]) -> None:
    """Put the books' orders on record as the account's, netted, in one transaction; those there already stay.

    Orders that the controls of now stop, or whose moment has gone, are left out; so are those of a symbol whose stop
    filled since they were decided, and, where positions differ, what would close more than the venue holds. What an
    order left unfilled that was ended for another book's sake goes again.
    """
    record = driver.record()
    before, there, hit = netted_before(record), closable(record), stopped_out(record, books)
    by_session: dict[pd.Timestamp, list[BookOrder]] = {}
    for book in books:
        if book.fill_session is None or book.fills_at is None or driver.now() >= book.fills_at:
            continue
        control = driver.control_of(book.strategy.name, record)
        split = driver.market.splits(book.strategy, book.session, book.fill_session)
        if split is None:  # in which shares its orders are is not known
            continue
        waiting = [order for order in book.orders if order.client_order_id not in before]
        waiting = after_splits(waiting, split, book.strategy.portfolio.lot_size)
        waiting += [rest for order in book.orders if (rest := before.get(order.client_order_id)) is not None]
        moved = book.moved(record, split)
        allowed = let_through(waiting, moved, control)
        if closes_first(driver.venue):
            whole = after_splits(book.orders, split, book.strategy.portfolio.lot_size)
            allowed = no_further_than_zero(allowed, whole, moved)
        allowed = [order for order in allowed if (order.book, order.symbol) not in hit]
        by_session.setdefault(book.fill_session, []).extend(_no_more_than_there(allowed, there))
    reached("before_outbox")
    rows = [
        order.to_record()
        for session, orders in by_session.items()
        for order in netted(orders, account=driver.account.name, session=session)
    ]
    if rows:
        driver.append(ORDERS, rows)
        reached("outbox_committed")


def after_splits(orders: Iterable[BookOrder], split: Mapping[str, float], lot_size: float) -> list[BookOrder]:
    """Orders in the shares of the session that they are for, as the round books them; what is no lot lapses."""
    converted = []
    for order in orders:
        ratio = split.get(order.symbol, 1.0)
        quantity = (
            order.quantity if ratio == 1.0 else float(whole_lots(np.array([order.quantity * ratio]), lot_size)[0])
        )
        reference = None if order.reference_price is None else order.reference_price / ratio
        if quantity != 0.0:
            converted.append(replace(order, quantity=quantity, reference_price=reference))
    return converted


def let_through(orders: Iterable[BookOrder], book: Book, control: Control) -> list[BookOrder]:
    """What a control leaves of a book's orders: all, those that bring a position nearer to zero, or none."""
    if control is Control.HALTED:
        return []
    if control < Control.REDUCING:
        return list(orders)
    asked, kept = list(orders), set[str]()
    held = dict(zip(book.symbols, book.quantity.tolist(), strict=True))
    # What closes a position before what opens the other side of it, in whatever order they come.
    for order in sorted(asked, key=lambda order: abs(held.get(order.symbol, 0.0) + order.quantity)):
        before = held.get(order.symbol, 0.0)
        if only_reduces(before, order.quantity):
            kept.add(order.client_order_id)
            held[order.symbol] = before + order.quantity
    return [order for order in asked if order.client_order_id in kept]


def _no_more_than_there(orders: Iterable[BookOrder], there: dict[str, float]) -> list[BookOrder]:
    """Orders of no more than the venue holds, of symbols whose positions differ; what they close is taken off there."""
    limited = []
    for order in orders:
        size = abs(order.quantity)
        if order.symbol in there:
            held = there[order.symbol]
            size = min(size, abs(held)) if held * order.quantity < 0.0 else 0.0
            there[order.symbol] = held + math.copysign(size, order.quantity) if size else held
        limited.append(replace(order, quantity=math.copysign(size, order.quantity)))
    return [order for order in limited if order.quantity != 0.0]


def only_reduces(held: float, quantity: float) -> bool:
    """Whether an order only brings a position nearer to zero; NaN does not. As ``execution.orders.reduces`` has it."""
    after = held + quantity
    return abs(after) < abs(held) and after * held >= 0.0


def no_further_than_zero(orders: Iterable[BookOrder], whole: Iterable[BookOrder], book: Book) -> list[BookOrder]:
    """Orders of a book without what would open the other side of a position; the next round decides that anew.

    Parameters
    ----------
    whole : iterable of BookOrder
        All of the session's, what closes before what opens, sent already or not: what went before counts.
    """
    held = dict(zip(book.symbols, book.quantity.tolist(), strict=True))
    most, closed = dict[str, float](), set[str]()
    for order in whole:
        before = held.get(order.symbol, 0.0)
        turns = (before + order.quantity) * before < 0.0
        size = 0.0 if order.symbol in closed else abs(before) if turns else abs(order.quantity)
        held[order.symbol] = before + math.copysign(size, order.quantity)
        most[order.client_order_id] = size
        if before != 0.0 and held[order.symbol] == 0.0:
            closed.add(order.symbol)
    limited = [
        replace(order, quantity=math.copysign(min(abs(order.quantity), most[order.client_order_id]), order.quantity))
        for order in orders
    ]
    return [order for order in limited if order.quantity != 0.0]
