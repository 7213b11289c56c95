"""Checks of the ledger's hash chain and of the rows that it seals; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, column, func, inspect, or_, select, table

from nn_assets.contracts.ledger import ACTS
from nn_assets.errors import AuditError
from nn_assets.store.ledger.canonical import row_key
from nn_assets.store.ledger.chain import (
    GENESIS,
    ChainHead,
    Seal,
    group_hash,
    resealed,
    rows_sealed,
    seals_of,
    whole_row,
)
from nn_assets.store.ledger.reading import UNREADABLE, in_order
from nn_assets.store.ledger.reread import entries_of, seals_at
from nn_assets.store.ledger.schema import CHAIN, TABLES

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
    "ledger cut back",
    "ledger rewritten",
    "verification unfounded",
]
_OF_ACTS = [contract.name for contract in ACTS]
_OF_THE_LAST_SESSION = (
    "decisions",
    "portfolio_states",
    "trading_states",
    "target_positions",
    "orders",
    "holdings",
)
_IS_A_DECISION = CHAIN.c.table_name == "decisions"


@dataclass(frozen=True)
class AuditFinding:
    """One fault, with its sequence number in the ledger: a row's own; of an entry, that of its last row."""

    sequence: int
    kind: Kind
    table: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"entry {self.sequence}, {self.table} {self.key}: {self.kind}: {self.message}"


def last_decision(connection: Connection, strategy: str) -> Row[Any] | None:
    """The entry of a strategy's newest decision; None where it decided nothing."""
    decisions = select(CHAIN).where(_IS_A_DECISION, _is_of(strategy))
    return connection.execute(decisions.order_by(CHAIN.c.sequence.desc()).limit(1)).one_or_none()


def _is_of(strategy: str) -> ColumnElement[bool]:
    """That an entry is of a row of one strategy."""
    return CHAIN.c.row_key.startswith(f"[{json.dumps(strategy)},", autoescape=True)


def position(finding: AuditFinding) -> tuple[int, str, str]:
    """Where a finding stands among others: in the order of the chain."""
    return finding.sequence, finding.table, finding.key


def check_chain(connection: Connection, since: ChainHead) -> tuple[list[AuditFinding], ChainHead, int]:
    """Every entry after one that the chain holds: what is wrong, the newest entry, and how many there are."""
    findings: list[AuditFinding] = []
    head, entries = since, 0
    try:
        for entry in in_order(connection, CHAIN, after=_after(since)):
            entries += 1
            location = (entry.table_name, entry.row_key)
            first = entry.sequence - rows_sealed(entry) + 1
            if first > head.sequence + 1:
                lost = f"the entries of rows {head.sequence + 1} to {first - 1} are gone"
                findings.append(AuditFinding(head.sequence + 1, "entry missing", *location, lost))
            elif entry.previous_hash != head.hash or first <= head.sequence:
                follows = "it does not follow the entry before it"
                findings.append(AuditFinding(entry.sequence, "entry moved", *location, follows))
            findings += _resealed(entry)
            if entry.table_name not in TABLES:
                findings.append(AuditFinding(entry.sequence, "entry of an unknown table", *location, "no such table"))
            head = ChainHead(sequence=entry.sequence, hash=entry.hash)
    except UNREADABLE as error:
        findings.append(_unreadable(CHAIN, error, head.sequence + 1))
    return findings, head, entries


def _resealed(entry: Row[Any]) -> list[AuditFinding]:
    if (sealed := resealed(entry)) == entry.hash:
        return []
    differs = f"its hash is {entry.hash[:12]}…, its content gives {sealed[:12]}…"
    return [AuditFinding(entry.sequence, "entry changed", entry.table_name, entry.row_key, differs)]


def check_acts(connection: Connection) -> list[AuditFinding]:
    """Every row of acts against its entry, every entry of one against its row and its neighbour in the chain."""
    findings = [finding for name in _OF_ACTS for finding in check_rows(connection, TABLES[name], GENESIS)[0]]
    following = CHAIN.alias("following")
    followed = select(following.c.previous_hash).where(following.c.sequence > CHAIN.c.sequence)
    followed = followed.order_by(following.c.sequence).limit(1).correlate(CHAIN)
    entries = select(CHAIN, followed.scalar_subquery().label("followed")).where(CHAIN.c.table_name.in_(_OF_ACTS))
    try:
        for entry in connection.execute(entries):
            findings += _resealed(entry)
            if entry.followed not in (None, entry.hash):
                message = "the entry after it does not follow it"
                findings.append(AuditFinding(entry.sequence, "entry moved", entry.table_name, entry.row_key, message))
    except UNREADABLE as error:
        findings.append(_unreadable(CHAIN, error))
    return findings


def check_last_session(connection: Connection, strategy: str) -> list[AuditFinding]:
    """What a strategy's last decided session left: that of the chain, since its rows may be gone or put off."""
    decision = last_decision(connection, strategy)
    first = 0 if decision is None else decision.sequence
    # A round is one transaction, which begins with its decision: the next decision, whosever, begins another round.
    following = select(func.min(CHAIN.c.sequence)).where(_IS_A_DECISION, CHAIN.c.sequence > first)
    end = connection.execute(following).scalar()
    since = date.min if decision is None else _session_of(decision)
    findings = []
    for name in _OF_THE_LAST_SESSION:
        stored = TABLES[name]
        of_round = [CHAIN.c.sequence >= first, *([] if end is None else [CHAIN.c.sequence < end])]
        within = select(CHAIN).where(CHAIN.c.table_name == name, _is_of(strategy), *of_round)
        entries = connection.execute(within.order_by(CHAIN.c.sequence)).all()
        seals = {seal.sequence: seal for entry in entries for seal in seals_of(entry)}
        of_session = and_(stored.c.strategy == strategy, stored.c.session >= since)
        of_sequences = stored.c.sequence.between(min(seals, default=0), max(seals, default=0))
        try:
            left = select(stored).where(or_(of_session, of_sequences))
            rows = connection.execute(left.order_by(stored.c.sequence)).all()
        except UNREADABLE as error:
            findings.append(_unreadable(stored, error))
            continue
        strange = [row.sequence for row in rows if row.sequence not in seals]  # appended later, or by nobody
        others = entries_of(connection, stored, strange)
        seals |= {seal.sequence: seal for seal in seals_at(others, set(strange))}
        findings += [finding for entry in (*entries, *others) for finding in _resealed(entry)]
        findings += _compared(stored, rows, [seals[sequence] for sequence in sorted(seals)])
    return findings


def _session_of(decision: Row[Any]) -> date:
    """The session that a decision's entry is of, or the last; the earliest there can be where its key names none."""
    try:
        named = json.loads(decision.row_key)[1]
        return date.fromisoformat(max(named) if isinstance(named, list) else named)
    except (TypeError, ValueError, LookupError):
        return date.min


def check_last(connection: Connection, stored: Table, most: int) -> list[AuditFinding]:
    """Check the last ``most`` entries of a table, and every row from the first of them on."""
    of_table = select(CHAIN).where(CHAIN.c.table_name == stored.name)
    entries = connection.execute(of_table.order_by(CHAIN.c.sequence.desc()).limit(most)).all()[::-1]
    start = seals_of(entries[0])[0].sequence if len(entries) == most else 0
    rows = select(stored).where(stored.c.sequence >= start).order_by(stored.c.sequence)
    findings = [finding for entry in entries for finding in _resealed(entry)]
    try:
        return [*findings, *_compared(stored, connection.execute(rows).all(), _sealed(entries))]
    except UNREADABLE as error:
        return [*findings, _unreadable(stored, error)]


def _unreadable(stored: Table, error: Exception, sequence: int = 0) -> AuditFinding:
    return AuditFinding(sequence, "row unreadable", stored.name, "", f"{type(error).__name__}: {error}")


def _located(connection: Connection, stored: Table, finding: AuditFinding, since: ChainHead) -> AuditFinding:
    """Locate an unreadable row by bisection, and look its key up in the chain."""
    if finding.kind != "row unreadable":
        return finding
    ends = select(func.min(stored.c.sequence), func.max(stored.c.sequence)).where(stored.c.sequence > since.sequence)
    low, high = connection.execute(ends).one()
    if low is None or _readable(connection, stored, low, high):
        return finding
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _readable(connection, stored, low, middle) else (low, middle)
    try:
        seals = seals_at(entries_of(connection, stored, [low]), {low})
    except UNREADABLE:
        seals = []
    return replace(finding, sequence=low, key=seals[0].row_key if seals else "")


def _readable(connection: Connection, stored: Table, first: int, last: int) -> bool:
    try:
        for _ in connection.execute(select(stored).where(stored.c.sequence.between(first, last))):
            pass
    except UNREADABLE:
        return False
    return True


def _after(since: ChainHead) -> int | None:
    return None if since == GENESIS else since.sequence  # without a bound, a row numbered below 1 shows too


def check_rows(connection: Connection, stored: Table, since: ChainHead) -> tuple[list[AuditFinding], int]:
    """Walk a table and its entries side by side, in the order of the chain."""
    counting = select(func.count()).select_from(stored)
    if since != GENESIS:
        counting = counting.where(stored.c.sequence > since.sequence)
    count = int(connection.execute(counting).scalar_one())
    rows = in_order(connection, stored, after=_after(since))
    entries = in_order(connection, CHAIN, of_table=stored.name, after=_after(since))
    findings = _compared(stored, rows, _sealed(entries))
    return [_located(connection, stored, finding, since) for finding in findings], count


def _sealed(entries: Iterable[Row[Any]]) -> Iterator[Seal | Row[Any]]:
    """The seals of each entry's rows, followed by the entry itself if it has several."""
    for entry in entries:
        yield from seals_of(entry)
        if entry.rows is not None:
            yield entry


def _compared(stored: Table, rows: Iterable[Row[Any]], sealed: Iterable[Seal | Row[Any]]) -> list[AuditFinding]:
    """Compare a table's rows with the chain's seals, both in the order of the chain and read lazily."""
    try:
        return _matched(stored, rows, sealed)
    except UNREADABLE as error:
        return [_unreadable(stored, error)]


def _matched(stored: Table, rows: Iterable[Row[Any]], sealed: Iterable[Seal | Row[Any]]) -> list[AuditFinding]:
    findings: list[AuditFinding] = []
    remaining = iter(rows)
    row = next(remaining, None)
    hashes: list[str] = []
    for seal in sealed:
        if not isinstance(seal, Seal):
            if len(hashes) == rows_sealed(seal) and group_hash(hashes) != seal.row_hash:
                now = "its rows no longer are those that were appended together"
                findings.append(AuditFinding(seal.sequence, "row changed", stored.name, seal.row_key, now))
            hashes = []
            continue
        while row is not None and row.sequence < seal.sequence:
            findings.append(_alone(stored, row))
            row = next(remaining, None)
        if row is None or row.sequence != seal.sequence:
            findings.append(_deleted(seal))
            continue
        values = whole_row(row, seal)
        if matched_hash := seal.holds(stored, values):
            hashes.append(matched_hash)
        else:
            now = f"it now reads {row_key(stored, values)} with other content than was appended"
            findings.append(AuditFinding(row.sequence, "row changed", stored.name, seal.row_key, now))
        row = next(remaining, None)
    while row is not None:
        findings.append(_alone(stored, row))
        row = next(remaining, None)
    return findings


def _alone(stored: Table, row: Row[Any]) -> AuditFinding:
    key = row_key(stored, row._asdict())
    return AuditFinding(row.sequence, "row without an entry", stored.name, key, "nobody appended it through the ledger")


def _deleted(seal: Seal) -> AuditFinding:
    gone = "the chain has its entry, the table no longer has the row"
    return AuditFinding(seal.sequence, "row deleted", seal.table_name, seal.row_key, gone)


def parse_head(head: str | ChainHead) -> ChainHead:
    """The head that ``sequence:hash`` names.

    Raises
    ------
    AuditError
        It is no head.
    """
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


def check_expected(connection: Connection, expected: ChainHead) -> list[AuditFinding]:
    """What is wrong if the chain does not hold a head noted earlier."""
    if expected == GENESIS:
        return []
    stored_hash = connection.execute(select(CHAIN.c.hash).where(CHAIN.c.sequence == expected.sequence)).scalar()
    if stored_hash == expected.hash:
        return []
    now = "the chain ends before it" if stored_hash is None else f"its hash is now {stored_hash[:12]}…"
    return [AuditFinding(expected.sequence, "head lost", CHAIN.name, str(expected), now)]


def unguarded_tables(connection: Connection) -> tuple[str, ...]:
    """Tables of the ledger that lack a trigger against changes."""
    names = (*TABLES, CHAIN.name)
    if connection.dialect.name == "sqlite":
        master = table("sqlite_master", column("type"), column("name"), column("tbl_name"))
        triggers = connection.execute(select(master.c.name).where(master.c.type == "trigger"))
        guards = set(triggers.scalars())
        wanted = {name: {f"{name}_no_update", f"{name}_no_delete"} for name in names}
    else:
        catalogue = table("pg_trigger", column("tgname"), column("tgenabled"), column("tgrelid"))
        own = catalogue.c.tgrelid.in_([func.to_regclass(name) for name in names])  # not a namesake's elsewhere
        triggers = connection.execute(select(catalogue.c.tgname).where(own, catalogue.c.tgenabled.in_(("O", "A"))))
        guards = set(triggers.scalars())
        wanted = {name: {f"{name}_append_only", f"{name}_no_truncate"} for name in names}
    present = set(inspect(connection).get_table_names())
    return tuple(sorted(name for name in names if name not in present or not wanted[name] <= guards))
