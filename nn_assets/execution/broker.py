"""The broker as a port: what executes orders of one session, and what it says of them.

A member is opened anew for every session, on the account as that session finds it. The paper broker
(``execution/paper.py``) fills by the session's bar; a replay and the live round open the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray, Session
from nn_assets.costs.model import CostModel
from nn_assets.execution.orders import Execution, Orders
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.fills import FillArrays
from nn_assets.settings import Strategy


@dataclass(frozen=True, eq=False)
class Bar:
    """One session's bar, arrays of shape (symbols,); NaN where there is none."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray  # shares or contracts

    def at(self, execution: Execution) -> FloatArray:
        """Price that orders are filled at, (symbols,): the open or the close."""
        return self.open if execution == "next_open" else self.close


@dataclass(frozen=True, eq=False)
class Liquidity:
    """What fills are priced and capped with, arrays of shape (symbols,), known before the fill."""

    adv_usd: FloatArray
    daily_volatility: FloatArray
    lot_size: float = 1.0
    proxy_adv_usd: float | None = None  # stands for the bar's volume where a strategy states it
    # What stops and orders that reduce are priced with: of the bars there are, where some are missing.
    closing_adv_usd: FloatArray | None = None
    closing_daily_volatility: FloatArray | None = None

    def known(self, indices: npt.NDArray[np.int64], closing: BoolArray) -> tuple[FloatArray, FloatArray]:
        """ADV and volatility of orders, shape (orders,), by their places on the symbol axis and what they do."""
        pairs = (self.adv_usd, self.closing_adv_usd), (self.daily_volatility, self.closing_daily_volatility)
        adv, volatility = (
            full[indices] if thin is None else np.where(closing, thin[indices], full[indices]) for full, thin in pairs
        )
        return adv, volatility


class EndedOrder(NamedTuple):
    """An accepted order that ended without a whole fill."""

    client_order_id: str
    symbol: int  # place on the symbol axis
    reason: str


@dataclass(frozen=True, eq=False)
class Account:
    """What a broker is opened on for one session: whose it is, what it holds, and the market that paper fills by."""

    strategy: Strategy
    costs: CostModel  # in force
    session: Session
    bar: Bar
    liquidity: Liquidity
    book: Book  # before the session's fills, after its actions and financing; its symbols are the axis


@dataclass(frozen=True, eq=False)
class Stops:
    """Stop orders that rest from now on: those of a book, in the place of any before."""

    book: Book  # a stop price of NaN, and a symbol that is not held, is no stop
    late_bar: Bar | None = None  # they rested on an earlier session, whose bar came late: only it may hit them
    late_bar_of: Session | None = None


class Broker(Protocol):
    """An account at a venue during one session; arrays of shape (symbols,) are on the axis of its account."""

    def send(self, orders: Orders | Stops) -> None:
        """Take orders: those without a reason against them, each id once, for this session; or stops."""
        ...

    def cancel(self, client_order_ids: Collection[str]) -> None:
        """Cancel orders that are open; what they filled before stays. Ids that are not open are passed over."""
        ...

    def orders(self) -> Orders:
        """All orders sent, but stops; one that ended without a whole fill has the reason, such as ``cancelled``."""
        ...

    def fills(self) -> FillArrays:
        """What was filled since last asked, each fill once."""
        ...

    def positions(self) -> FloatArray:
        """Signed quantities after all fills, (symbols,)."""
        ...

    def cash(self) -> float:
        """Dollars after all fills and their commissions."""
        ...


OpenBroker = Callable[[Account], Broker]


def ended_orders(decided: Orders, at_broker: Orders) -> tuple[EndedOrder, ...]:
    """Which accepted orders ended without a whole fill, and why.

    Parameters
    ----------
    decided : Orders
        As the session before left them.
    at_broker : Orders
        What happened to those that the controls, breakers and actions of this session let through: ``Broker.orders``.

    Returns
    -------
    tuple of EndedOrder
        Each with the reason code against it, the broker's, or ``no_whole_lot`` (what a split left of it).
    """
    reasons = dict(zip(at_broker.client_order_id, at_broker.reason_code, strict=True))
    accepted = np.flatnonzero(decided.accepted)
    ids = [(decided.client_order_id[row], int(decided.symbol[row])) for row in accepted]
    ends = [EndedOrder(name, index, reasons.get(name, "no_whole_lot") or "") for name, index in ids]
    return tuple(order for order in ends if order.reason)


def uncounted_orders(sent: Orders, at_broker: Orders, fills: FillArrays) -> tuple[str, ...]:
    """Ids of orders sent that neither ended nor were filled as ordered: what they left in the account is not known.

    Parameters
    ----------
    sent : Orders
        Those without a reason went to the broker.
    at_broker : Orders
        What it says of them: ``Broker.orders``. Whatever it leaves out is not known.
    fills : FillArrays
        All it gave of them.
    """
    filled: dict[str, float] = {}
    for name, quantity in zip(fills.client_order_id, fills.quantity.tolist(), strict=True):
        filled[name] = filled.get(name, 0.0) + quantity
    ended = dict(zip(at_broker.client_order_id, at_broker.reason_code, strict=True))
    return tuple(
        name
        for name, quantity, code in zip(sent.client_order_id, sent.quantity.tolist(), sent.reason_code, strict=True)
        if code is None and ended.get(name) is None and not math.isclose(filled.get(name, 0.0), quantity, rel_tol=1e-9)
    )


def loss_beyond_stops(book: Book, fills: FillArrays) -> FloatArray:
    """Return what fills lost beyond the stops of the positions they reduced, dollars, (symbols,).

    Parameters
    ----------
    book : Book
        Before the fills: its stops and sides.
    """
    beyond, left = np.zeros(len(book.symbols)), book.quantity.copy()
    for index, quantity, price in zip(fills.symbol, fills.quantity, fills.price, strict=True):
        held, stop = left[index], book.stop_price[index]
        left[index] += quantity
        if held * quantity < 0.0 and np.isfinite(stop):
            closed = min(abs(held), abs(quantity))
            beyond[index] += closed * max(0.0, float(np.sign(held) * (stop - price)))
    return beyond
