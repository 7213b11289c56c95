"""Which books an account holds, and how each stands now: as its last session left it, moved by what is on record since.

A book is a strategy. Strategies with the same account, venue and settings of it share the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import records_of, values_of
from nn_assets.errors import NnAssetsError, SettingsError
from nn_assets.execution.netting import BookOrder
from nn_assets.execution.recorded import fill_arrays
from nn_assets.execution.venue import OrderKind, Venue
from nn_assets.execution.venues import account_of, venue_of
from nn_assets.market.calendar.sessions import next_session, session_hours, sessions_of_moments
from nn_assets.market.facts.bitemporal import ACTION_FACTS
from nn_assets.operations.asof.accounts import ACCEPTED, AccountRecord, book_fills, last_taken
from nn_assets.operations.asof.controls import fill_moment
from nn_assets.operations.catalog import load_strategies
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.actions import book_after_actions
from nn_assets.portfolio.adjustments import BookAdjustment, book_after_adjustment
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.records import book_from_records, session_flows
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class AccountBooks:
    """An account by its own name, and the strategies that share it, by name."""

    name: str
    strategies: tuple[Strategy, ...]

    @property
    def settle_seconds(self) -> float:
        """For how long the venue is asked again: the longest of the books'."""
        return max(strategy.execution.settle_seconds for strategy in self.strategies)

    @property
    def lot_size(self) -> float:
        """The smallest of the books'."""
        return min(strategy.portfolio.lot_size for strategy in self.strategies)

    def of(self, book: str) -> Strategy | None:
        """The strategy of a book; None where none of the name shares the account any more."""
        return next((strategy for strategy in self.strategies if strategy.name == book), None)

    def open_venue(self) -> Venue:
        """Open the account at its venue."""
        execution = self.strategies[0].execution
        return venue_of(execution.broker, execution.broker_settings)(self.name)


def accounts() -> tuple[AccountBooks, ...]:
    """Every account of the home, by name; empty where every strategy fills within its round."""
    sharing: dict[str, list[Strategy]] = {}
    for entry in load_strategies():
        account = account_of(entry.strategy)
        if account is not None:
            sharing.setdefault(account, []).append(entry.strategy)
    return tuple(_shared(name, sharing[name]) for name in sorted(sharing))


def account_named(name: str) -> AccountBooks:
    """The account of a name.

    Raises
    ------
    SettingsError
        No strategy trades on it, or two do with different venues.
    """
    there = {account.name: account for account in accounts()}
    if name not in there:
        raise SettingsError(
            expected=f"an account that a strategy trades on: {', '.join(there) or 'there is none'}",
            found=repr(name),
            remedy="name one of these, or name a venue under execution.broker of a strategy",
            key="execution.account",
        )
    return there[name]


def account_for(strategy: Strategy) -> AccountBooks | None:
    """The account that a strategy shares; None where it fills within its round."""
    name = account_of(strategy)
    return None if name is None else account_named(name)


def _shared(name: str, strategies: Iterable[Strategy]) -> AccountBooks:
    those = tuple(sorted(strategies, key=lambda strategy: strategy.name))
    for key in ("broker", "broker_settings"):
        values = {strategy.name: getattr(strategy.execution, key) for strategy in those}
        first = next(iter(values.values()))
        if any(value != first for value in values.values()):
            differing = ", ".join(f"{book}: {value}" for book, value in values.items())
            raise SettingsError(
                expected=f"one execution.{key} for all strategies of the account {name}",
                found=differing,
                remedy="give one of them an account of its own: execution.account",
                key=f"execution.{key}",
            )
    return AccountBooks(name, those)


@dataclass(frozen=True, eq=False)
class BookNow:
    """How a book stands.

    Attributes
    ----------
    session : Timestamp or None
        The last one decided.
    taken_on, taken_until : Timestamp or None, int
        The last one whose decision took records of the account, and the place in the ledger that it took them up to.
    left : Book
        As that session left it.
    """

    strategy: Strategy
    session: pd.Timestamp | None
    taken_on: pd.Timestamp | None
    taken_until: int
    left: Book
    orders: tuple[BookOrder, ...]  # decided then and accepted, in the order in which they close and open
    flows_usd: Mapping[pd.Timestamp, Mapping[str, float]]  # what moved its cash besides fills, signed, of 60 days

    @property
    def fill_session(self) -> pd.Timestamp | None:
        """The session that its orders are for."""
        return None if self.session is None else next_session(self.strategy.market.calendar, self.session)

    @property
    def fills_at(self) -> pd.Timestamp | None:
        """When its orders fill, UTC."""
        return None if self.fill_session is None else fill_moment(self.strategy, self.fill_session)

    def is_taken(self, row: Mapping[str, Any]) -> bool:
        """Whether its last decision took a record of the account."""
        return self.taken_on is not None and row["session"] <= self.taken_on and row["sequence"] <= self.taken_until

    def moved(self, record: AccountRecord, split: Mapping[str, float]) -> Book:
        """The book with what is on record and no round has booked: what a person accepted, splits, fills.

        Parameters
        ----------
        split : mapping of symbol to new shares for one old
            Of sessions that are over and not decided.
        """
        book = self.left
        if split:
            ratio = np.array([split.get(symbol, 1.0) for symbol in book.symbols])
            book = book_after_actions(book, ratio, np.zeros(len(ratio)), self.strategy.portfolio.lot_size, None)
        for row in record.reconciliations:
            mine = row["details"].get("books", {}).get(self.strategy.name) if row["state"] == ACCEPTED else None
            if mine is not None and not self.is_taken(row):
                book = book_after_adjustment(book, BookAdjustment.from_record(mine), row["session"])
        indices = {symbol: number for number, symbol in enumerate(book.symbols)}
        for row in sorted(record.fills, key=lambda row: (row["filled_at"], row["fill_id"])):
            fills = [] if self.is_taken(row) else book_fills(self.strategy.name, [row])
            if fills:
                book = book.filled(fill_arrays(fills, indices), row["session"])
        return book


def books_now(ledger: Ledger, account: AccountBooks) -> tuple[BookNow, ...]:
    """How each book of an account stands."""
    return tuple(_book_now(ledger, strategy) for strategy in account.strategies)


def _book_now(ledger: Ledger, strategy: Strategy) -> BookNow:
    decisions = ledger.latest("decisions", strategy.name)
    if decisions.empty:
        book = empty_book(strategy.market.symbols, strategy.portfolio.initial_capital_usd)
        return BookNow(strategy, None, None, 0, book, (), {})
    session = decisions["session"].iloc[-1]
    states, holdings, orders = (
        ledger.read(table, strategy.name, session, session) for table in ("portfolio_states", "holdings", "orders")
    )
    book = book_from_records(values_of(states.iloc[0]), holdings, states["book"].iloc[0])
    taken_on, taken = last_taken(ledger, strategy.name, session)
    kind: OrderKind = "at_open" if strategy.label.execution == "next_open" else "at_close"
    made = tuple(
        BookOrder(
            strategy.name,
            str(row["client_order_id"]),
            str(row["symbol"]),
            float(row["quantity"]) * (1.0 if row["side"] == "buy" else -1.0),
            kind,
            None,
            float(row["reference_price"]),
        )
        for row in records_of(orders[orders["status"] == "accepted"])
    )
    recent = ledger.read("portfolio_states", strategy.name, session - pd.Timedelta(days=60), session)
    flows = {row["session"]: session_flows(row["book"]) for row in records_of(recent)}
    return BookNow(strategy, session, taken_on, taken, book, made, flows)


@dataclass(frozen=True, eq=False)
class BooksMarket:
    """What the books' own data say of prices and splits; read where it is first asked for."""

    stores: Stores
    account: AccountBooks

    @cached_property
    def _facts(self) -> Mapping[str, StoredFacts | str]:
        """By book; a text where they cannot be read: why."""
        known: dict[str, StoredFacts | str] = {}
        for strategy in self.account.strategies:
            try:
                known[strategy.name] = StoredFacts.of(self.stores, strategy)
            except NnAssetsError as error:
                known[strategy.name] = _fault_text(error)
        return known

    def bar(self, symbol: str, session: pd.Timestamp) -> Mapping[str, float] | None:
        """Prices of a symbol's bar, by the first book that has it published; None where none has."""
        for facts in self._facts.values():
            if isinstance(facts, str):
                continue
            try:
                bars = facts.published_bars
            except NnAssetsError:
                continue
            rows = bars[(bars["symbol"] == symbol) & (bars["session"] == session)]
            if len(rows):
                return {name: float(rows[name].iloc[0]) for name in ("open", "high", "low", "close")}
        return None

    def splits(self, strategy: Strategy, after: pd.Timestamp | None, until: pd.Timestamp) -> dict[str, float] | None:
        """New shares for one old of the sessions after one up to another, by what is published.

        None where what is published cannot be read (:meth:`unread` says why): its shares are then not known.
        """
        if after is None or after >= until:
            return {}
        versions = self._actions(strategy)
        if isinstance(versions, str):
            return None
        if versions is None or versions.empty:
            return {}
        rows = ACTION_FACTS.newest(versions)
        rows = rows[(rows["kind"] == "split") & (rows["ex_session"] > after) & (rows["ex_session"] <= until)]
        ratios: dict[str, float] = {}
        for row in records_of(rows.dropna(subset="value")):
            ratios[row["symbol"]] = ratios.get(row["symbol"], 1.0) * float(row["value"])
        return ratios

    def unread(self, strategy: Strategy) -> str | None:
        """Why the corporate actions that a book goes by cannot be read; None where they can."""
        versions = self._actions(strategy)
        return versions if isinstance(versions, str) else None

    def _actions(self, strategy: Strategy) -> pd.DataFrame | str | None:
        """Versions of a book's corporate actions, None where it has none; a text, why they cannot be read."""
        facts = self._facts[strategy.name]
        if isinstance(facts, str):
            return facts
        try:
            return facts.action_versions
        except (NnAssetsError, OSError) as error:
            return None if self._nothing_is_published(strategy) else _fault_text(error)

    def _nothing_is_published(self, strategy: Strategy) -> bool:
        """Whether there is nothing that could name a split; no round can have decided by it."""
        try:
            return self.stores.publications.current(strategy.name) is None
        except (NnAssetsError, OSError):
            return False


def _fault_text(error: Exception) -> str:
    if not isinstance(error, NnAssetsError):
        return f"{type(error).__name__}: {error}"
    return error.found + (f" ({error.where['file']})" if "file" in error.where else "")


def session_of(account: AccountBooks, moment: pd.Timestamp) -> pd.Timestamp:
    """The session that a UTC moment belongs to, by the calendar of the first book: the next one where it is between."""
    calendar = account.strategies[0].market.calendar
    session: pd.Timestamp = sessions_of_moments(calendar, pd.Series([moment])).iloc[0]
    return session


def last_opened(account: AccountBooks, now: pd.Timestamp) -> pd.Timestamp:
    """The last session that has opened at a UTC moment: its splits are in what the venue holds."""
    hours = _recent_hours(account, now)
    session: pd.Timestamp = hours[hours["opens"] <= now]["session"].iloc[-1]
    return session


def last_over(account: AccountBooks, now: pd.Timestamp) -> pd.Timestamp:
    """The last session that is over at a UTC moment: its decision is due."""
    market, sessions = account.strategies[0].market, pd.DatetimeIndex(_recent_hours(account, now)["session"])
    over = [session for session in sessions if as_of_session(market, session) <= now]
    return over[-1]


def _recent_hours(account: AccountBooks, now: pd.Timestamp) -> pd.DataFrame:
    """Hours of the sessions of 30 days up to the day after a UTC moment, by the calendar of the first book."""
    day = now.tz_convert("UTC").tz_localize(None).normalize() + pd.Timedelta(days=1)
    return session_hours(account.strategies[0].market.calendar, day - pd.Timedelta(days=30), day)
