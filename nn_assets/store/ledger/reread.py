"""Rows hashed again as they are read, and held against their chain entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from nn_assets.errors import AuditError
from nn_assets.store.ledger.canonical import row_hash, row_key
from nn_assets.store.ledger.chain import entry_hash
from nn_assets.store.ledger.schema import CHAIN

__all__ = ["BROKEN_REMEDY", "RowsReread", "changed_row_error", "entries_of"]

BROKEN_REMEDY = "stop trading on this ledger; restore it from a backup that verifies"

_ENTRIES_A_QUERY = 2_000


def changed_row_error(found: str, *, sequence: int, table: str, key: str) -> AuditError:
    """What is raised of a ledger that no longer is as it was appended; names the place in the chain."""
    return AuditError(
        expected="a ledger in which every row is as it was appended",
        found=found,
        remedy=BROKEN_REMEDY,
        sequence=sequence,
        table=table,
        key=key,
    )


class RowsReread:
    """Verifies each row the first time that it is read, and once for each table that no row is gone or new.

    A row whose key was changed, so that it is no longer read, is not seen here: ``verify_before_round`` finds it in
    tables of acts, elsewhere only a walk along the chain does.
    """

    def __init__(self) -> None:
        self._verified: set[int] = set()
        self._counted: set[str] = set()

    def __call__(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Hold rows, just read with all their columns, against their entries.

        Raises
        ------
        AuditError
            A row is not as it was appended, or the table holds more or fewer rows than the chain.
        """
        if table.name not in self._counted:
            _demand_as_many(connection, table)
            self._counted.add(table.name)
        fresh = {int(row["sequence"]): row for row in rows if row["sequence"] not in self._verified}
        entries = {entry.sequence: entry for entry in entries_of(connection, sorted(fresh))}
        for sequence, row in fresh.items():
            _demand_as_appended(table, row, entries.get(sequence))
        self._verified |= fresh.keys()


def _demand_as_many(connection: Connection, table: Table) -> None:
    rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
    of_table = select(func.count()).select_from(CHAIN).where(CHAIN.c.table_name == table.name)
    entries = connection.execute(of_table).scalar_one()
    if rows != entries:
        kind = "row deleted" if rows < entries else "row without an entry"
        found = f"{kind}: {table.name} has {rows} rows and {entries} entries in the chain"
        raise changed_row_error(found, sequence=0, table=table.name, key="")


def entries_of(connection: Connection, sequences: list[int]) -> Iterator[Row[Any]]:
    """The entries of the chain at some places, as far as there are any."""
    for start in range(0, len(sequences), _ENTRIES_A_QUERY):
        some = sequences[start : start + _ENTRIES_A_QUERY]
        yield from connection.execute(select(CHAIN).where(CHAIN.c.sequence.in_(some)))


def _demand_as_appended(table: Table, row: Mapping[str, Any], entry: Row[Any] | None) -> None:
    key = row_key(table, row)
    changed = partial(changed_row_error, sequence=int(row["sequence"]), table=table.name, key=key)
    if entry is None or entry.table_name != table.name:
        raise changed("row without an entry: nobody appended it through the ledger")
    sealed = entry_hash(entry.sequence, entry.table_name, entry.row_key, entry.row_hash, entry.previous_hash)
    if sealed != entry.hash:
        raise changed("entry changed: its hash is not that of its content")
    if entry.row_key != key or entry.row_hash != row_hash(table, row):
        raise changed("row changed: it has other content than was appended")
