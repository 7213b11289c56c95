"""Rows hashed again as they are read, and held against their chain entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from nn_assets.errors import AuditError
from nn_assets.store.ledger.canonical import row_key
from nn_assets.store.ledger.chain import Seal, resealed, seals_of
from nn_assets.store.ledger.schema import CHAIN

BROKEN_REMEDY = "stop trading on this ledger; restore it from a backup that verifies"


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
        entries = entries_of(connection, table, sorted(fresh))
        seals = {seal.sequence: (seal, entry) for entry in entries for seal in seals_of(entry)}
        changed = {entry.sequence for entry in entries if resealed(entry) != entry.hash}
        for sequence, row in fresh.items():
            seal, entry = seals.get(sequence, (None, None))
            _demand_as_appended(table, row, seal, as_sealed=entry is None or entry.sequence not in changed)
        self._verified |= fresh.keys()


def _demand_as_many(connection: Connection, table: Table) -> None:
    rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
    sealed = select(func.sum(func.coalesce(CHAIN.c.rows, 1))).where(CHAIN.c.table_name == table.name)
    appended = connection.execute(sealed).scalar_one() or 0
    if rows != appended:
        kind = "row deleted" if rows < appended else "row without an entry"
        problem = f"{kind}: {table.name} has {rows} rows, and the chain entries of {appended}"
        raise changed_row_error(problem, sequence=0, table=table.name, key="")


def entries_of(connection: Connection, table: Table, sequences: list[int]) -> Sequence[Row[Any]]:
    """The entries that seal rows of a table at some places, in order, and others of the table between those."""
    if not sequences:
        return []
    of_table = CHAIN.c.table_name == table.name
    last = select(func.min(CHAIN.c.sequence)).where(of_table, CHAIN.c.sequence >= sequences[-1]).scalar_subquery()
    between = select(CHAIN).where(of_table, CHAIN.c.sequence >= sequences[0], CHAIN.c.sequence <= last)
    return connection.execute(between.order_by(CHAIN.c.sequence)).all()


def seals_at(entries: Sequence[Row[Any]], sequences: set[int]) -> list[Seal]:
    """What entries say of the rows at some places, in order."""
    return [seal for entry in entries for seal in seals_of(entry) if seal.sequence in sequences]


def _demand_as_appended(table: Table, row: Mapping[str, Any], seal: Seal | None, *, as_sealed: bool) -> None:
    changed = partial(changed_row_error, sequence=int(row["sequence"]), table=table.name, key=row_key(table, row))
    if seal is None:
        raise changed("row without an entry: nobody appended it through the ledger")
    if not as_sealed:
        raise changed("entry changed: its hash is not that of its content")
    if seal.holds(table, row) is None:
        raise changed("row changed: it has other content than was appended")
