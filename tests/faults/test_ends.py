"""Two ends may differ in the ways that have a word, and in no other: each difference that is wrong is refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.ends import (
    ADDITIONS,
    ALERT,
    ALERTS,
    ANCHOR,
    ASKED,
    CANCEL,
    COMPARED,
    EQUAL,
    HEAD,
    LINE,
    LIST,
    MORE,
    End,
    causes_of_alerts,
    kept_so_far,
    words_of,
)

HEADS = {"5": "a" * 64, "7": "b" * 64}


def anchored(sequence: str, head: str = "") -> bytes:
    return f"2018-01-05T12:00:00+00:00 demo 2018-01-05 {sequence}:{head or HEADS[sequence]}\n".encode()


def alert(alert_id: str, **more: str) -> bytes:
    return json.dumps(
        {"headline": "demo TRADES", "cause": f"because of {alert_id}", "alert_id": alert_id} | more
    ).encode()


def event(name: str, number: int, **more: Any) -> str:
    details = json.dumps({"number": number})
    return json.dumps({"client_order_id": "one", "event": name, "reason": None, "details": details} | more)


def compared(state: str, about: str) -> str:
    return json.dumps({"reconciliation_id": f"{state} {about}", "state": state, "details": about})


FILES: Mapping[str, bytes] = {
    ALERTS: alert("a") + b"\n",
    ANCHOR: anchored("5"),
    ADDITIONS: json.dumps({"segments": ["1", "2"]}).encode(),
    "home/report.html": b"a page",
}
EVENTS = Counter([event("sending", 1), event("taken", 1)])
WHOLE = End(("row 1", "row 2"), {"order_events": EVENTS, "reconciliations": Counter(), "fills": Counter(["f"])}, HEADS,
            FILES, "agreed")  # fmt: skip


def with_file(name: str, content: bytes | None) -> End:
    files = {**FILES, name: content}
    return replace(WHOLE, files={name: content for name, content in files.items() if content is not None})


def with_rows(table: str, *rows: str) -> End:
    return replace(WHOLE, dumped=("other",), tables={**WHOLE.tables, table: WHOLE.tables[table] + Counter(rows)})


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (WHOLE, {EQUAL}),
        (with_rows("order_events", event("unknown", 1), event("sending", 2)), {ASKED}),
        (
            with_rows(
                "order_events", *(event(*e) for e in (("unknown", 1), ("sending", 2), ("unknown", 2), ("sending", 3)))
            ),
            {ASKED},
        ),
        (with_file(ALERTS, alert("a")[:9] + b"\n" + alert("a") + b"\n"), {LINE}),
        (with_file(ANCHOR, anchored("5")[:60] + b"\n" + anchored("5")), {LINE}),
        (with_file(ANCHOR, anchored("5") + anchored("7")), {HEAD}),
        (with_file(ANCHOR, anchored("5")[:60] + b"\n" + anchored("5") + anchored("7")), {HEAD, LINE}),
        (with_file(ADDITIONS, json.dumps({"segments": ["1"]}).encode()), {LIST}),
    ],
)
def test_a_difference_that_a_kill_may_leave_has_its_word(mine: End, words: set[str]) -> None:
    assert words_of(mine, WHOLE) == words


WRONG = [
    replace(WHOLE, dumped=("row 2", "row 1")),
    replace(WHOLE, compared="differs"),
    with_rows("fills", "another fill"),
    with_rows("order_events", event("sending", 2)),
    with_rows("order_events", event("unknown", 1)),
    with_rows("order_events", event("unknown", 1), event("sending", 3)),
    with_rows("order_events", event("unknown", 1), event("sending", 2), event("taken", 2)),
    replace(WHOLE, tables={**WHOLE.tables, "order_events": Counter([event("sending", 1)])}),
    replace(WHOLE, tables={**WHOLE.tables, "fills": Counter()}),
    with_file("home/report.html", b"another page"),
    with_file("home/report.html", None),
    with_file("home/more.html", b""),
    with_file(ALERTS, None),
    with_file(ALERTS, 2 * (alert("a") + b"\n")),
    with_file(ALERTS, alert("a")[:9] + b"\n"),
    with_file(ALERTS, b"no beginning\n" + alert("a") + b"\n"),
    with_file(ANCHOR, anchored("5")[:60] + b"\n"),
    with_file(ANCHOR, anchored("5", "c" * 64)),
    with_file(ANCHOR, anchored("5") + anchored("7", "c" * 64)),
    with_file(ANCHOR, b"no beginning\n" + anchored("5")),
    with_file(ADDITIONS, json.dumps({"segments": ["2"]}).encode()),
    with_file(ADDITIONS, None),
]


@pytest.mark.parametrize("mine", WRONG)
def test_any_other_difference_is_refused_with_a_fault_too(mine: End) -> None:
    with pytest.raises((AssertionError, KeyError)):
        words_of(mine, WHOLE, MORE)


OF_FAULTS: list[tuple[End, set[str]]] = [
    (with_file(ALERTS, alert("a") + b"\n" + alert("b") + b"\n"), {ALERT}),
    (with_file(ALERTS, alert("a", headline="demo HALTED") + b"\n"), {ALERT}),
    (with_rows("order_events", event("cancel_asked", 1, reason="reducing_only")), {CANCEL}),
    (with_rows("reconciliations", compared("differs", "x"), compared("agreed", "y")), {COMPARED}),
]


@pytest.mark.parametrize(("mine", "words"), OF_FAULTS)
def test_what_a_fault_may_leave_a_kill_may_not(mine: End, words: set[str]) -> None:
    assert words_of(mine, WHOLE, MORE) == words
    with pytest.raises(AssertionError):
        words_of(mine, WHOLE)


def test_the_causes_are_those_of_the_alerts_that_nothing_befell_does_not_give() -> None:
    mine = with_file(ALERTS, alert("b") + b"\n" + alert("a", headline="demo HALTED") + b"\n")
    assert causes_of_alerts(mine, WHOLE) == ["because of b"]


BEFORE = replace(WHOLE, dumped=("row 1",), tables={"order_events": Counter(), "fills": Counter()}, files={ALERTS: b""})


@pytest.mark.parametrize(
    "now",
    [
        BEFORE,
        WHOLE,
        replace(BEFORE, files={ALERTS: alert("a")[:5]}),
        replace(BEFORE, files={ALERTS: b"", ANCHOR: anchored("5")[:50]}),
        replace(BEFORE, tables={"order_events": EVENTS + Counter([event("unknown", 1)])}),
    ],
)
def test_what_a_kill_may_leave_until_the_command_is_given_again(now: End) -> None:
    kept_so_far(now, before=BEFORE, end=WHOLE)


@pytest.mark.parametrize(
    "change",
    [
        lambda now: replace(now, dumped=()),
        lambda now: replace(now, files={}),
        lambda now: replace(now, files={ALERTS: alert("b") + b"\n"}),
        lambda now: replace(now, files={ALERTS: b"", ANCHOR: anchored("7", "c" * 64)}),
        lambda now: replace(now, files={ALERTS: b"", "home/report.html": b"a pa"}),
        lambda now: replace(now, tables={"fills": Counter(["another fill"])}),
        lambda now: replace(now, tables={"order_events": Counter([event("taken", 2)])}),
    ],
)
def test_what_a_kill_may_not_leave_is_refused(change: Callable[[End], End]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        kept_so_far(change(BEFORE), before=BEFORE, end=WHOLE)
