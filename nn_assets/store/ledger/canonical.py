"""Rows converted to plain Python values, and to one canonical text, by whose hash the row is known."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Table

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.columns import kind_of
from nn_assets.store.ledger.schema import BOOKKEEPING, natural_key
from nn_assets.store.values import canonical_json, is_missing

Row = dict[str, Any]
# The same form as canonical_json, for values that are plain already: a day's round has thousands.
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@cache
def _plan(table: Table) -> dict[str, tuple[Column[Any], Callable[[object], object]]]:
    return {column.name: (column, kind_of(column).plain) for column in table.columns}


def coerce_row(table: Table, offered: Mapping[str, Any], *, required: tuple[str, ...]) -> Row:
    """Check a row against its table and bring its values to plain Python.

    Parameters
    ----------
    table : Table
        A table of the ledger.
    offered : mapping
        Column to value. NaN, NaT, ``pandas.NA`` and None all mean missing and become NULL;
        ``-0.0`` becomes ``0.0``.
    required : tuple of str
        Columns that the row must state where the table allows no NULL.

    Raises
    ------
    LedgerError
        A column is unknown, missing, or holds a value that its type cannot hold exactly.
    """
    plan = _plan(table)
    unknown = sorted(offered.keys() - plan.keys())
    if unknown:
        raise LedgerError(
            expected=f"columns {', '.join(required)}",
            found=f"unknown column {', '.join(unknown)}",
            remedy="drop the column, or add it to the table with a migration",
            table=table.name,
        )
    row: Row = {}
    for name in required:
        column, coerce = plan[name]
        value = offered.get(name)
        if not is_missing(value):
            row[name] = _coerced(table, column, coerce, value)
        elif column.info["may_be_missing"]:
            row[name] = None
        else:
            raise LedgerError(
                expected=f"a value in {name}",
                found="no such column in the row" if name not in offered else repr(value),
                remedy="state the value; this column may not be missing",
                table=table.name,
                column=name,
                symbol=offered.get("symbol"),
                session=offered.get("session"),
            )
    return row


def _coerced(table: Table, column: Column[Any], coerce: Callable[[object], object], value: object) -> object:
    try:
        return coerce(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise LedgerError(
            expected=f"a {column.type!r} in {column.name}",
            found=f"{value!r} ({error})",
            remedy="hand over a value of the column's type",
            table=table.name,
            column=column.name,
            value=repr(value),
        ) from error


def canonical_row(table: Table, row: Mapping[str, Any]) -> str:
    """Return the whole row, bookkeeping included, as canonical text.

    Floats are written by ``repr``, which is exact; sessions and moments in ISO form, moments
    always with microseconds and in UTC.
    """
    return _ENCODE({"table": table.name, **{name: _spelled(row[name]) for name in _named_columns(table, row)}})


def content_text(table: Table, row: Mapping[str, Any], *, with_known_at: bool) -> str:
    """Return what the row says, without who stored it and when: equal texts are equal facts."""
    left_out = BOOKKEEPING[1:] if with_known_at and "known_at" in table.info["contract"] else BOOKKEEPING
    return _ENCODE({name: _spelled(row[name]) for name in _named_columns(table, row) if name not in left_out})


def _named_columns(table: Table, row: Mapping[str, Any]) -> list[str]:
    """Columns that a row's text names: all but those added later that it has no value for."""
    return [
        name for name, (column, _) in _plan(table).items() if not (column.info.get("added_later") and row[name] is None)
    ]


def _spelled(value: object) -> object:
    """Spell a coerced value for JSON; what is neither a date nor infinite stays as it is."""
    if isinstance(value, float):
        return str(value) if math.isinf(value) else value
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value


def row_hash(table: Table, row: Mapping[str, Any]) -> str:
    """SHA-256 of the row's canonical text, in hex."""
    return hashlib.sha256(canonical_row(table, row).encode()).hexdigest()


def key_of(table: Table, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Strategy and natural key of a row."""
    return (row["strategy"], *(row[name] for name in natural_key(table)))


def row_key(table: Table, row: Mapping[str, Any]) -> str:
    """Strategy, natural key and version as canonical text: what the chain calls the row."""
    return canonical_json(key_parts(table, row))


def key_parts(table: Table, row: Mapping[str, Any]) -> list[Any]:
    """What :func:`row_key` spells, part by part."""
    return [*(_spelled(part) for part in key_of(table, row)), row["version"]]


def describe_key(table: Table, row: Mapping[str, Any]) -> str:
    """Return the key for an error message: ``strategy demo, session 2018-01-02, symbol A``."""
    names = ("strategy", *natural_key(table))
    return ", ".join(f"{name} {_spelled(row[name])}" for name in names)
