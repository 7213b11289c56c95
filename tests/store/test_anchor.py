"""The head of the chain anchored outside: a ledger cut back or rewritten whole is found, and named."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from nn_assets.store.ledger.anchor import anchor_head, read_anchors, unanchored
from nn_assets.store.ledger.audit import find_changed_state, verify, verify_before_round, verify_since_last
from nn_assets.store.ledger.chain import ChainHead
from nn_assets.store.ledger.ledger import Ledger
from tests.store.conftest import NOON
from tests.store.rounds import append_round, day_round

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04")


@pytest.fixture
def anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file on another disk, named by the setting."""
    file = tmp_path / "elsewhere" / "anchor.txt"
    file.parent.mkdir()
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NN_ASSETS_ANCHOR", str(file))
    return file


@pytest.fixture
def copies(anchor: Path, migrated_file: Path, tmp_path: Path) -> dict[str, Path]:
    """A ledger as it was after each of three rounds, each of which anchored its head; by the day."""
    del anchor
    file, by_day = tmp_path / "ledger.sqlite", {}
    shutil.copyfile(migrated_file, file)
    for day in DAYS:
        with Ledger(f"sqlite:///{file}", clock=lambda: NOON) as ledger:
            append_round(ledger, day_round(day, symbols=2))
            assert anchor_head(ledger.head(), "demo", day, NOON) is None
        by_day[day] = tmp_path / f"{day}.sqlite"
        with sqlite3.connect(file) as whole, sqlite3.connect(by_day[day]) as copy:
            whole.backup(copy)
    return by_day


def opened(file: Path) -> Ledger:
    return Ledger(f"sqlite:///{file}", clock=lambda: NOON)


def test_each_round_adds_one_line_and_the_whole_ledger_holds_them(copies: dict[str, Path], anchor: Path) -> None:
    lines = anchor.read_text().splitlines()
    assert [line.split()[2] for line in lines] == list(DAYS)
    with opened(copies[DAYS[-1]]) as ledger:
        assert verify(ledger).ok
        assert lines[-1].endswith(str(ledger.head()))
        assert anchor_head(ledger.head(), "demo", DAYS[-1], NOON) is None  # the same round again
    assert anchor.read_text().splitlines() == lines


def test_a_ledger_cut_back_is_found_by_every_look_and_named(copies: dict[str, Path]) -> None:
    with opened(copies[DAYS[0]]) as ledger:
        finding = verify(ledger).first_broken
        assert finding is not None
        assert finding.kind == "ledger cut back"
        assert f"demo {DAYS[1]}" in finding.key
        assert "2 of 3 anchored heads" in finding.message
        for report in (
            verify_since_last(ledger, run_id="r"),
            verify_before_round(ledger, "demo", run_id="r", now=NOON),
        ):
            assert report.findings[0] == finding
        assert find_changed_state(ledger, "demo") == finding


def test_a_ledger_rewritten_from_a_day_on_is_consistent_in_itself_and_found(copies: dict[str, Path]) -> None:
    """What its owner could do: the same days decided anew by the product itself, from the second one on."""
    with opened(copies[DAYS[0]]) as ledger:
        for day in DAYS[1:]:
            append_round(ledger, day_round(day, symbols=2, seed=1))
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("NN_ASSETS_ANCHOR")
            assert verify(ledger).ok
        finding = verify(ledger).first_broken
    assert finding is not None
    assert finding.kind == "ledger rewritten"
    assert f"demo {DAYS[1]}" in finding.key
    assert DAYS[0] in finding.message


CUT_SHORT = "2018-01-05T12:00:00+00:00 demo 2018-01-05 7:0123456789abcdef"


@pytest.mark.parametrize("until", range(1, len(CUT_SHORT) + 1))
def test_the_beginning_of_a_line_spoils_no_other_and_is_no_fault_once_a_whole_one_follows(
    anchor: Path, until: int
) -> None:
    """A process killed as it writes leaves it in a file to which lines are only appended: nobody could mend it."""
    head = ChainHead(7, "0" * 64)
    anchor.write_text(f"{CUT_SHORT[:until]}\n{CUT_SHORT[:until]}")  # killed twice
    cut = unanchored(0)
    assert cut is not None
    assert "2 lines of the anchor" in cut.found
    assert anchor_head(head, "demo", "2018-01-05", NOON) is None
    read = read_anchors()
    assert read is not None
    assert ([line.head for line in read.lines], read.unreadable) == ([head], 0)
    assert unanchored(7) is None


@pytest.mark.parametrize(
    "changed",
    [
        "nothing of the kind",
        "2018-01-05T12:00:00+00:00 demo 2018-01-05 7:0123 and more",
        "2018-01-05T12:00:00+00:00 demo 2018-01-05 7:0123x",
        f"2018-01-05T12:00:00+00:00 demo 2018-01-05 x:{'0' * 64}",
        f"2018-01-05T12:00:00+00:00 demo 2018-01-05 7:{'0' * 65}",
        f"2018-01-05T12:00:00+00:00 demo 2018-01-0512 7:{'0' * 60}",
    ],
)
def test_a_line_that_is_no_beginning_of_one_is_a_fault_whatever_follows(anchor: Path, changed: str) -> None:
    anchor.write_text(f"{changed}\n")
    assert anchor_head(ChainHead(7, "0" * 64), "demo", "2018-01-05", NOON) is None
    fault = unanchored(7)
    assert fault is not None
    assert f"1 line of the anchor {anchor} cannot be read" in fault.found


def test_a_ledger_is_intact_beside_a_line_cut_short(copies: dict[str, Path], anchor: Path) -> None:
    anchor.write_text(anchor.read_text() + "2018-01-05T12:00:00+00:00 demo 2018-")
    with opened(copies[DAYS[-1]]) as ledger:
        append_round(ledger, day_round("2018-01-05", symbols=2))
        assert anchor_head(ledger.head(), "demo", "2018-01-05", NOON) is None
        assert verify(ledger).ok
        assert unanchored(int(ledger.last_appended("decisions", strategy="demo")["sequence"])) is None  # type: ignore[index]


def test_an_anchor_that_cannot_be_written_is_a_named_fault_and_never_an_error(
    anchor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = ChainHead(7, "0" * 64)
    assert unanchored(0) is None  # the first round makes it
    missing = unanchored(7)
    assert missing is not None
    assert "is not there" in missing.found
    anchor.mkdir()
    for fault in (anchor_head(head, "demo", DAYS[0], NOON), unanchored(7)):
        assert fault is not None
        assert str(anchor) in fault.found
    for misplaced, why in (("anchor.txt", "no whole path"), (f"{os.environ['NN_ASSETS_HOME']}/a.txt", "in the home")):
        monkeypatch.setenv("NN_ASSETS_ANCHOR", misplaced)
        for fault in (anchor_head(head, "demo", DAYS[0], NOON), unanchored(7)):
            assert fault is not None
            assert why in fault.found
    monkeypatch.delenv("NN_ASSETS_ANCHOR")
    assert anchor_head(head, "demo", DAYS[0], NOON) is None
    assert unanchored(7) is None
    assert read_anchors() is None


def test_a_last_round_that_is_not_anchored_is_told(copies: dict[str, Path], anchor: Path) -> None:
    anchor.write_text("\n".join(anchor.read_text().splitlines()[:-1]) + "\n")
    with opened(copies[DAYS[-1]]) as ledger:
        decided = ledger.last_appended("decisions", strategy="demo")
        assert verify(ledger).ok
    assert decided is not None
    fault = unanchored(int(decided["sequence"]))
    assert fault is not None
    assert f"the last round is entry {decided['sequence']}" in fault.found
