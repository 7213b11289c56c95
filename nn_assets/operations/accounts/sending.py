"""What the books decided, sent to the venue once under the controls of now, and the stops that are to rest there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from nn_assets.execution.netting import AccountOrder, BookOrder
from nn_assets.execution.venue import VenueDownError, VenueRefusedError, VenueUnsureError
from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.accounts.cancelling import (
    ask,
    cancel_each,
    cancel_one,
    end_stopped,
    ended_but_at_work,
    live_orders,
    tried,
)
from nn_assets.operations.accounts.driver import UNREACHED, Driver, at_of, unreached_text
from nn_assets.operations.accounts.outbox import commit_orders
from nn_assets.operations.accounts.permission import UNREAD, stopped_by
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.resting_stops import desired_stops, stops_apart
from nn_assets.operations.accounts.under_way import outlived
from nn_assets.operations.asof.accounts import ORDERS, AccountRecord, TrackedOrder
from nn_assets.portfolio.breakers import Control

_PASSES = 3


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


def _end_what_may_not_go_on(driver: Driver, books: Iterable[BookNow]) -> str:
    """Ask for the end of orders under way that the controls of now would not send; what a venue that is down said."""
    live = live_orders(driver)
    again = list[bool]()

    def end_what_had_ended() -> None:
        if any(driver.control_of(book.strategy.name, driver.record()) is Control.HALTED for book in books):
            cancel_each(driver, [(tracked, "halted", ()) for tracked in ended_but_at_work(driver)])

    faults = tried(
        lambda: ask(driver, ended_too=any(_may_have_ended(driver, tracked) for tracked in live)),
        lambda: again.append(end_stopped(driver, books)),
        lambda: ask(driver, ended_too=True) if again == [True] else None,
        end_what_had_ended,
    )
    return unreached_text(faults[0]) if faults else ""


def _may_have_ended(driver: Driver, tracked: TrackedOrder) -> bool:
    """Whether it matters to what is sent now that an order has ended: a stop that was hit makes orders void."""
    return bool(tracked.stopped) or tracked.order.kind == "stop" or outlived(driver, tracked.order)


def _withdraw(driver: Driver, books: Iterable[BookNow]) -> int:
    """Take back orders that were never sent and may not be now; how many whose children may go by themselves."""
    record, again = driver.record(), 0
    for tracked in list(record.orders.values()):
        if tracked.status == "waiting":
            stopped = stopped_by(driver, tracked.order, books, record)
            if stopped is not None and stopped[0] == UNREAD:
                continue  # it waits until its shares are known, or its moment has gone
            if stopped is not None and (tracked.order.quantity != 0.0 or stopped[0] != "late"):
                driver.note(tracked, "withdrawn", stopped[0], children=stopped[1])
                again += len(stopped[1]) < len(tracked.order.children)
    return again


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
        stopped = stopped_by(driver, order, books, record)
        if stopped is not None or tracked.stopped:  # what a control took back is not sent again
            if stopped is None:
                continue
            if tracked.status == "waiting" and stopped[0] != UNREAD:
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
