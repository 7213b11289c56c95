"""Paper as a venue: an account that lives on between rounds, and fills what it was sent by the bars that it is given.

It fills as the rounds' own paper broker does, by which it trades. What it took and filled stands in a journal, so that
it is the same account after a restart.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Session, Symbol
from nn_assets.costs.model import CostModel, cost_model_from
from nn_assets.errors import DecisionError
from nn_assets.execution.broker import Account, Bar, Liquidity, Stops
from nn_assets.execution.orders import Execution, Orders
from nn_assets.execution.paper import PaperBroker
from nn_assets.execution.venue import (
    OrderAtVenue,
    OrderKind,
    OrderStatus,
    VenueFill,
    VenueOrder,
    VenueRefusedError,
)
from nn_assets.portfolio.book import Book, empty_book
from nn_assets.portfolio.fills import FillArrays
from nn_assets.settings import Strategy

_ID_DIGITS = 32
_AT: Mapping[OrderKind, Execution] = {"at_open": "next_open", "market": "next_open", "at_close": "next_close"}
ALL_KINDS: tuple[OrderKind, ...] = ("at_open", "market", "stop", "at_close")
"""Kinds of orders that it fills, in the order of a session."""


class PaperVenue:
    """An account on paper, as a :class:`~nn_assets.execution.venue.Venue`.

    A limit is refused: a bar does not say whether one was filled.

    Parameters
    ----------
    strategy : Strategy
        Its execution settings and costs are those of the account.
    symbols : tuple of str
        That it takes orders in; also the axis of the bars that it is given.
    cash_usd : float
        Before the first fill.
    journal : Path, optional
        What it did, a line of JSON each; read where it is there. None: the account lasts as long as the object.
    costs : CostModel, optional
        Those of the strategy's settings where left out.
    """

    def __init__(
        self,
        strategy: Strategy,
        symbols: tuple[Symbol, ...],
        cash_usd: float,
        journal: Path | None = None,
        costs: CostModel | None = None,
    ) -> None:
        self._strategy, self._symbols, self._cash_usd = strategy, symbols, cash_usd
        self._costs = cost_model_from(strategy.costs) if costs is None else costs
        self._sent: dict[str, VenueOrder] = {}
        self._ended: dict[str, tuple[OrderStatus, str | None]] = {}
        self._fills: list[VenueFill] = []
        self._journal = journal
        if journal is not None and journal.exists():
            self._read(journal)

    # --- the port -------------------------------------------------------------------------------------

    def send(self, order: VenueOrder) -> None:
        """As of :meth:`.Venue.send`."""
        known = self._sent.get(order.client_order_id)
        if known is not None and (known.symbol, known.quantity) == (order.symbol, order.quantity):
            return
        reason = self._against(order) if known is None else "the id is another order's"
        if reason is not None:
            raise VenueRefusedError(
                expected="an order that fills on paper",
                found=reason,
                remedy="correct what makes it; it is not sent again",
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                reason=reason,
            )
        self._do("sent", {**asdict(order), "session": str(pd.Timestamp(order.session))})

    def cancel(self, client_order_id: str) -> None:
        """As of :meth:`.Venue.cancel`; at once."""
        if client_order_id in self._sent and client_order_id not in self._ended:
            self._do("ended", {"client_order_id": client_order_id, "status": "cancelled", "reason": "as asked"})

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        """As of :meth:`.Venue.orders`."""
        filled = self._filled()
        return [
            OrderAtVenue(name, order.symbol, order.quantity, status, filled.get(name, 0.0), reason)
            for name, order in self._sent.items()
            for status, reason in [self._ended.get(name, ("working", None))]
            if status == "working" or name in client_order_ids
        ]

    def fills(self, since: pd.Timestamp) -> Sequence[VenueFill]:
        """As of :meth:`.Venue.fills`."""
        return [fill for fill in self._fills if fill.at >= since]

    def positions(self) -> Mapping[str, float]:
        """As of :meth:`.Venue.positions`."""
        held = [math.fsum(fill.quantity for fill in self._fills if fill.symbol == name) for name in self._symbols]
        return {name: quantity for name, quantity in zip(self._symbols, held, strict=True) if quantity}

    def cash(self) -> float:
        """As of :meth:`.Venue.cash`."""
        paid = [
            amount for fill in self._fills for amount in (-fill.quantity * fill.price, -(fill.commission_usd or 0.0))
        ]
        return math.fsum([self._cash_usd, *paid])

    # --- the market -----------------------------------------------------------------------------------

    def trade(
        self,
        session: Session,
        bar: Bar,
        liquidity: Liquidity,
        at: pd.Timestamp,
        kinds: Collection[OrderKind] = ALL_KINDS,
    ) -> None:
        """Fill what works by a bar, as far as its volume goes; the rest works on. Give each bar once for each kind.

        Parameters
        ----------
        session : session
            Orders for another one wait; a stop rests from its own on.
        bar : Bar, arrays of shape (symbols,)
            A symbol whose prices are NaN fills nothing.
        at : Timestamp
            UTC moment of the fills.
        kinds : collection of str
            Those that it fills: at the open, by its range, at the close.
        """
        for kind in ALL_KINDS:
            names = self._working(session, kind) if kind in kinds else []
            if kind == "stop":
                for name in names:
                    self._fill([name], self._stopped(name, session, bar, liquidity), at)
            elif names:
                self._fill(names, self._traded(names, kind, session, bar, liquidity), at)

    def end_session(self, session: Session) -> None:
        """Expire what was for a session and did not fill; stops rest on."""
        for kind in (kind for kind in ALL_KINDS if kind != "stop"):
            for name in self._working(session, kind):
                self._do("ended", {"client_order_id": name, "status": "expired", "reason": "the session is over"})

    def _working(self, session: Session, kind: OrderKind) -> list[str]:
        day = pd.Timestamp(session)
        names = [
            name
            for name, order in self._sent.items()
            if order.kind == kind
            and name not in self._ended
            and (order.session == day or (kind == "stop" and order.session <= day))
        ]
        return sorted(names, key=lambda name: self._symbols.index(self._sent[name].symbol))

    def _book(self) -> Book:
        held = self.positions()
        quantity = np.array([held.get(name, 0.0) for name in self._symbols])
        return replace(empty_book(self._symbols, self.cash()), quantity=quantity)

    def _broker(
        self, execution: Execution, session: Session, bar: Bar, liquidity: Liquidity, book: Book
    ) -> PaperBroker:
        label = self._strategy.label.model_copy(update={"execution": execution})
        strategy = self._strategy.model_copy(update={"label": label})
        return PaperBroker(Account(strategy, self._costs, session, bar, liquidity, book))

    def _traded(
        self, names: Sequence[str], kind: OrderKind, session: Session, bar: Bar, liquidity: Liquidity
    ) -> FillArrays:
        left = [self._left(name) for name in names]
        symbol = np.array([self._symbols.index(self._sent[name].symbol) for name in names], dtype=np.int64)
        broker = self._broker(_AT[kind], session, bar, liquidity, self._book())
        broker.send(
            Orders(
                client_order_id=tuple(names),
                symbol=symbol,
                quantity=np.array(left),
                urgency=("normal",) * len(names),
                reference_price=bar.at(_AT[kind])[symbol],
                reason_code=(None,) * len(names),
            )
        )
        return broker.fills()

    def _stopped(self, name: str, session: Session, bar: Bar, liquidity: Liquidity) -> FillArrays:
        """By the stop of a book that holds what the order would close."""
        order = self._sent[name]
        of_order = np.array([symbol == order.symbol for symbol in self._symbols])
        book = replace(
            empty_book(self._symbols, 0.0),
            quantity=np.where(of_order, -self._left(name), 0.0),
            stop_price=np.where(of_order, order.price or math.nan, np.nan),
        )
        broker = self._broker("next_open", session, bar, liquidity, book)
        broker.send(Stops(book))
        return broker.fills()

    def _fill(self, names: Sequence[str], fills: FillArrays, at: pd.Timestamp) -> None:
        for row in range(len(fills)):
            name = names[0] if fills.is_stop[row] else fills.client_order_id[row]
            number = sum(fill.client_order_id == name for fill in self._fills)
            filled = {
                "fill_id": hashlib.sha256(f"paper venue\x1f{name}\x1f{number}".encode()).hexdigest()[:_ID_DIGITS],
                "client_order_id": name,
                "symbol": self._symbols[fills.symbol[row]],
                "quantity": float(fills.quantity[row]),
                "price": float(fills.price[row]),
                "at": at.isoformat(),
                "commission_usd": float(fills.commission_usd[row]),
            }
            self._do("filled", filled)

    def _left(self, name: str) -> float:
        return self._sent[name].quantity - self._filled().get(name, 0.0)

    def _filled(self) -> dict[str, float]:
        filled: dict[str, float] = {}
        for fill in self._fills:
            filled[fill.client_order_id] = filled.get(fill.client_order_id, 0.0) + fill.quantity
        return filled

    def _against(self, order: VenueOrder) -> str | None:
        if order.symbol not in self._symbols:
            return f"no such symbol: {order.symbol}"
        if order.kind not in ALL_KINDS:
            return f"a {order.kind} order does not fill on paper"
        if order.kind == "stop" and not (order.price is not None and order.price > 0.0):
            return "a stop without a price"
        return None if math.isfinite(order.quantity) and order.quantity else "no quantity"

    # --- the journal ----------------------------------------------------------------------------------

    def _do(self, what: str, values: Mapping[str, Any]) -> None:
        """Put an event on the journal, and only then act on it."""
        if self._journal is not None:
            with self._journal.open("ab") as stream:
                stream.write(json.dumps({"what": what, **values}, sort_keys=True).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        self._act(what, values)

    def _act(self, what: str, values: Mapping[str, Any]) -> None:
        name = values["client_order_id"]
        if what == "sent":
            self._sent[name] = VenueOrder(**{**values, "session": pd.Timestamp(values["session"])})
        elif what == "ended":
            self._ended[name] = values["status"], values["reason"]
        else:
            self._fills.append(VenueFill(**{**values, "at": pd.Timestamp(values["at"])}))
            if not self._left(name):
                self._ended[name] = "filled", None

    def _read(self, journal: Path) -> None:
        whole, _, cut_off = journal.read_bytes().rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                event = json.loads(line)
                self._act(event.pop("what"), event)
            except (KeyError, TypeError, ValueError) as error:
                raise DecisionError(
                    expected="a line of the journal of an account on paper",
                    found=f"{type(error).__name__}: {error}",
                    remedy="restore the file from a backup, or take another account",
                    file=str(journal),
                    row=number,
                ) from error
        if cut_off:  # of a process that was killed before it could say that it acted
            with journal.open("r+b") as stream:
                stream.truncate(len(whole) + (1 if whole else 0))
