"""An account at a venue that lives on between our rounds, as a port: what a live driver sends to and asks.

A member speaks to one account by the names that the venue uses: instruments by their symbols, orders by our own ids.
It computes nothing and keeps nothing of its own: what was sent, and what came of it, stands in the ledger and at the
venue. The round sees neither of them; it is given the fills (``execution/broker.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pandas as pd

from nn_assets.errors import NnAssetsError

OrderKind = Literal["at_open", "at_close", "market", "limit", "stop"]
"""When and at what price an order fills: in the opening or closing auction, at once, at ``price`` or better, or at
the market once ``price`` was traded. A stop stays until it is cancelled, each of the others for its session."""

OrderStatus = Literal["working", "filled", "cancelled", "rejected", "expired"]
"""``working`` may still fill, whatever it filled before; the others fill no more."""


class VenueUnsureError(NnAssetsError):
    """A request that may have reached the venue: nothing says that it did, nor that it did not."""


class VenueDownError(NnAssetsError):
    """A venue that answers nothing: it cannot be reached, is closed for maintenance, or refuses the account."""


class VenueClosedError(VenueDownError):
    """A venue that answers nothing for as long as a person does nothing: keys it refuses, files of another form."""


class VenueRefusedError(NnAssetsError):
    """An order or a cancellation that the venue refused, for certain; ``where`` has its reason."""


@dataclass(frozen=True)
class VenueOrder:
    """An order as it is sent."""

    client_order_id: str  # ours; the venue takes each once
    symbol: str
    quantity: float  # signed shares or contracts, never 0
    kind: OrderKind
    session: pd.Timestamp  # the session that it is for
    price: float | None = None  # dollars a share: of a limit or a stop


@dataclass(frozen=True)
class OrderAtVenue:
    """An order as the venue has it."""

    client_order_id: str  # empty where the order is not one that bears an id
    symbol: str
    quantity: float  # signed, as ordered
    status: OrderStatus
    filled_quantity: float = 0.0  # signed; of a venue that answers late it may lag behind its fills
    reason: str | None = None  # why it ended without a whole fill, in the venue's words
    is_silent: bool = False  # the venue says nothing of it, so that one that works ends with its session


@dataclass(frozen=True)
class VenueFill:
    """A fill as the venue has it."""

    fill_id: str  # the venue's own: the same fill is given under the same id each time
    client_order_id: str  # empty where the venue names none
    symbol: str
    quantity: float  # signed
    price: float  # dollars a share, without commission
    at: pd.Timestamp  # UTC
    commission_usd: float | None = None  # None: the venue does not say
    mid_price: float | None = None  # mid at the fill; likewise
    later_mid_price: float | None = None  # 30 to 60 minutes after it; likewise


@dataclass(frozen=True)
class OrderHours:
    """From when until when a venue takes orders of a kind for a session, UTC; before and after it refuses them."""

    begins: pd.Timestamp
    ends: pd.Timestamp  # itself too late


def hours_of(venue: Venue, kind: OrderKind, session: pd.Timestamp) -> OrderHours | None:
    """When a venue takes orders of a kind for a session, by its method ``takes`` of these two.

    None where it takes them at any time: such a venue may leave the method out.
    """
    takes = getattr(venue, "takes", None)
    hours: OrderHours | None = None if takes is None else takes(kind, session)
    return hours


def closes_first(venue: Venue) -> bool:
    """Whether a venue refuses an order that turns a position: it must be closed before the other side is opened.

    By its attribute ``closes_first``; one without it takes such orders.
    """
    return bool(getattr(venue, "closes_first", False))


class Venue(Protocol):
    """An account at a venue. Every method may raise ``VenueDownError``; each may be asked again at any time."""

    def send(self, order: VenueOrder) -> None:
        """Hand an order over. An id that the venue has already is no second order: it is refused, or passed over.

        Raises
        ------
        VenueRefusedError
            The venue does not take it, and never will under this id.
        VenueUnsureError
            It may have arrived: ask :meth:`orders` for the id before anything else is done about it.
        """
        ...

    def cancel(self, client_order_id: str) -> None:
        """Ask for the end of an order; what it filled before stays, and it may still fill until it has ended.

        An id that is not open, or not known, is passed over.

        Raises
        ------
        VenueUnsureError
            The request may have arrived.
        """
        ...

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        """All orders that work, whoever sent them, and those of some ids, ended or not, that the venue knows."""
        ...

    def fills(self, since: pd.Timestamp) -> Sequence[VenueFill]:
        """All fills made from a UTC moment on, in any order; asked again, the same ones under the same ids."""
        ...

    def positions(self) -> Mapping[str, float]:
        """Signed quantities by symbol; what is not held is left out."""
        ...

    def cash(self) -> float:
        """Dollars."""
        ...
