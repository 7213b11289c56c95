"""The stops that are to rest at the venue, and what of that rests there already."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

import pandas as pd

from nn_assets.execution.netting import AccountOrder, BookOrder, netted
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.under_way import held_where_positions_differ, is_over, untold
from nn_assets.operations.asof.accounts import AccountRecord, TrackedOrder
from nn_assets.operations.asof.sendings import STOP_SENDINGS
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy

_Rests = tuple[str, float, tuple[tuple[str, float], ...]]


def desired_stops(
    driver: Driver, books: Iterable[BookNow], record: AccountRecord
) -> dict[pd.Timestamp, list[BookOrder]]:
    """The stops of what each book holds, moved by the fills on record, by the session from which they rest.

    None of a halted book, none of a book that trades at closes (it decides by its stops itself), and none of a position
    that an order under way closes: that goes before, and what it leaves is protected after. Of what the venue filled
    and did not tell yet, and of what is to cross to another book, none. A level is lowered by dividends as the round of
    their session lowers it. Where positions differ, none of more than the venue holds: a stop beyond that would open
    the other side.
    """
    there, not_told = held_where_positions_differ(record), _not_told(record)
    desired: dict[pd.Timestamp, list[BookOrder]] = {}
    for book in books:
        strategy = book.strategy
        if strategy.label.execution != "next_open" or driver.control_of(strategy.name, record) is Control.HALTED:
            continue
        session = _session_to_rest(strategy, driver.now())
        split = driver.market.splits(strategy, book.session, session)
        if split is None:  # in which shares it holds what it does is not known: those that rest stay
            desired.setdefault(session, []).extend(_as_they_rest(record, strategy.name))
            continue
        moved = book.moved(record, split)
        lowered = driver.market.dividends(strategy, book.session, session)
        before = {
            symbol: abs(held) * split.get(symbol, 1.0)
            for symbol, held in zip(book.left.symbols, book.left.quantity.tolist(), strict=True)
        }
        closing, crossing = (
            _closed_by_orders(strategy.name, record, book, driver.now()),
            _to_cross(strategy.name, record),
        )
        for symbol, quantity, price in zip(
            moved.symbols, moved.quantity.tolist(), moved.stop_price.tolist(), strict=True
        ):
            if quantity == 0.0 or not math.isfinite(price) or (symbol, quantity < 0.0) in closing:
                continue
            side, gone = math.copysign(1.0, quantity), not_told.get((strategy.name, symbol, quantity < 0.0), 0.0)
            size = max(0.0, abs(quantity) - gone - crossing[symbol, quantity < 0.0])
            level = price - lowered.get(symbol, 0.0) * min(1.0, before.get(symbol, 0.0) / abs(quantity))
            if symbol in there:
                size = min(size, max(0.0, side * there[symbol]))
                there[symbol] -= side * size
            if size == 0.0:
                continue
            name = f"resting stop\x1f{strategy.name}\x1f{symbol}\x1f{side * size!r}\x1f{level!r}"
            identity = hashlib.sha256(name.encode()).hexdigest()[:32]
            stop = BookOrder(strategy.name, identity, symbol, -side * size, "stop", level, level)
            desired.setdefault(session, []).append(stop)
    return desired


def _not_told(record: AccountRecord) -> dict[tuple[str, str, bool], float]:
    """By book, symbol and whether it sells: what the venue filled of orders that ended, and did not tell yet.

    Of an order of several books it may be any one's.
    """
    amounts: dict[tuple[str, str, bool], float] = {}
    for tracked in record.orders.values():
        if amount := untold(tracked, record):
            for child in tracked.order.children:
                key = child.book, tracked.order.symbol, amount > 0.0
                amounts[key] = amounts.get(key, 0.0) + abs(amount)
    return amounts


def _as_they_rest(record: AccountRecord, book: str) -> list[BookOrder]:
    """What is left of the stops of a book that rest, or wait to."""
    return [
        replace(child, quantity=child.quantity - got)
        for tracked in record.orders.values()
        if tracked.order.kind == "stop" and (tracked.is_live or tracked.status == "waiting")
        for child, got in zip(tracked.order.children, tracked.received, strict=True)
        if child.book == book and child.quantity != got
    ]


def stops_apart(
    record: AccountRecord, desired: dict[pd.Timestamp, list[BookOrder]], account: str, kept: Container[str] = ()
) -> tuple[list[AccountOrder], list[TrackedOrder]]:
    """Stops that are to rest and do not, and those that work and are not to.

    One that the venue refused :data:`.STOP_SENDINGS` times for a session is not sent again for it.

    Parameters
    ----------
    kept : container of str
        Books whose stops stay as they are: what they protect is not known.
    """
    live = [t for t in record.orders.values() if t.order.kind == "stop" and (t.is_live or t.status == "waiting")]
    stay = [t for t in live if any(child.book in kept for child in t.order.children)]
    covered = {(child.book, t.order.symbol) for t in stay for child in t.order.children}
    live = [t for t in live if t not in stay]
    desired = {
        session: [order for order in orders if (order.book, order.symbol) not in covered]
        for session, orders in desired.items()
    }
    resting = {_rests(tracked.order, tracked.received): tracked for tracked in live}
    lacking = []
    for session, orders in desired.items():
        refusals = Counter(
            _rests(tracked.order, ())
            for tracked in record.orders.values()
            if tracked.order.kind == "stop" and tracked.order.session == session and tracked.status == "refused"
        )
        lacking += [
            _named_anew(order, record, account)
            for order in netted(orders, account=account, session=session)
            if resting.pop(_rests(order, ()), None) is None and refusals[_rests(order, ())] < STOP_SENDINGS
        ]
    return lacking, list(resting.values())


def _rests(order: AccountOrder, received: Sequence[float]) -> _Rests:
    """What an order still protects: symbol, price, and how much of each book."""
    left: dict[str, float] = {}
    for child, got in zip(order.children, received or (0.0,) * len(order.children), strict=True):
        left[child.book] = left.get(child.book, 0.0) + child.quantity - got
    return order.symbol, float(order.price or 0.0), tuple(sorted(left.items()))


def _named_anew(order: AccountOrder, record: AccountRecord, account: str) -> AccountOrder:
    """The order under a name that was not used: one that ended and is to rest again is another order."""
    number, made = 0, order
    while made.client_order_id in record.orders:
        number += 1
        (made,) = netted(order.children, account=f"{account}#{number}", session=order.session)
    return made


def _closed_by_orders(book: str, record: AccountRecord, now: BookNow, moment: pd.Timestamp) -> set[tuple[str, bool]]:
    """Symbols that orders of a book under way sell (True: buy) more of, so that a stop would close them twice.

    Of an order whose session is over nothing more is expected: what it was to close is protected again.
    """
    last = {
        child.client_order_id: tracked
        for tracked in record.orders.values()
        if tracked.order.kind != "stop"
        for child in tracked.order.children
    }
    ended = {name for name, tracked in last.items() if not (tracked.is_live or tracked.status == "waiting")}
    under_way = now.orders if now.fills_at is not None and moment < now.fills_at else ()
    known = [
        child
        for tracked in record.orders.values()
        if tracked.order.kind != "stop"
        if tracked.is_live and not is_over(now.strategy.market.calendar, tracked.order.session, moment)
        for child in tracked.order.children
        if child.book == book
    ]
    return {
        (order.symbol, order.quantity > 0.0) for order in (*known, *under_way) if order.client_order_id not in ended
    }


def _to_cross(book: str, record: AccountRecord) -> dict[tuple[str, bool], float]:
    """By symbol, and whether it is bought: what a book gives to another once the bar of the session is there."""
    amounts: defaultdict[tuple[str, bool], float] = defaultdict(float)
    for tracked in record.orders.values():
        if tracked.order.quantity == 0.0 and tracked.status == "waiting":
            for child in tracked.order.children:
                if child.book == book:
                    amounts[child.symbol, child.quantity > 0.0] += abs(child.quantity)
    return amounts


def _session_to_rest(strategy: Strategy, now: pd.Timestamp) -> pd.Timestamp:
    """The session that trades, or the next one that will."""
    day = now.tz_convert("UTC").tz_localize(None).normalize()
    hours = session_hours(strategy.market.calendar, day - pd.Timedelta(days=1), day + pd.Timedelta(days=15))
    session: pd.Timestamp = hours[hours["closes"] > now]["session"].iloc[0]
    return session
