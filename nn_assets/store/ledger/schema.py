"""The ledger's tables as SQLAlchemy knows them, built from their contracts.

What every table begins and ends with, and what each holds, is stated in :mod:`nn_assets.contracts.ledger`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    FromClause,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    func,
    select,
)

from nn_assets.contracts.contract import Column as Stated
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.ledger import AUDIT_CHAIN, LEDGER, OF_THE_ENTRY, STRATEGY
from nn_assets.contracts.ledger import BOOKKEEPING as KEPT_OF_ALL
from nn_assets.errors import LedgerError
from nn_assets.store.ledger.columns import KINDS, PackedJson, PackedKeys

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
)  # the migrations in sql/migrations, oldest first; a test compares the two
HEAD_REVISION = REVISIONS[-1]
WHOLE_LEDGER = "*"
"""Strategy of a row that is about the whole ledger, or about all strategies; no strategy can be named so."""
BOOKKEEPING = tuple(KEPT_OF_ALL)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


# In SQLite the table itself is kept in this order, without an index. Kept by its key instead (WITHOUT ROWID), it would
# need an index by sequence, which repeats the key of each row: a session of 500 symbols would add 7 to 13 % more.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


def _columns(columns: Mapping[str, Stated], shared: Collection[str] = (), **types: Any) -> list[Column[Any]]:
    return [
        Column(
            name,
            types.get(name, KINDS[column.kind].stored),
            nullable=column.may_be_null or name in shared,
            autoincrement=False,
            info={"kind": column.kind, "may_be_missing": column.may_be_null, "added_later": bool(column.since)},
        )
        for name, column in columns.items()
    ]


CHAIN = Table(
    AUDIT_CHAIN.name,
    metadata,
    *_columns(AUDIT_CHAIN.columns, row_key=PackedKeys),
    PrimaryKeyConstraint(*AUDIT_CHAIN.key),
    *(Index(None, *names) for names in AUDIT_CHAIN.indexes),
)


def _record_table(contract: Contract) -> Table:
    """Lay out a table: ``strategy``, then the contract's columns, then the bookkeeping.

    Where ``known_at`` is among the contract's columns its rows state it; else the transaction does.
    """
    kept = {name: column for name, column in KEPT_OF_ALL.items() if name not in contract.columns}
    by_session = [("strategy", "session")] if "session" in contract.columns.keys() - set(contract.key) else []
    return Table(
        contract.name,
        metadata,
        *_columns(
            STRATEGY | contract.stored | kept,
            OF_THE_ENTRY.keys() - set(contract.key),
            sequence=_SEQUENCE,
            book=PackedJson,
        ),
        PrimaryKeyConstraint("sequence"),
        UniqueConstraint("strategy", *contract.key, "version"),
        *(Index(None, *names) for names in (*by_session, *contract.indexes)),
        info={"key": contract.key, "contract": tuple(contract.stored)},
    )


TABLES = MappingProxyType({contract.name: _record_table(contract) for contract in LEDGER})


@cache
def shared_columns(table: Table) -> tuple[str, ...]:
    """Columns whose value may be kept once, in the entry of several rows."""
    apart = {*OF_THE_ENTRY}.difference(natural_key(table))
    return tuple(column.name for column in table.columns if column.name in apart)


@cache
def rows_of(table: Table, name: str = "") -> FromClause:
    """A table's rows with what their entries say for them, under its name or another: to be read from."""
    entry, later, shared = CHAIN.alias("entry"), CHAIN.alias("later"), shared_columns(table)
    sealing = select(func.min(later.c.sequence)).where(later.c.sequence >= table.c.sequence).correlate(table)
    columns = [
        func.coalesce(column, entry.c[column.name], type_=column.type).label(column.name)
        if column.name in shared
        else column
        for column in table.columns
    ]
    sealed = table.outerjoin(entry, entry.c.sequence == sealing.scalar_subquery())
    return select(*columns).select_from(sealed).subquery(name or table.name)


def table_named(name: str) -> Table:
    """Return the ledger table of that name.

    Raises
    ------
    LedgerError
        There is none.
    """
    try:
        return TABLES[name]
    except KeyError:
        raise LedgerError(
            expected=f"one of {', '.join(sorted(TABLES))}",
            found=repr(name),
            remedy="name a table of the ledger",
            table=name,
        ) from None


def natural_key(table: Table) -> tuple[str, ...]:
    """Columns that, with the strategy, say what a row is about."""
    return tuple(table.info["key"])


def contract_columns(table: Table) -> tuple[str, ...]:
    """Columns of the frame that crosses rooms: all but ``strategy`` and the bookkeeping."""
    return tuple(table.info["contract"])
