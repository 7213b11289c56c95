"""How far the cash at a venue may lie from that of the books: what was booked, and may not have been paid yet."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from nn_assets.operations.accounts.books import BookNow
from nn_assets.operations.asof.accounts import ACCEPTED, ALLOTTED, DIFFERS, AccountRecord

_CENT = 0.01
_PAID_BY = pd.Timedelta(days=10)  # what is booked in a month is paid by the tenth of the next
_SLOW, _SLOWLY = ("dividends_usd", "delistings_usd", "cash_in_lieu_usd"), pd.Timedelta(days=60)
_NOTHING: dict[str, Any] = {"details": {}, "sequence": 0, "session": pd.Timestamp.min}


def cash_bounds(record: AccountRecord, books: Iterable[BookNow], today: pd.Timestamp) -> tuple[float, float]:
    """The least and the most that the venue's cash may exceed the books' by, dollars.

    Interest, borrow fees, funding and dividends are booked by the session; the venue pays and charges them when it
    does, and it may not state commissions. Since the account agreed last the venue may have fallen behind by no more
    than the books were credited, and run ahead by no more than they were charged; and never by more than what is not
    due yet: a month's interest, fees and funding are due on the tenth of the next month, what issuers pay after 60
    days. So cash that goes missing a little each session differs once its sum is beyond what may still be paid.

    Parameters
    ----------
    today : Timestamp
        The day of now, without a time zone.
    """
    there = tuple(books)
    agreed = [row for row in record.reconciliations if row["state"] != DIFFERS]
    last = agreed[-1] if agreed else _NOTHING
    moved = [row for row in agreed if row["state"] == ACCEPTED and _of_cash(row)]
    settled = moved[-1] if moved else _NOTHING
    begins = max((today - _PAID_BY).replace(day=1), settled["session"])
    slowly = max(today - _SLOWLY, settled["session"])

    before = float(last["details"].get("cash_apart_usd") or 0.0)
    unstated = _unstated(record, last["sequence"])
    since = _flows(there, last["session"], last["session"])
    least = min(before, 0.0) - _CENT - unstated - _credited(since)
    most = max(before, 0.0) + _CENT + unstated - _charged(since)

    due = _flows(there, begins, slowly)
    not_billed = _unstated(record, settled["sequence"], begins)
    least = max(least, -_CENT - not_billed - _credited(due))
    most = min(most, _CENT + _unstated(record, settled["sequence"]) - _charged(due))
    return least, most


def _of_cash(row: dict[str, Any]) -> bool:
    """Whether a person accepted the venue's cash then: what was booked before is settled by that."""
    return any(difference["kind"] == "cash" for difference in row["differences"])


def _flows(books: Iterable[BookNow], begins: pd.Timestamp, slowly: pd.Timestamp) -> list[float]:
    """What books booked from a session on, and from another on of what issuers pay: signed dollars."""
    return [
        amount
        for book in books
        for session, flows in book.flows_usd.items()
        for name, amount in flows.items()
        if session >= (slowly if name in _SLOW else begins)
    ]


def _credited(amounts: Iterable[float]) -> float:
    return math.fsum(max(amount, 0.0) for amount in amounts)


def _charged(amounts: Iterable[float]) -> float:
    """Negative."""
    return math.fsum(min(amount, 0.0) for amount in amounts)


def _unstated(record: AccountRecord, after: int, begins: pd.Timestamp = pd.Timestamp.min) -> float:
    """Commissions that the books assumed since a place in the ledger, and from a session on, dollars."""
    return math.fsum(
        share["commission_usd"]
        for row in record.fills
        if row["sequence"] > after and row["session"] >= begins
        if row["state"] == ALLOTTED and pd.isna(row["commission_usd"])
        for share in row["allotment"]
    )
