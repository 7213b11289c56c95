"""What the ledger holds of an account at a venue: its orders and what became of them, its fills, and whether it agrees.

A decision takes the records up to one place in the ledger, and keeps that place: derived again it takes the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.execution.broker import Account, Broker, OpenBroker
from nn_assets.execution.netting import AccountOrder
from nn_assets.execution.recorded import Recorded, RecordedBroker, RecordedFill
from nn_assets.execution.registry import broker_of
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.market.calendar.sessions import previous_session
from nn_assets.portfolio.adjustments import BookAdjustment
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

ACCOUNT_UNTIL = "account_until"
"""Key of a decision's details: the place in the ledger up to which it took the records of its account."""

ORDERS, EVENTS, FILLS, RECONCILIATIONS = "account_orders", "order_events", "account_fills", "reconciliations"
AGREED, DIFFERS, ACCEPTED = "agreed", "differs", "accepted"
PAPER = "paper"
"""Of a difference: a book that holds what it filled on paper before it had the account."""
ALLOTTED, HELD_BACK = "allotted", "held_back"
OUTLIVED = "session_over"
"""Why the end of an order is asked for that the venue says works after its session."""
WITH_ANOTHER = "cancelled_with_another_book"
"""Why a book's order ended that was netted with one that a control stopped, where it could not go again."""
_DOUBTFUL = ("sending", "unsure", "unknown")
_BESIDE = ("cancel_asked", "not_yet", "missed")  # they leave an order as it is
_MOST_TOLD = 5
_ROUNDING = 1e-9


@dataclass(frozen=True)
class OrderEvent:
    """What became of an order, as the ledger has it."""

    event: str
    reason: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True)
class TrackedOrder:
    """An order of an account, what became of it, and what its children were given of its fills."""

    order: AccountOrder
    events: tuple[OrderEvent, ...] = ()  # in the order in which they were put on record
    received: tuple[float, ...] = ()  # signed, of each child

    @property
    def status(self) -> str:
        """``waiting`` (nothing was sent), ``doubtful``, ``working``, or the event that ended it."""
        names = [event.event for event in self.events if event.event not in _BESIDE]
        if not names:
            return "waiting"
        return "doubtful" if names[-1] in _DOUBTFUL else "working" if names[-1] == "taken" else names[-1]

    @property
    def is_live(self) -> bool:
        """Whether it may still fill."""
        return self.status in ("doubtful", "working")

    @property
    def filled(self) -> float:
        """Signed, by the fills that were allotted."""
        return math.fsum(self.received)

    @property
    def is_whole(self) -> bool:
        """Whether it is filled as far as it goes, by the fills that were allotted."""
        return abs(self.filled) >= abs(self.order.quantity) * (1.0 - _ROUNDING)

    @property
    def sendings(self) -> tuple[OrderEvent, ...]:
        """Each time that it was sent."""
        return tuple(event for event in self.events if event.event == "sending")

    @property
    def stopped(self) -> frozenset[str]:
        """Orders of books for which a control asked for its end; none where a person, or nobody, asked for it."""
        asked = [event.details.get("children") for event in self.events if event.event == "cancel_asked"]
        return frozenset() if None in asked else frozenset(name for children in asked for name in children or ())


@dataclass
class AccountRecord:
    """All that the ledger holds of an account, rows in the order in which they were put on record.

    Whoever appends a row adds it here too (:meth:`add`), in place of reading all of them again.
    """

    account: str
    orders: dict[str, TrackedOrder] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    reconciliations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Take in rows of one of the account's tables, each with its ``sequence``."""
        for row in rows:
            if table == ORDERS:
                order = AccountOrder.from_record(row)
                self.orders[order.client_order_id] = TrackedOrder(order, (), (0.0,) * len(order.children))
            elif table == EVENTS:
                tracked = self.orders[row["client_order_id"]]
                reason = row["reason"] if isinstance(row["reason"], str) else None
                event = OrderEvent(row["event"], reason, row["details"])
                self.orders[row["client_order_id"]] = replace(tracked, events=(*tracked.events, event))
            elif table == FILLS:
                self.fills.append(row)
                self._receive(row)
            else:
                self.reconciliations.append(row)

    def _receive(self, row: Mapping[str, Any]) -> None:
        tracked = self.orders.get(row["client_order_id"])
        if tracked is None or row["state"] != ALLOTTED:
            return
        shares = {share["client_order_id"]: float(share["quantity"]) for share in row["allotment"] or ()}
        received = tuple(
            got + shares.get(child.client_order_id, 0.0)
            for got, child in zip(tracked.received, tracked.order.children, strict=True)
        )
        self.orders[row["client_order_id"]] = replace(tracked, received=received)

    @property
    def held_back(self) -> list[dict[str, Any]]:
        """Fills that no book was given and that no person has accepted since."""
        since = max((row["sequence"] for row in self.reconciliations if row["state"] == ACCEPTED), default=0)
        return [row for row in self.fills if row["state"] == HELD_BACK and row["sequence"] > since]

    @property
    def last_reconciliation(self) -> Mapping[str, Any] | None:
        """The last one on record."""
        return self.reconciliations[-1] if self.reconciliations else None

    @property
    def outside(self) -> dict[str, float]:
        """Positions (and ``cash``) of the account that a person accepted as no book's."""
        return dict(self._last_accepted.get("outside", {}))

    @property
    def outside_orders(self) -> tuple[str, ...]:
        """Orders at the venue that a person accepted as no book's."""
        return tuple(self._last_accepted.get("orders", ()))

    @property
    def _last_accepted(self) -> Mapping[str, Any]:
        accepted = [row["details"] for row in self.reconciliations if row["state"] == ACCEPTED]
        return accepted[-1] if accepted else {}


def account_record(ledger: Ledger, account: str) -> AccountRecord:
    """Read what the ledger holds of an account, by its own name."""
    name, record = ledger_name(account), AccountRecord(account)
    for table in (ORDERS, EVENTS, FILLS, RECONCILIATIONS):
        rows = records_of(ledger.read(table, name, bookkeeping=True))
        record.add(table, sorted(rows, key=lambda row: int(row["sequence"])))
    return record


def fill_name(fill_id: str, client_order_id: str) -> str:
    """The name of what a book's order got of a fill at the venue: the same each time."""
    return hashlib.sha256(f"venue fill\x1f{fill_id}\x1f{client_order_id}".encode()).hexdigest()[:32]


def broker_for(ledger: Ledger, strategy: Strategy, until: Mapping[pd.Timestamp, int | None]) -> OpenBroker:
    """What opens the broker of a strategy's rounds: of one that trades at a venue, on the fills that the ledger holds.

    Parameters
    ----------
    until : mapping of session to place in the ledger
        Up to which each session's decision took the records of the account; None: it took none, and filled on paper.
    """
    on_paper = broker_of(strategy.execution.broker, strategy.execution.broker_settings)

    def opened(account: Account) -> Broker:
        session = pd.Timestamp(account.session)
        sequence = until.get(session)
        if sequence is None:
            return on_paper(account)
        return RecordedBroker(account, recorded_for(ledger, strategy, session, sequence))

    return opened


def recorded_for(ledger: Ledger, strategy: Strategy, session: pd.Timestamp, until: int) -> Recorded:
    """What the account did for a book that a session's round books: its own fills, and any that were told too late.

    Parameters
    ----------
    until : int
        Place in the ledger of the last record that the decision takes.
    """
    account = account_of(strategy)
    assert account is not None, "asked of a strategy that trades at a venue"
    rows = _of_round(ledger, FILLS, strategy, session, until)
    return Recorded(book_fills(strategy.name, rows), *_ends(ledger, account, session, until))


def book_fills(book: str, rows: Iterable[Mapping[str, Any]]) -> list[RecordedFill]:
    """What a book gets of fills of its account, in the order in which they were made; rows of ``account_fills``."""
    return [
        RecordedFill(
            fill_name(row["fill_id"], share["client_order_id"]),
            share["client_order_id"],
            row["symbol"],
            float(share["quantity"]),
            float(row["price"]),
            float(share["commission_usd"]),
            bool(share.get("is_stop", False)),
            filled_at=row["filled_at"],
            mid_price=float(share.get("mid_price", math.nan)),
            later_mid_price=float(share.get("later_mid_price", math.nan)),
            is_assumed=bool(share.get("is_assumed", False)),
        )
        for row in sorted(rows, key=lambda row: (row["filled_at"], row["fill_id"]))
        for share in row["allotment"] or ()
        if share["book"] == book and row["state"] == ALLOTTED
    ]


def _ends(ledger: Ledger, account: str, session: pd.Timestamp, until: int) -> tuple[dict[str, str], frozenset[str]]:
    """Why orders of books for a session ended, by the books' own names of them, and which work on after it."""
    name = ledger_name(account)
    orders = ledger.read(ORDERS, name, session, session, bookkeeping=True)
    events = ledger.read(EVENTS, name, session, session, bookkeeping=True).sort_values("sequence")
    events = events[events["sequence"] <= until]
    ends: dict[str, str] = {}
    stopped: dict[str, dict[str, str]] = {}
    outlived = set()
    for row in records_of(events):
        if row["event"] == "cancel_asked" and row["reason"] == OUTLIVED:
            outlived.add(row["client_order_id"])
        elif row["event"] == "cancel_asked" and "children" in row["details"]:
            of_order = stopped.setdefault(row["client_order_id"], {})
            of_order |= dict.fromkeys(row["details"]["children"], row["reason"])
        if row["event"] in ("ended", "refused", "withdrawn") and row["reason"] != "filled":
            by_reason = row["event"] != "refused" and isinstance(row["reason"], str)
            ends[row["client_order_id"]] = row["reason"] if by_reason else row["event"]
            outlived.discard(row["client_order_id"])
    of_books: dict[str, str] = {}
    working = set()
    for row in records_of(orders.sort_values("sequence")):
        order, children = row["client_order_id"], [child["client_order_id"] for child in row["allotment"]]
        if order in outlived:
            working.update(children)
        elif order in ends:
            of_books |= dict.fromkeys(children, ends[order])
            if order in stopped and ends[order] == "cancelled":
                of_books |= dict.fromkeys(children, WITH_ANOTHER) | stopped[order]
    return of_books, frozenset(working)


def _of_round(
    ledger: Ledger, table: str, strategy: Strategy, session: pd.Timestamp, until: int
) -> list[dict[str, Any]]:
    """Rows of an account that a session's round takes, and none before it did."""
    name = ledger_name(str(account_of(strategy)))
    before = previous_session(strategy.market.calendar, session)
    taken_on, taken = last_taken(ledger, strategy.name, before)
    if taken_on is None:
        rows = records_of(ledger.read(table, name, None, session, bookkeeping=True))
    else:
        late = ledger.read(table, name, None, taken_on, after_sequence=taken, bookkeeping=True)
        own = ledger.read(table, name, taken_on + pd.Timedelta(days=1), session, bookkeeping=True)
        rows = [*records_of(late), *records_of(own)]
    return [row for row in rows if row["sequence"] <= until]


def last_taken(ledger: Ledger, strategy: str, until: pd.Timestamp) -> tuple[pd.Timestamp | None, int]:
    """The last session up to one whose decision took records of its account, and up to which place in the ledger.

    That is the session before, but for a strategy that filled on paper for a while.
    """
    for first in (until, None):
        decisions = ledger.read("decisions", strategy, first, until, columns=["session", "details"])
        for session, details in zip(decisions["session"][::-1], decisions["details"][::-1], strict=True):
            if details.get(ACCOUNT_UNTIL) is not None:
                return session, int(details[ACCOUNT_UNTIL])
    return None, 0


def account_differs_at(ledger: Ledger, strategy: Strategy, session: pd.Timestamp, until: int) -> str | None:
    """In which way the account differed from its books when a session was decided; None where it agreed."""
    name = ledger_name(str(account_of(strategy)))
    rows = ledger.read(RECONCILIATIONS, name, None, session, bookkeeping=True).sort_values("sequence")
    rows = rows[rows["sequence"] <= until]
    return None if rows.empty or rows["state"].iloc[-1] != DIFFERS else difference_text(rows["differences"].iloc[-1])


def account_differs_now(ledger: Ledger, strategy: Strategy) -> str | None:
    """In which way the account differs from its books by the last comparison; None where it agrees."""
    account = account_of(strategy)
    if account is None:
        return None
    row = ledger.last_appended(RECONCILIATIONS, strategy=ledger_name(account))
    return None if row is None or row["state"] != DIFFERS else difference_text(row["differences"])


def adjustment_for(ledger: Ledger, strategy: Strategy, session: pd.Timestamp, until: int) -> BookAdjustment | None:
    """What a person had the book take over since the decision before; None where nothing."""
    rows = _of_round(ledger, RECONCILIATIONS, strategy, session, until)
    records = [
        row["details"]["books"][strategy.name]
        for row in sorted(rows, key=lambda row: int(row["sequence"]))
        if row["state"] == ACCEPTED and strategy.name in row["details"].get("books", {})
    ]
    adjustments = [BookAdjustment.from_record(record) for record in records]
    if not adjustments:
        return None
    return BookAdjustment(
        max(adjustment.session for adjustment in adjustments),
        tuple(position for adjustment in adjustments for position in adjustment.positions),
        math.fsum(adjustment.cash_usd for adjustment in adjustments),
        "; ".join(dict.fromkeys(adjustment.who for adjustment in adjustments)),
        "; ".join(dict.fromkeys(adjustment.why for adjustment in adjustments)),
    )


def difference_text(differences: Iterable[Mapping[str, Any]]) -> str:
    """What differs, in one line: each row with what the books have and what the venue has."""
    rows = sorted(differences, key=lambda row: row["kind"] != PAPER)  # what explains others comes first
    named = [_row_text(row) for row in rows[:_MOST_TOLD]]
    return "; ".join([*named, *([f"and {len(rows) - _MOST_TOLD} more"] if len(rows) > _MOST_TOLD else [])])


def _row_text(row: Mapping[str, Any]) -> str:
    kind, what = row["kind"], row.get("symbol") or ""
    if kind == "position":
        return f"{what}: the books hold {row['books']:g}, the venue {row['venue']:g}"
    if kind == "cash":
        return f"cash: the books have {row['books']:,.2f} USD, the venue {row['venue']:,.2f} USD"
    if kind == PAPER:
        return str(row["says"])
    if kind == "venue":
        return f"the venue cannot be read: {row['says']}"
    return f"{kind}{f' of {what}' if what else ''}: {row.get('says', '')}"
