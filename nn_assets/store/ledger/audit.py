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
still hold that very entry. The file that ``NN_ASSETS_ANCHOR`` names has the head after every round, and
whatever looks at the chain here holds it against all of them (:mod:`~nn_assets.store.ledger.anchor`).

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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select

from nn_assets.store.ledger.anchor import Anchors, held_against, read_anchors
from nn_assets.store.ledger.audit_checks import (
    AuditFinding,
    check_acts,
    check_chain,
    check_expected,
    check_last,
    check_last_session,
    check_rows,
    last_decision,
    parse_head,
    position,
    unguarded_tables,
)
from nn_assets.store.ledger.chain import GENESIS, ChainHead, seals_of
from nn_assets.store.ledger.engine import reading
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reread import changed_row_error
from nn_assets.store.ledger.schema import CHAIN, TABLES, WHOLE_LEDGER

_FINDINGS_KEPT = 100
_SEEN_FROM_OUTSIDE = frozenset({"head lost", "ledger cut back", "ledger rewritten"})
_VERIFICATIONS, _OF_THE_CHAIN, _OF_THE_WHOLE, _BROKEN = "verifications", "chain", "whole", "broken"
_WHOLE_EVERY = timedelta(days=7)
# What a strategy's state is read from besides acts and what its last decided session left: how runs, gates and
# verifications ended last, as many entries of each as some days bring.
_LAST_CHECKED = {"outcomes": 500, "verifications": 100}


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
        broken = min(findings, key=position)
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
    anchors = read_anchors()
    with reading(ledger.engine) as connection:
        return _anchored(connection, verify_within(connection, expected_head=expected_head), anchors)


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
    anchors = read_anchors()
    with reading(ledger.engine) as connection:
        start, unfounded = _last_verified(connection)
        report = _anchored(connection, verify_within(connection, expected_head=expected_head, since=start), anchors)
        grown = _grown_since(connection, start)
    if unfounded:
        findings = sorted((*unfounded, *report.findings), key=position)
        return replace(report, findings=tuple(findings[:_FINDINGS_KEPT]))
    if report.ok and grown:
        _put_on_record(ledger, _OF_THE_CHAIN, report.head, run_id)
    return report


def record_verification(ledger: Ledger, report: AuditReport, *, run_id: str) -> None:
    """Record that the ledger was found broken, or that it no longer is; nothing else is recorded.

    While it is on record as broken, :func:`verify_before_round` checks the whole. A head that was lost is not kept:
    without that head no later check can find it again. Nor is what the anchor shows: it shows it every time.

    Parameters
    ----------
    report : AuditReport
        What :func:`verify` found.

    Raises
    ------
    LedgerError
        The ledger cannot be appended to.
    """
    own = [str(finding) for finding in report.findings if finding.kind not in _SEEN_FROM_OUTSIDE]
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
    anchors = read_anchors()
    with reading(ledger.engine) as connection:
        verified, unfounded = _last_verified(connection)
        whole = not _whole_within(connection, now)
        start = GENESIS if whole else min(verified, _before_last_round(connection, strategy), key=_number)
        report = _anchored(connection, verify_within(connection, since=start), anchors)
        of_acts = [] if start == GENESIS else check_acts(connection)
    if unfounded or of_acts:
        findings = dict.fromkeys((*unfounded, *sorted((*of_acts, *report.findings), key=position)))
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
        _demand_none(check_acts(connection))


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
    anchors = read_anchors()
    with reading(ledger.engine) as connection:
        findings = [*check_acts(connection), *check_last_session(connection, strategy)]
        findings += held_against(connection, anchors)
        for name, entries in _LAST_CHECKED.items():
            findings += check_last(connection, TABLES[name], entries)
    return min(findings, key=position, default=None)


def require_unchanged_state(ledger: Ledger, strategy: str) -> None:
    """Refuse to report on a strategy where :func:`find_changed_state` finds something.

    Raises
    ------
    AuditError
        What was found.
    """
    changed = find_changed_state(ledger, strategy)
    _demand_none([] if changed is None else [changed])


def _anchored(connection: Connection, report: AuditReport, anchors: Anchors | None) -> AuditReport:
    """A report with what the heads anchored outside show, first of all."""
    lost = held_against(connection, anchors)
    return replace(report, findings=(*lost, *report.findings)[:_FINDINGS_KEPT]) if lost else report


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
    newest = last_decision(connection, strategy)
    first = 0 if newest is None else newest.sequence
    before = select(CHAIN.c.sequence, CHAIN.c.hash).where(CHAIN.c.sequence < first)
    entry = connection.execute(before.order_by(CHAIN.c.sequence.desc()).limit(1)).one_or_none()
    return GENESIS if entry is None else ChainHead(sequence=entry.sequence, hash=entry.hash)


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
    lost = check_expected(connection, head)
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
    findings, head, entries = check_chain(connection, since)
    rows = {}
    for stored in TABLES.values():
        wrong, rows[stored.name] = check_rows(connection, stored, since)
        findings += wrong
    if expected_head is not None:
        findings += check_expected(connection, parse_head(expected_head))
    unguarded = unguarded_tables(connection)
    findings.sort(key=position)
    return AuditReport(entries, rows, head, tuple(findings[:_FINDINGS_KEPT]), unguarded, since)
