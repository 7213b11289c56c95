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

ROW_ID_TYPES = ("INTEGER", "BIGINT")  # SQLite keeps a table in the order of such a key, without an index


def may_be_null(column: Column) -> bool:
    return bool(column.nullable or column.lax or column.since) or column.kind in ("number", "json")


def shared_by(contract: Contract) -> set[str]:
    """Columns that rows may have in common, and then in their entry."""
    return set() if contract is AUDIT_CHAIN else OF_THE_ENTRY.keys() - set(contract.key)


def columns_of(contract: Contract) -> dict[str, Column]:
    return dict(contract.columns) if contract is AUDIT_CHAIN else {**STRATEGY, **BOOKKEEPING, **contract.columns}


def test_the_migrations_make_what_the_contracts_state(ledger: Ledger) -> None:
    looked_at, dialect_index = inspect(ledger.engine), int(ledger.engine.dialect.name == "postgresql")
    listed = (AUDIT_CHAIN, *LEDGER)
    assert set(looked_at.get_table_names()) == {contract.name for contract in listed} | {"alembic_version"}
    for contract in listed:
        name, chain = contract.name, contract is AUDIT_CHAIN
        there = looked_at.get_columns(name)
        actual = {
            info["name"]: (
                str(info["type"]).replace("INTEGER", "BIGINT") if info["name"] == "sequence" else str(info["type"]),
                info["nullable"],
            )
            for info in there
        }
        assert actual == {
            column: (OF_KIND[declared.kind][dialect_index], may_be_null(declared) or column in shared_by(contract))
            for column, declared in columns_of(contract).items()
        }, name
        assert all(info["default"] is None for info in there), name
        assert (
            chain
            or str(next(info["type"] for info in there if info["name"] == "sequence")) == ROW_ID_TYPES[dialect_index]
        )
        zones = [
            info["type"].timezone
            for info in there
            if dialect_index and columns_of(contract)[info["name"]].kind == "moment"
        ]
        assert all(zones), name
        assert looked_at.get_pk_constraint(name)["constrained_columns"] == ["sequence"]
        assert looked_at.get_foreign_keys(name) == []  # several rows share an entry
        alone = [constraint["column_names"] for constraint in looked_at.get_unique_constraints(name)]
        assert alone == ([] if chain else [["strategy", *contract.key, "version"]]), name
        assert looked_at.get_check_constraints(name) == []
        by_session = {("strategy", "session")} if "session" in contract.columns.keys() - set(contract.key) else set()
        indexes = [index for index in looked_at.get_indexes(name) if not index.get("duplicates_constraint")]
        assert {tuple(index["column_names"]) for index in indexes} == by_session | set(contract.indexes), name


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_row_of_each_table_is_taken_and_given_back_as_its_contract_says(ledger: Ledger) -> None:
    for contract in LEDGER:
        row = a_row(contract)
        ledger.append(contract.name, [row], run_id="r", strategy="demo")
        frame = ledger.read(contract.name, "demo")
        assert list(frame.columns) == ["strategy", *contract.stored], contract.name
        assert frame.to_dict("records") == [{"strategy": "demo"} | row], contract.name
        types = {name: frame[name].dtype for name in contract.columns}
        # int64 has no way to say that a row of before lacks it
        wanted = {
            name: pd.Int64Dtype() if column.since and column.kind == "whole" else column.dtype
            for name, column in contract.columns.items()
        }
        assert types == wanted, contract.name
    assert set(schema.TABLES) == {contract.name for contract in LEDGER}
