"""How every table of the ledger is laid out: columns by their meaning, then the same bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from nn_assets.store.ledger.columns import CanonicalJson, Moment, SessionDate

__all__ = [
    "BOOKKEEPING",
    "CHAIN_NAME",
    "added_later",
    "count_columns",
    "flag_columns",
    "json_columns",
    "moment_columns",
    "number_columns",
    "record_table",
    "session_columns",
    "text_columns",
]

BOOKKEEPING = ("known_at", "version", "version_reason", "run_id", "recorded_at", "sequence")
CHAIN_NAME = "audit_chain"


def record_table(
    metadata: MetaData,
    name: str,
    key: tuple[str, ...],
    columns: Sequence[Column[Any]],
    indexes: Sequence[tuple[str, ...]] = (),
) -> Table:
    """Lay out a table: ``strategy``, then ``columns``, then the bookkeeping.

    Parameters
    ----------
    key : tuple of str
        Natural key, among ``columns``; with strategy and version it is the primary key.
    columns : sequence of Column
        The contract. When ``known_at`` is among them the rows state it; else the transaction does.
    indexes : sequence of tuple of str
        Columns of further indexes, for what is asked for in another order than the key's.
    """
    stated = {column.name for column in columns}
    known_at = () if "known_at" in stated else (Column("known_at", Moment, nullable=False),)
    by_session = (Index(None, "strategy", "session"),) if "session" in stated - set(key) else ()
    return Table(
        name,
        metadata,
        Column("strategy", String, nullable=False),
        *columns,
        *known_at,
        Column("version", Integer, nullable=False),
        Column("version_reason", Text),
        Column("run_id", String, nullable=False),
        Column("recorded_at", Moment, nullable=False),
        Column("sequence", BigInteger, ForeignKey(f"{CHAIN_NAME}.sequence"), nullable=False),
        PrimaryKeyConstraint("strategy", *key, "version"),
        UniqueConstraint("sequence"),
        *by_session,
        *(Index(None, *names) for names in indexes),
        info={"key": key, "contract": tuple(column.name for column in columns)},
    )


def text_columns(*names: str, nullable: bool = False) -> list[Column[Any]]:
    """Columns of text."""
    return [Column(name, String, nullable=nullable) for name in names]


def number_columns(*names: str) -> list[Column[Any]]:
    """Columns of float64; NULL is NaN."""
    return [Column(name, Double) for name in names]


def count_columns(*names: str, nullable: bool = False) -> list[Column[Any]]:
    """Columns of whole numbers."""
    return [Column(name, BigInteger, nullable=nullable) for name in names]


def flag_columns(*names: str) -> list[Column[Any]]:
    """Columns of true and false, never missing."""
    return [Column(name, Boolean, nullable=False) for name in names]


def session_columns(*names: str, nullable: bool = False) -> list[Column[Any]]:
    """Columns of sessions."""
    return [Column(name, SessionDate, nullable=nullable) for name in names]


def moment_columns(*names: str, nullable: bool = False) -> list[Column[Any]]:
    """Columns of UTC moments."""
    return [Column(name, Moment, nullable=nullable) for name in names]


def added_later(*columns: Column[Any]) -> list[Column[Any]]:
    """Columns that a later migration added: rows of before lack them, and hash as they did.

    A missing value is left out of a row's canonical text, so that it is the same as no such column.
    """
    for column in columns:
        column.info["added_later"] = True
    return list(columns)


def json_columns(*names: str) -> list[Column[Any]]:
    """Columns of canonical JSON, which may be missing."""
    return [Column(name, CanonicalJson) for name in names]
