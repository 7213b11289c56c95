"""Books whose strategy no longer has a file, because it was renamed or deleted; reported until they are closed."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from nn_assets.operations.asof.controls import kill_switch_now
from nn_assets.operations.catalog import put_back
from nn_assets.oversight.headline import Headline, TradingWord, halted
from nn_assets.store.ledger.audit import require_unchanged_state
from nn_assets.store.ledger.ledger import Ledger


def names_left(ledger: Ledger, named: Container[str], only: str | None) -> list[str]:
    """Strategies that decided something and that no file names."""
    return [name for name in ledger.strategies("decisions") if name not in named and only in (None, name)]


def left_book(ledger: Ledger, name: str) -> dict[str, Any] | None:
    """The state of the book of a strategy that no file names; None where it holds nothing and ordered nothing.

    Raises
    ------
    AuditError
        A record that this is read from is not as it was appended.
    """
    require_unchanged_state(ledger, name)
    book = _of(ledger, name)
    return book if book["positions"] or book["on_order"] else None


def _of(ledger: Ledger, name: str) -> dict[str, Any]:
    states = ledger.latest("portfolio_states", name)
    if states.empty:
        gone = halted(name, "its records are gone from the ledger", "nn-assets audit verify")
        return {"headline": str(gone), "positions": ["not on record"], "on_order": []}
    state = states.iloc[0]
    day = state["session"]
    holdings, orders = (ledger.read(table, name, day, day) for table in ("holdings", "orders"))
    held = holdings[holdings["quantity"] != 0.0]
    missing = "no file names it, and nothing decides its book"
    return {
        "headline": str(Headline.saying(name, TradingWord.DOES_NOT_TRADE, [missing], [put_back(name)])),
        "decided_to": str(day.date()),
        "equity_usd": float(state["equity_usd"]),
        "positions": [f"{row.symbol} {row.quantity:,.10g}" for row in held.itertuples()],
        "on_order": sorted(orders.loc[orders["status"] != "denied", "symbol"].unique()),
        "kill_switch": kill_switch_now(ledger, name),
        "missing": [missing],
    }
