"""The driver of one account: it alone writes the account's records, and speaks to its venue.

Every change is on record before the venue is asked for it, under a name that a rerun gives again; what the venue did
is asked by that name. So a driver killed anywhere goes on where it was: nothing is sent twice, and nothing is lost.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from nn_assets.errors import NnAssetsError, SourceError
from nn_assets.execution.netting import AccountOrder
from nn_assets.execution.venue import OrderHours, Venue, VenueDownError, VenueUnsureError, hours_of
from nn_assets.execution.venues import ledger_name
from nn_assets.operations.accounts.books import AccountBooks, BookNow, BooksMarket, books_now
from nn_assets.operations.asof.accounts import DIFFERS, EVENTS, AccountRecord, TrackedOrder, account_record
from nn_assets.operations.asof.controls import kill_switch_now, sending_control
from nn_assets.operations.clock import now_utc
from nn_assets.operations.kill_switch import note_halt_file
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.breakers import Control, kill_switch_control, strictest
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify_before_round

UNREACHED = (VenueDownError, VenueUnsureError, SourceError)
"""What a venue raises where it says nothing of the account: then nothing is known of it."""


class _Guarded:
    """A venue whose faults are those of the port, whatever its member raises."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        there = getattr(self._venue, name)
        return partial(self._asked, there) if name in _DEEDS else there

    def _asked(self, deed: Callable[..., Any], *positional: Any, **named: Any) -> Any:
        try:
            return deed(*positional, **named)
        except NnAssetsError:
            raise
        except Exception as error:
            raise VenueUnsureError(
                expected="an answer, or an error of the port, from the venue's member",
                found=f"{type(error).__name__}: {error}",
                remedy="report it to whoever keeps that member; what it was asked for may have been done",
            ) from error


_DEEDS = ("send", "cancel", "orders", "fills", "positions", "cash")


@dataclass(frozen=True, eq=False)
class Driver:
    """An account, its venue and the stores, for as long as one call lasts.

    Parameters
    ----------
    now, sleep : callable
        The clock, UTC, and how time is waited for, seconds.
    """

    stores: Stores
    account: AccountBooks
    venue: Venue
    run_id: str
    now: Callable[[], pd.Timestamp] = now_utc
    sleep: Callable[[float], None] = time.sleep
    market: BooksMarket = field(init=False)
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "market", BooksMarket(self.stores, self.account))
        object.__setattr__(self, "venue", _Guarded(self.venue))

    @classmethod
    def opened(cls, stores: Stores, account: AccountBooks, run_id: str, **clock: Any) -> Driver:
        """With the account's own venue."""
        return cls(stores, account, account.open_venue(), run_id, **clock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the account alone: another driver of it, in whatever process, waits and says so."""
        with self.stores.alone(ledger_name(self.account.name)):
            self._kept.clear()
            self._note_halt_file()
            yield

    def record(self) -> AccountRecord:
        """What the ledger holds of the account: read once while it is held alone, and added to since."""
        if "record" not in self._kept:
            self._kept["record"] = account_record(self.stores.ledger, self.account.name)
        record: AccountRecord = self._kept["record"]
        return record

    def books(self) -> tuple[BookNow, ...]:
        """How each book stands; read once while the account is held alone."""
        if "books" not in self._kept:
            self._kept["books"] = books_now(self.stores.ledger, self.account)
        books: tuple[BookNow, ...] = self._kept["books"]
        return books

    def apart(self) -> dict[str, str]:
        """Books that by the ledger and by the files are not of the same account, and why."""
        why = "has orders that may fill, and no strategy that can be read"
        return {name: f"{name} {why}" for name in self.unread()} | dict(self.account.apart)

    def unread(self) -> set[str]:
        """Books with orders that may fill, of whose strategy nothing can be read."""
        return {
            child.book
            for tracked in self.record().orders.values()
            if tracked.is_live
            for child in tracked.order.children
            if self.account.of(child.book) is None
        }

    def unread_unhalted(self) -> set[str]:
        """Those of them that no kill switch halts: their stops stay as they rest."""
        ledger = self.stores.ledger
        return {
            name for name in self.unread() if kill_switch_control(kill_switch_now(ledger, name)) is not Control.HALTED
        }

    def control_of(self, book: str, record: AccountRecord) -> Control:
        """What the controls of now leave of a book's orders, and whether the account agrees.

        The switch and the file are read anew each time, the others once while the account is held alone: breakers
        latch in rounds, whose orders are not among these. A file that is found is put on record: taken away, it has
        resumed nothing.
        """
        strategy = self.account.of(book)
        if strategy is None or book in self.account.elsewhere:
            return Control.HALTED
        last = record.last_reconciliation
        differs = bool(self.apart()) or (last is not None and last["state"] == DIFFERS)
        if (name := f"controls of {book}") not in self._kept:
            intact = Control.NORMAL if self.changed_ledger() is None else Control.HALTED
            self._kept[name] = strictest(intact, sending_control(self.stores.ledger, strategy).control)
        switch = kill_switch_control(kill_switch_now(self.stores.ledger, book))
        found = self._note_halt_file()
        return strictest(
            self._kept[name],
            switch,
            Control.REDUCING if differs else Control.NORMAL,
            Control.HALTED if found else Control.NORMAL,
        )

    def changed_ledger(self) -> str | None:
        """What is not as it was in the ledger, as a round of the books would find it; None where all is.

        Checked once while the account is held alone. An older copy of the ledger says of orders that they were never
        sent.
        """
        if "changed" not in self._kept:
            self._kept["changed"] = next(filter(None, map(self._changed, self.account.strategies)), None)
        changed: str | None = self._kept["changed"]
        return changed

    def _changed(self, strategy: Strategy) -> str | None:
        try:
            name, moment = strategy.name, self.now().floor("us").to_pydatetime()
            report = verify_before_round(self.stores.ledger, name, run_id=self.run_id, now=moment)
        except NnAssetsError as error:
            return error.statement
        return None if report.ok else str(report.findings[0])

    def _note_halt_file(self) -> bool:
        """Whether a file ``HALT`` lies in the home; that it was found is on record then."""
        found = [note_halt_file(self.stores.ledger, strategy.name) for strategy in self.account.strategies]
        return any(reason is not None for reason in found)

    def hours_of(self, order: AccountOrder) -> OrderHours | None:
        """When the venue takes an order; None: at any time."""
        return hours_of(self.venue, order.kind, order.session)

    def comes_too_early(self, order: AccountOrder) -> bool:
        """Whether the venue would refuse an order now, and take it later."""
        hours = self.hours_of(order)
        return hours is not None and self.now() < hours.begins

    def append(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Put rows of the account on record, in one transaction."""
        record, ledger = self.record(), self.stores.ledger
        with ledger.transaction(self.run_id, strategy=ledger_name(self.account.name)) as transaction:
            before = transaction.head.sequence
            appended = transaction.append(table, rows)
        if appended.unchanged:  # on record already, as by a run that was killed
            self._kept.pop("record")
        else:
            record.add(table, [row | {"sequence": before + number} for number, row in enumerate(rows, 1)])

    def note(self, tracked: TrackedOrder, event: str, reason: str | None = None, **details: Any) -> None:
        """Put on record what became of an order; the same event of the same order is on record once."""
        number = 1 + sum(earlier.event == event for earlier in tracked.events)
        name = f"{tracked.order.client_order_id}\x1f{event}\x1f{number}"
        row = {
            "event_id": hashlib.sha256(name.encode()).hexdigest()[:32],
            "client_order_id": tracked.order.client_order_id,
            "session": tracked.order.session,
            "event": event,
            "reason": reason,
            "details": {"number": number, "at": self.now().isoformat(), **details},
        }
        self.append(EVENTS, [row])


def unreached_text(error: NnAssetsError) -> str:
    """Why nothing is known of an account: what was expected and found, where, and what to do."""
    where = ", ".join(f"{name} {error.where[name]}" for name in ("file", "row") if name in error.where)
    return f"{error.statement}{f' ({where})' if where else ''}: {error.remedy}"


def as_now_recorded(driver: Driver, tracked: TrackedOrder) -> TrackedOrder:
    """An order as the ledger has it now."""
    return driver.record().orders[tracked.order.client_order_id]


def at_of(details: Mapping[str, Any]) -> pd.Timestamp:
    """When an event happened, by the driver's clock, UTC."""
    return pd.Timestamp(details["at"])
