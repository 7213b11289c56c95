"""A driver of an account that is killed at random moments, at a venue that lies, day after day.

Two books share the account. Each day both decide at random, their orders are sent before the open and fill after it;
every cycle is a process of its own that sends, cancels, collects or reconciles, and is killed by SIGKILL once it has
had a random part of the processor time that it would take. At the end of a day the venue is honest for once, a cycle
runs to its end, and the oracle compares ledger and journal.

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


class TurnsPositions(AlpacaVenue):
    """The member, for an account whose orders may turn a position: each is sent as it was netted."""

    closes_first = False


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
    member: type[AlpacaVenue] = TurnsPositions
    cycles: int = 0

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
            for _ in range(3):
                self.liar.pass_time()
            self.cycle(now, may_be_killed=True)
        self.end_of_day(opens + pd.Timedelta(hours=7))

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

    def end_of_day(self, now: pd.Timestamp) -> None:
        """Let the venue be honest, a cycle run to its end, and the oracle look."""
        account = self.liar.account
        self.liar.calm()
        for row in account.working():
            if row["type"] != "stop":
                account.end(row["client_order_id"], "expired")
        self.state.unlink(missing_ok=True)
        for number in range(_HONEST_CYCLES):
            self.cycle(now + number * _STEP, may_be_killed=False)
            if number and self.state.read_text(encoding="utf-8") == AGREED:
                break  # the second sends the stops of what the first took in
        assert self.state.read_text(encoding="utf-8") == AGREED, self.differences()
        self.look()

    def differences(self) -> object:
        """What the last comparison on record names."""
        return oracle.rows_of(self.ledger, "reconciliations")[-1]["differences"]

    def look(self) -> None:
        """Hold the ledger against the venue's journal."""
        journal = self.liar.account.journal
        assert oracle.orders_doubled(journal, self.intended) == []
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
        assert oracle.stops_apart(self.liar.account.working(), books) == ({}, {})

    def figure(self) -> str:
        """What was played, held against the oracle after each day."""
        done = Counter(entry["what"] for entry in self.liar.account.journal)
        lies = sum(self.liar.counts.values())
        return (
            f"seed {self.seed}: {self.outcomes['killed']} kills in {self.cycles} cycles, {len(self.intended)} orders "
            f"netted, {done['taken']} taken (stops too), {done['came again']} came again, {done['fill']} fills, "
            f"{lies} lies; 0 orders doubled, 0 fills lost or invented, positions and cash the venue's"
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
            for index, quantity in zip(orders.symbol, orders.quantity, strict=True):
                wanted[SYMBOLS[index]] += int(quantity)
            at = session_hours("XNYS", self.session, self.session).iloc[0]["closes"]
            rows = orders_frame(orders, SYMBOLS, session=self.session, execution="next_open", reference_at=at)
            with stores.ledger.transaction("round", strategy=strategy.name) as transaction:
                transaction.append("decisions", [self.head(strategy.name)])
                transaction.append("portfolio_states", [state_row(state) | {"book": book_remainder(moved)}])
                transaction.append("holdings", holdings_frame(moved))
                if len(rows):
                    transaction.append("orders", rows)
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
