"""Whether an account agrees with its books, and a person's word that what the venue says counts."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.errors import ControlError, NnAssetsError
from nn_assets.execution.netting import apportioned, cents_by_weight
from nn_assets.execution.venue import VenueClosedError, VenueUnsureError
from nn_assets.operations.accounts.books import BookNow, last_opened, last_over
from nn_assets.operations.accounts.cash import cash_bounds
from nn_assets.operations.accounts.collecting import collect
from nn_assets.operations.accounts.driver import UNREACHED, Driver, unreached_text
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.under_way import filled_when_ended, is_beyond, lacks_fills, outlived
from nn_assets.operations.asof.accounts import (
    ACCEPTED,
    AGREED,
    DIFFERS,
    PAPER,
    RECONCILIATIONS,
    AccountRecord,
    TrackedOrder,
    difference_text,
)
from nn_assets.portfolio.adjustments import BookAdjustment
from nn_assets.portfolio.book import Book
from nn_assets.store.values import canonical_json

_log = logging.getLogger(__name__)

_SHARES = 1e-9
_ASKS = 3
_FORGOTTEN = "forgotten_order"
CASH = "cash"


@dataclass(frozen=True)
class Reconciled:
    """What a comparison came to."""

    session: pd.Timestamp
    state: str
    differences: tuple[Mapping[str, Any], ...] = ()

    @property
    def sentence(self) -> str:
        """In one line."""
        if self.state == AGREED:
            return "the account agrees with its books"
        return f"the account differs from its books: {difference_text(self.differences)}"


@dataclass(frozen=True)
class _Compared:
    differences: list[dict[str, Any]]
    cash_apart_usd: float
    books: Mapping[str, Book]
    cash_may_be_apart_usd: tuple[float, float]

    def of_cash(self) -> dict[str, Any]:
        """What is on record of the cash, as :func:`~nn_assets.operations.asof.cash_apart.cash_apart_of` reads it."""
        return {
            "cash_apart_usd": self.cash_apart_usd,
            "cash_may_be_apart_usd": list(self.cash_may_be_apart_usd),
            "equity_usd": math.fsum(book.equity_usd for book in self.books.values()),
        }


def reconcile(driver: Driver, *, settles: bool = True) -> Reconciled:
    """Collect, then compare positions, cash and open orders with the books; the result goes on record.

    What differs is asked about again within the settle time before it is named, but for what waiting cannot change. A
    venue that is down is a difference: nothing is known of the account, so that the round goes on and only reduces.

    Parameters
    ----------
    settles : bool
        Whether the settle time is waited for.
    """
    with driver.alone():
        return _reconciled(driver, settles=settles)


def _reconciled(driver: Driver, *, settles: bool) -> Reconciled:
    reached("before_reconciling")
    session, of_cash = last_over(driver.account, driver.now()), {"cash_apart_usd": None}
    differences: list[dict[str, Any]] = []
    for asked in range(_ASKS):
        try:
            collect(driver)
            compared = _compare(driver)
            differences, of_cash = compared.differences, compared.of_cash()
        except UNREACHED as error:
            differences, settles = [{"kind": "venue", "says": unreached_text(error)}], settles and _may_pass(error)
        if not differences or not settles or asked == _ASKS - 1:
            break
        wait = driver.account.settle_seconds / (_ASKS - 1)
        if wait > 0.0:
            message = "account %s: %s; asking the venue again in %.0f s, %d of %d"
            _log.warning(message, driver.account.name, difference_text(differences), wait, asked + 2, _ASKS)
        driver.sleep(wait)
    state = DIFFERS if differences else AGREED
    _put_on_record(driver, session, state, differences, of_cash)
    reached("reconciled")
    return Reconciled(session, state, tuple(differences))


def _may_pass(error: NnAssetsError) -> bool:
    return not isinstance(error, VenueClosedError)


def _put_on_record(
    driver: Driver,
    session: pd.Timestamp,
    state: str,
    differences: list[dict[str, Any]],
    details: dict[str, Any],
    who: str | None = None,
    reason: str | None = None,
) -> None:
    """Append what was compared, unless the last one on record says the same of the same session."""
    record = driver.record()
    last = record.last_reconciliation
    same = last is not None and (last["session"], last["state"], last["differences"]) == (session, state, differences)
    if same and state != ACCEPTED:
        return
    content = canonical_json([driver.account.name, len(record.reconciliations), str(session.date()), state])
    row = {
        "reconciliation_id": hashlib.sha256(content.encode()).hexdigest()[:32],
        "session": session,
        "state": state,
        "who": who,
        "reason": reason,
        "differences": differences,
        "details": details,
    }
    driver.append(RECONCILIATIONS, [row])


# --- comparing -----------------------------------------------------------------------------------------


def _compare(driver: Driver) -> _Compared:
    record, books, session = driver.record(), driver.books(), last_opened(driver.account, driver.now())
    moved = {
        book.strategy.name: book.moved(record, driver.market.splits(book.strategy, book.session, session) or {})
        for book in books
    }
    outside = record.outside
    ours = {symbol: float(quantity) for symbol, quantity in outside.items() if symbol != CASH}
    for book in moved.values():
        for symbol, quantity in zip(book.symbols, book.quantity.tolist(), strict=True):
            ours[symbol] = ours.get(symbol, 0.0) + quantity
    theirs, venue_cash = _holdings_of_venue(driver)
    differences: list[dict[str, Any]] = [
        {"kind": "position", "symbol": symbol, "books": ours.get(symbol, 0.0), "venue": float(theirs.get(symbol, 0.0))}
        for symbol in sorted({*ours, *theirs})
        if not abs(ours.get(symbol, 0.0) - theirs.get(symbol, 0.0)) <= _SHARES * max(1.0, abs(ours.get(symbol, 0.0)))
    ]
    cash = math.fsum([*(book.cash_usd for book in moved.values()), outside.get(CASH, 0.0)])
    least, most = cash_bounds(record, books, driver.now().tz_localize(None).normalize())
    if not least <= venue_cash - cash <= most:
        differences.append({"kind": CASH, "books": round(cash, 2), "venue": round(venue_cash, 2)})
    differences += _held_from_paper(books, moved, {row["symbol"] for row in differences if row["kind"] == "position"})
    differences += _open_orders_apart(driver, record)
    differences += [{"kind": "book", "says": why} for _, why in sorted(driver.apart().items())]
    differences += [
        {"kind": "facts", "says": f"the corporate actions of {book.strategy.name} cannot be read: {why}"}
        for book in books
        if (why := driver.market.unread(book.strategy)) is not None
    ]
    differences += [
        {"kind": "fill", "symbol": row["symbol"], "says": f"{row['quantity']:g} at {row['price']:g}, {row['reason']}"}
        for row in record.held_back
    ]
    return _Compared(differences, venue_cash - cash, moved, (least, most))


def _held_from_paper(
    books: Iterable[BookNow], moved: Mapping[str, Book], apart: Container[str]
) -> list[dict[str, Any]]:
    """Books that hold what differs since they filled it on paper: none of their decisions took the account yet."""
    rows = []
    for book in books:
        name = book.strategy.name
        held = sum(
            quantity != 0.0 and symbol in apart
            for symbol, quantity in zip(moved[name].symbols, moved[name].quantity.tolist(), strict=True)
        )
        if held and book.session is not None and book.taken_on is None:
            plural = "s" * (held > 1)
            says = f"{name} brings {held} position{plural} filled on paper, which the venue was never sent"
            rows.append({"kind": PAPER, "says": f"{says}: accept the venue's, or close {name} on paper first"})
    return rows


def _holdings_of_venue(driver: Driver) -> tuple[dict[str, float], float]:
    """Positions and cash of the venue.

    Raises
    ------
    VenueUnsureError
        One of them is no number: then nothing is known of the account.
    """
    positions = {symbol: _number(quantity) for symbol, quantity in driver.venue.positions().items()}
    cash = _number(driver.venue.cash())
    if wrong := [f"{name} {value}" for name, value in {**positions, CASH: cash}.items() if not math.isfinite(value)]:
        raise VenueUnsureError(
            expected="positions and cash that are numbers",
            found=", ".join(wrong),
            remedy="have the venue say what it holds",
        )
    return positions, cash


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _open_orders_apart(driver: Driver, record: AccountRecord) -> list[dict[str, Any]]:
    """Orders that work at the venue and are not the account's, have ended by the ledger, or outlived their session.

    And those that work by the ledger, which the venue took once and knows no longer.
    """
    working = [name for name, tracked in record.orders.items() if tracked.status == "working" and not tracked.is_whole]
    answers = driver.venue.orders(working)
    known = {answer.client_order_id for answer in answers}
    differences = [_forgotten(record.orders[name]) for name in working if name not in known]
    for answer in answers:
        tracked = record.orders.get(answer.client_order_id)
        if answer.status != "working" or answer.client_order_id in record.outside_orders:
            continue
        over = tracked is not None and outlived(driver, tracked.order)
        if over and answer.is_silent:
            continue  # it ended with its session
        if tracked is None or not tracked.is_live or over:
            why = "is no order of the account" if tracked is None else f"{tracked.status} by the ledger"
            if tracked is not None and tracked.is_live:
                why = f"should have ended: its session, {tracked.order.session.date()}, is over"
            name = answer.client_order_id or "without a name"
            size = f"{answer.quantity:g}" if math.isfinite(answer.quantity) else "of no number of shares"
            says = f"{name}, {size}, works at the venue and {why}"
            differences.append(
                {"kind": "order", "symbol": answer.symbol, "says": says, "client_order_id": answer.client_order_id}
            )
    return differences


def _forgotten(tracked: TrackedOrder) -> dict[str, Any]:
    order = tracked.order
    kind = "stop of" if order.kind == "stop" else "order for"
    says = (
        f"{order.client_order_id}, the {kind} {order.quantity:g}, works by the ledger, and the venue knows it no "
        "longer: account cancel ends it"
    )
    return {"kind": "order", "symbol": order.symbol, "says": says, _FORGOTTEN: order.client_order_id}


# --- accepting -----------------------------------------------------------------------------------------


def accept(driver: Driver, who: str, why: str, *, outside: bool = False) -> Reconciled:
    """Take what the venue says as the truth, on record; the books are adjusted as their next sessions begin.

    The rule: what the venue holds less than the books is taken off the books on that side in proportion to what they
    hold, once what was accepted as no book's is gone; what it holds more goes to the book that holds most of the
    symbol, else to the first by name that has it among its symbols, at the book's own mark; cash goes to the books in
    proportion to their equity, to the cent. Positions of symbols that no book has, and orders that are none of the
    account's, are accepted as no book's: from then on they are left out. The sum then equals the account.

    Parameters
    ----------
    outside : bool
        Everything that differs is no book's: another's money in the same account.

    Raises
    ------
    ControlError
        No reason is given, nothing differs, or otherwise than the last comparison on record has shown; the venue cannot
        be reached, a position has no mark, a book's file cannot be read, or fills are to come.
    """
    if not why.strip():
        raise ControlError(expected="a reason", found="none", remedy="say why with --why", rule="account_differs")
    with driver.alone():
        reached("before_accepting")
        session = last_over(driver.account, driver.now())
        try:
            not_judged = collect(driver).not_judged
            compared = _compare(driver)
            positions, cash = _holdings_of_venue(driver)
            to_come = _fills_to_come(driver)
        except UNREACHED as error:
            raise ControlError(
                expected="a venue that says what it holds",
                found=unreached_text(error),
                remedy="wait until it answers: what it would say cannot be accepted unseen",
                rule="account_differs",
            ) from error
        if not compared.differences:
            raise ControlError(
                expected="an account that differs from its books",
                found="one that agrees",
                remedy="nothing needs to be accepted; it cannot be in advance",
                rule="account_differs",
            )
        _require_seen(driver, session, compared)
        _require_known(driver)
        _require_every_fill(not_judged, to_come)
        opened = last_opened(driver.account, driver.now())
        details = _accepted(driver, compared, opened, who, why, positions=positions, cash=cash, outside=outside)
        details["covers"] = _covered(driver, compared.differences)
        for row in compared.differences:
            if _FORGOTTEN in row:
                driver.note(driver.record().orders[row[_FORGOTTEN]], "ended", "unknown_to_the_venue")
        _put_on_record(driver, session, ACCEPTED, compared.differences, details, who, why)
        reached("accepted")
        return Reconciled(session, ACCEPTED, tuple(compared.differences))


def _fills_to_come(driver: Driver) -> list[str]:
    """Orders that the venue says it filled more of than fills on record have, in words; UNREACHED where it is down."""
    record = driver.record()
    filled = {name: filled_when_ended(t) for name, t in record.orders.items() if lacks_fills(t, record)}
    live = [name for name, tracked in record.orders.items() if tracked.is_live]
    for answer in driver.venue.orders(live) if live else ():
        if answer.client_order_id in record.orders:
            whole = answer.quantity if answer.status == "filled" else answer.filled_quantity
            filled[answer.client_order_id] = abs(whole)
    orders = record.orders
    kept: dict[str, float] = {}  # told, and given to no book: what is accepted is in place of them
    for row in record.held_back:
        if math.isfinite(row["quantity"]):
            kept[row["client_order_id"]] = kept.get(row["client_order_id"], 0.0) + abs(row["quantity"])
    return [
        f"{name} of {orders[name].order.symbol}: {quantity:g} filled by the venue, {abs(orders[name].filled):g} told"
        for name, quantity in filled.items()
        if is_beyond(quantity - kept.get(name, 0.0), orders[name])
    ]


def _require_every_fill(not_judged: int, to_come: Iterable[str]) -> None:
    """Refuse an acceptance while fills are to come that would be booked besides."""
    waiting = [f"{not_judged} that wait for the bar of their session, or for the clock"] if not_judged else []
    if to_wait_for := [*waiting, *to_come]:
        raise ControlError(
            expected="fills that are all on record or held back",
            found="; ".join(to_wait_for),
            remedy="reconcile again once the bar is published and the venue has told them: what is accepted before "
            "would be booked twice",
            rule="account_differs",
        )


def _covered(driver: Driver, differences: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Orders of symbols that differ that are not filled whole, and until when their fills are in what is accepted."""
    apart = {row["symbol"] for row in differences if row["kind"] == "position"}
    return {
        name: driver.now().isoformat()
        for name, tracked in driver.record().orders.items()
        if tracked.order.symbol in apart and tracked.sendings and is_beyond(abs(tracked.order.quantity), tracked)
    }


def _require_seen(driver: Driver, session: pd.Timestamp, compared: _Compared) -> None:
    """Refuse an acceptance of what no comparison on record has shown; what differs now goes on record."""
    last = driver.record().last_reconciliation
    if last is not None and (last["state"], last["differences"]) == (DIFFERS, compared.differences):
        return
    _put_on_record(driver, session, DIFFERS, compared.differences, compared.of_cash())
    raise ControlError(
        expected="what the last comparison on record has shown",
        found=f"{difference_text(compared.differences)}, which nobody has seen yet",
        remedy="it is on record now: look at it, and accept it with the same command",
        rule="account_differs",
    )


def _require_known(driver: Driver) -> None:
    """Refuse an acceptance while it is not known what the books of the account have."""
    if apart := driver.apart():
        raise ControlError(
            expected="books that the files and the ledger have at the same account",
            found="; ".join(why for _, why in sorted(apart.items())),
            remedy="correct or put back the strategy's file: what it holds would be given to the others",
            rule="account_differs",
        )


def _accepted(
    driver: Driver,
    compared: _Compared,
    session: pd.Timestamp,
    who: str,
    why: str,
    *,
    positions: Mapping[str, float],
    cash: float,
    outside: bool,
) -> dict[str, Any]:
    """The details of an acceptance: what each book takes over, and what is no book's from then on."""
    record = driver.record()
    beside = dict(record.outside)
    orders = [*record.outside_orders, *(row.get("client_order_id", "") for row in compared.differences)]
    added: dict[str, list[tuple[str, float, float]]] = {name: [] for name in compared.books}
    for row in compared.differences:
        if row["kind"] != "position":
            continue
        symbol, difference = row["symbol"], float(positions.get(row["symbol"], 0.0)) - row["books"]
        if (outsiders := beside.get(symbol, 0.0)) * difference < 0.0:  # what is no book's goes first
            gone = math.copysign(min(abs(outsiders), abs(difference)), difference)
            beside[symbol], difference = outsiders + gone, difference - gone
        shares = {} if outside else _by_book(symbol, difference, compared.books, driver.account.lot_size)
        for name, quantity in shares.items():
            book = compared.books[name]
            mark = float(book.price[book.symbols.index(symbol)])
            if not (math.isfinite(mark) and mark > 0.0):
                raise ControlError(
                    expected=f"a price of {symbol} that the book {name} could take it over at",
                    found="none: it was never marked",
                    remedy="close the position at the venue, or accept it as no book's: --outside",
                    rule="account_differs",
                )
            added[name].append((symbol, quantity, mark))
        if not shares:
            beside[symbol] = beside.get(symbol, 0.0) + difference
    moved_usd, cash_apart = dict.fromkeys(compared.books, 0.0), compared.cash_apart_usd
    if any(row["kind"] == CASH for row in compared.differences):
        apart = cash - math.fsum([*(book.cash_usd for book in compared.books.values()), beside.get(CASH, 0.0)])
        cash_apart = 0.0
        if outside:
            beside[CASH] = beside.get(CASH, 0.0) + apart
        else:
            names = sorted(compared.books)
            weights = [max(0.0, compared.books[name].equity_usd) for name in names]
            shared = cents_by_weight(apart, weights if any(weights) else [1.0] * len(names))
            moved_usd = dict(zip(names, shared, strict=True))
    books = {
        name: BookAdjustment(str(session.date()), tuple(added[name]), moved_usd[name], who, why).to_record()
        for name in compared.books
        if added[name] or moved_usd[name]
    }
    left = {symbol: quantity for symbol, quantity in beside.items() if abs(quantity) > _SHARES}
    return {"books": books, "outside": left, "orders": sorted(set(filter(None, orders))), "cash_apart_usd": cash_apart}


def _by_book(symbol: str, difference: float, books: Mapping[str, Book], lot_size: float) -> dict[str, float]:
    """How much of a difference each book takes over; empty where no book has the symbol."""
    held = {
        name: float(book.quantity[book.symbols.index(symbol)]) for name, book in books.items() if symbol in book.symbols
    }
    if not held:
        return {}
    shares = dict.fromkeys(held, 0.0)
    side = math.copysign(1.0, difference)
    against = {name: quantity for name, quantity in sorted(held.items()) if quantity * side < 0.0}
    room = math.fsum(abs(quantity) for quantity in against.values())
    closes = min(abs(difference), room)
    if closes and math.fsum(held.values()) * side <= 0.0:
        taken = apportioned(closes, [abs(quantity) for quantity in against.values()], [0.0] * len(against), lot_size)
        for name, amount in zip(against, taken, strict=True):
            shares[name] += side * amount
    rest = difference - math.fsum(shares.values())
    if abs(rest) > _SHARES:
        largest = max(sorted(held), key=lambda name: (abs(held[name]),))
        shares[largest] += rest
    return {name: quantity for name, quantity in shares.items() if quantity != 0.0}
