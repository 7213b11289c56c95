"""Names of the tables that can be exported, as their contracts state them; pandas is not needed to say them."""

from nn_assets.contracts.ledger import AUDIT_CHAIN, LEDGER
from nn_assets.contracts.tables import LAKE

__all__ = ["ADJUSTED", "LAKE_TABLES", "LEDGER_TABLES", "TABLES"]

LAKE_TABLES = tuple(each.exported for each in LAKE if each.exported)
LEDGER_TABLES = {each.exported: each for each in LEDGER if each.exported}
"""Name of the exported table to the contract of the ledger's."""
TABLES = (*LAKE_TABLES, *LEDGER_TABLES, AUDIT_CHAIN.exported)
ADJUSTED = ("backward", "forward")
