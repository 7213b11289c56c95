"""Which of a book's newest orders are not on their way to the venue, though nothing on record keeps them back."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.market.calendar.sessions import next_session
from nn_assets.operations.asof.accounts import EVENTS, ORDERS, AccountRecord, account_differs_now
from nn_assets.operations.asof.controls import sending_control
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class Missing:
    """Orders of the session that they are for."""

    session: pd.Timestamp
    count: int


def not_on_their_way(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> Missing | None:
    """Orders that a book decided in a session and no venue has; None where there are none.

    Those on record that were never sent, or of which nothing is known, and, where the book's controls let orders pass,
    all of them as long as the account has none. What waits until the venue takes it, was withdrawn or refused, is not
    among them: that has a reason of its own.
    """
    account = account_of(strategy)
    if account is None:
        return None
    orders = ledger.read("orders", strategy.name, session, session)
    mine = set(orders.loc[orders["status"] == "accepted", "client_order_id"].astype(str))
    if not mine:
        return None
    due, record = next_session(strategy.market.calendar, session), AccountRecord(account)
    for table in (ORDERS, EVENTS):
        rows = records_of(ledger.read(table, ledger_name(account), due, due, bookkeeping=True))
        record.add(table, sorted(rows, key=lambda row: int(row["sequence"])))
    control = sending_control(ledger, strategy).control
    there = [
        tracked
        for tracked in record.orders.values()
        if tracked.order.kind != "stop" and mine & {child.client_order_id for child in tracked.order.children}
    ]
    if control is Control.HALTED:
        count = 0  # what may fill all the same is told of by left_by_a_halt
    elif there:
        count = sum(
            tracked.order.quantity != 0.0
            and tracked.status in ("waiting", "doubtful")
            and all(event.event != "not_yet" for event in tracked.events)
            for tracked in there
        )
    elif account_differs_now(ledger, strategy) is not None:
        count = 0
    else:
        count = len(mine) if control < Control.REDUCING else 0
    return Missing(due, count) if count else None
