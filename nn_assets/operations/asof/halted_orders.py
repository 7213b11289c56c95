"""What a switch or breaker left of a book's orders and stops at its venue, by what the ledger has on record."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.execution.netting import AccountOrder
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.operations.asof.accounts import EVENTS, ORDERS, AccountRecord, TrackedOrder
from nn_assets.operations.asof.controls import sending_control
from nn_assets.portfolio.breakers import Control
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_BY_A_CONTROL = ("halted", "reducing_only")


@dataclass(frozen=True)
class LeftByAHalt:
    """Symbols of a book, each tuple in order.

    Attributes
    ----------
    is_halted : bool
        Whether nothing may be sent now.
    session : Timestamp
        That the newest orders are for.
    taken_back : tuple of str
        Whose orders a control took back, or had ended: they are not sent again.
    may_fill : tuple of str
        Whose orders a control stops, and which may fill still.
    unprotected : tuple of str
        Held at the last decision, whose stop a halt ended, and for which none was committed since.
    """

    is_halted: bool
    session: pd.Timestamp
    taken_back: tuple[str, ...]
    may_fill: tuple[str, ...]
    unprotected: tuple[str, ...]


def left_by_a_halt(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> LeftByAHalt | None:
    """What a control left of the orders that a book decided in a session, and of its stops; None where nothing."""
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
        if tracked.order.kind != "stop" and any(child.book == strategy.name for child in tracked.order.children)
    ]
    is_halted = sending_control(ledger, strategy).control is Control.HALTED
    stopped = [tracked for tracked in mine if _is_stopped(tracked, strategy.name)]
    may_fill = [tracked for tracked in mine if tracked.is_live and (is_halted or tracked in stopped)]
    gone = [tracked for tracked in stopped if not tracked.is_live and not tracked.is_whole]
    unprotected = _without_a_stop(ledger, strategy, account, session)
    if not (may_fill or gone or unprotected):
        return None
    due = min((tracked.order.session for tracked in mine), default=after)
    return LeftByAHalt(is_halted, due, _symbols(gone), _symbols(may_fill), unprotected)


def _is_stopped(tracked: TrackedOrder, book: str) -> bool:
    children = {child.client_order_id for child in tracked.order.children if child.book == book}
    return any(
        event.event in ("withdrawn", "cancel_asked")
        and event.reason in _BY_A_CONTROL
        and bool(children.intersection(event.details.get("children") or children))
        for event in tracked.events
    )


def _symbols(orders: list[TrackedOrder]) -> tuple[str, ...]:
    return tuple(sorted({tracked.order.symbol for tracked in orders}))


def _without_a_stop(ledger: Ledger, strategy: Strategy, account: str, session: pd.Timestamp) -> tuple[str, ...]:
    name = ledger_name(account)
    ended = ledger.read(EVENTS, name, where={"event": "cancel_asked", "reason": "halted"})
    if ended.empty:
        return ()
    halted, newest = set(ended["client_order_id"]), dict[str, str]()
    stops = records_of(ledger.read(ORDERS, name, where={"kind": "stop"}, bookkeeping=True))
    for row in sorted(stops, key=lambda row: int(row["sequence"])):
        order = AccountOrder.from_record(row)
        if any(child.book == strategy.name for child in order.children):
            newest[order.symbol] = order.client_order_id
    holdings = ledger.read("holdings", strategy.name, session, session)
    held = holdings.loc[(holdings["quantity"] != 0.0) & holdings["stop_price"].notna(), "symbol"]
    return tuple(sorted(symbol for symbol in held if newest.get(symbol) in halted))
