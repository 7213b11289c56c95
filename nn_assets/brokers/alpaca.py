"""An account at Alpaca, by its REST API for trading: the paper account, unless a live one is asked for twice.

Follows the vendor's documentation of ``/v2/orders``, ``/v2/account/activities/FILL``, ``/v2/positions`` and
``/v2/account``. What is asked may be asked again; an order is sent once a call, and repeated only where Alpaca says
that it took none (429). A request that ended without an answer, or in 500 or 503, may have arrived.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, ClassVar, ParamSpec, TypeVar
from urllib.parse import quote

import pandas as pd

from nn_assets.brokers.numbers import has_control_characters, plain_number, read_number
from nn_assets.errors import NnAssetsError, SettingsError, SourceError
from nn_assets.execution.own_venues import ALPACA_PAPER, AlpacaVenueSettings
from nn_assets.execution.venue import (
    OrderAtVenue,
    OrderHours,
    OrderKind,
    OrderStatus,
    VenueClosedError,
    VenueDownError,
    VenueFill,
    VenueOrder,
    VenueRefusedError,
    VenueUnsureError,
)
from nn_assets.market.calendar.sessions import session_hours
from nn_assets.sources.http import JsonClient
from nn_assets.sources.keys import EnvironmentKey
from nn_assets.sources.retry import DEFAULT_POLICY, Fault, RetryPolicy, persist

LIVE_VARIABLE = "NN_ASSETS_LIVE_ACCOUNT"
"""Environment variable that repeats the address of a live account."""

_KINDS = {
    "at_open": ("market", "opg"),
    "at_close": ("market", "cls"),
    "market": ("market", "day"),
    "limit": ("limit", "day"),
    "stop": ("stop", "gtc"),
}
_CALENDAR, _ZONE = "XNYS", "America/New_York"
_TAKEN_FROM = pd.Timedelta(hours=19)  # on the day before: "after 9:28am but before 7:00pm ET will be rejected"
_OPENING_ENDS, _CLOSING_ENDS = pd.Timedelta(minutes=2), pd.Timedelta(minutes=10)  # 9:28 and 15:50
_ENDED: Mapping[str, OrderStatus] = {
    "filled": "filled",
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
    "replaced": "cancelled",
}
_WORKING = frozenset(
    {"new", "partially_filled", "accepted", "pending_new", "accepted_for_bidding", "pending_cancel", "pending_replace"}
    | {"pending_review", "stopped", "suspended", "calculated", "held", "done_for_day"}
)
_ORDERS_A_PAGE, _FILLS_A_PAGE = 500, 100
_TICK, _FINE_TICK, _FINE_BELOW = Decimal("0.01"), Decimal("0.0001"), Decimal(1)
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _UNPROCESSABLE, _TOO_MANY = 401, 403, 404, 422, 429
_REFUSES = (400, _UNPROCESSABLE)
_MARGIN = pd.Timedelta(seconds=1)
_Value = TypeVar("_Value")
_Asked = ParamSpec("_Asked")


@dataclass
class AlpacaVenue:
    """One account at Alpaca, as a :class:`~nn_assets.execution.venue.Venue`.

    Prices of limits and stops are rounded to the ticks that Alpaca takes (a cent; below a dollar a hundredth of one):
    those of buys down, those of sells up, so that a limit is never worse than it was decided and a stop never later.

    Parameters
    ----------
    key, secret : EnvironmentKey
        Sent in headers, to ``base_url`` only.
    base_url : str
    policy : RetryPolicy
        Of questions, and of orders that a rate limit kept out.
    timeout_seconds : float
    """

    key: EnvironmentKey
    secret: EnvironmentKey
    base_url: str = ALPACA_PAPER
    policy: RetryPolicy = DEFAULT_POLICY
    timeout_seconds: float = 30.0
    name: str = "alpaca"
    closes_first: ClassVar[bool] = True  # "insufficient qty available for order": a sale takes what is held, no more
    _our_ids: dict[str, str] = field(default_factory=dict, repr=False)  # by Alpaca's own: an order keeps both

    def send(self, order: VenueOrder) -> None:
        """As of :meth:`.Venue.send`; an id that Alpaca has for the same order is passed over."""
        kind, in_force = _KINDS[order.kind]
        body = {
            "symbol": order.symbol,
            "qty": plain_number(abs(order.quantity)),
            "side": "buy" if order.quantity > 0.0 else "sell",
            "type": kind,
            "time_in_force": in_force,
            "client_order_id": order.client_order_id,
        }
        if order.price is not None and kind != "market":
            body[f"{kind}_price"] = _on_tick(order.price, buys=order.quantity > 0.0)
        with self._client() as client:
            answer = self._done_once(lambda: client.ask("POST", "/v2/orders", body=body))
            if isinstance(answer, Fault):
                self._not_taken(client, order, answer)
            elif not isinstance(answer, dict) or answer.get("client_order_id") != order.client_order_id:
                raise _unsure(order.client_order_id, f"an answer that is not of this order: {str(answer)[:200]}")
            else:
                self._our_ids[str(answer.get("id"))] = order.client_order_id

    def takes(self, kind: OrderKind, session: pd.Timestamp) -> OrderHours | None:
        """When orders for an auction are taken, as of :func:`.hours_of`; the others at any time.

        Alpaca documents that orders for the opening auction are rejected from 9:28 to 19:00 New York time, those for
        the closing one from 15:50 to 19:00. From 19:00 they are for "the following day": the evening before.
        """
        if kind not in ("at_open", "at_close"):
            return None
        hours = session_hours(_CALENDAR, session, session).iloc[0]
        evening = (session - pd.Timedelta(days=1) + _TAKEN_FROM).tz_localize(_ZONE)
        ends = hours["opens"] - _OPENING_ENDS if kind == "at_open" else hours["closes"] - _CLOSING_ENDS
        return OrderHours(evening.tz_convert("UTC"), ends)

    def cancel(self, client_order_id: str) -> None:
        """As of :meth:`.Venue.cancel`."""
        with self._client() as client:
            row = self._by_our_id(client, client_order_id)
            if row is None or _read(_status_of, row) != "working":
                return
            path = f"/v2/orders/{quote(_text(row, 'id'), safe='')}"
            answer = self._done_once(lambda: client.ask("DELETE", path))
            if not isinstance(answer, Fault) or answer.status in (_NOT_FOUND, _UNPROCESSABLE):
                return  # 422: it has ended meanwhile
            if _surely_not_done(answer):
                raise self._down(answer)
            raise _unsure(client_order_id, answer.found)

    def orders(self, client_order_ids: Collection[str] = ()) -> Sequence[OrderAtVenue]:
        """As of :meth:`.Venue.orders`. Ids that are not listed are asked for one by one, which is never out of date."""
        with self._client() as client:
            rows = {_text(row, "id"): row for row in self._listed(client, "open")}
            listed = {_our_id(row) for row in rows.values()}
            missing = [name for name in dict.fromkeys(client_order_ids) if name not in listed]
            if len(missing) > 1:  # one page may spare as many questions
                recent = self._page(client, {"status": "all", "direction": "desc"})
                rows |= {_text(row, "id"): row for row in recent if _our_id(row) in missing}
                listed = {_our_id(row) for row in rows.values()}
            asked = [self._by_our_id(client, name) for name in missing if name not in listed]
            rows |= {_text(row, "id"): row for row in asked if row is not None}
        self._our_ids.update({name: _our_id(row) for name, row in rows.items()})
        asked_for = set(client_order_ids)
        return [
            _read(_other_order_of if _is_without_shares(row) and _our_id(row) not in asked_for else _order_of, row)
            for row in rows.values()
        ]

    def fills(self, since: pd.Timestamp) -> Sequence[VenueFill]:
        """As of :meth:`.Venue.fills`; commissions are not said."""
        after = (since - _MARGIN).isoformat().replace("+00:00", "Z")
        query = {"after": after, "direction": "asc", "page_size": str(_FILLS_A_PAGE)}
        with self._client() as client:
            rows = {
                _text(row, "id"): row
                for row in self._pages(client, "/v2/account/activities/FILL", query, "page_token", _FILLS_A_PAGE)
            }
            names = self._named(client, {_text(row, "order_id") for row in rows.values()})
        fills = [_read(_fill_of, row, names) for row in rows.values()]
        return [fill for fill in fills if fill.at >= since]

    def positions(self) -> Mapping[str, float]:
        """As of :meth:`.Venue.positions`."""
        with self._client() as client:
            rows = _rows(self._answer(client, "/v2/positions"))
        held: dict[str, float] = {}
        for row in rows:
            if (symbol := _text(row, "symbol")) in held:
                raise _not_documented("each position once", row)
            held[symbol] = _read(_held, row)
        return held

    def cash(self) -> float:
        """As of :meth:`.Venue.cash`."""
        with self._client() as client:
            account = self._answer(client, "/v2/account")
        return _read(_number, account, "cash")

    # --- asking ---------------------------------------------------------------------------------------

    @contextmanager
    def _client(self) -> Iterator[JsonClient]:
        keys = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}
        client = JsonClient(self.name, "alpaca", self.base_url, keys, self.policy, self.timeout_seconds)
        try:
            client.__enter__()
        except SourceError as error:  # a key that is not set, a library that is not there
            raise VenueClosedError(
                expected=error.expected, found=error.found, remedy=error.remedy, **error.where
            ) from error
        with client:
            yield client

    def _done_once(self, ask: Callable[[], Any]) -> Any:
        """Ask for a deed: again only where a rate limit kept it out, for nothing was done then."""

        def attempt() -> Any:
            answer = ask()
            if isinstance(answer, Fault):
                return replace(answer, passing=answer.status == _TOO_MANY)
            return answer

        return persist(attempt, self.policy, self.name)

    def _not_taken(self, client: JsonClient, order: VenueOrder, fault: Fault) -> None:
        """Say what became of an order by the fault it ended in; nothing where Alpaca has it already."""
        reason, is_ours = _reason(fault), order.client_order_id
        has_code = isinstance(fault.answer, dict) and bool(fault.answer.get("code"))  # without a code it is the keys
        if fault.status in _REFUSES or (fault.status == _FORBIDDEN and has_code):
            try:  # the id may be taken, and the order be there: only Alpaca can say
                row = self._by_our_id(client, is_ours)
                there = None if row is None else _read(_order_of, row)
            except VenueDownError as down:
                raise _unsure(is_ours, f"{reason}; then {down.found}") from down
            if there is not None and (there.symbol, there.quantity) == (order.symbol, order.quantity):
                return
            if there is None and "client_order_id" in reason:  # taken, and not told of yet
                raise _unsure(is_ours, reason)
            raise VenueRefusedError(
                expected="an order that Alpaca takes",
                found=reason,
                remedy="correct what the reason names; the order is not sent again",
                client_order_id=is_ours,
                symbol=order.symbol,
                reason=reason,
            )
        if _surely_not_done(fault) or fault.status == _NOT_FOUND:
            raise self._down(fault)
        raise _unsure(is_ours, fault.found)

    def _answer(self, client: JsonClient, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON of a path, asked as often as the policy says."""
        answer = persist(lambda: client.ask("GET", path, params), self.policy, self.name)
        if isinstance(answer, Fault):
            raise self._down(answer)
        return answer

    def _by_our_id(self, client: JsonClient, client_order_id: str) -> Mapping[str, Any] | None:
        path, params = "/v2/orders:by_client_order_id", {"client_order_id": client_order_id}
        return self._one(client, path, params, "client_order_id", client_order_id)

    def _one(
        self, client: JsonClient, path: str, params: Mapping[str, str] | None, key: str, value: str
    ) -> Mapping[str, Any] | None:
        """One order; None where there is none such."""
        answer = persist(lambda: client.ask("GET", path, params), self.policy, self.name)
        if isinstance(answer, Fault):
            if answer.status == _NOT_FOUND:
                return None
            raise self._down(answer)
        if not isinstance(answer, dict) or answer.get(key) != value:
            raise _not_documented(f"the order of {key} {value}", answer)
        return answer

    def _listed(self, client: JsonClient, status: str) -> list[Mapping[str, Any]]:
        query = {"status": status, "direction": "asc", "nested": "false", "limit": str(_ORDERS_A_PAGE)}
        return self._pages(client, "/v2/orders", query, "after_order_id", _ORDERS_A_PAGE)

    def _page(self, client: JsonClient, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        return _rows(self._answer(client, "/v2/orders", {"nested": "false", "limit": str(_ORDERS_A_PAGE), **query}))

    def _pages(
        self, client: JsonClient, path: str, query: Mapping[str, str], token: str, size: int
    ) -> list[Mapping[str, Any]]:
        """All rows of a listing, each page asked for by the last id of the one before."""
        rows: list[Mapping[str, Any]] = []
        seen: set[str] = set()
        params = dict(query)
        while True:
            page = _rows(self._answer(client, path, params))
            new = [row for row in page if _text(row, "id") not in seen]
            rows += new
            seen |= {_text(row, "id") for row in new}
            if len(page) < size:
                return rows
            if not new:
                raise _not_documented(f"a page after {params.get(token)}", "the page before once more")
            params = {**query, token: _text(page[-1], "id")}

    def _named(self, client: JsonClient, order_ids: Collection[str]) -> Mapping[str, str]:
        """Our ids of orders by Alpaca's; what it does not know has none."""
        if len([name for name in order_ids if name not in self._our_ids]) > 1:
            for row in self._page(client, {"status": "all", "direction": "desc"}):
                self._our_ids[_text(row, "id")] = _our_id(row)
        for name in order_ids:
            if name not in self._our_ids:
                order = self._one(client, f"/v2/orders/{quote(name, safe='')}", None, "id", name)
                if order is not None:
                    self._our_ids[name] = _our_id(order)
        return {name: self._our_ids.get(name, "") for name in order_ids}

    def _down(self, fault: Fault) -> VenueDownError:
        kind = VenueClosedError if fault.status in (_UNAUTHORISED, _FORBIDDEN) else VenueDownError
        return kind(expected=fault.expected, found=fault.found, remedy=fault.remedy, source=self.name, rule=fault.rule)


def open_alpaca(settings: AlpacaVenueSettings) -> AlpacaVenue:
    """Open the account that settings name. Nothing is asked and no key is read yet.

    Raises
    ------
    SettingsError
        It is a live one, and the environment does not repeat its address.
    """
    address, repeated = settings.base_url, os.environ.get(LIVE_VARIABLE, "").strip().rstrip("/")
    if settings.is_live and repeated != address:
        raise SettingsError(
            expected=f"the address of the live account, {address}, in the environment variable {LIVE_VARIABLE} too",
            found=repeated or "it is not set, or empty",
            remedy=f"export {LIVE_VARIABLE}={address} for the processes that may trade with real money, or take live "
            "and base_url out of the strategy",
            key="execution.broker_settings",
        )
    keys = EnvironmentKey(settings.key_env), EnvironmentKey(settings.secret_env)
    return AlpacaVenue(*keys, base_url=address, timeout_seconds=settings.timeout_seconds)


# --- what Alpaca says -------------------------------------------------------------------------------------


def _surely_not_done(fault: Fault) -> bool:
    return fault.unsent or fault.status in (_UNAUTHORISED, _FORBIDDEN, _TOO_MANY)


def _reason(fault: Fault) -> str:
    said = fault.answer.get("message") if isinstance(fault.answer, dict) else None
    return f"{said} ({fault.answer.get('code')})" if said else fault.found


def _unsure(client_order_id: str, found: str) -> VenueUnsureError:
    return VenueUnsureError(
        expected="an answer that says whether the request was acted on",
        found=found,
        remedy="ask for the order by its id before anything else is done about it",
        client_order_id=client_order_id,
    )


def _not_documented(expected: str, answer: object) -> VenueDownError:
    return VenueDownError(
        expected=expected,
        found=str(answer)[:200],
        remedy="run again; if it stays, Alpaca has changed its answers: report it",
        source="alpaca",
        rule="rows_as_documented",
    )


def _rows(answer: object) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise _not_documented("a list of rows", answer)
    return answer


def _read(reading: Callable[_Asked, _Value], *parts: _Asked.args, **named: _Asked.kwargs) -> _Value:
    """What is read of an answer, or the error that says that it is not as documented."""
    try:
        return reading(*parts, **named)
    except NnAssetsError:
        raise
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_documented("fields as Alpaca documents them", f"{type(error).__name__}: {error}") from error


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value or has_control_characters(value):
        raise _not_documented(f"a row with {name}", row)
    return value


def _our_id(row: Mapping[str, Any]) -> str:
    """Our id of an order; empty where what it bears is none."""
    value = row.get("client_order_id")
    return value if isinstance(value, str) and not has_control_characters(value) else ""


def _number(row: Mapping[str, Any], name: str) -> float:
    return read_number(_text(row, name))


def _signed(row: Mapping[str, Any], quantity: str, sides: Mapping[str, int]) -> float:
    return sides[_text(row, "side")] * abs(_number(row, quantity)) + 0.0  # no -0


_SIDES = {"buy": 1, "sell": -1, "sell_short": -1}


def _held(row: Mapping[str, Any]) -> float:
    return _signed(row, "qty", {"long": 1, "short": -1})


def _status_of(row: Mapping[str, Any]) -> OrderStatus:
    status = _text(row, "status")
    if status in _WORKING:
        return "working"
    if status not in _ENDED:
        raise _not_documented("a status of an order that Alpaca documents", status)
    return _ENDED[status]


def _order_of(row: Mapping[str, Any]) -> OrderAtVenue:
    status = _status_of(row)
    said = _text(row, "status") + (f" by {row['replaced_by']}" if row.get("replaced_by") else "")
    return OrderAtVenue(
        client_order_id=_our_id(row),
        symbol=_text(row, "symbol"),
        quantity=_signed(row, "qty", _SIDES),
        status=status,
        filled_quantity=_signed(row, "filled_qty", _SIDES),
        reason=None if status in ("working", "filled") else said,
    )


def _is_without_shares(row: Mapping[str, Any]) -> bool:
    """Whether an order is one that is never sent from here: for an amount of dollars, or of several legs."""
    return (row.get("qty") is None and row.get("notional") is not None) or row.get("order_class") == "mleg"


def _other_order_of(row: Mapping[str, Any]) -> OrderAtVenue:
    """An order of somebody else that has no number of shares of a symbol: its quantity is NaN."""
    legs = [leg for leg in row.get("legs") or () if isinstance(leg, Mapping)]
    symbol = "+".join(str(part["symbol"]) for part in (row, *legs) if part.get("symbol"))
    return OrderAtVenue(_our_id(row), symbol or "several legs", math.nan, _status_of(row), math.nan)


def _fill_of(row: Mapping[str, Any], names: Mapping[str, str]) -> VenueFill:
    at = pd.Timestamp(_text(row, "transaction_time")).tz_convert("UTC")
    if pd.isna(at):
        raise ValueError(f"transaction_time {row['transaction_time']}")
    return VenueFill(
        fill_id=_text(row, "id"),
        client_order_id=names[_text(row, "order_id")],
        symbol=_text(row, "symbol"),
        quantity=_signed(row, "qty", _SIDES),
        price=_number(row, "price"),
        at=at,
    )


def _on_tick(price: float, *, buys: bool) -> str:
    exact = Decimal(repr(float(price)))
    tick = _TICK if exact >= _FINE_BELOW else _FINE_TICK
    return format(exact.quantize(tick, ROUND_FLOOR if buys else ROUND_CEILING), "f")
