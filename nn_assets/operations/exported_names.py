"""Names of the tables that can be exported, as their contracts state them; pandas is not needed to say them."""

from nn_assets.contracts.ledger import AUDIT_CHAIN, LEDGER
from nn_assets.contracts.tables import LAKE

LAKE_TABLES = tuple(contract.exported for contract in LAKE if contract.exported)
LEDGER_TABLES = {contract.exported: contract for contract in LEDGER if contract.exported}
"""Name of the exported table to the contract of the ledger's."""
TABLES = (*LAKE_TABLES, *LEDGER_TABLES, AUDIT_CHAIN.exported)
NAMES_OF_CONTRACTS = {
    contract.name: contract.exported for contract in (*LAKE, *LEDGER) if contract.exported not in {"", contract.name}
}
"""The name that heads a table in docs/tables.md to the one that it is exported as, where they differ."""
DICTIONARY = "dictionary"
"""What is exported as a page in Markdown: the columns of all tables, those of a strategy's plug-ins among them."""
ADJUSTED = ("backward", "forward")
