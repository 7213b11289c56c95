"""Names of the tables that can be exported; nothing is imported to say them."""

__all__ = ["ADJUSTED", "LAKE_TABLES", "LEDGER_TABLES", "TABLES"]

LAKE_TABLES = (
    "bars",
    "compared",
    "quarantine",
    "notices",
    "features",
    "forecasts",
    "intraday",
    "actions",
    "series",
    "membership",
)
LEDGER_TABLES = {
    "signals": "signals",
    "positions": "target_positions",
    "portfolio": "portfolio_states",
    "orders": "orders",
    "fills": "fills",
    "drift": "drift",
    "models": "models",
    "trials": "trials",
    "looks": "looks",
}
"""Name of the exported table to that of the ledger."""
TABLES = (*LAKE_TABLES, *LEDGER_TABLES, "audit")
ADJUSTED = ("backward", "forward")
