"""What of a book's newest orders did not reach its venue: it does not take them yet, or refused them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.execution.netting import AccountOrder
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.operations.asof.accounts import EVENTS, ORDERS, AccountRecord
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

STOP_SENDINGS = 3
"""How often the same stop is sent for a session where the venue refuses it: some refusals pass, as while what closes
the same position works there."""


@dataclass(frozen=True)
class Unsent:
    """Of the orders that an account has for a book and the sessions after its last decision.

    Attributes
    ----------
    orders : int
        How many the venue was to be sent, stops left out.
    waiting : int
        How many of them wait until the venue takes them.
    begins : Timestamp or None
        From when on it takes the first of these, UTC.
    refused : tuple of (str, tuple of str)
        What the venue said of those that it refused, stops too, and which: most first. A stop in whose place another
        one rests is left out.
    unprotected : tuple of str
        Symbols whose stops it refused.
    late : tuple of str
        Symbols of those that came too late to be sent.
    taken : int
        How many the venue took, stops left out.
    """

    session: pd.Timestamp
    orders: int
    waiting: int
    begins: pd.Timestamp | None
    refused: tuple[tuple[str, tuple[str, ...]], ...]
    unprotected: tuple[str, ...]
    late: tuple[str, ...]
    taken: int


def unsent_after(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> Unsent | None:
    """What did not reach the venue of the orders that a book decided in a session; None where there are none.

    Orders of other books that the same account has are left out.
    """
    account = account_of(strategy)
    if account is None:
        return None
    record, after = AccountRecord(account), session + pd.Timedelta(days=1)
    for table in (ORDERS, EVENTS):
        rows = records_of(ledger.read(table, ledger_name(account), after, None, bookkeeping=True))
        record.add(table, sorted(rows, key=lambda row: int(row["sequence"])))
    mine = [
        tracked
        for tracked in record.orders.values()
        if tracked.order.quantity != 0.0 and any(child.book == strategy.name for child in tracked.order.children)
    ]
    if not mine:
        return None
    to_fill = [tracked for tracked in mine if tracked.order.kind != "stop"]
    begins = [
        pd.Timestamp(event.details["begins"])
        for tracked in to_fill
        if tracked.status == "waiting"
        for event in tracked.events
        if event.event == "not_yet"
    ]
    rests = {tracked.order.symbol for tracked in mine if tracked.order.kind == "stop" and tracked.is_live}
    refused: dict[str, set[str]] = {}
    unprotected = set[str]()
    for tracked in mine:
        is_stop = tracked.order.kind == "stop"
        if tracked.status != "refused" or (is_stop and tracked.order.symbol in rests):
            continue
        refused.setdefault(tracked.events[-1].reason or "", set()).add(_named(tracked.order))
        unprotected |= {tracked.order.symbol} if is_stop else set()
    by_count = sorted(refused.items(), key=lambda item: (-len(item[1]), item[0]))
    late = [t for t in to_fill if t.status == "withdrawn" and t.events[-1].reason == "late"]
    ends = Counter(tracked.status for tracked in to_fill)
    return Unsent(
        session=min(tracked.order.session for tracked in mine),
        orders=len(to_fill),
        waiting=len(begins),
        begins=min(begins, default=None),
        refused=tuple((reason, tuple(sorted(symbols))) for reason, symbols in by_count),
        unprotected=tuple(sorted(unprotected)),
        late=tuple(sorted(tracked.order.symbol for tracked in late)),
        taken=ends["working"] + ends["ended"] + ends["doubtful"],
    )


def _named(order: AccountOrder) -> str:
    return f"the stop of {order.symbol}" if order.kind == "stop" else order.symbol
