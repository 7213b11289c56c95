"""What a home, its ledger, anchor and desk hold, and in which named ways two of them may differ: in no other.

Each way has a word, which docs/faults.md explains. A difference that no word allows is an error.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.orchestration.conftest import NAME
from tests.store.test_killed import dump

EQUAL, ASKED, LINE, HEAD, LIST = "bytes", "asked", "line", "head", "list"
ALERT, COMPARED, CANCEL, VERIFIED = "alert", "compared", "cancel", "verified"
WORDS = {
    EQUAL: "every row of the ledger with its hash, and every file, are the same.",
    ASKED: (
        "so are all but what tells of an order whose sending was cut: the venue was asked, knew nothing of it, and it "
        "was sent again under its own name (`unknown` and `sending` in `order_events`, and the place of rows in the "
        "chain). The desk has it once."
    ),
    LINE: (
        "so are all but a file that only grows (`alerts.jsonl`, the anchor): the beginning of a line stays in it, and "
        "the whole line follows. Whoever reads the file passes over the beginning."
    ),
    HEAD: (
        "so are all but the anchor, to which the command given again appended the head once more, further on in the "
        "same chain."
    ),
    LIST: (
        "so are all but the list of a table's additions, which the next addition completes; the addition that it lacks "
        "is read all the same."
    ),
}
"""Ways in which the end of a step that was killed and given again may differ from one that was not."""
MORE = {
    ALERT: (
        "alerts of the fault stay in `alerts.jsonl`, and the first line in any other alert says how things stood then."
    ),
    COMPARED: "comparisons that failed stay on record, before one that agrees (`reconciliations`).",
    CANCEL: "an order was asked to end, since the account could not be compared (`order_events`).",
    VERIFIED: "checks of the whole ledger stay on record (`verifications`).",
}
"""Ways in which a step with a fault under it may differ besides."""

ALERTS, ANCHOR, ADDITIONS = "home/alerts.jsonl", "elsewhere/anchor.txt", f"home/lake/{NAME}/raw_bars/additions.json"
_CHAIN_COLUMNS = ("sequence", "run_id", "recorded_at")
_IN_CHAIN = re.compile(r'"account_until": ?\d+')
_HASH = 64
_NO_NAME = ("event_id", "reconciliation_id", "known_at")
Table = Counter[str]


@dataclass(frozen=True)
class End:
    """All that a root holds.

    Attributes
    ----------
    dumped : tuple of str
        Every row of the ledger, as SQL.
    tables : mapping
        The rows of every table but the chain, as JSON, without where they stand in it and when they were stored.
    heads : mapping
        The hash of each entry of the chain.
    files : mapping
        Every file of home, anchor and desk but the ledger, locks and what a killed writer left staged.
    compared : str
        What the newest comparison of the account came to.
    """

    dumped: tuple[str, ...]
    tables: Mapping[str, Table]
    heads: Mapping[str, str]
    files: Mapping[str, bytes]
    compared: str

    @classmethod
    def of(cls, root: Path) -> Self:
        """What a root holds now."""
        ledger = root / "home" / "ledger.sqlite"
        with closing(sqlite3.connect(ledger)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            read = {name: _rows(connection, name) for name in names if name != "audit_chain"}
            heads = {str(row[0]): row[1] for row in connection.execute("SELECT sequence, hash FROM audit_chain")}
            newest = connection.execute("SELECT state FROM reconciliations ORDER BY sequence DESC LIMIT 1").fetchone()
        return cls(tuple(dump(ledger)), read, heads, _files(root), newest[0] if newest else "")


def _rows(connection: sqlite3.Connection, table: str) -> Table:
    cursor = connection.execute(f'SELECT * FROM "{table}"')  # a name that the file itself gave
    columns = [column[0] for column in cursor.description]
    return Counter(
        json.dumps(
            {
                name: _IN_CHAIN.sub("", value) if isinstance(value, str) else value
                for name, value in zip(columns, row, strict=True)
                if name not in _CHAIN_COLUMNS
            },
            default=repr,
        )
        for row in cursor
    )


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not path.name.startswith((".staged-", "ledger.sqlite"))
        and path.name != ".lock"
        and "locks" not in path.parts
    }


def kept_so_far(now: End, *, before: End, end: End) -> None:
    """Refuse what a kill left where something of before is gone, or is there that is no part of the end.

    Raises
    ------
    AssertionError
        It names what.
    """
    assert not Counter(before.dumped) - Counter(now.dumped), "rows are lost"
    assert not set(before.files) - set(now.files), "files are lost"
    for table, rows in now.tables.items():
        if invented := rows - end.tables.get(table, Counter()):
            assert table == "order_events", (table, invented)
            _asked_again(invented, ended=False)
    for name, content in now.files.items():
        if content in (before.files.get(name), end.files.get(name)):
            continue
        assert name in (ALERTS, ANCHOR), f"{name} is neither as it was nor as it is to be"
        if name == ANCHOR:
            whole, cut = _anchored(content, now)
            assert set(whole) <= set(_anchored(end.files[name], end)[0]), whole
        else:
            cut = [line for line in content.splitlines() if line not in end.files[name].splitlines()]
        _beginnings(cut, end.files[name].splitlines())


def words_of(mine: End, theirs: End, more: Iterable[str] = ()) -> set[str]:
    """In which ways an end differs from that of a step which nothing befell.

    Parameters
    ----------
    more : iterable of str
        Words of :data:`MORE` that may be among them.

    Raises
    ------
    AssertionError
        It differs in a way that no word allows; it names the rows or the file.
    """
    words = set[str]()
    assert mine.compared == theirs.compared, mine.compared
    for table in sorted(mine.tables.keys() | theirs.tables.keys()):
        left, right = mine.tables.get(table, Counter()), theirs.tables.get(table, Counter())
        if left != right:
            words |= _words_of_table(table, left - right, right - left)
    for name in sorted(mine.files.keys() | theirs.files.keys()):
        if mine.files.get(name) != theirs.files.get(name):
            words |= _words_of_file(name, mine, theirs)
    if not words:
        assert mine.dumped == theirs.dumped, "the same rows, in another order"
        words = {EQUAL}
    assert words <= {*WORDS, *more}, words - {*WORDS, *more}
    return words


def _words_of_table(table: str, there: Table, lacks: Table) -> set[str]:
    if table == "order_events" and not lacks:
        cancels = Counter(row for row in there.elements() if _is_cancel(json.loads(row)))
        if rest := there - cancels:
            _asked_again(rest)
        return ({CANCEL} if cancels else set()) | ({ASKED} if rest else set())
    if table == "reconciliations" and all(json.loads(row)["state"] in ("differs", "agreed") for row in there):
        assert _unnamed(lacks) <= _unnamed(there), f"a comparison is lost: {lacks}"
        return {COMPARED}
    if table == "verifications" and not lacks:
        return {VERIFIED}
    raise AssertionError(f"{table}: {there} in place of {lacks}")


def _is_cancel(event: Mapping[str, Any]) -> bool:
    return event["event"] == "cancel_asked" and event["reason"] == "reducing_only"


def _unnamed(rows: Table) -> set[str]:
    return {json.dumps({k: v for k, v in json.loads(row).items() if k not in _NO_NAME}) for row in rows}


def _asked_again(rows: Table, *, ended: bool = True) -> None:
    """Demand that each order of these rows was asked about and sent again, in turn.

    Parameters
    ----------
    ended : bool
        Whether each was sent again after it was asked about the last time; else it may have been.
    """
    numbers: dict[str, dict[str, list[int]]] = {}
    for row in map(json.loads, rows.elements()):
        of_order = numbers.setdefault(row["client_order_id"], {"unknown": [], "sending": []})
        assert row["event"] in of_order, row
        of_order[row["event"]].append(json.loads(row["details"])["number"])
    for of_order in numbers.values():
        asked, sent = sorted(of_order["unknown"]), sorted(of_order["sending"])
        assert asked == list(range(1, len(asked) + 1)), of_order
        assert sent in ([n + 1 for n in asked], *([] if ended else [[n + 1 for n in asked[:-1]]])), of_order


def _words_of_file(name: str, mine: End, theirs: End) -> set[str]:
    if name == ALERTS:
        return _words_of_alerts(mine.files.get(name, b""), theirs.files.get(name, b""))
    if name == ANCHOR:
        (lines, cut), (due, _) = (_anchored(end.files[name], end) for end in (mine, theirs))
        assert set(lines) == set(due), "a session is not anchored, or one that was not decided"
        _beginnings(cut, [*mine.files[name].splitlines(), *theirs.files[name].splitlines()])
        return ({HEAD} if len(lines) > len(due) else set()) | ({LINE} if cut else set())
    assert name == ADDITIONS, f"{name} is not as it is to be"
    assert name in mine.files, f"{name} is lost"
    listed, all_of_them = (json.loads(end.files[name])["segments"] for end in (mine, theirs))
    assert listed == all_of_them[: len(listed)], listed
    return {LIST}


def _anchored(content: bytes, end: End) -> tuple[list[bytes], list[bytes]]:
    """The whole lines of an anchor, without their heads, each of which must be one of the chain's; and the others."""
    whole, cut = [], []
    for line in content.splitlines():
        words, _, head = line.rpartition(b" ")
        sequence, _, digest = head.decode().partition(":")
        if len(digest) == _HASH:
            assert end.heads[sequence] == digest, line
            whole.append(words)
        else:
            cut.append(line)
    return whole, cut


def _beginnings(cut: Iterable[bytes], lines: Sequence[bytes]) -> None:
    """Demand that each is the beginning of a line, and not all of it."""
    for begun in cut:
        assert any(line.startswith(begun) and line != begun for line in lines), f"the beginning of no line: {begun!r}"


def _words_of_alerts(mine: bytes, theirs: bytes) -> set[str]:
    """Every alert must be there; of others the beginnings of one of them, and alerts of what is wrong meanwhile."""
    lines, whole = mine.splitlines(), theirs.splitlines()
    alerts_there = [json.dumps(alert, sort_keys=True) for line in lines if (alert := _alert(line)) is not None]
    assert len(set(alerts_there)) == len(alerts_there), "an alert is there twice"  # one cut short twice is there once
    added, changed = [line for line in lines if line not in whole], [line for line in whole if line not in lines]
    kinds = {line: _alert(line) for line in (*added, *changed)}
    for line in changed:  # its headline says how things stood
        assert kinds[line] in [kinds[other] for other in added], f"an alert is lost: {line!r}"
    alerts = [line for line in added if kinds[line] is not None]
    _beginnings([line for line in added if kinds[line] is None], [*whole, *alerts])
    return ({ALERT} if alerts else set()) | ({LINE} if len(alerts) < len(added) else set())


def _alert(line: bytes) -> dict[str, str] | None:
    try:
        alert: dict[str, str] = json.loads(line)
    except ValueError:
        return None
    return {name: text for name, text in alert.items() if name != "headline"}


def causes_of_alerts(mine: End, theirs: End) -> list[str]:
    """What the alerts name that a step which nothing befell does not give."""
    there = [_alert(line) for line in mine.files.get(ALERTS, b"").splitlines()]
    usual = [_alert(line) for line in theirs.files.get(ALERTS, b"").splitlines()]
    return [alert["cause"] for alert in there if alert is not None and alert not in usual]
