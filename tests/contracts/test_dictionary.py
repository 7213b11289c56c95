"""The data dictionary is what the contracts say, and says all of it."""

from __future__ import annotations

import re
from pathlib import Path

from nn_assets.contracts.dictionary import dictionary
from nn_assets.operations.exported_names import TABLES
from nn_assets.store.ledger import schema


def page(checkout: Path) -> str:
    return (checkout / "docs" / "tables.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_contracts_say(checkout: Path) -> None:
    assert page(checkout) == dictionary(), "write it anew: make docs"


def test_every_table_that_is_exported_or_stored_is_on_it(checkout: Path) -> None:
    text = page(checkout)
    assert set(re.findall(r"nn-assets export (\w+)", text)) == set(TABLES)
    assert {*schema.TABLES, schema.CHAIN.name} <= set(re.findall(r"^### (\w+)$", text, re.MULTILINE))


def test_a_column_is_a_line_with_type_unit_and_sentence(checkout: Path) -> None:
    fills = page(checkout).split("### fills\n")[1].split("###")[0].splitlines()
    assert "| half_spread_usd | number | USD | yes | what half the spread cost |" in fills
    assert "| source | text | none |  | who says so: paper, imported, venue |" in fills
    assert fills[1].endswith("Key: fill_id. `nn-assets export fills`.")
