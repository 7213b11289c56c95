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
from typing import Any, TypeVar

import pandas as pd

from nn_assets.execution.venue import Venue
from nn_assets.execution.venues import ledger_name
from nn_assets.operations.accounts.books import AccountBooks, BookNow, BooksMarket, books_now
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.asof.accounts import DIFFERS, EVENTS, AccountRecord, TrackedOrder, account_record
from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.operations.clock import now_utc
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.breakers import Control, kill_switch_control, strictest

_Kept = TypeVar("_Kept")


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
    _kept: dict[str, tuple[int, Any]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "market", BooksMarket(self.stores, self.account))

    @classmethod
    def opened(cls, stores: Stores, account: AccountBooks, run_id: str, **clock: Any) -> Driver:
        """With the account's own venue."""
        return cls(stores, account, account.open_venue(), run_id, **clock)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the account alone: another driver of it, in whatever process, waits and says so."""
        with self.stores.alone(ledger_name(self.account.name)):
            yield

    def record(self) -> AccountRecord:
        """What the ledger holds of the account."""
        return self._unless_appended("record", lambda: account_record(self.stores.ledger, self.account.name))

    def books(self) -> tuple[BookNow, ...]:
        """How each book stands."""
        return self._unless_appended("books", lambda: books_now(self.stores.ledger, self.account))

    def _unless_appended(self, name: str, read: Callable[[], _Kept]) -> _Kept:
        """What was read before, unless anyone appended to the ledger since: it only grows."""
        sequence = self.stores.ledger.head().sequence
        if name not in self._kept or self._kept[name][0] != sequence:
            self._kept[name] = sequence, read()
        kept: _Kept = self._kept[name][1]
        return kept

    def control_of(self, book: str, record: AccountRecord) -> Control:
        """What the controls of now leave of a book's orders: the kill switch, and whether the account agrees."""
        last = record.last_reconciliation
        differs = last is not None and last["state"] == DIFFERS
        switch = kill_switch_control(kill_switch_now(self.stores.ledger, book))
        return strictest(switch, Control.REDUCING if differs else Control.NORMAL)

    def append(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Put rows of the account on record, in one transaction."""
        self.stores.ledger.append(table, rows, run_id=self.run_id, strategy=ledger_name(self.account.name))

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

    def pass_point(self, point: str) -> None:
        """Pass a named point."""
        reached(point)


def asked_again(driver: Driver, tracked: TrackedOrder) -> TrackedOrder:
    """An order as the ledger has it now."""
    return driver.record().orders[tracked.order.client_order_id]


def at_of(details: Mapping[str, Any]) -> pd.Timestamp:
    """When an event happened, by the driver's clock, UTC."""
    return pd.Timestamp(details["at"])
