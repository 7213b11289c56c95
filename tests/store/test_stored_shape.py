"""Every table of the ledger is stored as it always was: its shape and its rows' hashes are literal data beside this."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import CheckConstraint, Table, UniqueConstraint

from nn_assets.store.ledger import schema
from nn_assets.store.ledger.canonical import row_hash

SHAPE = Path(__file__).with_name("stored_shape.txt")
A_MOMENT = datetime(2018, 1, 2, 21, 30, 0, 250, tzinfo=UTC)
VALUES: tuple[tuple[str, Any], ...] = (  # of the first kind that a column's type begins with
    ("SessionDate", date(2018, 1, 2)),
    ("Moment", A_MOMENT),
    ("CanonicalJson", {"é": [1, None, 0.1]}),
    ("PackedJson", {"é": [1, None, 0.1]}),
    ("Flag", True),
    ("Double", 0.1),
    ("BigInteger", 7),
    ("Integer", 1),
    ("String", "a"),
    ("Text", "a"),
)


def a_row(table: Table, *, whole: bool) -> dict[str, Any]:
    """A row as it is appended, with all that it may say or with what it must."""
    made = {}
    for column in table.columns:
        value = next(value for kind, value in VALUES if repr(column.type).startswith(kind))
        made[column.name] = value if whole or not column.info["may_be_missing"] else None
    return made


def shape_of(table: Table) -> Iterator[str]:
    """A table's shape, a line a column and a line a constraint or index."""
    yield f"{table.name}"
    for column in table.columns:
        marks = [repr(column.type), "NULL" if column.nullable else "NOT NULL"]
        marks += [f"default {column.default or column.server_default}"] * bool(column.default or column.server_default)
        marks += ["numbered by the database"] * (column is table.autoincrement_column)
        marks += ["added later"] * bool(column.info.get("added_later"))
        yield f"  {column.name}: {', '.join(marks)}"
    yield f"  {table.primary_key.name} primary key ({', '.join(table.primary_key.columns.keys())})"
    for key in sorted(table.foreign_keys, key=lambda foreign_key: str(foreign_key.parent)):
        yield f"  {key.constraint.name} foreign key ({key.parent.name}) to {key.target_fullname}"
    for kind, label in ((UniqueConstraint, "unique"), (CheckConstraint, "check")):
        for name in sorted(
            map(str, (constraint.name for constraint in table.constraints if isinstance(constraint, kind)))
        ):
            (one,) = [constraint for constraint in table.constraints if str(constraint.name) == name]
            yield f"  {name} {label} ({', '.join(one.columns.keys())})"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield f"  {index.name}{' unique' if index.unique else ''} index ({', '.join(index.columns.keys())})"
    if table is not schema.CHAIN:
        yield f"  a row hashes to {row_hash(table, a_row(table, whole=True))}"
        yield f"  a bare one to {row_hash(table, a_row(table, whole=False))}"
        yield f"  key: {' '.join(schema.natural_key(table))}; told: {' '.join(schema.contract_columns(table))}"


def test_the_tables_are_stored_as_they_always_were() -> None:
    lines = SHAPE.read_text(encoding="utf-8").splitlines()
    starts = [*(index for index, line in enumerate(lines) if line[0] != " "), len(lines)]
    wanted = {lines[first]: lines[first:end] for first, end in pairwise(starts)}
    assert {name: list(shape_of(table)) for name, table in schema.metadata.tables.items()} == wanted
