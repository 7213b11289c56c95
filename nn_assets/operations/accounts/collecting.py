"""What came back from the venue: ends of orders, and fills, given to the books by rule or held back by name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from nn_assets.execution.netting import Share, allotted, crossed
from nn_assets.execution.venue import VenueFill, VenueUnsureError
from nn_assets.market.calendar.sessions import session_close
from nn_assets.operations.accounts.books import session_of_stop_fill
from nn_assets.operations.accounts.cancelling import ask, cancel_one
from nn_assets.operations.accounts.driver import Driver, as_now_recorded, at_of
from nn_assets.operations.accounts.points import reached
from nn_assets.operations.accounts.under_way import covered_until, lacks_fills, outlived
from nn_assets.operations.asof.accounts import ALLOTTED, FILLS, HELD_BACK, OUTLIVED, AccountRecord, TrackedOrder
from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.settings import Strategy

_OVERLAP = pd.Timedelta(days=4)
_SLACK = 1e-9  # of a quantity
_CLOCKS_APART = pd.Timedelta(minutes=5)
_CLOCK_SET_BACK = pd.Timedelta(days=1)
_COMMISSION, _COMMISSION_USD = 0.1, 100.0  # of a fill's value, and dollars: the larger is the most that is believed


@dataclass(frozen=True)
class Collected:
    """What a call of the driver took in.

    Attributes
    ----------
    fills : int
        New ones, allotted to the books.
    held_back : mapping of str to str
        New fills that no book was given, and why.
    not_judged : int
        Fills far from the price that their orders were decided on, of sessions whose bars are not published yet: they
        are taken in, or held back, once these are. And those of the next day by this machine's clock, once it is there.
    """

    fills: int = 0
    held_back: Mapping[str, str] | None = None
    not_judged: int = 0


def collect(driver: Driver) -> Collected:
    """Take in what the venue says of the orders that may still fill, and every fill, each once.

    Raises
    ------
    VenueDownError
        The venue cannot be reached; what was taken in before stays.
    """
    reached("before_collecting")
    _cancel_what_outlived_its_session(driver)
    ask(driver, ended_too=True)
    record = driver.record()
    since = _since(driver, record)
    fills = sorted(_with_moments(driver.venue.fills(since)), key=lambda fill: (fill.at, fill.fill_id))
    reached("fills_asked")
    taken, held, waiting = 0, {}, 0
    for fill in fills:
        row = _row_of(driver, record, fill)
        if row is None:
            continue
        if row["state"] is None:
            waiting += 1
            continue
        driver.append(FILLS, [row])
        reached("fill_recorded")
        taken += row["state"] == ALLOTTED
        if row["state"] == HELD_BACK:
            held[row["fill_id"]] = row["reason"]
    _cross(driver)
    reached("ends_recorded")
    return Collected(taken, held, waiting)


def _since(driver: Driver, record: AccountRecord) -> pd.Timestamp:
    """From when on fills are asked for: well before the last one that a book was given, or before the first order.

    Well before the session of an order whose fills are not all there, too.
    """
    allotted_at = [
        row["filled_at"] for row in record.fills if row["state"] == ALLOTTED and row["filled_at"] <= driver.now()
    ]
    orders = [t for t in record.orders.values() if not allotted_at or lacks_fills(t, record)]
    first = min((tracked.order.session for tracked in orders), default=None)
    if first is None and not allotted_at:
        first = driver.now().tz_convert("UTC").tz_localize(None).normalize()
    moments = [max(allotted_at)] if allotted_at else []
    moments += [] if first is None else [pd.Timestamp(first).tz_localize("UTC")]
    since: pd.Timestamp = min(moments) - _OVERLAP
    return since


def _cancel_what_outlived_its_session(driver: Driver) -> None:
    for tracked in list(driver.record().orders.values()):
        if tracked.status == "working" and outlived(driver, tracked.order):
            ask(driver, ended_too=True)
            again = as_now_recorded(driver, tracked)
            if again.status == "working":
                cancel_one(driver, again, OUTLIVED)


# --- fills ---------------------------------------------------------------------------------------------


def _with_moments(fills: Sequence[VenueFill]) -> Sequence[VenueFill]:
    if without := [fill.fill_id for fill in fills if pd.isna(fill.at) or fill.at.tzinfo is None]:
        raise VenueUnsureError(
            expected="a moment of every fill, with its offset from UTC",
            found=f"none of {', '.join(without)}",
            remedy="have the venue say when these were made",
        )
    return fills


def _row_of(driver: Driver, record: AccountRecord, fill: VenueFill) -> dict[str, Any] | None:
    """The fill as it goes on record; None where it is there, its state None where it cannot be judged yet."""
    known = [earlier for earlier in record.fills if earlier["fill_id"] == fill.fill_id]
    tracked = record.orders.get(fill.client_order_id)
    session = session_of_stop_fill(driver.account, fill.at)
    if tracked is not None and tracked.order.kind != "stop":
        session = tracked.order.session
    row: dict[str, Any] = {
        "fill_id": fill.fill_id,
        "client_order_id": fill.client_order_id,
        "session": session,
        "symbol": fill.symbol,
        "quantity": float(fill.quantity),
        "price": float(fill.price),
        "commission_usd": fill.commission_usd,
        "filled_at": fill.at,
        "state": HELD_BACK,
        "reason": None,
        "allotment": [],
    }
    if known:
        if _is_same(known[0], row):
            return None
        digest = hashlib.sha256(repr(sorted((key, repr(value)) for key, value in row.items())).encode()).hexdigest()
        row |= {"fill_id": f"{fill.fill_id}~{digest[:12]}", "reason": "another fill of an id that is on record"}
        return None if any(earlier["fill_id"] == row["fill_id"] for earlier in record.fills) else row
    if driver.now() + _CLOCKS_APART < fill.at <= driver.now() + _CLOCK_SET_BACK:
        return row | {"state": None}
    why = _fault_of(tracked, fill) or _fault_of_moment(driver, record, tracked, fill)
    if why is None and tracked is not None:
        price = _price_fault(driver, tracked, fill, session)
        if price == "":
            return row | {"state": None}
        why = price
    if why is not None or tracked is None:
        return row | {"reason": why}
    shares = _shares(driver, tracked, fill)
    if (beyond := _beyond_books(record, tracked, shares)) is not None:
        return row | {"reason": beyond}
    return row | {"state": ALLOTTED, "allotment": [_share_record(share, tracked) | _said(fill) for share in shares]}


def _is_same(before: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    names = ("client_order_id", "symbol", "quantity", "price")
    return all(before[name] == row[name] or (before[name] != before[name] and row[name] != row[name]) for name in names)


def _fault_of(tracked: TrackedOrder | None, fill: VenueFill) -> str | None:
    """Why a fill is not one of the order that it names; None where it is."""
    if tracked is None:
        return "of no order of the account" if fill.client_order_id else "names no order"
    order = tracked.order
    if not tracked.sendings:
        return "of an order that was never sent"
    if fill.symbol != order.symbol:
        return f"of {fill.symbol}, and its order is of {order.symbol}"
    if not (math.isfinite(fill.quantity) and fill.quantity != 0.0):
        return "without a quantity"
    if not (math.isfinite(fill.price) and fill.price > 0.0):
        return "without a price"
    if fill.commission_usd is not None and not (
        abs(fill.commission_usd) <= max(_COMMISSION_USD, _COMMISSION * abs(fill.quantity * fill.price))
    ):
        return f"with a commission of {fill.commission_usd:g} USD on {abs(fill.quantity * fill.price):g} USD"
    if fill.quantity * order.quantity < 0.0:
        return "on the other side than its order"
    after = abs(tracked.filled + fill.quantity)
    if after > abs(order.quantity) * (1.0 + _SLACK):
        return f"beyond its order: {after:g} of {abs(order.quantity):g}"
    return None


def _fault_of_moment(
    driver: Driver, record: AccountRecord, tracked: TrackedOrder | None, fill: VenueFill
) -> str | None:
    """Why a fill cannot have been made when it says, or was taken over before it was told; None where it can."""
    if fill.at > driver.now() + _CLOCKS_APART:
        return f"made at {fill.at}, after now"
    if tracked is None:
        return None
    first = at_of(tracked.sendings[0].details)
    if fill.at < first - _CLOCKS_APART:
        return f"made at {fill.at}, before its order was sent at {first}"
    covered = covered_until(record).get(tracked.order.client_order_id)
    if covered is not None and fill.at <= covered:
        return "of an order that an acceptance has taken over as it stood"
    return None


def _price_fault(driver: Driver, tracked: TrackedOrder, fill: VenueFill, session: pd.Timestamp) -> str | None:
    """Why a price is far from the bar; None where it is not, empty where it cannot be said before the bar is there."""
    collar = max(strategy.execution.price_collar_fraction for strategy in driver.account.strategies)
    reference = tracked.order.reference_price
    if reference is not None and abs(fill.price / reference - 1.0) <= collar:
        return None
    bar = driver.market.bar(fill.symbol, session)
    if bar is None:
        return ""
    low, high = bar["low"] * (1.0 - collar), bar["high"] * (1.0 + collar)
    if low <= fill.price <= high:
        return None
    return f"at {fill.price:g}, far from the bar of {session.date()}, {bar['low']:g} to {bar['high']:g}"


def _shares(driver: Driver, tracked: TrackedOrder, fill: VenueFill) -> tuple[Share, ...]:
    commission = fill.commission_usd
    if commission is None:  # as the cost model in force then has it, until a statement says otherwise
        rates = {strategy.name: _commission_of(driver, strategy, tracked) for strategy in driver.account.strategies}
        shares = allotted(tracked.order, tracked.received, fill.quantity, 0.0, lot_size=driver.account.lot_size)
        return tuple(
            replace(share, commission_usd=abs(share.quantity) * fill.price * rates.get(share.book, 0.0))
            for share in shares
        )
    return allotted(tracked.order, tracked.received, fill.quantity, commission, lot_size=driver.account.lot_size)


def _commission_of(driver: Driver, strategy: Strategy, tracked: TrackedOrder) -> float:
    """Commission of a book by the cost model that its orders' session is priced by, fraction of the traded value."""
    ledger = driver.stores.ledger
    in_force = costs_in_force(ledger, strategy.name).on(tracked.order.session)
    return cost_model(ledger, strategy, in_force).commission.value


def _beyond_books(record: AccountRecord, tracked: TrackedOrder, shares: Sequence[Share]) -> str | None:
    """Why a fill cannot be the books': with what other orders of the account gave one of them it is beyond its order.

    An order that ended for one book went again without it, and fills all the same.
    """
    for share in shares:
        whole, ordered = share.quantity, 0.0
        for other in record.orders.values():
            for child, got in zip(other.order.children, other.received, strict=True):
                if child.client_order_id == share.client_order_id:
                    whole, ordered = whole + got, max(ordered, abs(child.quantity))
        if abs(whole) > ordered * (1.0 + _SLACK) and tracked.status == "ended":
            return f"after its end, and beyond what {share.book} ordered: {abs(whole):g} of {ordered:g}"
    return None


def _share_record(share: Share, tracked: TrackedOrder) -> dict[str, Any]:
    return {
        "book": share.book,
        "client_order_id": share.client_order_id,
        "quantity": share.quantity,
        "commission_usd": share.commission_usd,
        "is_stop": tracked.order.kind == "stop",
    }


def _said(fill: VenueFill) -> dict[str, Any]:
    """What a venue states of a fill beside its price, or leaves to the cost model."""
    mids = {"mid_price": fill.mid_price, "later_mid_price": fill.later_mid_price}
    by_name = {name: float(mid) for name, mid in mids.items() if mid is not None and mid > 0.0}
    return by_name | ({"is_assumed": True} if fill.commission_usd is None else {})


def _cross(driver: Driver) -> None:
    """Fill the orders of books that cancel each other out, at the official price once the session's bar is there.

    Where a session was published without one, nothing crosses: the orders end, and the books' stops rest again.
    """
    for tracked in list(driver.record().orders.values()):
        order = tracked.order
        if order.quantity != 0.0 or tracked.status != "waiting":
            continue
        bar = driver.market.bar(order.symbol, order.session)
        if bar is None and not driver.market.has_published({child.book for child in order.children}, order.session):
            continue
        price = math.nan if bar is None else bar["open" if order.kind == "at_open" else "close"]
        is_priced = math.isfinite(price) and price > 0.0
        if is_priced:
            row = {
                "fill_id": f"crossed-{order.client_order_id}",
                "client_order_id": order.client_order_id,
                "session": order.session,
                "symbol": order.symbol,
                "quantity": 0.0,
                "price": price,
                "commission_usd": 0.0,
                "filled_at": session_close(driver.account.strategies[0].market.calendar, order.session),
                "state": ALLOTTED,
                "reason": None,
                "allotment": [_share_record(share, tracked) for share in crossed(order)],
            }
            if not any(
                fill["fill_id"] == row["fill_id"] for fill in driver.record().fills
            ):  # else a run was killed here
                driver.append(FILLS, [row])
                reached("fill_recorded")
        driver.note(tracked, "ended", "crossed" if is_priced else "no_bar")
