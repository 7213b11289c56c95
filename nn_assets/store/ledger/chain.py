"""The hash chain: every row has one entry, and every entry seals all entries before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from nn_assets.store.ledger.canonical import row_hash, row_key
from nn_assets.store.ledger.schema import CHAIN

__all__ = ["GENESIS", "ChainHead", "entry_for", "entry_hash", "read_head"]


@dataclass(frozen=True)
class ChainHead:
    """The newest entry of the chain. Kept elsewhere, it betrays a chain that was later cut or rewritten."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


GENESIS = ChainHead(sequence=0, hash="0" * 64)


def entry_hash(sequence: int, table_name: str, key: str, content: str, previous: str) -> str:
    """SHA-256 over an entry and the hash of the one before it; the parts cannot run into each other."""
    sealed = "\n".join((str(sequence), table_name, content, previous, key))
    return hashlib.sha256(sealed.encode()).hexdigest()


def entry_for(table: Table, row: Mapping[str, Any], head: ChainHead) -> dict[str, Any]:
    """Return the chain entry of a row whose ``sequence`` follows ``head``."""
    content, key = row_hash(table, row), row_key(table, row)
    return {
        "sequence": row["sequence"],
        "table_name": table.name,
        "row_key": key,
        "row_hash": content,
        "previous_hash": head.hash,
        "hash": entry_hash(row["sequence"], table.name, key, content, head.hash),
    }


def read_head(connection: Connection) -> ChainHead:
    """Return the newest entry, or :data:`GENESIS` when the chain is empty."""
    newest = select(CHAIN.c.sequence, CHAIN.c.hash).order_by(CHAIN.c.sequence.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    return GENESIS if found is None else ChainHead(sequence=found.sequence, hash=found.hash)
