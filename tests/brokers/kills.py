"""A driver of an account that is killed at random moments, at a venue that lies, day after day.

Two books share the account. Each day both decide at random, their orders are sent before the open and fill after it;
every cycle is a process of its own that sends, cancels, collects or reconciles, and is killed by SIGKILL once it has
had a random part of the processor time that it would take. On some days the venue turns no position, and what closes is
all that is sent; on some a book, or both, is halted or may only reduce from some cycle on, until a later one or over
the end of the day. At the end of a day the venue is honest for once, a cycle runs to its end, and the oracle compares
ledger and journal.

``python -m tests.brokers.kills FOLDER KILLS SEED`` plays days until as many were killed, and prints after each day what
they came to.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from nn_assets.brokers.alpaca import AlpacaVenue
from nn_assets.execution.orders import orders_frame, targets_to_orders
from nn_assets.execution.venue import VenueDownError
from nn_assets.market.calendar.sessions import next_session, session_hours
from nn_assets.operations.accounts.books import AccountBooks
from nn_assets.operations.accounts.cancelling import cancel_orders
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.accounts.reconciling import reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.asof.accounts import ACCOUNT_UNTIL, AGREED
from nn_assets.operations.stores import Stores, open_stores
from nn_assets.portfolio.records import book_remainder, holdings_frame, state_row
from nn_assets.settings import Strategy
from nn_assets.sources.http import JsonClient
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.retry import RetryPolicy
from tests.brokers import oracle
from tests.brokers.alpaca_account import KEY, KEY_SECRET, AlpacaAccount
from tests.brokers.lying import Liar
from tests.forks import forked
from tests.sources.secrets import SECRET
from tests.sources.vendor import running

SYMBOLS = ("AAA", "BBB", "CCC")
PRICES = np.array([50.0, 20.0, 10.0])
CAPITAL_USD = 1e6
FIRST = pd.Timestamp("2017-01-03")
_BEFORE_THE_OPEN, _AFTER_IT = 6, 4
_STEP = pd.Timedelta(seconds=45)
_LEAST, _HONEST_CYCLES = 5, 4
_OPENING_SHARE = 0.35  # of a cycle's time goes before its first deed
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
ALL_DEEDS = ("send", "cancel", "reconcile")


def book_of(name: str) -> Strategy:
    """A strategy on the account whose costs are nothing, so that its cash is the venue's to the cent."""
    return Strategy.model_validate(
        {
            "name": name,
            "market": {"history_starts": "2016-01-04", "symbols": SYMBOLS},
            "label": {"execution": "next_open"},
            "costs": {"commission_bps": 0.0},
            "portfolio": {"initial_capital_usd": CAPITAL_USD},
            "execution": {"broker": "alpaca", "account": "main", "settle_seconds": 30.0},
        }
    )


@dataclass(frozen=True)
class Switch:
    """A kill switch of some books, set before a cycle of a day and ACTIVE again before another, or after the day."""

    books: tuple[str, ...]
    state: str
    before: int
    until: int


@dataclass
class World:
    """The home, the account's two books, and the venue, whose address is ``url``."""

    folder: Path
    liar: Liar
    url: str
    seed: int
    processor_seconds: float = 0.5  # of a cycle that is not killed, as measured
    intended: list[tuple[str, Decimal]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    session: pd.Timestamp = FIRST
    member: type[AlpacaVenue] = AlpacaVenue
    cycles: int = 0
    closes_share: float = 0.3  # of the days, on which the venue turns no position
    switched_share: float = 0.4  # of the days, on which a kill switch is set under way
    days: Counter[str] = field(default_factory=Counter)
    closes_first: bool = False
    switch: Switch | None = None
    at_work: int = 0  # orders that worked as a switch was set, and a cycle ran to its end at once
    halted: frozenset[str] = frozenset()
    plain: list[dict[str, str]] = field(default_factory=list)  # the journal of days without a switch

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.books = AccountBooks("main", (book_of("one"), book_of("two")))

    @classmethod
    def account(cls) -> AlpacaAccount:
        """What the venue has at first."""
        return AlpacaAccount(money=Decimal(2 * int(CAPITAL_USD)), symbols=SYMBOLS)

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.sqlite"

    def stores(self) -> AbstractContextManager[Stores]:
        """The home's stores, opened in the process that asks."""
        return open_stores(self.folder / "lake", f"sqlite:///{self.ledger}", self.folder / "models")

    # --- a day ----------------------------------------------------------------------------------------

    def day(self, cycles: int) -> None:
        """Decide, then send and collect in cycles of which most are killed, then hold all against the journal."""
        self._draw_day(cycles)
        begun = len(self.liar.account.journal)
        with self.stores() as stores:
            self.decide(stores)
        opens = session_hours("XNYS", self.session, self.session).iloc[0]["opens"]
        before = max(1, round(cycles * _BEFORE_THE_OPEN / (_BEFORE_THE_OPEN + _AFTER_IT)))
        self.liar.trades = False
        self.liar.lie()
        for number in range(cycles):
            self.cycles += 1
            if number == before:
                self.liar.trades = True
            after = number - before
            now = opens - pd.Timedelta(minutes=20) + number * _STEP
            now = now if after < 0 else opens + pd.Timedelta(minutes=1) + after * _STEP
            if self.switch is not None and number == self.switch.before:
                self.set_switch(self.switch.state)
                if self.random.random() < 0.5:
                    self.heed_switch(now, trades=self.liar.trades)
            elif self.switch is not None and number == self.switch.until:
                self.set_switch("ACTIVE")
            for _ in range(3):
                self.liar.pass_time()
            self.cycle(now, may_be_killed=True)
        self.end_of_day(opens, begun)

    def _draw_day(self, cycles: int) -> None:
        self.closes_first = self.random.random() < self.closes_share
        self.liar.account.turns_positions = not self.closes_first
        self.switch = None
        if self.random.random() < self.switched_share:
            books = self.random.choice((("one",), ("two",), ("one", "two")))
            state = self.random.choice(("HALTED", "REDUCING"))
            before = self.random.randrange(cycles // 3, cycles)  # some orders were sent by then
            self.switch = Switch(books, state, before, self.random.randrange(before + 1, 2 * cycles + 1))
        self.days["days"] += 1
        self.days["closes first"] += self.closes_first
        self.days[self.switch.state if self.switch else "ACTIVE"] += 1

    def set_switch(self, state: str) -> None:
        """Put on record what the switch of the day's books is from now on."""
        assert self.switch is not None
        with self.stores() as stores:
            for book in self.switch.books:
                number = stores.ledger.count("controls")
                row = {"control_id": f"{number}", "kind": "kill_switch", "state": state, "who": "a person"}
                rows = [row | {"reason": "a test", "details": {}}]
                stores.ledger.append("controls", rows, run_id="switch", strategy=book)
        self.halted = frozenset(self.switch.books if state == "HALTED" else ())

    def cycle(self, now: pd.Timestamp, *, may_be_killed: bool) -> None:
        """One process of the driver."""
        self.liar.account.now = now
        errors = self.folder / "error.txt"
        does = self._draw_deeds() if may_be_killed else ALL_DEEDS
        child = forked(lambda: self.drive(now, does), errors)
        if may_be_killed:
            share = _OPENING_SHARE + (1.0 - _OPENING_SHARE) * len(does) / len(ALL_DEEDS)
            kill_after(child, self.random.uniform(0.0, 1.2 * self.processor_seconds * share))
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, -signal.SIGKILL), errors.read_text(encoding="utf-8")
        if does == ALL_DEEDS and code == 0:
            self.processor_seconds += 0.3 * (used.ru_utime + used.ru_stime - self.processor_seconds)
        self.outcomes["killed" if code else "went to its end"] += 1

    def _draw_deeds(self) -> tuple[str, ...]:
        if self.random.random() < 0.3:
            return ALL_DEEDS
        if self.liar.trades:
            return self.random.choice((("reconcile",), ("send",), ("cancel",), ("cancel", "reconcile")))
        return self.random.choice((("send",), ("send",), ("send", "cancel"), ("reconcile",)))

    def drive(self, start: pd.Timestamp, does: Sequence[str]) -> None:
        """What a process of the driver does; waiting takes none of its time."""
        waited, begun = [0.0], time.monotonic()

        def now() -> pd.Timestamp:
            return start + pd.Timedelta(seconds=time.monotonic() - begun + waited[0])

        def sleep(seconds: float) -> None:
            waited[0] += seconds

        keys = EnvironmentKey(KEY), EnvironmentKey(KEY_SECRET)
        venue = self.member(*keys, self.url, RetryPolicy(attempts=3, sleep=lambda _: None), timeout_seconds=5.0)
        venue.closes_first = self.closes_first  # type: ignore[misc]
        with self.stores() as stores:
            driver = Driver(stores, self.books, venue, "run", now=now, sleep=sleep)
            if "send" in does:
                send_orders(driver)
            if "cancel" in does and does != ALL_DEEDS:
                with suppress(VenueDownError):
                    live = [name for name, tracked in driver.record().orders.items() if tracked.is_live]
                    cancel_orders(driver, live[-1:])
            if "reconcile" in does:
                self.state.write_text(reconcile(driver).state, encoding="utf-8")

    @property
    def state(self) -> Path:
        """Where a cycle leaves what it came to."""
        return self.folder / "state.txt"

    def heed_switch(self, now: pd.Timestamp, *, trades: bool) -> None:
        """Let the venue be honest, and a cycle run to its end: nothing works on there that the switch forbids."""
        assert self.switch is not None
        account = self.liar.account
        self.at_work += sum(row["type"] != "stop" for row in account.working())
        self.liar.calm()
        self.cycle(now, may_be_killed=False)
        assert oracle.work_against(account.working(), self.ledger, self.switch.books, self.switch.state) == []
        self.liar.trades = trades
        self.liar.lie()

    def end_of_day(self, opens: pd.Timestamp, begun: int) -> None:
        """Let the venue be honest, a cycle run to its end, and the oracle look; then resume what was halted, and again.

        Parameters
        ----------
        begun : int
            How much the journal held before the day.
        """
        account = self.liar.account
        self.liar.calm()
        for row in account.working():
            if row["type"] != "stop":
                account.end(row["client_order_id"], "expired")
        self.agree(opens + pd.Timedelta(hours=7))
        self.look(begun)
        if self.switch is not None:
            self.set_switch("ACTIVE")
            self.agree(opens + pd.Timedelta(hours=8))
            self.look(begun)

    def agree(self, now: pd.Timestamp) -> None:
        """Run cycles to their end until the account agrees, and its stops were sent."""
        self.state.unlink(missing_ok=True)
        for number in range(_HONEST_CYCLES):
            self.cycle(now + number * _STEP, may_be_killed=False)
            if number and self.state.read_text(encoding="utf-8") == AGREED:
                break  # the second sends the stops of what the first took in
        assert self.state.read_text(encoding="utf-8") == AGREED, self.differences()

    def differences(self) -> object:
        """What the last comparison on record names."""
        return oracle.rows_of(self.ledger, "reconciliations")[-1]["differences"]

    def look(self, begun: int) -> None:
        """Hold the ledger against the venue's journal."""
        journal = self.liar.account.journal
        of_today = journal[begun:]
        plain = self.plain + ([] if self.switch else of_today)
        assert oracle.orders_doubled(plain, self.intended) == []
        assert oracle.asked_beyond(of_today, self.ledger) == []
        assert oracle.sent_against_control(self.ledger) == []
        assert oracle.stops_doubled(journal, self.ledger) == []
        assert oracle.fills_lost_or_invented(journal, self.ledger) == ([], [])
        held, money = oracle.account_by_journal(journal, Decimal(2 * int(CAPITAL_USD)))
        books = oracle.books_by_fills(self.ledger)
        total = {
            symbol: quantity
            for symbol in SYMBOLS
            if (quantity := sum((of_book.get(symbol, Decimal(0)) for of_book, _ in books.values()), Decimal(0)))
        }
        assert total == held
        cash = Decimal(2 * int(CAPITAL_USD)) + sum((paid for _, paid in books.values()), Decimal(0))
        assert abs(cash - money) < Decimal("0.005")
        due = {name: book for name, book in books.items() if name not in self.halted}
        more, less = oracle.stops_apart(self.liar.account.working(), due, self.ledger)
        refused = {(entry["symbol"], entry["side"] == "buy") for entry in of_today if entry["what"] == "refused"}
        assert (more, {what: size for what, size in less.items() if what not in refused}) == ({}, {})
        self.plain = plain

    def figure(self) -> str:
        """What was played, held against the oracle after each day."""
        done = Counter(entry["what"] for entry in self.liar.account.journal)
        stops = sum(entry["what"] == "taken" and entry["type"] == "stop" for entry in self.liar.account.journal)
        rows = oracle.rows_of(self.ledger, "order_events")
        of_switch = Counter(row["event"] for row in rows if row["reason"] in ("halted", "reducing_only"))
        late = sum(row["reason"] == "late" for row in rows)
        again = sum(row["event"] == "sending" and json.loads(row["details"])["number"] > 1 for row in rows)
        days = ", ".join(f"{count} {what}" for what, count in self.days.items())
        return (
            f"seed {self.seed}: {self.outcomes['killed']} kills in {self.cycles} cycles of {days}; "
            f"{done['taken'] - stops} orders and {stops} stops taken, {done['refused']} refused, {again} sent again, "
            f"{done['came again']} came again, {late} too late; "
            f"by a switch {of_switch['withdrawn']} taken back and {of_switch['cancel_asked']} asked to end, "
            f"{self.at_work} at work as it was set; "
            f"{done['fill']} fills, {sum(self.liar.counts.values())} lies; 0 orders doubled, 0 fills lost or invented, "
            "positions and cash the venue's"
        )

    # --- what the books decide ------------------------------------------------------------------------

    def decide(self, stores: Stores) -> None:
        """Put a decision of both books on record, as their rounds would, on what each truly holds."""
        driver = Driver(stores, self.books, None, "round")  # type: ignore[arg-type]
        record, books = driver.record(), driver.books()
        wanted: Counter[str] = Counter()
        for book in books:
            strategy = book.strategy
            moved = book.moved(record, {}) if book.session is not None else book.left
            moved, state = moved.marked(self.session, PRICES, strategy.portfolio)
            target = np.array([float(self.random.randrange(-300, 301, 10)) for _ in SYMBOLS])
            moved = replace(moved, pending_stop_distance=PRICES * 0.1)
            orders = targets_to_orders(
                SYMBOLS, target, moved.quantity, PRICES, np.zeros(3), strategy=strategy.name, session=self.session
            )
            for symbol, held, left in zip(SYMBOLS, moved.quantity.tolist(), target.tolist(), strict=True):
                turns = held * left < 0.0
                wanted[symbol] += int(0.0 - held if turns and self.closes_first else left - held)
            at = session_hours("XNYS", self.session, self.session).iloc[0]["closes"]
            rows = orders_frame(orders, SYMBOLS, session=self.session, execution="next_open", reference_at=at)
            with stores.ledger.transaction("round", strategy=strategy.name) as transaction:
                transaction.append("decisions", [self.head(strategy.name)])
                transaction.append("portfolio_states", [state_row(state) | {"book": book_remainder(moved)}])
                transaction.append("holdings", holdings_frame(moved))
                if len(rows):
                    transaction.append("orders", rows)
        if self.switch is None:
            self.intended += [(symbol, Decimal(quantity)) for symbol, quantity in wanted.items() if quantity]
        self.session = next_session("XNYS", self.session)

    def head(self, name: str) -> dict[str, object]:
        """The row of a decision that took all of the account's records."""
        with closing(sqlite3.connect(self.ledger)) as connection:
            (until,) = connection.execute("SELECT max(sequence) FROM audit_chain").fetchone()
        text = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash"), "0" * 16)
        details = {ACCOUNT_UNTIL: int(until or 0)}
        content = f"{name} {self.session}"
        return {"session": self.session, **text, "content_hash": content, "details": details} | dict.fromkeys(
            ("study_id", "verdict")
        )


def kill_after(child: int, processor_seconds: float) -> None:
    """Kill a child once it has used so much processor time; nothing where it ends before."""
    while True:
        try:
            # the command in brackets may have blanks in it
            fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return
        used = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
        if fields[0] == "Z":
            return
        if used >= processor_seconds:
            time.sleep(random.uniform(0.0, 1.0 / _TICKS_A_SECOND))
            os.kill(child, signal.SIGKILL)  # not waited for yet, so that it is still ours
            return
        time.sleep(0.002)


def play(world: World, kills: int, *, tells: Callable[[str], object] = lambda _: None) -> str:
    """Play days until so many cycles were killed; what they came to, told after each day too."""
    while world.outcomes["killed"] < kills:
        world.day(min(_BEFORE_THE_OPEN + _AFTER_IT, max(kills - world.outcomes["killed"], _LEAST)))
        tells(world.figure())
    return world.figure()


@contextmanager
def opened(folder: Path, seed: int) -> Iterator[World]:
    """A world of a seed, its venue answering; what each process would import first is imported here."""
    JsonClient("alpaca", "alpaca", "http://127.0.0.1:1", {}, RetryPolicy(), 1.0).__enter__().__exit__(None, None, None)
    liar = Liar(World.account(), seed)
    with running(liar.serve) as vendor:
        yield World(folder, liar, vendor.url, seed)


if __name__ == "__main__":
    os.environ |= {KEY: SECRET, KEY_SECRET: SECRET}
    logging.disable()
    with opened(Path(sys.argv[1]), int(sys.argv[3])) as played:
        try:
            play(played, int(sys.argv[2]), tells=lambda figure: print(figure, flush=True))
        finally:
            (played.folder / "journal.json").write_text(json.dumps(played.liar.account.journal, indent=0))
            (played.folder / "lies.json").write_text(json.dumps(played.liar.counts))
