"""Stops that work at a venue though the market closed beyond them, by what the ledger has on record."""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.operations.asof.accounts import EVENTS, ORDERS, AccountRecord
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


def passed_stops(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> tuple[str, ...]:
    """What is held after a decided session whose close lies beyond a stop that rests at the venue, in words.

    Of a position that was entered before the session, so that its stop rested in it.
    """
    account = account_of(strategy)
    if account is None or strategy.label.execution != "next_open":
        return ()
    rows = ledger.read("holdings", strategy.name, session, session)
    side = (rows["quantity"] > 0.0).astype(float) - (rows["quantity"] < 0.0).astype(float)
    passed = (side * (rows["stop_price"] - rows["price"]) > 0.0) & (rows["entered_session"] < session)
    if not passed.any():
        return ()
    record, name = AccountRecord(account), ledger_name(account)
    orders = ledger.read(ORDERS, name, where={"kind": "stop"}, bookkeeping=True)
    orders = orders[orders["symbol"].isin(rows.loc[passed, "symbol"])]
    record.add(ORDERS, sorted(records_of(orders), key=lambda row: int(row["sequence"])))
    events = ledger.read(EVENTS, name, bookkeeping=True)
    events = events[events["client_order_id"].isin(list(record.orders))]
    record.add(EVENTS, sorted(records_of(events), key=lambda row: int(row["sequence"])))
    works = {
        tracked.order.symbol
        for tracked in record.orders.values()
        if tracked.status == "working" and any(child.book == strategy.name for child in tracked.order.children)
    }
    return tuple(
        f"{row['symbol']} at {row['stop_price']:g}, which closed at {row['price']:g}"
        for row in records_of(rows[passed].sort_values("symbol"))
        if row["symbol"] in works
    )
