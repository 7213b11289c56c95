"""The hash chain: every entry seals the rows that one transaction appended to a table, and all entries before it.

Rows are numbered in the order in which they are appended; an entry has the number of its last row.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from nn_assets.contracts.ledger import OF_THE_ENTRY
from nn_assets.store.ledger.canonical import key_parts, row_hash, row_key
from nn_assets.store.ledger.schema import CHAIN, shared_columns
from nn_assets.store.values import canonical_json

_DIGEST, _HEX = 16, 24  # letters of a digest, and of the hexadecimal hash that it is made of


@dataclass(frozen=True)
class ChainHead:
    """The newest entry of the chain. Kept elsewhere, it betrays a chain that was later cut or rewritten."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


GENESIS = ChainHead(sequence=0, hash="0" * 64)


def entry_hash(sequence: int, table_name: str, key: str, content: str, previous: str, *group: object) -> str:
    """SHA-256 over an entry and the hash of the one before it; the parts cannot run into each other.

    Parameters
    ----------
    *group
        Of an entry of several rows: how many, their digests, and what they have in common.
    """
    sealed = "\n".join((str(sequence), table_name, content, previous, key, *([canonical_json(group)] if group else [])))
    return hashlib.sha256(sealed.encode()).hexdigest()


def resealed(entry: Row[Any]) -> str:
    """The hash that an entry's content gives."""
    fields = (entry.sequence, entry.table_name, entry.row_key, entry.row_hash, entry.previous_hash)
    shared = _shared(entry._asdict())
    group = (entry.rows, entry.digests, shared)
    return entry_hash(*fields, *(group if any((part is not None and part != {}) for part in group) else ()))


def _shared(entry: Mapping[str, Any]) -> dict[str, str]:
    """What an entry says for all of its rows, as it is sealed."""
    shared = {name: entry[name] for name in OF_THE_ENTRY if entry[name] is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in shared.items()}


def rows_sealed(entry: Row[Any]) -> int:
    """How many rows an entry seals."""
    return entry.rows if isinstance(entry.rows, int) else 1


def group_hash(hashes: Iterable[str]) -> str:
    """SHA-256 over the hashes of several rows, in their order."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def digest_of(content: str) -> str:
    """By how much of its hash a row among several is known: 96 bits, as 16 letters."""
    return base64.b64encode(bytes.fromhex(content[:_HEX])).decode()


def entry_for(table: Table, rows: Sequence[Mapping[str, Any]], head: ChainHead) -> dict[str, Any]:
    """Return the chain entry of rows of one strategy whose ``sequence`` follows ``head``.

    One row has an entry as it always had. Of several the entry seals the hashes of all; it keeps a part of each, so
    that a row which is not as it was appended is known among them, and their keys, so that one that is gone is named.
    """
    hashes = [row_hash(table, row) for row in rows]
    entry: dict[str, Any] = dict.fromkeys(CHAIN.columns.keys()) | {
        "sequence": rows[-1]["sequence"],
        "table_name": table.name,
        "row_key": _joined([key_parts(table, row) for row in rows]),
        "row_hash": hashes[0],
        "previous_hash": head.hash,
    }
    group: tuple[object, ...] = ()
    if len(rows) > 1:
        common = {name: rows[0][name] for name in shared_columns(table) if len({row[name] for row in rows}) == 1}
        entry |= {
            "row_hash": group_hash(hashes),
            "rows": len(rows),
            "digests": "".join(map(digest_of, hashes)),
            **common,
        }
        group = (entry["rows"], entry["digests"], _shared(entry))
    fields = (entry["table_name"], entry["row_key"], entry["row_hash"], entry["previous_hash"])
    return entry | {"hash": entry_hash(entry["sequence"], *fields, *group)}


def _joined(keys: Sequence[list[Any]]) -> str:
    """The keys of rows as one: of several, a list takes the place of a part in which they differ."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    return canonical_json([column[0] if column.count(column[0]) == len(column) else column for column in columns])


@dataclass(frozen=True)
class Seal:
    """What the chain says of one row: its place, its key, and its hash or the part of it that is kept."""

    sequence: int
    table_name: str
    key: str | tuple[Any, ...]  # as it is spelled, or its parts
    content: str
    shared: Mapping[str, Any]  # what its entry says for it

    @property
    def row_key(self) -> str:
        """The key as the entry of a single row spells it."""
        return self.key if isinstance(self.key, str) else canonical_json(self.key)

    def holds(self, table: Table, row: Mapping[str, Any]) -> str | None:
        """The hash of a row, with all that it says, where it is the one that was appended; None where it is not."""
        actual = row_hash(table, row)
        if len(self.content) < len(actual):  # of a hash that is over the key, too
            return actual if digest_of(actual) == self.content else None
        return actual if actual == self.content and row_key(table, row) == self.key else None


def seals_of(entry: Row[Any]) -> list[Seal]:
    """What an entry says of each of its rows, in their order; as far as it can be read, where it was changed."""
    if entry.rows is None:
        return [Seal(entry.sequence, entry.table_name, entry.row_key, entry.row_hash, {})]
    first, digests = entry.sequence - rows_sealed(entry) + 1, str(entry.digests)
    parts = [digests[start : start + _DIGEST] for start in range(0, len(digests), _DIGEST)]
    shared = {name: value for name in OF_THE_ENTRY if (value := getattr(entry, name)) is not None}
    keys = _apart(entry.row_key, len(parts))
    return [
        Seal(first + offset, entry.table_name, key, part, shared)
        for offset, (key, part) in enumerate(zip(keys, parts, strict=True))
    ]


def _apart(key: str, count: int) -> Sequence[str | tuple[Any, ...]]:
    """The key of each of so many rows; the whole of it for each, where it is not that of as many rows."""
    try:
        columns = [part if isinstance(part, list) else [part] * count for part in json.loads(key)]
        keys = list(zip(*columns, strict=True))
    except (TypeError, ValueError):
        keys = []
    return keys if len(keys) == count else [key] * count


def whole_row(row: Row[Any], seal: Seal) -> dict[str, Any]:
    """All that a row of a table says, with what its entry says for it."""
    values = row._asdict()
    return values | {name: value for name, value in seal.shared.items() if values.get(name, "") is None}


def read_head(connection: Connection) -> ChainHead:
    """Return the newest entry, or :data:`GENESIS` when the chain is empty."""
    newest = select(CHAIN.c.sequence, CHAIN.c.hash).order_by(CHAIN.c.sequence.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return GENESIS if row is None else ChainHead(sequence=row.sequence, hash=row.hash)
