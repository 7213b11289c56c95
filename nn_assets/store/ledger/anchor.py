"""The head of the chain, anchored outside: a line of a text file on another disk for each decided session.

Whoever may write to the database can cut its end, or rewrite all of it from some entry on, and leave a consistent
ledger. The file that ``NN_ASSETS_ANCHOR`` names, kept where that person may only append, holds what the head was:
each entry anchored must still be in the chain, with the hash that it had.

A line is a UTC moment, the strategy and session decided, and ``sequence:hash``. One file is of one ledger. It is only
ever appended to; a line that cannot be written is said, and stops nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import dropwhile
from pathlib import Path

from sqlalchemy import Connection, select

from nn_assets.store.home import ANCHOR_VARIABLE, anchor_file, home
from nn_assets.store.ledger.audit_checks import AuditFinding
from nn_assets.store.ledger.chain import ChainHead, read_head
from nn_assets.store.ledger.schema import CHAIN

_WORDS = 4  # of a line
_LONGEST_HASH = 64
_CUT_SHORT = re.compile(r"[\dT:+-]{1,25}( \S*( [\d-]{0,10}( \d*(:[0-9a-f]{0,63})?)?)?)?")  # of a line
_AT_ONCE = 500  # entries asked for in one statement


@dataclass(frozen=True)
class Anchor:
    """What a line of the file says: when, after which strategy's session, and the head then."""

    at: str
    strategy: str
    session: str
    head: ChainHead

    def __str__(self) -> str:
        return f"{self.at} {self.strategy} {self.session} {self.head}"


@dataclass(frozen=True)
class AnchorFault:
    """Why the head cannot be anchored, and what a person does about it."""

    found: str
    remedy: str


@dataclass(frozen=True)
class Anchors:
    """The lines of the file, in their order, and how many of them cannot be read.

    One that is the beginning of a line, as a process leaves it that is killed while it writes, is not counted where a
    whole one follows: the head in that covers all that it would have.
    """

    lines: tuple[Anchor, ...] = ()
    unreadable: int = 0
    fault: AnchorFault | None = None  # the file is not there, or cannot be read


def anchor_head(head: ChainHead, strategy: str, session: str, now: datetime) -> AnchorFault | None:
    """Append the head to the file; None where it is there now, or where no file is named. Nothing is raised."""
    file = anchor_file()
    if file is None:
        return None
    if (fault := _misplaced(file)) is not None:
        return fault
    try:
        _append(file, Anchor(now.isoformat(timespec="seconds"), strategy, session, head))
    except OSError as error:
        return _unwritable(file, str(error))
    return None


def read_anchors() -> Anchors | None:
    """The lines of the file; None where no file is named. Nothing is raised."""
    file = anchor_file()
    if file is None:
        return None
    if (fault := _misplaced(file)) is not None:
        return Anchors(fault=fault)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Anchors(
            fault=AnchorFault(
                f"the anchor {file} is not there",
                "mount its disk, or restore it; where it was never made, the next round makes it",
            )
        )
    except OSError as error:
        found = f"the anchor {file} cannot be read: {error}"
        return Anchors(fault=AnchorFault(found, f"give this user the right to read and append to {file}"))
    lines = [line for line in content.decode(errors="replace").splitlines() if line.strip()]
    read = [_read(line) for line in lines]
    last = max((number for number, anchor in enumerate(read) if anchor is not None), default=-1)
    unreadable = sum(
        anchor is None and (number > last or _CUT_SHORT.fullmatch(line) is None)
        for number, (line, anchor) in enumerate(zip(lines, read, strict=True))
    )
    return Anchors(tuple(anchor for anchor in read if anchor is not None), unreadable)


def unanchored(last_decision: int) -> AnchorFault | None:
    """Why the last decided session is not anchored, or why the next one will not be; None where all is well.

    Parameters
    ----------
    last_decision : int
        Sequence number of the newest decision on record; 0 where there is none.
    """
    anchors, file = read_anchors(), anchor_file()
    if anchors is None or file is None:
        return None
    if anchors.fault is not None:
        missing = not file.exists() and last_decision == 0 and file.parent.is_dir()
        return None if missing else anchors.fault  # the first round makes it
    if not os.access(file, os.W_OK):
        return _unwritable(file, "this user may not write to it")
    newest = max((anchor.head.sequence for anchor in anchors.lines), default=0)
    if newest < last_decision:
        return _unwritable(file, f"its last line is of entry {newest}, and the last round is entry {last_decision}")
    if anchors.unreadable:
        lines = "1 line" if anchors.unreadable == 1 else f"{anchors.unreadable} lines"
        found = f"{lines} of the anchor {file} cannot be read"
        return AnchorFault(found, "see who changed the file; what such a line held is compared with nothing")
    return None


def held_against(connection: Connection, anchors: Anchors | None) -> list[AuditFinding]:
    """What is wrong if the chain does not hold every head anchored: it was cut back, or rewritten, and from where.

    Parameters
    ----------
    anchors : Anchors or None
        Read before the transaction began: what was anchored meanwhile may not be in it.
    """
    if anchors is None or not anchors.lines:
        return []
    stored, newest = _stored(connection, [anchor.head.sequence for anchor in anchors.lines]), read_head(connection)
    lost = [anchor for anchor in anchors.lines if stored.get(anchor.head.sequence) != anchor.head.hash]
    cut = [anchor for anchor in lost if anchor.head.sequence > newest.sequence]
    changed = [anchor for anchor in lost if anchor.head.sequence <= newest.sequence]
    findings = []
    if changed:
        first, before = changed[0], _before(anchors.lines, changed[0])
        text = f"{len(changed)} of {len(anchors.lines)} anchored heads are not in the chain; it holds {before} still"
        findings.append(AuditFinding(first.head.sequence, "ledger rewritten", CHAIN.name, str(first), text))
    if cut:
        text = f"the chain ends at entry {newest.sequence}: {len(cut)} of {len(anchors.lines)} anchored heads lie after"
        findings.append(AuditFinding(cut[0].head.sequence, "ledger cut back", CHAIN.name, str(cut[0]), text))
    return findings


def _before(lines: Sequence[Anchor], changed: Anchor) -> str:
    """The last head anchored before one that the chain does not hold."""
    earlier = [line for line in lines if line.head.sequence < changed.head.sequence]
    return f"that of {earlier[-1].session} ({earlier[-1].head.sequence})" if earlier else "none before it"


def _stored(connection: Connection, sequences: Sequence[int]) -> dict[int, str]:
    hashes: dict[int, str] = {}
    asked = list(dict.fromkeys(sequences))
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        entries = connection.execute(select(CHAIN.c.sequence, CHAIN.c.hash).where(CHAIN.c.sequence.in_(some)))
        hashes |= {entry.sequence: entry.hash for entry in entries}
    return hashes


def _append(file: Path, anchor: Anchor) -> None:
    """Add a line, on the disk when this returns; one that is there already is not added again."""
    with file.open("ab+") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, end - 4096))
        tail = stream.read()
        last = next(dropwhile(lambda line: not line.strip(), reversed(tail.decode(errors="replace").splitlines())), "")
        written = _read(last)
        if written is not None and tail.endswith(b"\n") and written.head == anchor.head:
            return
        cut_short = b"\n" * (tail[-1:] not in {b"", b"\n"})
        stream.write(cut_short + f"{anchor}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())


def _read(line: str) -> Anchor | None:
    words = line.split()
    if len(words) != _WORDS:
        return None
    sequence, _, digest = words[-1].partition(":")
    if not sequence.isascii() or not sequence.isdigit() or len(digest) != _LONGEST_HASH:
        return None
    at, strategy, session, _ = words
    return Anchor(at, strategy, session, ChainHead(sequence=int(sequence), hash=digest))


def _misplaced(file: Path) -> AnchorFault | None:
    """Why a file is no anchor, wherever it lies on the disk; None where it may be one."""
    elsewhere = f"name a file outside {home()} by its whole path in {ANCHOR_VARIABLE}"
    if not file.is_absolute():
        return AnchorFault(f"the head of the chain is not anchored: {file} is no whole path", elsewhere)
    if file.is_relative_to(home().absolute()):
        return AnchorFault(f"the head of the chain is not anchored: {file} lies in the home that it guards", elsewhere)
    return None


def _unwritable(file: Path, why: str) -> AnchorFault:
    return AnchorFault(
        f"the head of the chain is not anchored in {file}: {why}",
        f"let this user append to {file}: the next round anchors the head with all before it",
    )
