"""Books whose strategy no file names any more: renamed, or its file gone. Told of until they are closed."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.store.home import home
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["left_books"]


def left_books(ledger: Ledger, named: Container[str], only: str | None) -> dict[str, dict[str, Any]]:
    """The state of each book that holds or has ordered something and whose strategy no file names, by its name."""
    names = [name for name in ledger.strategies("decisions") if name not in named and only in (None, name)]
    books = {name: _of(ledger, name) for name in names}
    return {name: book for name, book in books.items() if book["positions"] or book["on_order"]}


def _of(ledger: Ledger, name: str) -> dict[str, Any]:
    states = ledger.latest("portfolio_states", name)
    if states.empty:
        gone = "its records are gone from the ledger. A person is needed: nn-assets audit verify"
        return {"headline": f"{name} HALTED: {gone}.", "positions": ["not on record"], "on_order": []}
    state = states.iloc[0]
    day = state["session"]
    holdings, orders = (ledger.read(table, name, day, day) for table in ("holdings", "orders"))
    held = holdings[holdings["quantity"] != 0.0]
    missing = f"no file names it, and nothing decides its book: put back {home() / 'strategies' / name}.yaml"
    return {
        "headline": f"{name} DOES NOT TRADE: {missing}",
        "decided_to": str(day.date()),
        "equity_usd": float(state["equity_usd"]),
        "positions": [f"{row.symbol} {row.quantity:,.10g}" for row in held.itertuples()],
        "on_order": sorted(orders.loc[orders["status"] != "denied", "symbol"].unique()),
        "kill_switch": kill_switch_now(ledger, name),
        "missing": [missing],
    }
