"""Books of an account written by hand into a real ledger, a clock that is set, and a venue in memory that can fail."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np
import pandas as pd

from nn_assets.contracts import ORDERS, framed
from nn_assets.execution.venue import (
    OrderAtVenue,
    VenueDownError,
    VenueFill,
    VenueOrder,
    VenueRefusedError,
    VenueUnsureError,
)
from nn_assets.operations.accounts.books import AccountBooks
from nn_assets.operations.accounts.driver import Driver
from nn_assets.operations.stores import Stores
from nn_assets.portfolio.book import empty_book
from nn_assets.portfolio.records import book_remainder, holdings_frame, state_row
from nn_assets.settings import Strategy
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.ledger.ledger import Ledger

SYMBOLS = ("AAA", "BBB")
DECIDED, TRADED = pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-05")
EVENING = pd.Timestamp("2024-03-04 22:00", tz="UTC")
OPEN = pd.Timestamp("2024-03-05 14:30", tz="UTC")
NOON = pd.Timestamp("2024-03-05 17:00", tz="UTC")
NIGHT = pd.Timestamp("2024-03-05 22:00", tz="UTC")
ACCOUNT = "desk"


@cache
def _an_empty_ledger() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.sqlite"
        Ledger(f"sqlite:///{file}").close()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return file.read_bytes()


@cache
def a_strategy(name: str, **execution) -> Strategy:
    return Strategy.model_validate(
        {
            "name": name,
            "market": {"calendar": "XNYS", "symbols": list(SYMBOLS), "history_starts": "2020-01-02"},
            "label": {"execution": "next_open"},
            "execution": {
                "broker": "file_drop",
                "broker_settings": {"folder": "/nowhere"},
                "account": ACCOUNT,
                "settle_seconds": 60.0,
                **execution,
            },
        }
    )


def speaking() -> list[ModuleType]:
    """The modules of the driver that pass named points."""
    loaded = [module for name, module in sys.modules.items() if name.startswith("nn_assets.operations.accounts.")]
    return [module for module in loaded if hasattr(module, "reached") and not hasattr(module, "POINTS")]


class Fails(Exception):
    """A process that is killed at a point."""


@dataclass
class Memory:
    """A venue that keeps what it took; ``answers`` says, call by call, how sending goes (``ok`` when none is left)."""

    cash_usd: float = 2_000_000.0
    held: dict[str, float] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    taken: dict[str, VenueOrder] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    sends: list[str] = field(default_factory=list)
    made: list[VenueFill] = field(default_factory=list)
    down: bool = False
    holds_cancels: bool = False

    def send(self, order: VenueOrder) -> None:
        self._up()
        self.sends.append(order.client_order_id)
        answer = self.answers.pop(0) if self.answers else "ok"
        if answer in ("ok", "taken, then lost") and order.client_order_id not in self.taken:
            self.taken[order.client_order_id] = order
            self.status[order.client_order_id] = "working"
        if answer == "refused":
            raise VenueRefusedError(expected="an order", found="a bad one", remedy="none", reason="no margin")
        if answer in ("lost", "taken, then lost"):
            raise VenueUnsureError(expected="an answer", found="none within 30 s", remedy="ask")
        if answer == "down":
            raise VenueDownError(expected="an answer", found="no connection", remedy="wait")

    def cancel(self, client_order_id: str) -> None:
        self._up()
        if self.status.get(client_order_id) == "working" and not self.holds_cancels:
            self.status[client_order_id] = "cancelled"

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        self._up()
        return [
            OrderAtVenue(name, order.symbol, order.quantity, self.status[name])
            for name, order in self.taken.items()
            if self.status[name] == "working" or name in client_order_ids
        ]

    def fills(self, since: pd.Timestamp) -> Sequence[VenueFill]:
        self._up()
        return [fill for fill in self.made if fill.at >= since]

    def positions(self) -> Mapping[str, float]:
        self._up()
        return {symbol: quantity for symbol, quantity in self.held.items() if quantity}

    def cash(self) -> float:
        self._up()
        return self.cash_usd

    def _up(self) -> None:
        if self.down:
            raise VenueDownError(expected="an answer", found="maintenance", remedy="wait")

    # --- the market

    def fill(self, name: str, quantity: float, price: float, at: pd.Timestamp = OPEN, **more) -> VenueFill:
        order = self.taken[name]
        fill = VenueFill(
            more.get("fill_id", f"f{len(self.made)}"),
            name,
            more.get("symbol", order.symbol),
            quantity,
            price,
            at,
            more.get("commission_usd", 0.0),
            more.get("mid_price"),
            more.get("later_mid_price"),
        )
        self.made.append(fill)
        self.held[fill.symbol] = self.held.get(fill.symbol, 0.0) + quantity
        self.cash_usd -= quantity * price + (fill.commission_usd or 0.0)
        if abs(sum(f.quantity for f in self.made if f.client_order_id == name)) >= abs(order.quantity):
            self.status[name] = "filled"
        return fill


@dataclass
class Desk:
    """An account of some books, its venue and its clock."""

    stores: Stores
    account: AccountBooks
    venue: Memory
    moment: pd.Timestamp = EVENING

    @classmethod
    def of(cls, folder: Path, *names: str, venue: Memory | None = None) -> Desk:
        folder.mkdir(exist_ok=True)
        file = folder / "ledger.sqlite"
        file.write_bytes(_an_empty_ledger())
        stores = Stores(Lake(folder / "lake"), Ledger(f"sqlite:///{file}"), ModelStore(folder / "m"))
        account = AccountBooks(ACCOUNT, tuple(a_strategy(name) for name in sorted(names)))
        cash = 1_000_000.0 * len(names)
        return cls(stores, account, venue or Memory(cash_usd=cash))

    def driver(self) -> Driver:
        return Driver(self.stores, self.account, self.venue, "test", now=lambda: self.moment, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.moment += pd.Timedelta(seconds=seconds)

    def decided(
        self,
        book: str,
        orders: Mapping[str, float],
        *,
        held: Mapping[str, float] | None = None,
        stops: Mapping[str, float] | None = None,
        cash: float = 1_000_000.0,
        session: pd.Timestamp = DECIDED,
        price: float = 50.0,
        account_until: int | None = -1,
        interest: float = 0.0,
        entered: pd.Timestamp | None = None,
    ) -> list[str]:
        """Put a decided session of a book on record; the names of its orders."""
        held, stops = held or {}, stops or {}
        flat = empty_book(SYMBOLS, cash)
        made = replace(
            flat,
            quantity=np.array([float(held.get(symbol, 0.0)) for symbol in SYMBOLS]),
            price=np.full(len(SYMBOLS), price),
            entry_price=np.array([price if symbol in held else np.nan for symbol in SYMBOLS]),
            stop_price=np.array([float(stops.get(symbol, np.nan)) for symbol in SYMBOLS]),
            entered_session=np.array([np.datetime64("NaT" if entered is None else entered, "D")] * len(SYMBOLS)),
            pending_stop_distance=np.full(len(SYMBOLS), 4.0),
            session_financing_usd=interest,
        ).worth(session, cash + sum(quantity * price for quantity in held.values()))
        names = [f"{book}-{session.date()}-{symbol}" for symbol in orders]
        frame = framed(
            ORDERS,
            len(names),
            client_order_id=names,
            symbol=list(orders),
            session=session,
            side=["buy" if quantity > 0 else "sell" for quantity in orders.values()],
            quantity=[abs(float(quantity)) for quantity in orders.values()],
            execution="next_open",
            urgency="normal",
            reference_price=price,
            reference_at=session.tz_localize("UTC"),
            status="accepted",
            reason_code=None,
        )
        head = dict.fromkeys(("data_hash", "model_id", "code_version", "settings_hash", "content_hash"), "x")
        with self.stores.ledger.transaction("test", strategy=book) as transaction:
            until = transaction.head.sequence if account_until == -1 else account_until
            transaction.append("decisions", [{"session": session, **head, "details": {"account_until": until}}])
            state = state_row(made.state(previous_equity_usd=cash)) | {"book": book_remainder(made)}
            transaction.append("portfolio_states", [state])
            transaction.append("holdings", holdings_frame(made))
            if names:
                transaction.append("orders", frame)
        return names

    def halt(self, book: str, state: str = "HALTED") -> None:
        row = {"control_id": f"{book}{state}{self.stores.ledger.count('controls')}", "kind": "kill_switch"}
        rows = [{**row, "state": state, "who": "me", "reason": "test", "details": {}}]
        self.stores.ledger.append("controls", rows, run_id="test", strategy=book)

    def rows(self, table: str) -> pd.DataFrame:
        return self.stores.ledger.read(table, f"account.{ACCOUNT}", bookkeeping=True).sort_values("sequence")

    def events(self) -> list[str]:
        return list(self.rows("order_events")["event"])

    def statuses(self) -> dict[str, str]:
        return {name: tracked.status for name, tracked in self.driver().record().orders.items()}

    def quiet(self, work) -> None:
        with suppress(Fails):
            work()
