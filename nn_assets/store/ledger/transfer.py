"""A ledger moved to another database: every row and every entry of the chain as it is, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.audit import AuditReport, verify_within
from nn_assets.store.ledger.chain import GENESIS, ChainHead, read_head
from nn_assets.store.ledger.engine import reading, writing
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.migrations import revision_of
from nn_assets.store.ledger.reading import in_order
from nn_assets.store.ledger.schema import CHAIN, HEAD_REVISION, TABLES

_ROWS_A_STATEMENT = 2_000


@dataclass(frozen=True)
class Transfer:
    """What a copy did.

    Parameters
    ----------
    verified : AuditReport
        The verdict on the target, the copied rows included.
    copied : int
        Entries that were not there before.
    """

    verified: AuditReport
    copied: int


def copy_ledger(source: Engine, target: Ledger) -> Transfer:
    """Copy a ledger into one that is empty, or that holds the beginning of the very same chain.

    All of it is one transaction of the target: it is committed when the whole target verifies and its
    head and row counts are the source's, and undone otherwise. The source is only read, in one
    consistent view; what is appended to it meanwhile waits for the next copy.

    Parameters
    ----------
    source : Engine
        A ledger of the newest schema.
    target : Ledger
        Nobody else can append to it meanwhile.

    Raises
    ------
    AuditError
        The source does not verify, or the target does not once it has the rows.
    LedgerError
        The source is no ledger or an older one, the target holds something else, or either cannot
        be reached.
    """
    with reading(source) as origin:
        _demand_newest(origin)
        expected = verify_within(origin)
        expected.demand_ok()
        with writing(target.engine) as destination:
            start, copied = _common_head(origin, destination), 0
            for table in (CHAIN, *TABLES.values()):
                for rows in _pieces(in_order(origin, table, after=start.sequence)):
                    destination.execute(insert(table), rows)
                    copied += len(rows) if table is CHAIN else 0
            actual = verify_within(destination, expected_head=expected.head)
            actual.demand_ok()
            _demand_equal(expected, actual)
    return Transfer(actual, copied)


def _demand_newest(origin: Connection) -> None:
    revision = revision_of(origin)
    if revision != HEAD_REVISION:
        raise LedgerError(
            expected=f"a ledger of schema {HEAD_REVISION} to copy",
            found="no ledger" if revision is None else f"schema {revision}",
            remedy="`nn-assets audit verify` brings an older ledger up to date; then copy it",
        )


def _common_head(origin: Connection, destination: Connection) -> ChainHead:
    """Return the place up to which the target has the source's chain already."""
    head = read_head(destination)
    if head == GENESIS:
        return head
    there = origin.execute(select(CHAIN.c.hash).where(CHAIN.c.sequence == head.sequence)).scalar()
    if there != head.hash:  # an equal hash means equal entries all the way back
        raise LedgerError(
            expected="an empty target, or one that holds the beginning of the source's chain",
            found=f"{head.sequence} entries "
            + ("of another chain" if there is not None else "where the source has fewer, or others"),
            remedy="name an empty database; a ledger that went on by itself is never overwritten",
        )
    return head


def _pieces(rows: Iterable[Row[Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while piece := [row._asdict() for row in islice(remaining, _ROWS_A_STATEMENT)]:
        yield piece


def _demand_equal(expected: AuditReport, actual: AuditReport) -> None:
    if (actual.head, actual.entries, actual.rows) != (expected.head, expected.entries, expected.rows):
        raise LedgerError(
            expected=f"{expected.entries} entries up to {expected.head}, and as many rows as the source has",
            found=f"{actual.entries} entries up to {actual.head}",
            remedy="the target was left as it was; run again, and report it if it stays",
        )
