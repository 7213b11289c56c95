"""Verification of the ledger's hash chain: of all of it, or of what was added since the last time.

What it detects: a row that was changed, deleted, or inserted without an entry; an entry that was
changed, deleted, inserted or moved; a row whose value cannot be read back. It names the first. An entry
of several rows seals the hashes of all of them, and keeps 96 bits of each beside their keys: by these the
row is found that was changed, or is gone. A row put in its place must meet those bits where rows are looked
at one by one (as they are read), and all 256 where a walk along the chain looks at the entry's rows together.

What it cannot detect by itself: someone who may write to the database can rewrite *everything* from
some entry on, chain included, or cut the end of the chain together with its rows; the result is a
consistent ledger with other or missing contents. Against that, keep the head (``sequence:hash``)
of an earlier verification somewhere else and hand it in as ``expected_head``: the chain must then
still hold that very entry.

:func:`verify_since_last`, which every run calls, goes on from the head that the table
``verifications`` has on record, so that each entry and each row is looked at once. It detects all of
the above among what was added since, and a chain that no longer holds that head. It cannot detect an
old row that was changed, removed or added (under an old entry's number) *after* it was verified: the
whole on demand, :func:`verify` (``nn-assets audit verify``), does.

:func:`verify_before_round` looks at the last round once more too, at every row of acts (controls, cost
models, studies and their like, whose absence decides as much as what they say), and once a week at the
whole; older rows that a round reads are hashed again as it reads them (:meth:`Ledger.rows_verified`). A
study looks at the rows of acts (:func:`verify_acts`), and ``status`` at them and at the rows that it
tells (:func:`find_changed_state`). Between two looks at the whole none of these detects an old row that
went together with its entry, where that was rewritten as one of another table.

A record of a verification is itself a row with an entry, and is verified by the next one; a forged one
is found like any other forged row, unless whoever forges it may also write entries, which is the case above.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
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
from nn_assets.store.ledger.engine import reading
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reading import UNREADABLE, in_order
from nn_assets.store.ledger.reread import changed_row_error, entries_of, seals_at
from nn_assets.store.ledger.schema import CHAIN, TABLES, WHOLE_LEDGER

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
    "verification unfounded",
]
_FINDINGS_KEPT = 100
_VERIFICATIONS, _OF_THE_CHAIN, _OF_THE_WHOLE, _BROKEN = "verifications", "chain", "whole", "broken"
_WHOLE_EVERY = timedelta(days=7)
_OF_ACTS = [contract.name for contract in ACTS]
# What a strategy's state is read from besides acts: what its last decided session left, and how runs, gates and
# verifications ended last, as many entries of each as some days bring.
_OF_THE_LAST_SESSION = (
    "decisions",
    "portfolio_states",
    "trading_states",
    "target_positions",
    "orders",
    "holdings",
)
_LAST_CHECKED = {"outcomes": 500, "verifications": 100}
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


@dataclass(frozen=True)
class AuditReport:
    """The verdict on a ledger.

    Parameters
    ----------
    entries : int
        Entries of the chain that were verified.
    rows : dict of str to int
        Rows of each table that were verified.
    head : ChainHead
        The newest entry: note it elsewhere to hold a later verification against it.
    findings : tuple of AuditFinding
        In the order of the chain, at most a hundred; empty when all is well.
    unguarded : tuple of str
        Tables without the triggers that refuse changes. Nothing need have happened to them.
    since : ChainHead
        The entry after which verification began; what lies before was not looked at again.
    """

    entries: int
    rows: dict[str, int]
    head: ChainHead
    findings: tuple[AuditFinding, ...]
    unguarded: tuple[str, ...]
    since: ChainHead = GENESIS

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
        _demand_none(self.findings)


def _demand_none(findings: Sequence[AuditFinding]) -> None:
    if findings:
        broken = min(findings, key=_position)
        problem = f"{broken.kind}: {broken.message} ({len(findings)} findings)"
        raise changed_row_error(problem, sequence=broken.sequence, table=broken.table, key=broken.key)


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


def verify_since_last(ledger: Ledger, *, run_id: str, expected_head: str | ChainHead | None = None) -> AuditReport:
    """Check what was added since the last verification on record, and put this one on record.

    Nothing is appended where something is wrong, so that the next verification finds it again, nor
    where nothing but records of verifications was added, so that verifying does not feed itself.
    Where the record itself is wrong, the whole ledger is checked.

    Parameters
    ----------
    ledger : Ledger
    run_id : str
        Who verifies.
    expected_head : ChainHead or ``sequence:hash``, optional
        As :func:`verify` takes it.

    Raises
    ------
    LedgerError
        The ledger cannot be read or appended to.
    """
    with reading(ledger.engine) as connection:
        start, unfounded = _last_verified(connection)
        report = verify_within(connection, expected_head=expected_head, since=start)
        grown = _grown_since(connection, start)
    if unfounded:
        findings = sorted((*unfounded, *report.findings), key=_position)
        return replace(report, findings=tuple(findings[:_FINDINGS_KEPT]))
    if report.ok and grown:
        _put_on_record(ledger, _OF_THE_CHAIN, report.head, run_id)
    return report


def record_verification(ledger: Ledger, report: AuditReport, *, run_id: str) -> None:
    """Record that the ledger was found broken, or that it no longer is; nothing else is recorded.

    While it is on record as broken, :func:`verify_before_round` checks the whole. A head that was lost is not kept:
    without that head no later check can find it again.

    Parameters
    ----------
    report : AuditReport
        What :func:`verify` found.

    Raises
    ------
    LedgerError
        The ledger cannot be appended to.
    """
    own = [str(finding) for finding in report.findings if finding.kind != "head lost"]
    if own:
        _put_on_record(ledger, _BROKEN, report.head, run_id, findings=own)
    elif report.ok and broken_on_record(ledger) is not None:
        _put_on_record(ledger, _OF_THE_WHOLE, report.head, run_id)


def broken_on_record(ledger: Ledger) -> str | None:
    """The first thing found wrong on demand, unless the whole was found right since."""
    broken = ledger.last_appended(_VERIFICATIONS, strategy=WHOLE_LEDGER, kind=_BROKEN)
    whole = ledger.last_appended(_VERIFICATIONS, strategy=WHOLE_LEDGER, kind=_OF_THE_WHOLE)
    if broken is None or (whole is not None and whole["sequence"] > broken["sequence"]):
        return None
    return str(broken["details"]["findings"][0])


def verify_before_round(ledger: Ledger, strategy: str, *, run_id: str, now: datetime) -> AuditReport:
    """Check what a strategy's next round starts from: its last round and all since, or all not yet verified.

    Every row of acts is looked at besides, with its entry, and every entry of one with its row. Once a week the whole
    ledger is checked, and that is put on record. How far the rest was verified is left to :func:`verify_since_last`,
    after the round.

    Parameters
    ----------
    ledger : Ledger
    strategy, run_id : str
        Whose round, and who verifies.
    now : UTC moment

    Raises
    ------
    LedgerError
        The ledger cannot be read or appended to.
    """
    with reading(ledger.engine) as connection:
        verified, unfounded = _last_verified(connection)
        whole = not _whole_within(connection, now)
        start = GENESIS if whole else min(verified, _before_last_round(connection, strategy), key=_number)
        report = verify_within(connection, since=start)
        of_acts = [] if start == GENESIS else _check_acts(connection)
    if unfounded or of_acts:
        findings = dict.fromkeys((*unfounded, *sorted((*of_acts, *report.findings), key=_position)))
        return replace(report, findings=tuple(findings)[:_FINDINGS_KEPT])
    if whole and report.ok and report.head != GENESIS:
        _put_on_record(ledger, _OF_THE_WHOLE, report.head, run_id)
    return report


def verify_acts(ledger: Ledger) -> None:
    """Check every row of acts against its entry, and every entry of one against its row, as each round does.

    The cost grows with the number of controls, studies and fits, not with sessions.

    Raises
    ------
    AuditError
        Something is wrong; the first finding is named.
    LedgerError
        The ledger cannot be read.
    """
    with reading(ledger.engine) as connection:
        _demand_none(_check_acts(connection))


def find_changed_state(ledger: Ledger, strategy: str) -> AuditFinding | None:
    """The first fault of the records that a strategy's state is read from; None where they are as they were appended.

    Looked at are every row of acts, what the last decided session left, and the last outcomes and verifications, each
    row with its entry and each entry with its row. The cost does not grow with sessions, as that of a round's own look
    does not; unlike there nothing is put on record, and older rows are left to the next round.

    Raises
    ------
    LedgerError
        The ledger cannot be read.
    """
    with reading(ledger.engine) as connection:
        findings = [*_check_acts(connection), *_check_last_session(connection, strategy)]
        for name, entries in _LAST_CHECKED.items():
            findings += _check_last(connection, TABLES[name], entries)
    return min(findings, key=_position, default=None)


def require_unchanged_state(ledger: Ledger, strategy: str) -> None:
    """Refuse to report on a strategy where :func:`find_changed_state` finds something.

    Raises
    ------
    AuditError
        What was found.
    """
    changed = find_changed_state(ledger, strategy)
    _demand_none([] if changed is None else [changed])


def _put_on_record(ledger: Ledger, kind: str, head: ChainHead, run_id: str, findings: Sequence[str] = ()) -> None:
    suffix = f"-{hashlib.sha256(''.join(findings).encode()).hexdigest()[:16]}" if findings else ""
    row = {
        "verification_id": f"{kind}-{head.sequence}{suffix}",
        "kind": kind,
        "until_sequence": head.sequence,
        "head_hash": head.hash,
        "details": {"findings": list(findings[:_FINDINGS_KEPT])} if findings else {},
    }
    ledger.append(_VERIFICATIONS, [row], run_id=run_id, strategy=WHOLE_LEDGER)


def _whole_within(connection: Connection, now: datetime) -> bool:
    """Whether the whole was found right in the last week, and not broken since, by a record as it was appended."""
    # Read from the chain, since a row that says broken may have been hidden.
    ends = [CHAIN.c.row_key.startswith(f'["{WHOLE_LEDGER}","{kind}-') for kind in (_OF_THE_WHOLE, _BROKEN)]
    newest = select(CHAIN).where(CHAIN.c.table_name == _VERIFICATIONS, or_(*ends)).order_by(CHAIN.c.sequence.desc())
    entry = connection.execute(newest.limit(1)).one_or_none()
    if entry is None:
        return False
    stored = TABLES[_VERIFICATIONS]
    row = connection.execute(select(stored).where(stored.c.sequence == entry.sequence)).mappings().one_or_none()
    seals = seals_of(entry)  # one: each is appended alone
    if row is None or row["kind"] != _OF_THE_WHOLE or len(seals) != 1 or not seals[0].holds(stored, dict(row)):
        return False
    return bool(timedelta(0) <= now - row["recorded_at"] < _WHOLE_EVERY)


def _before_last_round(connection: Connection, strategy: str) -> ChainHead:
    """The entry before a strategy's newest decision, by the chain: its row may be gone."""
    newest = _last_decision(connection, strategy)
    first = 0 if newest is None else newest.sequence
    before = select(CHAIN.c.sequence, CHAIN.c.hash).where(CHAIN.c.sequence < first)
    entry = connection.execute(before.order_by(CHAIN.c.sequence.desc()).limit(1)).one_or_none()
    return GENESIS if entry is None else ChainHead(sequence=entry.sequence, hash=entry.hash)


def _last_decision(connection: Connection, strategy: str) -> Row[Any] | None:
    """The entry of a strategy's newest decision; None where it decided nothing."""
    decisions = select(CHAIN).where(_IS_A_DECISION, _is_of(strategy))
    return connection.execute(decisions.order_by(CHAIN.c.sequence.desc()).limit(1)).one_or_none()


def _is_of(strategy: str) -> ColumnElement[bool]:
    """That an entry is of a row of one strategy."""
    return CHAIN.c.row_key.startswith(f"[{json.dumps(strategy)},", autoescape=True)


def _number(head: ChainHead) -> int:
    return head.sequence


def _last_verified(connection: Connection) -> tuple[ChainHead, list[AuditFinding]]:
    """Return the head verified last, and what is wrong with the record of it: then all is to be verified."""
    stored = TABLES[_VERIFICATIONS]
    of_the_chain = select(stored.c.sequence, stored.c.until_sequence, stored.c.head_hash).where(
        stored.c.strategy == WHOLE_LEDGER, stored.c.kind == _OF_THE_CHAIN
    )
    row = connection.execute(of_the_chain.order_by(stored.c.sequence.desc()).limit(1)).one_or_none()
    if row is None:
        return GENESIS, []
    if not isinstance(row.until_sequence, int) or not 0 < row.until_sequence < row.sequence:
        says = f"entry {row.sequence} says that entry {row.until_sequence} was verified before it"
        return GENESIS, [AuditFinding(row.sequence, "verification unfounded", _VERIFICATIONS, "", says)]
    head = ChainHead(sequence=row.until_sequence, hash=str(row.head_hash))
    lost = _check_expected(connection, head)
    return (GENESIS if lost else head), lost


def _grown_since(connection: Connection, start: ChainHead) -> bool:
    others = select(CHAIN.c.sequence).where(CHAIN.c.sequence > start.sequence, CHAIN.c.table_name != _VERIFICATIONS)
    return connection.execute(others.limit(1)).first() is not None


def verify_within(
    connection: Connection, *, expected_head: str | ChainHead | None = None, since: ChainHead = GENESIS
) -> AuditReport:
    """Check a ledger as :func:`verify` does, in a transaction that is under way: its own rows included.

    With ``since``, an entry that the chain holds, only entries and rows after that one are looked at.
    """
    findings, head, entries = _check_chain(connection, since)
    rows = {}
    for stored in TABLES.values():
        wrong, rows[stored.name] = _check_rows(connection, stored, since)
        findings += wrong
    if expected_head is not None:
        findings += _check_expected(connection, _parse_head(expected_head))
    unguarded = _unguarded(connection)
    findings.sort(key=_position)
    return AuditReport(entries, rows, head, tuple(findings[:_FINDINGS_KEPT]), unguarded, since)


def _position(finding: AuditFinding) -> tuple[int, str, str]:
    return finding.sequence, finding.table, finding.key


def _check_chain(connection: Connection, since: ChainHead) -> tuple[list[AuditFinding], ChainHead, int]:
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


def _check_acts(connection: Connection) -> list[AuditFinding]:
    """Every row of acts against its entry, every entry of one against its row and its neighbour in the chain."""
    findings = [finding for name in _OF_ACTS for finding in _check_rows(connection, TABLES[name], GENESIS)[0]]
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


def _check_last_session(connection: Connection, strategy: str) -> list[AuditFinding]:
    """What a strategy's last decided session left: that of the chain, since its rows may be gone or put off."""
    decision = _last_decision(connection, strategy)
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


def _check_last(connection: Connection, stored: Table, most: int) -> list[AuditFinding]:
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


def _check_rows(connection: Connection, stored: Table, since: ChainHead) -> tuple[list[AuditFinding], int]:
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
    stored_hash = connection.execute(select(CHAIN.c.hash).where(CHAIN.c.sequence == expected.sequence)).scalar()
    if stored_hash == expected.hash:
        return []
    now = "the chain ends before it" if stored_hash is None else f"its hash is now {stored_hash[:12]}…"
    return [AuditFinding(expected.sequence, "head lost", CHAIN.name, str(expected), now)]


def _unguarded(connection: Connection) -> tuple[str, ...]:
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
