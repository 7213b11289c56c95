"""An account at Alpaca that is made up: it keeps its books, and answers as the vendor's documentation shows.

What it did stands in its own ``journal``, in the order in which it did it.
"""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from tests.sources.secrets import SECRET
from tests.sources.vendor import Answer, Request

KEY, KEY_SECRET = "TEST_ALPACA_KEY", "TEST_ALPACA_SECRET"
_EVENING = pd.Timestamp("2017-06-01 23:30", tz="UTC")
_OPEN = ("new", "accepted", "partially_filled", "pending_cancel")
_KNOWN_SYMBOLS = ("AAA", "BBB", "CCC", "DDD")


def _moment(at: pd.Timestamp) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class AlpacaAccount:
    """Orders, fills, positions and cash; every method holds its lock."""

    money: Decimal = Decimal(100_000)
    now: pd.Timestamp = _EVENING
    symbols: tuple[str, ...] = _KNOWN_SYMBOLS
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    held: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    journal: list[dict[str, Any]] = field(default_factory=list)
    cancels_at_once: bool = True
    turns_positions: bool = True  # Alpaca does not: it counts what is held
    lock: threading.RLock = field(default_factory=threading.RLock)
    _ids: int = 0

    # --- what a market does ---------------------------------------------------------------------------

    def fill(self, client_order_id: str, quantity: float, price: float, at: pd.Timestamp | None = None) -> None:
        """Fill a part of an order; one that awaits its cancellation still fills."""
        with self.lock:
            row, size, cost = self._of(client_order_id), Decimal(str(abs(quantity))), Decimal(str(price))
            assert row["status"] in _OPEN, row
            side = 1 if row["side"] == "buy" else -1
            assert side * quantity > 0
            filled = Decimal(row["filled_qty"]) + size
            assert filled <= Decimal(row["qty"])
            row["filled_qty"] = str(filled)
            whole = filled == Decimal(row["qty"])
            if row["status"] != "pending_cancel" or whole:
                row["status"] = "filled" if whole else "partially_filled"
            at = self._tick() if at is None else at
            self._ids += 1
            activity = {
                "activity_type": "FILL",
                "id": f"{at.strftime('%Y%m%d%H%M%S%f')[:17]}::{uuid.UUID(int=self._ids)}",
                "cum_qty": str(filled),
                "leaves_qty": str(Decimal(row["qty"]) - filled),
                "price": str(cost),
                "qty": str(size),
                "side": row["side"],
                "symbol": row["symbol"],
                "transaction_time": _moment(at),
                "order_id": row["id"],
                "type": "fill" if whole else "partial_fill",
            }
            self.activities.append(activity)
            self.held[row["symbol"]] += side * size
            self.money -= side * size * cost
            self._note("fill", client_order_id, id=activity["id"], symbol=row["symbol"], quantity=str(side * size),
                       price=str(cost))  # fmt: skip

    def end(self, client_order_id: str, status: str) -> None:
        """End an order: ``canceled``, ``expired``, ``rejected``."""
        with self.lock:
            row = self._of(client_order_id)
            if row["status"] in _OPEN:
                row["status"] = status
                self._note(status, client_order_id, filled=row["filled_qty"])

    def heed(self) -> None:
        """Cancel what was asked to be cancelled."""
        with self.lock:
            for row in self.orders.values():
                if row["status"] == "pending_cancel":
                    self.end(row["client_order_id"], "canceled")

    def working(self) -> list[dict[str, Any]]:
        with self.lock:
            return [dict(row) for row in self.orders.values() if row["status"] in _OPEN]

    def _of(self, client_order_id: str) -> dict[str, Any]:
        return next(row for row in self.orders.values() if row["client_order_id"] == client_order_id)

    def _note(self, what: str, client_order_id: str, **more: str) -> None:
        self.journal.append({"what": what, "client_order_id": client_order_id, **more})

    def _tick(self) -> pd.Timestamp:
        self.now += pd.Timedelta(milliseconds=1)
        return self.now

    # --- what it answers ------------------------------------------------------------------------------

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        if not request.headers.get("apca-api-key-id") == request.headers.get("apca-api-secret-key") == SECRET:
            return Answer({"message": "forbidden."}, 403)
        with self.lock:
            parts = request.path.strip("/").split("/")[1:]
            if request.method == "POST" and parts == ["orders"]:
                return self._take(request.body)
            if request.method == "DELETE" and parts[:1] == ["orders"]:
                return self._cancel(parts[1])
            if parts == ["orders:by_client_order_id"]:
                return self._one("client_order_id", request.query["client_order_id"])
            if parts[0] == "orders" and len(parts) == 2:
                return self._one("id", parts[1])
            if parts == ["orders"]:
                return Answer(self._list(request.query))
            if parts == ["account", "activities", "FILL"]:
                return Answer(self._fills(request.query))
            if parts == ["positions"]:
                return Answer([self._position(symbol, held) for symbol, held in self.held.items() if held])
            assert parts == ["account"], request
            return Answer({"id": str(uuid.UUID(int=7)), "status": "ACTIVE", "currency": "USD", "cash": str(self.money),
                           "account_blocked": False, "trading_blocked": False})  # fmt: skip

    def _take(self, body: dict[str, Any]) -> Answer:
        name = body["client_order_id"]
        if any(row["client_order_id"] == name for row in self.orders.values()):
            self._note("came again", name)
            return Answer({"code": 40010001, "message": "client_order_id must be unique"}, 422)
        if body["symbol"] not in self.symbols:
            return Answer({"code": 42210000, "message": f'could not find asset "{body["symbol"]}"'}, 422)
        if Decimal(body["qty"]) >= 1_000_000:
            return Answer({"buying_power": "1", "code": 40310000, "message": "insufficient buying power"}, 403)
        assert (body["type"], body["time_in_force"]) in {
            ("market", "opg"), ("market", "cls"), ("market", "day"), ("limit", "day"), ("stop", "gtc"),
        }  # fmt: skip
        held, size = self.held[body["symbol"]], Decimal(body["qty"])
        if not self.turns_positions and held * (1 if body["side"] == "buy" else -1) < 0 and size > abs(held):
            self._note("refused", name, symbol=body["symbol"], side=body["side"], type=body["type"])
            message = f"insufficient qty available for order (requested: {size}, available: {abs(held)})"
            return Answer({"code": 40310000, "message": message}, 403)
        begins = {"opg": "09:28", "cls": "15:50"}.get(body["time_in_force"], "24:00")
        if begins <= self.now.tz_convert("America/New_York").strftime("%H:%M") < "19:00":  # as documented
            return Answer({"code": 42210000, "message": f"{body['time_in_force']} orders are not accepted now"}, 422)
        self._ids += 1
        row = {
            "id": str(uuid.UUID(int=self._ids)),
            "submitted_at": _moment(self._tick()),
            "filled_qty": "0",
            "filled_avg_price": None,
            "status": "accepted",
            "replaced_by": None,
            "limit_price": None,
            "stop_price": None,
            **body,
        }
        self.orders[row["id"]] = row
        self._note("taken", name, symbol=body["symbol"], quantity=body["qty"], side=body["side"], type=body["type"],
                   stop_price=body.get("stop_price", ""))  # fmt: skip
        return Answer(row)

    def _cancel(self, name: str) -> Answer:
        row = self.orders.get(name)
        if row is None:
            return Answer({"code": 40410000, "message": f"order not found for {name}"}, 404)
        if row["status"] not in _OPEN:
            return Answer({"code": 42210000, "message": f'order is already in "{row["status"]}" state'}, 422)
        row["status"] = "pending_cancel"
        self._note("asked to cancel", row["client_order_id"])
        if self.cancels_at_once:
            self.end(row["client_order_id"], "canceled")
        return Answer(b"", 204)

    def _one(self, key: str, value: str) -> Answer:
        for row in self.orders.values():
            if row[key] == value:
                return Answer(dict(row))
        return Answer({"code": 40410000, "message": f"order not found for {value}"}, 404)

    def _list(self, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = [dict(row) for row in self.orders.values()]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        if query.get("status", "open") == "open":
            rows = [row for row in rows if row["status"] in _OPEN]
        return _after(rows, query.get("after_order_id"), int(query.get("limit", "50")))

    def _fills(self, query: dict[str, str]) -> list[dict[str, Any]]:
        assert query["direction"] == "asc"
        rows = [dict(row) for row in self.activities if row["transaction_time"] > query.get("after", "")]
        rows.sort(key=lambda row: row["id"])
        return _after(rows, query.get("page_token"), int(query["page_size"]))

    @staticmethod
    def _position(symbol: str, held: Decimal) -> dict[str, str]:
        return {"symbol": symbol, "qty": str(held), "side": "long" if held > 0 else "short",
                "asset_class": "us_equity"}  # fmt: skip


def _after(rows: list[dict[str, Any]], last: str | None, size: int) -> list[dict[str, Any]]:
    start = 0 if last is None else next(index for index, row in enumerate(rows) if row["id"] == last) + 1
    return rows[start : start + size]
