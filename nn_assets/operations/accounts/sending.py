"""Orders on their way: committed, netted, before anything is sent; sent once under the controls of now; cancelled."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from nn_assets.execution.netting import AccountOrder, BookOrder, netted
from nn_assets.execution.venue import OrderAtVenue, VenueDownError, VenueRefusedError, VenueUnsureError, closes_first
from nn_assets.operations.accounts.books import BookNow, session_of
from nn_assets.operations.accounts.driver import UNREACHED, Driver, as_now_recorded, at_of, unreached_text
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.resting_stops import desired_stops, stops_apart
from nn_assets.operations.accounts.under_way import netted_before, not_counted, outlived, rests
from nn_assets.operations.asof.accounts import ORDERS, AccountRecord, TrackedOrder
from nn_assets.operations.asof.controls import fill_moment
from nn_assets.portfolio.actions import whole_lots
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.breakers import Control

_PASSES = 3
_UNREAD = "facts"
"""Why an order of a book waits whose corporate actions cannot be read: in which shares it is, is not known."""


@dataclass(frozen=True)
class Sent:
    """What a call of the driver sent.

    Attributes
    ----------
    waits_for : tuple of str
        Books whose session is not decided yet, so that nothing was sent.
    down : str
        What the venue said where it could not be reached; nothing was sent after it.
    changed : str
        What is not as it was in the ledger, so that nothing was sent by it; see :meth:`.Driver.changed_ledger`.
    orders : mapping of str to str
        Every order of the sessions to come, and its state: see :attr:`.TrackedOrder.status`.
    """

    waits_for: tuple[str, ...] = ()
    down: str = ""
    changed: str = ""
    orders: Mapping[str, str] = field(default_factory=dict)

    @property
    def hindered(self) -> str:
        """Why what should have gone did not; empty where it did, or waits for other books alone."""
        return self.changed or self.down


def send_orders(driver: Driver, *, waits: bool = True) -> Sent:
    """Commit what the books decided, netted, then send it and the stops, each order once.

    An order whose answer is in doubt is asked about by its name. It is sent again, under the same name, only where the
    venue does not know it, the settle time has gone by since, and the moment of its fill has not.

    Parameters
    ----------
    waits : bool
        Whether nothing is sent while a book of the account has not decided the session that another one has: their
        orders net. Without it, the books that have decided go alone.
    """
    with driver.alone():
        books = driver.books()
        down = _end_what_may_not_go_on(driver, books)
        if (changed := driver.changed_ledger()) is not None:
            return Sent(down=down, changed=changed, orders=_states(driver, books))
        waiting = _undecided(books) if waits else ()
        if waiting:
            return Sent(waits_for=waiting, down=down)
        for _ in range(_PASSES):
            commit_orders(driver, books)
            if not _withdraw(driver, books):
                break
        if down:
            return Sent(down=down, orders=_states(driver, books))
        try:
            _send_all(driver, books)
        except UNREACHED as error:
            return Sent(down=unreached_text(error), orders=_states(driver, books))
        return Sent(orders=_states(driver, books))


def _undecided(books: Iterable[BookNow]) -> tuple[str, ...]:
    """Books that are a session behind another one of their calendar."""
    newest: dict[str, pd.Timestamp] = {}
    decided = [(book, book.session) for book in books if book.session is not None]
    for book, session in decided:
        calendar = book.strategy.market.calendar
        newest[calendar] = max(session, newest.get(calendar, session))
    return tuple(
        book.strategy.name
        for book in books
        if (due := newest.get(book.strategy.market.calendar)) is not None
        and (book.session is None or book.session < due)
    )


def _states(driver: Driver, books: Iterable[BookNow]) -> dict[str, str]:
    sessions = {book.fill_session for book in books}
    orders = driver.record().orders.values()
    return {
        tracked.order.client_order_id: tracked.status
        for tracked in orders
        if tracked.is_live or tracked.order.session in sessions
    }


# --- the outbox ----------------------------------------------------------------------------------------


def commit_orders(driver: Driver, books: Iterable[BookNow]) -> None:
    """Put the books' orders on record as the account's, netted, in one transaction; those there already stay.

    Orders that the controls of now stop, or whose moment has gone, are left out. What an order left unfilled that was
    ended for another book's sake goes again.
    """
    record = driver.record()
    before = netted_before(record)
    by_session: dict[pd.Timestamp, list[BookOrder]] = {}
    for book in books:
        if book.fill_session is None or book.fills_at is None or driver.now() >= book.fills_at:
            continue
        control = driver.control_of(book.strategy.name, record)
        split = driver.market.splits(book.strategy, book.session, book.fill_session)
        if split is None:  # in which shares its orders are is not known
            continue
        waiting = [order for order in book.orders if order.client_order_id not in before]
        waiting = _after_splits(waiting, split, book.strategy.portfolio.lot_size)
        waiting += [rest for order in book.orders if (rest := before.get(order.client_order_id)) is not None]
        moved = book.moved(record, split)
        allowed = _let_through(waiting, moved, control)
        if closes_first(driver.venue):
            whole = _after_splits(book.orders, split, book.strategy.portfolio.lot_size)
            allowed = _no_further_than_zero(allowed, whole, moved)
        by_session.setdefault(book.fill_session, []).extend(allowed)
    reached("before_outbox")
    rows = [
        order.to_record()
        for session, orders in by_session.items()
        for order in netted(orders, account=driver.account.name, session=session)
    ]
    if rows:
        driver.append(ORDERS, rows)
        reached("outbox_committed")


def _after_splits(orders: Iterable[BookOrder], split: Mapping[str, float], lot_size: float) -> list[BookOrder]:
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


def _let_through(orders: Iterable[BookOrder], book: Book, control: Control) -> list[BookOrder]:
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
        if _only_reduces(before, order.quantity):
            kept.add(order.client_order_id)
            held[order.symbol] = before + order.quantity
    return [order for order in asked if order.client_order_id in kept]


def _only_reduces(held: float, quantity: float) -> bool:
    """Whether an order only brings a position nearer to zero; NaN does not. As ``execution.orders.reduces`` has it."""
    after = held + quantity
    return abs(after) < abs(held) and after * held >= 0.0


def _no_further_than_zero(orders: Iterable[BookOrder], whole: Iterable[BookOrder], book: Book) -> list[BookOrder]:
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


def _stopped_by(
    driver: Driver, order: AccountOrder, books: Iterable[BookNow], record: AccountRecord
) -> tuple[str, list[str]] | None:
    """Why an order may not be sent now, and for which orders of books; None where it may."""
    every = [child.client_order_id for child in order.children]
    strategies = [driver.account.of(child.book) for child in order.children]
    if any(strategy is None for strategy in strategies):
        return "no_strategy", every
    if order.kind != "stop":
        moments = [fill_moment(strategy, order.session) for strategy in strategies if strategy is not None]
        hours = driver.hours_of(order)
        moments += [] if hours is None else [hours.ends]
        if driver.now() >= min(moments):
            return "late", every
    if uncounted := not_counted(order, record):
        return "uncounted", uncounted
    by_name = {book.strategy.name: book for book in books}
    books_of = [by_name[name] for name in sorted({child.book for child in order.children})]
    if any(driver.market.splits(book.strategy, book.session, order.session) is None for book in books_of):
        return _UNREAD, every
    if order.kind != "stop" and (code := _beyond_what_may_be_sent(order, by_name, record)) is not None:
        return code, every
    for name in sorted({child.book for child in order.children}):
        mine = [child for child in order.children if child.book == name]
        control = driver.control_of(name, record)
        if order.kind == "stop":
            if control is Control.HALTED:
                return "halted", every
            continue
        if control < Control.REDUCING:
            continue
        now = by_name[name]
        split = driver.market.splits(now.strategy, now.session, order.session)
        passes = _let_through(mine, now.moved(record, split or {}), control)
        if passes != mine:
            stopped = [child.client_order_id for child in mine if child not in passes]
            return ("halted" if control is Control.HALTED else "reducing_only"), stopped
    return None


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
        if not _only_reduces(held, child.quantity):
            return False
    return True


def _withdraw(driver: Driver, books: Iterable[BookNow]) -> int:
    """Take back orders that were never sent and may not be now; how many whose children may go by themselves."""
    record, again = driver.record(), 0
    for tracked in list(record.orders.values()):
        if tracked.status == "waiting":
            stopped = _stopped_by(driver, tracked.order, books, record)
            if stopped is not None and stopped[0] == _UNREAD:
                continue  # it waits until its shares are known, or its moment has gone
            if stopped is not None and (tracked.order.quantity != 0.0 or stopped[0] != "late"):
                driver.note(tracked, "withdrawn", stopped[0], children=stopped[1])
                again += len(stopped[1]) < len(tracked.order.children)
    return again


# --- sending -------------------------------------------------------------------------------------------


def _send_all(driver: Driver, books: tuple[BookNow, ...]) -> None:
    _end_stops_in_the_way(driver, books)
    _send_waiting(driver, books)
    send_stops(driver, books)
    left = [
        tracked
        for tracked in driver.record().orders.values()
        if tracked.order.quantity != 0.0 and not (tracked.status == "waiting" and driver.comes_too_early(tracked.order))
    ]
    if any(tracked.status in ("doubtful", "waiting") for tracked in left):
        driver.sleep(driver.account.settle_seconds)
        ask(driver)
        _send_waiting(driver, books)


def ask(driver: Driver, *, ended_too: bool = False) -> None:
    """Ask about every order that is in doubt, or with ``ended_too`` may have ended, by its name; note the answers."""
    record = driver.record()
    asked = [tracked for tracked in record.orders.values() if tracked.status == "doubtful"]
    asked += [tracked for tracked in record.orders.values() if ended_too and tracked.status == "working"]
    if not asked:
        return
    reached("before_asking")
    answers = {
        answer.client_order_id: answer
        for answer in driver.venue.orders([tracked.order.client_order_id for tracked in asked])
    }
    for tracked in asked:
        answer = answers.get(tracked.order.client_order_id)
        if answer is None:
            if tracked.status == "doubtful" and tracked.events[-1].event != "unknown":
                driver.note(tracked, "unknown")
        else:
            _note_answer(driver, tracked, answer)
        reached("answer_recorded")


def _note_answer(driver: Driver, tracked: TrackedOrder, answer: OrderAtVenue) -> None:
    if tracked.status == "doubtful":
        driver.note(tracked, "taken")
        tracked = as_now_recorded(driver, tracked)
    status, says = answer.status, answer.reason
    if status == "working" and answer.is_silent and outlived(driver, tracked.order):
        status, says = "expired", "its session is over, and nothing is told of it"
    if status != "working" and tracked.status != "ended":
        driver.note(tracked, "ended", status, says=says, filled_quantity=answer.filled_quantity)


def _send_waiting(driver: Driver, books: tuple[BookNow, ...]) -> None:
    """Send what waits, and again what the venue does not know after the settle time."""
    record = driver.record()
    in_the_way = {child.client_order_id for child in _closing(books, record)}
    for tracked in list(record.orders.values()):
        order = tracked.order
        if order.quantity == 0.0 or not (tracked.status == "waiting" or _is_lost(driver, tracked)):
            continue
        if any(tracked.received) or _end_was_asked_for(tracked):  # it was there, or is not wanted any more
            if not any(tracked.received) or abs(tracked.filled) >= abs(order.quantity):
                driver.note(tracked, "ended", "unknown_to_the_venue")
            continue
        if order.kind != "stop" and in_the_way.intersection(child.client_order_id for child in order.children):
            continue  # the stop of what it closes works still: it protects until its end is known
        stopped = _stopped_by(driver, order, books, record)
        if stopped is not None or tracked.stopped:  # what a control took back is not sent again
            if stopped is None:
                continue
            if tracked.status == "waiting" and stopped[0] != _UNREAD:
                driver.note(tracked, "withdrawn", stopped[0], children=stopped[1])
            elif stopped[0] in ("late", "no_strategy"):
                driver.note(tracked, "ended", "unknown_to_the_venue")
            continue
        if driver.comes_too_early(order):
            _note_not_yet(driver, tracked)
            continue
        send_one(driver, tracked)


def _end_was_asked_for(tracked: TrackedOrder) -> bool:
    """Whether a person, or a stop that took its place, has ended an order for good; a control says so by itself."""
    return not tracked.stopped and any(event.event == "cancel_asked" for event in tracked.events)


def _note_not_yet(driver: Driver, tracked: TrackedOrder) -> None:
    """Put on record, once, from when the venue takes an order: it waits until then."""
    hours = driver.hours_of(tracked.order)
    if hours is not None and not any(event.event == "not_yet" for event in tracked.events):
        driver.note(tracked, "not_yet", begins=hours.begins.isoformat())


def _is_lost(driver: Driver, tracked: TrackedOrder) -> bool:
    """Whether the venue said that it does not know an order, the settle time after it was sent last."""
    if tracked.status != "doubtful" or tracked.events[-1].event != "unknown":
        return False
    last = at_of(tracked.sendings[-1].details)
    return (driver.now() - last).total_seconds() >= driver.account.settle_seconds


def send_one(driver: Driver, tracked: TrackedOrder) -> None:
    """Send one order: that it is sent is on record before, and its outcome after.

    Raises
    ------
    VenueDownError
        The venue cannot be reached; the order is in doubt.
    """
    reached("before_sending")
    driver.note(tracked, "sending")
    reached("sending_recorded")
    try:
        driver.venue.send(tracked.order.for_venue())
    except VenueRefusedError as error:
        driver.note(tracked, "refused", str(error.where.get("reason", error.found)))
    except VenueUnsureError as error:
        driver.note(tracked, "unsure", error.found)
    except VenueDownError as error:
        driver.note(tracked, "unsure", error.found)
        raise
    else:
        reached("sent")
        driver.note(tracked, "taken")
    reached("outcome_recorded")


# --- cancelling ----------------------------------------------------------------------------------------


def cancel_orders(driver: Driver, client_order_ids: Collection[str] = ()) -> tuple[str, ...]:
    """Ask for the end of orders that may still fill, of all without names; a halt does not stop it.

    Also of those that have ended by the ledger, and work at the venue all the same.
    """
    with driver.alone():
        named = [
            tracked
            for tracked in [*_live(driver), *ended_but_at_work(driver)]
            if not client_order_ids or tracked.order.client_order_id in client_order_ids
        ]
        for tracked in named:
            cancel_one(driver, tracked)
        ask(driver, ended_too=True)
        return tuple(tracked.order.client_order_id for tracked in named)


def cancel_one(driver: Driver, tracked: TrackedOrder, why: str | None = None, children: Collection[str] = ()) -> None:
    """Ask for the end of one order; asked again, the venue passes it over, and a session has it on record once.

    Parameters
    ----------
    why : str, optional
        Where no person asked: the control, or that its session is over.
    children : collection of str
        The orders of books that a control stops; the others' go again.
    """
    reached("before_cancel")
    details = {"children": sorted(children)} if children else {}
    if not _asked_this_session(driver, tracked, why, details):
        driver.note(tracked, "cancel_asked", why, **details)
    reached("cancel_recorded")
    try:
        driver.venue.cancel(tracked.order.client_order_id)
    except VenueUnsureError:
        return  # it is asked for again for as long as the order works
    reached("cancelled")


def _asked_this_session(
    driver: Driver, tracked: TrackedOrder, why: str | None, details: Mapping[str, list[str]]
) -> bool:
    now = session_of(driver.account, driver.now())
    return any(
        event.event == "cancel_asked"
        and (event.reason, event.details.get("children")) == (why, details.get("children"))
        and session_of(driver.account, at_of(event.details)) == now
        for event in tracked.events
    )


def _end_what_may_not_go_on(driver: Driver, books: Iterable[BookNow]) -> str:
    """Ask for the end of orders under way that the controls of now would not send; what a venue that is down said."""
    try:
        ask(driver, ended_too=any(tracked.stopped or outlived(driver, tracked.order) for tracked in _live(driver)))
        if _end_stopped(driver, books):
            ask(driver, ended_too=True)
        if any(driver.control_of(book.strategy.name, driver.record()) is Control.HALTED for book in books):
            for tracked in ended_but_at_work(driver):
                cancel_one(driver, tracked, "halted")
    except UNREACHED as error:
        return unreached_text(error)
    return ""


def _live(driver: Driver) -> list[TrackedOrder]:
    return [tracked for tracked in driver.record().orders.values() if tracked.is_live]


def ended_but_at_work(driver: Driver) -> list[TrackedOrder]:
    """Orders of the account that have ended by the ledger, and work at the venue by what it says now."""
    known = driver.record().orders
    names = [answer.client_order_id for answer in driver.venue.orders() if answer.status == "working"]
    return [known[name] for name in names if name in known and known[name].sendings and not known[name].is_live]


def _end_stopped(driver: Driver, books: Iterable[BookNow]) -> bool:
    """Ask for the end of orders under way that are not to fill under the controls of now; stops are ended elsewhere.

    Those of a halted book, and below that those of which something left would open or enlarge. Returns whether
    something of them goes again once they ended.
    """
    record, there = driver.record(), False
    by_name = {book.strategy.name: book for book in books}
    for tracked in list(record.orders.values()):
        if tracked.order.kind == "stop" or not tracked.is_live:
            continue
        stopped, why = list[str](), "reducing_only"
        left = rests(tracked)
        for name in sorted({child.book for child in left}):
            control = driver.control_of(name, record)
            mine = [child for child in left if child.book == name]
            passes = mine
            if control is Control.HALTED:
                passes, why = [], "halted"
            elif control >= Control.REDUCING and not outlived(driver, tracked.order):
                now = by_name[name]
                split = driver.market.splits(now.strategy, now.session, tracked.order.session)
                passes = _let_through(mine, now.moved(record, split or {}), control)
            stopped += [child.client_order_id for child in mine if child not in passes]
        if stopped:
            cancel_one(driver, tracked, why, stopped)
            there = there or len(stopped) < len(left)
    return there


# --- stops ---------------------------------------------------------------------------------------------


def _closing(books: Iterable[BookNow], record: AccountRecord) -> list[BookOrder]:
    """Orders of books that close what a stop of theirs protects at the venue still."""
    protected = {
        (child.book, tracked.order.symbol, child.quantity > 0.0)
        for tracked in record.orders.values()
        if tracked.order.kind == "stop" and tracked.is_live
        for child in tracked.order.children
    }
    return [
        order
        for book in books
        for order in book.orders
        if (order.book, order.symbol, order.quantity > 0.0) in protected
    ]


def _stops_apart(
    driver: Driver, books: Iterable[BookNow], record: AccountRecord
) -> tuple[list[AccountOrder], list[TrackedOrder]]:
    """Stops that lack and that are not to rest; those of a book that cannot be read stay, unless it is halted."""
    return stops_apart(record, desired_stops(driver, books, record), driver.account.name, driver.unread_unhalted())


def _end_stops_in_the_way(driver: Driver, books: tuple[BookNow, ...]) -> None:
    """Cancel the stops that are not to rest any more, before what closes the same positions is sent."""
    record = driver.record()
    _, gone = _stops_apart(driver, books, record)
    if _end(driver, gone):
        ask(driver, ended_too=True)


def _end(driver: Driver, stops: Iterable[TrackedOrder]) -> bool:
    """Cancel stops that work, and take back those that were never sent; whether there were any."""
    there = list(stops)
    for tracked in there:
        if tracked.status == "waiting":
            children = [child.client_order_id for child in tracked.order.children]
            driver.note(tracked, "withdrawn", "replaced", children=children)
        else:
            cancel_one(driver, tracked)
    return bool(there)


def send_stops(driver: Driver, books: tuple[BookNow, ...]) -> None:
    """Have exactly the books' stops rest at the venue: others are cancelled, and once these ended the rest is sent."""
    record = driver.record()
    lacking, gone = _stops_apart(driver, books, record)
    if _end(driver, gone):
        ask(driver, ended_too=True)
        record = driver.record()
        lacking, gone = _stops_apart(driver, books, record)
    busy = {tracked.order.symbol for tracked in gone}
    rows = [order.to_record() for order in lacking if order.symbol not in busy]
    if rows:
        driver.append(ORDERS, rows)
        reached("outbox_committed")
    _send_waiting(driver, books)
