"""The ledger as its migrations make it is the one that the contracts state, and takes and gives rows as they say."""

from __future__ import annotations

import pandas as pd
import pytest
from sqlalchemy import inspect

from nn_assets.contracts.contract import Column, Contract
from nn_assets.contracts.ledger import AUDIT_CHAIN, BOOKKEEPING, LEDGER, OF_THE_ENTRY, STRATEGY
from nn_assets.store.ledger import schema
from nn_assets.store.ledger.ledger import Ledger
from tests.contracts.samples import a_row

OF_KIND = {  # as SQLite and as PostgreSQL name the type
    "text": ("VARCHAR", "VARCHAR"),
    "line": ("TEXT", "TEXT"),
    "digest": ("VARCHAR(64)", "VARCHAR(64)"),
    "day": ("DATE", "DATE"),
    "moment": ("DATETIME", "TIMESTAMP"),
    "number": ("DOUBLE", "DOUBLE PRECISION"),
    "whole": ("BIGINT", "BIGINT"),
    "small": ("INTEGER", "INTEGER"),
    "flag": ("BOOLEAN", "BOOLEAN"),
    "json": ("TEXT", "TEXT"),
}

PLACE = ("INTEGER", "BIGINT")  # SQLite keeps a table in the order of such a key, without an index


def may_be_null(column: Column) -> bool:
    return bool(column.nullable or column.lax or column.since) or column.kind in ("number", "json")


def shared_by(contract: Contract) -> set[str]:
    """Columns that rows may have in common, and then in their entry."""
    return set() if contract is AUDIT_CHAIN else OF_THE_ENTRY.keys() - set(contract.key)


def stated(contract: Contract) -> dict[str, Column]:
    return dict(contract.columns) if contract is AUDIT_CHAIN else {**STRATEGY, **BOOKKEEPING, **contract.columns}


def test_the_migrations_make_what_the_contracts_state(ledger: Ledger) -> None:
    looked_at, place = inspect(ledger.engine), int(ledger.engine.dialect.name == "postgresql")
    listed = (AUDIT_CHAIN, *LEDGER)
    assert set(looked_at.get_table_names()) == {each.name for each in listed} | {"alembic_version"}
    for each in listed:
        name, chain = each.name, each is AUDIT_CHAIN
        there = looked_at.get_columns(name)
        found = {
            told["name"]: (
                str(told["type"]).replace("INTEGER", "BIGINT") if told["name"] == "sequence" else str(told["type"]),
                told["nullable"],
            )
            for told in there
        }
        assert found == {
            column: (OF_KIND[told.kind][place], may_be_null(told) or column in shared_by(each))
            for column, told in stated(each).items()
        }, name
        assert all(told["default"] is None for told in there), name
        assert chain or str(next(told["type"] for told in there if told["name"] == "sequence")) == PLACE[place]
        zones = [told["type"].timezone for told in there if place and stated(each)[told["name"]].kind == "moment"]
        assert all(zones), name
        assert looked_at.get_pk_constraint(name)["constrained_columns"] == ["sequence"]
        assert looked_at.get_foreign_keys(name) == []  # several rows share an entry
        alone = [told["column_names"] for told in looked_at.get_unique_constraints(name)]
        assert alone == ([] if chain else [["strategy", *each.key, "version"]]), name
        assert looked_at.get_check_constraints(name) == []
        by_session = {("strategy", "session")} if "session" in each.columns.keys() - set(each.key) else set()
        indexes = [told for told in looked_at.get_indexes(name) if not told.get("duplicates_constraint")]
        assert {tuple(told["column_names"]) for told in indexes} == by_session | set(each.indexes), name


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_row_of_each_table_is_taken_and_given_back_as_its_contract_says(ledger: Ledger) -> None:
    for each in LEDGER:
        row = a_row(each)
        ledger.append(each.name, [row], run_id="r", strategy="demo")
        found = ledger.read(each.name, "demo")
        assert list(found.columns) == ["strategy", *each.stored], each.name
        assert found.to_dict("records") == [{"strategy": "demo"} | row], each.name
        types = {name: found[name].dtype for name in each.columns}
        # int64 has no way to say that a row of before lacks it
        wanted = {
            name: pd.Int64Dtype() if told.since and told.kind == "whole" else told.dtype
            for name, told in each.columns.items()
        }
        assert types == wanted, each.name
    assert set(schema.TABLES) == {each.name for each in LEDGER}
