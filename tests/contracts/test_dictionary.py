"""The data dictionary is what the contracts say, and says all of it."""

from __future__ import annotations

import re
from pathlib import Path

from nn_assets.contracts.dictionary import dictionary
from nn_assets.contracts.statements import EXAMPLE
from nn_assets.operations.exported_names import TABLES
from nn_assets.operations.intake.fills import read_fills
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


def test_the_columns_of_a_brokers_file_are_on_it_with_an_example_that_is_read(checkout: Path, tmp_path: Path) -> None:
    section = page(checkout).split("## Read from a broker's file\n")[1].split("\n## ")[0]
    needed = ["fill_id", "client_order_id", "symbol", "session", "quantity", "price"]
    may_lack = ["mid_price", "half_spread_usd", "commission_usd", "impact_usd", "filled_at", "later_mid_price"]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ") and "| column |" not in line]
    assert [row[1].strip() for row in rows] == needed + may_lack
    assert [row[4].strip() for row in rows] == [""] * len(needed) + ["yes"] * len(may_lack)
    example = "".join(f"{line[4:]}\n" for line in section.splitlines() if line.startswith("    "))
    assert example == EXAMPLE
    file = tmp_path / "fills.csv"
    file.write_text(example, encoding="utf-8")
    fills, equal = read_fills(file, "XNYS")
    assert (fills["quantity"].tolist(), fills["price"].tolist(), equal) == ([-10.0, 3.0], [2639.5, 6775.25], 0)
    assert fills["mid_price"].isna().tolist() == [False, True]
