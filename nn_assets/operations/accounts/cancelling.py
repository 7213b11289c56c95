"""Orders at the venue asked about by their names, and their end asked for: by a person, a halt, or a control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from nn_assets.errors import NnAssetsError
from nn_assets.execution.venue import OrderAtVenue, VenueUnsureError
from nn_assets.operations.accounts.books import BookNow, session_of
from nn_assets.operations.accounts.driver import UNREACHED, Driver, as_now_recorded, at_of
from nn_assets.operations.accounts.outbox import let_through
from nn_assets.operations.accounts.permission import closes_more_than_is_there
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.under_way import outlived, rests
from nn_assets.operations.asof.accounts import OrderEvent, TrackedOrder
from nn_assets.portfolio.breakers import Control


def ask(driver: Driver, *, ended_too: bool = False) -> None:
    """Ask about every order that is in doubt, or with ``ended_too`` may have ended, by its name; note the answers.

    One that the venue took and knows no longer has ended where it is filled, or where its end was asked for and two
    looks, the settle time apart, have missed it: a listing may leave one out.
    """
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
            elif tracked.status == "working" and tracked.is_whole:
                driver.note(tracked, "ended", "filled")
            elif tracked.status == "working" and _was_to_end(driver, tracked):
                _note_missed(driver, tracked)
        else:
            _note_answer(driver, tracked, answer)
        reached("answer_recorded")


def _was_to_end(driver: Driver, tracked: TrackedOrder) -> bool:
    """Whether the end of an order was asked for, the settle time ago or longer."""
    asked = [at_of(event.details) for event in tracked.events if event.event == "cancel_asked"]
    return bool(asked) and (driver.now() - min(asked)).total_seconds() >= driver.account.settle_seconds


def _note_missed(driver: Driver, tracked: TrackedOrder) -> None:
    missed = _last_missed(tracked)
    if missed is None:
        driver.note(tracked, "missed")
    elif (driver.now() - at_of(missed.details)).total_seconds() >= driver.account.settle_seconds:
        driver.note(tracked, "ended", "unknown_to_the_venue")


def _last_missed(tracked: TrackedOrder) -> OrderEvent | None:
    """That the venue did not know an order at a look, where it has not known it since."""
    if tracked.status != "working":
        return None
    others = [event for event in tracked.events if event.event != "cancel_asked"]
    return others[-1] if others[-1].event == "missed" else None


def _note_answer(driver: Driver, tracked: TrackedOrder, answer: OrderAtVenue) -> None:
    if tracked.status == "doubtful" or _last_missed(tracked) is not None:
        driver.note(tracked, "taken")
        tracked = as_now_recorded(driver, tracked)
    status, says = answer.status, answer.reason
    if status == "working" and answer.is_silent and outlived(driver, tracked.order):
        status, says = "expired", "its session is over, and nothing is told of it"
    if status != "working" and tracked.status != "ended":
        driver.note(tracked, "ended", status, says=says, filled_quantity=answer.filled_quantity)


def cancel_orders(driver: Driver, client_order_ids: Collection[str] = ()) -> tuple[str, ...]:
    """Ask for the end of orders that may still fill, of all without names; a halt does not stop it.

    Also of those that have ended by the ledger, and work at the venue all the same. One that cannot be asked for, or a
    listing that cannot be read, keeps none of the others from it.

    Raises
    ------
    NnAssetsError
        What the venue said where it could not be reached.
    """
    with driver.alone():
        asked: list[str] = []

        def end(orders: Iterable[TrackedOrder]) -> None:
            named = [t for t in orders if not client_order_ids or t.order.client_order_id in client_order_ids]
            asked.extend(tracked.order.client_order_id for tracked in named)
            cancel_each(driver, [(tracked, None, ()) for tracked in named])

        faults = tried(
            lambda: end(live_orders(driver)),
            lambda: end(ended_but_at_work(driver)),
            lambda: ask(driver, ended_too=True),
        )
        if faults:
            raise faults[0]
        return tuple(asked)


def tried(*works: Callable[[], object]) -> list[NnAssetsError]:
    """Do each piece of work, whatever a venue said in those before it; what it said where it could not be reached."""
    faults = list[NnAssetsError]()
    for work in works:
        try:
            work()
        except UNREACHED as error:
            faults.append(error)
    return faults


def cancel_each(driver: Driver, orders: Iterable[tuple[TrackedOrder, str | None, Collection[str]]]) -> None:
    """Ask for the end of orders, each with why and for which orders of books, as :func:`cancel_one`.

    Raises
    ------
    NnAssetsError
        What the venue said first where it could not be reached; each of the others was asked for all the same.
    """
    faults = tried(*(partial(cancel_one, driver, tracked, why, children) for tracked, why, children in orders))
    if faults:
        raise faults[0]


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


def live_orders(driver: Driver) -> list[TrackedOrder]:
    """Orders of the account that may still fill."""
    return [tracked for tracked in driver.record().orders.values() if tracked.is_live]


def ended_but_at_work(driver: Driver) -> list[TrackedOrder]:
    """Orders of the account that have ended by the ledger, and work at the venue by what it says now."""
    known = driver.record().orders
    names = [answer.client_order_id for answer in driver.venue.orders() if answer.status == "working"]
    return [known[name] for name in names if name in known and known[name].sendings and not known[name].is_live]


def end_stopped(driver: Driver, books: Iterable[BookNow]) -> bool:
    """Ask for the end of orders under way that are not to fill under the controls of now.

    Those of a halted book, its stops too but for those that another book shares: these are ended elsewhere. Below
    that those of which something left would open or enlarge, or close more than the venue holds. Returns whether
    something of them goes again once they ended.
    """
    record, there = driver.record(), False
    by_name = {book.strategy.name: book for book in books}
    ended = list[tuple[TrackedOrder, str | None, Collection[str]]]()
    kept = driver.unread_unhalted()
    for tracked in live_orders(driver):
        if tracked.order.kind == "stop":
            names = {child.book for child in tracked.order.children}
            if not names & kept and all(driver.control_of(name, record) is Control.HALTED for name in names):
                ended.append((tracked, "halted", [child.client_order_id for child in tracked.order.children]))
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
                passes = let_through(mine, now.moved(record, split or {}), control)
            stopped += [child.client_order_id for child in mine if child not in passes]
        if not stopped and closes_more_than_is_there(
            tracked.order, abs(tracked.order.quantity - tracked.filled), record
        ):
            stopped, why = [child.client_order_id for child in left], "not_there"
        if stopped:
            ended.append((tracked, why, stopped))
            there = there or len(stopped) < len(left)
    cancel_each(driver, ended)
    return there
