"""A venue that lies: an account at Alpaca whose requests are lost, delayed, doubled and answered wrongly.

Its books are right, and its journal says what it truly did. What it answers may be an error after it acted, an older
answer, rows twice or in another order; what it was asked may be done later, or after it said that it was not. Fills
are told late, and made after a cancellation was acknowledged. Whatever it draws follows a seed, but for the moments at
which requests arrive.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.brokers.alpaca_account import AlpacaAccount
from tests.sources.vendor import Answer, Request

_HANGS_UP, _BROKEN = Answer(b"", hangs_up=True), Answer({"code": 50010000, "message": "internal server error"}, 500)
_CLOSED, _LIMITED = Answer({"message": "maintenance"}, 503), Answer({"message": "rate limit exceeded"}, 429)
_BAD = (_HANGS_UP, _BROKEN, _CLOSED)


@dataclass
class Liar:
    """Stands before an account; ``usual`` says how often, of all requests, and ``counts`` says what it did."""

    account: AlpacaAccount
    seed: int
    usual: float = 0.5
    trades: bool = True
    lies: float = 0.0
    price: Callable[[str], float] = lambda symbol: {"AAA": 50.0, "BBB": 20.0, "CCC": 10.0}.get(symbol, 30.0)
    counts: Counter[str] = field(default_factory=Counter)
    _late: list[Request] = field(default_factory=list)
    _hidden: list[dict[str, Any]] = field(default_factory=list)
    _before: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.lie()

    def lie(self) -> None:
        """From now on it lies as often as it was made to, and ends what is to be cancelled when it likes."""
        self.lies, self.account.cancels_at_once = self.usual, False

    def serve(self, request: Request) -> Answer:
        """Answer one request, truthfully or not."""
        with self.account.lock:
            self.pass_time()
            if self.random.random() >= self.lies:
                return self._truth(request)
            return self._question(request) if request.method == "GET" else self._deed(request)

    def calm(self) -> None:
        """From now on it is honest: what was late is done, what was hidden told, what was to end has ended."""
        with self.account.lock:
            self.lies, self.trades, self.account.cancels_at_once = 0.0, False, True
            while self._late:
                self._act_late()
            self._tell_hidden()
            self.account.heed()

    # --- what happens meanwhile -----------------------------------------------------------------------

    def pass_time(self) -> None:
        """What may happen between two requests."""
        draw = self.random
        if self._late and draw.random() < 0.3:
            self._act_late()
        if self._hidden and draw.random() < 0.3:
            self._tell_hidden()
        for row in self.account.working():
            ends = row["status"] == "pending_cancel"
            if self.trades and draw.random() < (0.01 if row["type"] == "stop" and not ends else 0.35):
                self._fill(row)
            elif ends and draw.random() < 0.4:
                self.account.end(row["client_order_id"], "canceled")

    def _fill(self, row: dict[str, Any]) -> None:
        left = int(float(row["qty"]) - float(row["filled_qty"]))
        if left <= 0:
            return
        if row["status"] == "pending_cancel":
            self.counts["filled after a cancel was acknowledged"] += 1
        size = left if self.random.random() < 0.5 else self.random.randint(1, left)
        price = round(self.price(row["symbol"]) * (1.0 + self.random.uniform(-0.01, 0.01)), 2)
        self.account.fill(row["client_order_id"], size if row["side"] == "buy" else -size, price)
        if self.random.random() < 0.3 * (self.lies > 0.0):
            self._hidden.append(self.account.activities.pop())
            self.counts["a fill told late"] += 1

    def _tell_hidden(self) -> None:
        self.account.activities += self._hidden
        self._hidden.clear()

    def _act_late(self) -> None:
        answer = self.account.serve(self._late.pop(self.random.randrange(len(self._late))))
        self.counts["done late, and taken" if answer.status < 300 else "done late, and refused"] += 1

    # --- what it answers ------------------------------------------------------------------------------

    def _truth(self, request: Request) -> Answer:
        answer = self.account.serve(request)
        if request.method == "GET":
            before = self._before.setdefault((request.path, request.query.get("client_order_id", "")), [])
            before.append(answer)
            del before[:-4]
        return answer

    def _deed(self, request: Request) -> Answer:
        kind = self.random.choice(
            ("lost", "done and not told", "done and not told", "done twice", "done late", "rate limit")
        )
        self.counts[f"{request.method} {kind}"] += 1
        if kind == "rate limit":
            return _LIMITED
        if kind == "done late":
            self._late.append(replace(request))
            return self.random.choice(_BAD)
        if kind == "lost":
            return self.random.choice(_BAD)
        self.account.serve(request)
        return self.account.serve(request) if kind == "done twice" else self.random.choice(_BAD)

    def _question(self, request: Request) -> Answer:
        kind = self.random.choice(("none", "out of date", "out of date", "shuffled", "rows twice"))
        before = self._before.get((request.path, request.query.get("client_order_id", "")))
        if kind == "none":
            self.counts["GET without an answer"] += 1
            return self.random.choice(_BAD)
        if kind == "out of date" and before and "page_token" not in request.query:
            self.counts["GET out of date"] += 1
            return self.random.choice(before)
        answer = self._truth(request)
        if isinstance(answer.body, list) and len(answer.body) > 1 and kind in ("shuffled", "rows twice"):
            rows = list(answer.body)
            if kind == "rows twice":
                rows += rows[:1]
            else:
                self.random.shuffle(rows)
            self.counts[f"GET {kind}"] += 1
            return replace(answer, body=rows)
        return answer
