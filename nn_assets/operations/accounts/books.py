"""Which books an account holds, and how each stands now: as its last session left it, moved by what is on record since.

A book is a strategy. Strategies with the same account, venue and settings of it share the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import methodcaller
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
from nn_assets.operations.asof.account_left import LeftBehind, every_left_behind, under_way
from nn_assets.operations.asof.accounts import ACCEPTED, AccountRecord, book_fills, last_taken
from nn_assets.operations.asof.controls import fill_moment
from nn_assets.operations.catalog import load_strategies, read_strategies
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.actions import book_after_actions
from nn_assets.portfolio.adjustments import BookAdjustment, book_after_adjustment
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.records import book_from_records, session_flows
from nn_assets.settings import Strategy
from nn_assets.store.home import absent_ledger
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class AccountBooks:
    """An account by its own name, and the strategies that share it, by name.

    Attributes
    ----------
    apart : mapping of str to str
        Books that by the ledger and by the files are not of the same account, and why: it differs for as long. Those
        without a file that names the account are among the strategies as their last decision had them, where this
        version can read that.
    elsewhere : frozenset of str
        Those of them whose account on record is another one, so that nothing is sent for them here.
    """

    name: str
    strategies: tuple[Strategy, ...]
    apart: Mapping[str, str] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()

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


def accounts(ledger: Ledger | None = None) -> tuple[AccountBooks, ...]:
    """Every account of the home, by name; empty where every strategy fills within its round.

    A book that the ledger has at an account stays there while its file cannot be read, and while it has anything under
    way there though its file is gone or names another account or venue.

    Parameters
    ----------
    ledger : Ledger, optional
        The home's own when left out.
    """
    if ledger is None:
        if absent_ledger() is not None:
            return _accounts(())
        with Ledger() as own:
            return accounts(own)
    readable, left_out = read_strategies()
    now = {entry.strategy.name: entry.strategy for entry in readable}
    moved: list[tuple[LeftBehind, Strategy | None, str]] = []
    for there in every_left_behind(ledger):
        strategy = now.get(there.book)
        if strategy is not None and there.is_of(strategy):
            continue
        what = under_way(ledger, there)
        if strategy is None and there.book in left_out:
            fault = left_out[there.book].fault
            moved.append((there, None, f"the file of {there.book} cannot be read: {fault.found}"))
        elif what is not None and strategy is None:
            moved.append((there, None, f"no file names {there.book}, and {what}"))
        elif what is not None and strategy is not None:
            at_broker = f"{account_of(strategy) or 'no account'} at {strategy.execution.broker}"
            moved.append((there, strategy, f"the file of {there.book} names {at_broker}, and {what}"))
    return _accounts(moved)


def _accounts(moved: Iterable[tuple[LeftBehind, Strategy | None, str]]) -> tuple[AccountBooks, ...]:
    """The accounts of the files, and of books on record that these do not have there; each with why."""
    sharing: dict[str, dict[str, Strategy]] = {}
    for entry in load_strategies():
        account = account_of(entry.strategy)
        if account is not None:
            sharing.setdefault(account, {})[entry.strategy.name] = entry.strategy
    apart: dict[str, dict[str, str]] = {}
    elsewhere: dict[str, set[str]] = {}
    for there, now, why in moved:
        apart.setdefault(there.account, {})[there.book] = why
        account = None if now is None else account_of(now)
        if account is not None and account != there.account:
            apart.setdefault(account, {})[there.book] = why
            elsewhere.setdefault(account, set()).add(there.book)
        as_left = there.strategy(now)
        if as_left is not None:
            sharing.setdefault(there.account, {})[there.book] = as_left
        elif account == there.account:
            elsewhere.setdefault(account, set()).add(there.book)
    return tuple(
        replace(
            _shared(name, sharing[name].values()),
            apart=apart.get(name, {}),
            elsewhere=frozenset(elsewhere.get(name, ())),
        )
        for name in sorted(sharing)
    )


def account_named(name: str, ledger: Ledger | None = None) -> AccountBooks:
    """The account of a name.

    Raises
    ------
    SettingsError
        No strategy trades on it, or two do with different venues.
    """
    there = {account.name: account for account in accounts(ledger)}
    if name not in there:
        raise SettingsError(
            expected=f"an account that a strategy trades on: {', '.join(there) or 'there is none'}",
            found=repr(name),
            remedy="name one of these, or name a venue under execution.broker of a strategy",
            key="execution.account",
        )
    return there[name]


def account_for(strategy: Strategy, ledger: Ledger | None = None) -> AccountBooks | None:
    """The account that a strategy shares; None where it fills within its round."""
    name = account_of(strategy)
    return None if name is None else account_named(name, ledger)


def _shared(name: str, strategies: Iterable[Strategy]) -> AccountBooks:
    those = tuple(sorted(strategies, key=lambda strategy: strategy.name))
    calendars = {strategy.name: strategy.market.calendar for strategy in those}
    if len(set(calendars.values())) > 1:
        raise SettingsError(
            expected=f"one market.calendar for all strategies of the account {name}, by whose sessions it goes",
            found=", ".join(f"{book}: {calendar}" for book, calendar in calendars.items()),
            remedy="give those of another calendar an account of their own: execution.account",
            key="market.calendar",
        )
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


class Splits(dict[str, float]):
    """New shares for one old by symbol, of some sessions together, and of each of them.

    Attributes
    ----------
    steps : tuple of (ex-session, mapping of symbol to new shares for one old)
        In the order of the sessions.
    """

    def __init__(self, steps: Iterable[tuple[pd.Timestamp, Mapping[str, float]]] = ()) -> None:
        super().__init__()
        self.steps = tuple(sorted(steps, key=lambda step: step[0]))
        for _, ratios in self.steps:
            for symbol, ratio in ratios.items():
                self[symbol] = self.get(symbol, 1.0) * ratio


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

        A split comes before what is of its session and after what is of those before.

        Parameters
        ----------
        split : mapping of symbol to new shares for one old
            Of sessions that are over and not decided; a mapping that does not say of which precedes everything.
        """
        steps = split.steps if isinstance(split, Splits) else ((pd.Timestamp.min, split),) if split else ()
        # Within the sessions that the same splits precede, acceptances come before fills.
        moves: list[tuple[int, int, Callable[[Book], Book]]] = [
            (number, 0, partial(self._split, ratios)) for number, (_, ratios) in enumerate(steps, 1)
        ]

        def splits_before(session: pd.Timestamp) -> int:
            return sum(ex_session <= session for ex_session, _ in steps)

        for row in record.reconciliations:
            mine = row["details"].get("books", {}).get(self.strategy.name) if row["state"] == ACCEPTED else None
            if mine is not None and not self.is_taken(row):
                accepted = BookAdjustment.from_record(mine)
                after = partial(book_after_adjustment, adjustment=accepted, session=row["session"])
                moves.append((splits_before(pd.Timestamp(accepted.session)), 1, after))
        indices = {symbol: number for number, symbol in enumerate(self.left.symbols)}
        for row in sorted(record.fills, key=lambda row: (row["filled_at"], row["fill_id"])):
            fills = [] if self.is_taken(row) else book_fills(self.strategy.name, [row])
            if fills:
                made = fill_arrays(fills, indices)
                moves.append((splits_before(row["session"]), 2, methodcaller("filled", made, row["session"])))
        book = self.left
        for _, _, move in sorted(moves, key=lambda move: move[:2]):
            book = move(book)
        return book

    def _split(self, ratios: Mapping[str, float], book: Book) -> Book:
        ratio = np.array([ratios.get(symbol, 1.0) for symbol in book.symbols])
        return book_after_actions(book, ratio, np.zeros(len(ratio)), self.strategy.portfolio.lot_size, None)


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
    strategy = _as_decided(strategy, orders["execution"].unique().tolist())
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


def _as_decided(strategy: Strategy, executions: Sequence[str]) -> Strategy:
    """The strategy with the execution of its last decision; what its file says counts from the next one on."""
    if not executions or executions == [strategy.label.execution]:
        return strategy
    return strategy.model_copy(update={"label": strategy.label.model_copy(update={"execution": executions[0]})})


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

    def has_published(self, books: Iterable[str], session: pd.Timestamp) -> bool:
        """Whether each of some books has bars of a session, or of a later one, published; False where unread."""
        for book in books:
            facts = self._facts.get(book, "no such book")
            try:
                if isinstance(facts, str) or not (facts.published_bars["session"] >= session).any():
                    return False
            except NnAssetsError:
                return False
        return True

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
        return Splits(
            (row["ex_session"], {row["symbol"]: float(row["value"])}) for row in records_of(rows.dropna(subset="value"))
        )

    def dividends(self, strategy: Strategy, after: pd.Timestamp | None, until: pd.Timestamp) -> dict[str, float]:
        """Dividends of the sessions after one up to another, dollars a share of the last one's; none where unread."""
        versions = self._actions(strategy)
        if after is None or after >= until or versions is None or isinstance(versions, str) or versions.empty:
            return {}
        rows = ACTION_FACTS.newest(versions)
        rows = rows[(rows["ex_session"] > after) & (rows["ex_session"] <= until)].dropna(subset="value")
        paid: dict[str, float] = {}
        for row in records_of(rows.sort_values(["ex_session", "kind"], ascending=[True, False])):  # a split comes first
            symbol, before = row["symbol"], paid.get(row["symbol"], 0.0)
            if row["kind"] == "split":
                paid[symbol] = before / float(row["value"])
            elif row["kind"] == "dividend":
                paid[symbol] = before + float(row["value"])
        return {symbol: amount for symbol, amount in paid.items() if amount}

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


def session_of_stop_fill(account: AccountBooks, moment: pd.Timestamp) -> pd.Timestamp:
    """The session that a stop's fill is of: told shortly after a close, the one that closed."""
    session, before = session_of(account, moment), session_of(account, moment - _AFTER_CLOSE)
    if before == session:
        return session
    opens = session_hours(account.strategies[0].market.calendar, session, session)["opens"].iloc[0]
    return before if moment < opens else session


_AFTER_CLOSE = pd.Timedelta(minutes=30)


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
