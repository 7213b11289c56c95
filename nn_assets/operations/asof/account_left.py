"""Where a book traded when it decided last, and what it has under way there: its file may name another place since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.errors import DecisionError, SettingsError
from nn_assets.execution.venues import account_of
from nn_assets.operations.asof.accounts import ACCEPTED, ACCOUNT_UNTIL, AccountRecord, account_record, book_fills
from nn_assets.operations.asof.settings_on_record import settings_of_decision
from nn_assets.operations.strategy_files import with_checked_source
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_MOST_TOLD = 5


@dataclass(frozen=True)
class LeftBehind:
    """The account and venue of a book's last decision, by the settings on record."""

    book: str
    account: str
    broker: str
    settings: Mapping[str, Any]
    session: pd.Timestamp
    until: int  # place in the ledger up to which it took the records of the account

    def is_of(self, strategy: Strategy) -> bool:
        """Whether a strategy names the same account and venue."""
        return (account_of(strategy), strategy.execution.broker) == (self.account, self.broker)

    def strategy(self, now: Strategy | None) -> Strategy | None:
        """The strategy by the settings on record; None where they are none of this version.

        What never counts (folders, processes) is as the strategy has it now, if there is one.
        """
        market = {key: self.settings["market"].get(key) for key in ("calendar", "symbols", "history_starts")}
        try:
            like = now or Strategy.model_validate({"name": self.book, "market": market})
            settings = like.completed(self.settings) | {"name": self.book}
            return with_checked_source(Strategy.model_validate(settings))
        except (ValueError, SettingsError):
            return None


def left_behind(ledger: Ledger, book: str) -> LeftBehind | None:
    """Where a book traded when it decided last; None where that was no venue, or its settings are not on record."""
    last = ledger.latest("decisions", book)
    if last.empty or last["details"].iloc[-1].get(ACCOUNT_UNTIL) is None:
        return None
    session = last["session"].iloc[-1]
    settings = settings_of_decision(ledger, book, session)
    if settings is None:
        return None
    execution = settings["execution"]
    account = execution.get("account") or book
    until = int(last["details"].iloc[-1][ACCOUNT_UNTIL])
    return LeftBehind(book, str(account), str(execution.get("broker")), settings, session, until)


def every_left_behind(ledger: Ledger) -> Iterator[LeftBehind]:
    """Of every book with a decision, in the order of their names."""
    for book in ledger.strategies("decisions"):
        there = left_behind(ledger, book)
        if there is not None:
            yield there


def under_way(ledger: Ledger, there: LeftBehind) -> str | None:
    """What a book has in its account on record still, in words: orders, positions, fills; None where nothing."""
    record = account_record(ledger, there.account)
    orders = [
        name
        for name, tracked in record.orders.items()
        if (tracked.is_live or tracked.status == "waiting")
        and any(child.book == there.book for child in tracked.order.children)
    ]
    holdings = records_of(ledger.read("holdings", there.book, there.session, there.session))
    held = [f"{row['quantity']:g} {row['symbol']}" for row in holdings if row["quantity"] != 0.0]
    parts = []
    if orders:
        parts.append(f"{len(orders)} order{'s' * (len(orders) > 1)} that may fill")
    if held:
        parts.append("positions of " + ", ".join([*held[:_MOST_TOLD], *(["others"] if len(held) > _MOST_TOLD else [])]))
    if _not_booked(record, there):
        parts.append("fills or acceptances that no session of it has booked")
    return None if not parts else f"the account {there.account} at {there.broker} has {' and '.join(parts)} of it"


def _not_booked(record: AccountRecord, there: LeftBehind) -> bool:
    late = [row for row in record.fills if row["session"] > there.session or row["sequence"] > there.until]
    accepted = [
        row
        for row in record.reconciliations
        if row["state"] == ACCEPTED and there.book in row["details"].get("books", {})
        if row["session"] > there.session or row["sequence"] > there.until
    ]
    return bool(accepted or book_fills(there.book, late))


def require_account_as_left(ledger: Ledger, strategy: Strategy) -> None:
    """Refuse a round of a book whose file names another account or venue than the one where it has something.

    Raises
    ------
    DecisionError
        The account of its last decision has orders that may fill, positions, or fills not booked, of it.
    """
    there = left_behind(ledger, strategy.name)
    if there is None or there.is_of(strategy) or (what := under_way(ledger, there)) is None:
        return
    raise DecisionError(
        expected=f"the account that the strategy decided with last, {there.account} at {there.broker}, since {what}",
        found=f"{account_of(strategy) or 'none'} at {strategy.execution.broker}",
        remedy="set execution.account and execution.broker back, halt or close the book, cancel with "
        f"nn-assets account cancel --account {there.account}, and change them once the book is flat",
        strategy=strategy.name,
        key="execution.account",
    )
