"""A broker's statement of fills that the venue gave already: the same fills, with what the venue did not state.

A venue's fills move the book, and stand in ``fills`` as the book's share of each. A statement names the order by the
name that it had at the venue, or by that of the book's own order, and may add partial fills up. So the two are held
together by order: the statement's fills of an order replace the venue's where their quantity and value are the same,
and never count beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.contracts.frames import FillRows
from nn_assets.errors import SourceError
from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.operations.asof.accounts import ALLOTTED, FILLS
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_CLOSE = 1e-6  # of a quantity or value: statements round prices


@dataclass(frozen=True)
class _Total:
    """Signed shares, and dollars at the prices of the fills."""

    quantity: float
    value_usd: float

    def equals(self, other: _Total) -> bool:
        return math.isclose(self.quantity, other.quantity, rel_tol=_CLOSE) and math.isclose(
            self.value_usd, other.value_usd, rel_tol=_CLOSE, abs_tol=0.01
        )

    def __str__(self) -> str:
        return f"{self.quantity:g} at {self.value_usd / self.quantity:g}" if self.quantity else "nothing"


def _total(fills: Iterable[Mapping[str, Any]]) -> _Total:
    rows = list(fills)
    quantities = [float(row["quantity"]) for row in rows]
    values = [float(row["quantity"]) * float(row["price"]) for row in rows]
    return _Total(math.fsum(quantities), math.fsum(values))


@dataclass(frozen=True)
class _AtVenue:
    """What the venue filled of the orders of a book, by name: the account's order, and the book's own."""

    of_account: Mapping[str, _Total]
    of_book: Mapping[str, _Total]
    to_books: Mapping[str, float]  # shares that an order of the account gave to all books, signs taken off
    children: Mapping[str, str]  # the book's own order by the account's
    begins: pd.Timestamp | None  # the first session with a fill; None without one


def _at_venue(ledger: Ledger, strategy: Strategy, account: str) -> _AtVenue:
    whole: dict[str, list[dict[str, Any]]] = {}
    shares: dict[str, list[dict[str, Any]]] = {}
    children: dict[str, str] = {}
    to_books: dict[str, list[float]] = {}
    rows = records_of(ledger.read(FILLS, ledger_name(account), where={"state": ALLOTTED}))
    for row in rows:
        for share in row["allotment"] or ():
            to_books.setdefault(row["client_order_id"], []).append(abs(float(share["quantity"])))
            if share["book"] == strategy.name:
                whole.setdefault(row["client_order_id"], []).append(row)
                shares.setdefault(share["client_order_id"], []).append({**share, "price": row["price"]})
                children[row["client_order_id"]] = share["client_order_id"]
    return _AtVenue(
        {name: _total(of_order) for name, of_order in whole.items()},
        {name: _total(of_order) for name, of_order in shares.items()},
        {name: math.fsum(quantities) for name, quantities in to_books.items()},
        children,
        min((row["session"] for row in rows), default=None),
    )


def require_fills_of_the_venue(ledger: Ledger, strategy: Strategy, statement: FillRows, file: str) -> None:
    """Refuse a statement that says of an order of an account at a venue what the venue does not say.

    Fills of sessions before the account's first one are none of the venue's, and pass.

    Raises
    ------
    SourceError
        The fills of an order, of a session on which the account had fills or of a later one, are not those that the
        venue gave: in sum another quantity or value, or the venue gave none.
    """
    account = account_of(strategy)
    if account is None:
        return
    venue = _at_venue(ledger, strategy, account)
    if venue.begins is None:
        return
    theirs = statement[statement["session"] >= venue.begins]
    for name, rows in theirs.groupby(theirs["client_order_id"].fillna(""), sort=True):
        said = _total(records_of(rows))
        known = [there[str(name)] for there in (venue.of_account, venue.of_book) if str(name) in there]
        if not any(said.equals(total) for total in known):
            raise SourceError(
                expected=f"the fills that the venue of the account {account} gave of the order {name}: "
                + (str(known[0]) if known else "it gave none"),
                found=str(said),
                remedy="name orders as they were sent (client_order_id), and state all fills of an order in one file; "
                f"if the venue is wrong, nn-assets account reconcile --account {account} first",
                file=file,
                column="client_order_id",
            )


def without_double_fills(ledger: Ledger, strategy: Strategy, fills: FillRows) -> FillRows:
    """Fills on record, each once: where a statement says the venue's, the statement's with the book's share of it.

    A commission that the statement leaves out is the venue's. What a statement says otherwise of an order of the venue
    does not count. Fills of a strategy without an account stay as they are.

    Parameters
    ----------
    fills : DataFrame
        Rows of ``fills``, of all sources.
    """
    account = account_of(strategy)
    is_stated, is_venue = fills["source"] == "imported", fills["source"] == "venue"
    if account is None or not is_stated.any() or not is_venue.any():
        return fills
    venue = _at_venue(ledger, strategy, account)
    kept, replaced = fills.copy(), set()
    dropped: list[Any] = []
    for order, rows in fills[is_stated].groupby("client_order_id", sort=True):
        name = str(order)
        own = venue.children.get(name, name)
        theirs = kept[is_venue & (kept["client_order_id"] == own)]
        if theirs.empty:
            continue
        said, mine = _total(records_of(rows)), _total(records_of(theirs))
        whole = venue.of_account.get(name, mine)
        is_same = said.quantity != 0.0 and said.equals(whole) and mine.equals(venue.of_book.get(own, mine))
        if own in replaced or not is_same:
            dropped += list(rows.index)
            continue
        replaced.add(own)
        dropped += list(theirs.index)
        share, part = mine.quantity / whole.quantity, rows["quantity"] / said.quantity
        commission = rows["commission_usd"] * abs(mine.quantity) / venue.to_books.get(name, abs(mine.quantity))
        paid = float(theirs["commission_usd"].sum(skipna=False))
        kept.loc[rows.index, "client_order_id"] = own
        kept.loc[rows.index, "quantity"] = rows["quantity"] * share
        kept.loc[rows.index, "commission_usd"] = commission.fillna(paid * part)
        for column in ("half_spread_usd", "impact_usd"):
            kept.loc[rows.index, column] = rows[column] * abs(share)
    return kept.drop(index=dropped).reset_index(drop=True)
