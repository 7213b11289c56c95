"""Verification of the ledger's hash chain.

What it detects: a row that was changed, deleted, or inserted without an entry; an entry that was
changed, deleted, inserted or moved; a row whose value cannot be read back. It names the first.

What it cannot detect by itself: someone who may write to the database can rewrite *everything* from
some entry on, chain included, or cut the end of the chain together with its rows; what is left is a
consistent ledger that tells less, or something else. Against that, keep the head (``sequence:hash``)
of an earlier verification somewhere else and hand it in as ``expected_head``: the chain must then
still hold that very entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, Table, column, func, inspect, select, table

from nn_assets.errors import AuditError
from nn_assets.store.ledger.canonical import row_hash, row_key
from nn_assets.store.ledger.chain import GENESIS, ChainHead, entry_hash
from nn_assets.store.ledger.engine import reading
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reading import in_order
from nn_assets.store.ledger.schema import CHAIN, TABLES

__all__ = ["AuditFinding", "AuditReport", "verify", "verify_within"]

Kind = Literal[
    "entry missing",
    "entry changed",
    "entry moved",
    "entry of an unknown table",
    "row changed",
    "row deleted",
    "row without an entry",
    "row unreadable",
    "head lost",
]
_FINDINGS_KEPT = 100


@dataclass(frozen=True)
class AuditFinding:
    """One thing that is wrong, at its place in the chain."""

    sequence: int
    kind: Kind
    table: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"entry {self.sequence}, {self.table} {self.key}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class AuditReport:
    """The verdict on a ledger.

    Parameters
    ----------
    entries : int
        Entries of the chain.
    rows : dict of str to int
        Rows of each table.
    head : ChainHead
        The newest entry: note it elsewhere to hold a later verification against it.
    findings : tuple of AuditFinding
        In the order of the chain, at most a hundred; empty when all is well.
    unguarded : tuple of str
        Tables without the triggers that refuse changes. Nothing need have happened to them.
    """

    entries: int
    rows: dict[str, int]
    head: ChainHead
    findings: tuple[AuditFinding, ...]
    unguarded: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings

    @property
    def first_broken(self) -> AuditFinding | None:
        """The earliest finding, or None."""
        return self.findings[0] if self.findings else None

    def demand_ok(self) -> None:
        """Raise unless the chain verifies.

        Raises
        ------
        AuditError
            Something is wrong; the first finding is named.
        """
        if (broken := self.first_broken) is not None:
            raise AuditError(
                expected="a ledger in which every row is as it was appended",
                found=f"{broken.kind}: {broken.message} ({len(self.findings)} findings)",
                remedy="stop trading on this ledger; restore it from a backup that verifies",
                sequence=broken.sequence,
                table=broken.table,
                key=broken.key,
            )


def verify(ledger: Ledger, *, expected_head: str | ChainHead | None = None) -> AuditReport:
    """Check every entry and every row of a ledger, in one consistent view of it.

    Parameters
    ----------
    ledger : Ledger
        The ledger; rows appended meanwhile are left for the next time.
    expected_head : ChainHead or ``sequence:hash``, optional
        A head noted earlier, which the chain must still contain.

    Raises
    ------
    AuditError
        ``expected_head`` is no head.
    LedgerError
        The ledger cannot be read.
    """
    with reading(ledger.engine) as connection:
        return verify_within(connection, expected_head=expected_head)


def verify_within(connection: Connection, *, expected_head: str | ChainHead | None = None) -> AuditReport:
    """Check a ledger as :func:`verify` does, in a transaction that is under way: its own rows included."""
    findings, head, entries = _check_chain(connection)
    rows = {}
    for stored in TABLES.values():
        wrong, rows[stored.name] = _check_rows(connection, stored)
        findings += wrong
    if expected_head is not None:
        findings += _check_expected(connection, _parse_head(expected_head))
    unguarded = _unguarded(connection)
    findings.sort(key=lambda finding: (finding.sequence, finding.table, finding.key))
    return AuditReport(entries, rows, head, tuple(findings[:_FINDINGS_KEPT]), unguarded)


def _check_chain(connection: Connection) -> tuple[list[AuditFinding], ChainHead, int]:
    findings: list[AuditFinding] = []
    head, entries = GENESIS, 0
    for entry in in_order(connection, CHAIN):
        entries += 1
        place = (entry.table_name, entry.row_key)
        if entry.sequence != head.sequence + 1:
            lost = f"entries {head.sequence + 1} to {entry.sequence - 1} are gone"
            findings.append(AuditFinding(head.sequence + 1, "entry missing", *place, lost))
        elif entry.previous_hash != head.hash:
            follows = "it does not follow the entry before it"
            findings.append(AuditFinding(entry.sequence, "entry moved", *place, follows))
        sealed = entry_hash(entry.sequence, entry.table_name, entry.row_key, entry.row_hash, entry.previous_hash)
        if sealed != entry.hash:
            differs = f"its hash is {entry.hash[:12]}…, its content gives {sealed[:12]}…"
            findings.append(AuditFinding(entry.sequence, "entry changed", *place, differs))
        if entry.table_name not in TABLES:
            findings.append(AuditFinding(entry.sequence, "entry of an unknown table", *place, "no such table"))
        head = ChainHead(sequence=entry.sequence, hash=entry.hash)
    return findings, head, entries


def _check_rows(connection: Connection, stored: Table) -> tuple[list[AuditFinding], int]:
    """Walk a table and its entries side by side, in the order of the chain."""
    count = int(connection.execute(select(func.count()).select_from(stored)).scalar_one())
    try:
        return _matched(connection, stored), count
    except (TypeError, ValueError, OverflowError) as error:
        unread = AuditFinding(0, "row unreadable", stored.name, "", f"{type(error).__name__}: {error}")
        return [unread], count


def _matched(connection: Connection, stored: Table) -> list[AuditFinding]:
    findings: list[AuditFinding] = []
    entries = in_order(connection, CHAIN, of_table=stored.name)
    entry = next(entries, None)
    for row in in_order(connection, stored):
        while entry is not None and entry.sequence < row.sequence:
            findings.append(_deleted(entry))
            entry = next(entries, None)
        values = dict(row._mapping)  # noqa: SLF001  the public accessor of a SQLAlchemy row
        if entry is None or entry.sequence != row.sequence:
            alone = "nobody appended it through the ledger"
            findings.append(
                AuditFinding(row.sequence, "row without an entry", stored.name, row_key(stored, values), alone)
            )
            continue
        if entry.row_key != row_key(stored, values) or entry.row_hash != row_hash(stored, values):
            now = f"it now reads {row_key(stored, values)} with other content than was appended"
            findings.append(AuditFinding(row.sequence, "row changed", stored.name, entry.row_key, now))
        entry = next(entries, None)
    while entry is not None:
        findings.append(_deleted(entry))
        entry = next(entries, None)
    return findings


def _deleted(entry: Row[Any]) -> AuditFinding:
    gone = "the chain has its entry, the table no longer has the row"
    return AuditFinding(entry.sequence, "row deleted", entry.table_name, entry.row_key, gone)


def _parse_head(head: str | ChainHead) -> ChainHead:
    if isinstance(head, ChainHead):
        return head
    sequence, _, digest = head.strip().partition(":")
    if not sequence.isdigit() or len(digest) != len(GENESIS.hash):
        raise AuditError(
            expected="a head such as 120:3f…, the number of an entry and its 64-digit hash",
            found=repr(head),
            remedy="hand in the head that an earlier verification printed",
        )
    return ChainHead(sequence=int(sequence), hash=digest)


def _check_expected(connection: Connection, expected: ChainHead) -> list[AuditFinding]:
    if expected == GENESIS:
        return []
    found = connection.execute(select(CHAIN.c.hash).where(CHAIN.c.sequence == expected.sequence)).scalar()
    if found == expected.hash:
        return []
    now = "the chain ends before it" if found is None else f"its hash is now {found[:12]}…"
    return [AuditFinding(expected.sequence, "head lost", CHAIN.name, str(expected), now)]


def _unguarded(connection: Connection) -> tuple[str, ...]:
    """Tables of the ledger that lack a trigger against changes."""
    names = (*TABLES, CHAIN.name)
    if connection.dialect.name == "sqlite":
        master = table("sqlite_master", column("type"), column("name"), column("tbl_name"))
        found = connection.execute(select(master.c.name).where(master.c.type == "trigger"))
        guards = set(found.scalars())
        wanted = {name: {f"{name}_no_update", f"{name}_no_delete"} for name in names}
    else:
        catalogue = table("pg_trigger", column("tgname"), column("tgenabled"), column("tgrelid"))
        own = catalogue.c.tgrelid.in_([func.to_regclass(name) for name in names])  # not a namesake's elsewhere
        found = connection.execute(select(catalogue.c.tgname).where(own, catalogue.c.tgenabled.in_(("O", "A"))))
        guards = set(found.scalars())
        wanted = {name: {f"{name}_append_only", f"{name}_no_truncate"} for name in names}
    present = set(inspect(connection).get_table_names())
    return tuple(sorted(name for name in names if name not in present or not wanted[name] <= guards))
