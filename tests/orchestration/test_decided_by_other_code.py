"""A decided session run again by newer code: compared with its record, told what differs and why, and left as it is."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import LedgerError
from nn_assets.operations import days
from nn_assets.operations.decisions import rederivation, rounds
from nn_assets.operations.decisions.code import decision_code
from nn_assets.operations.decisions.round_checks import check_sessions
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.features import store_features
from nn_assets.operations.history import open_history
from nn_assets.store.ledger.ledger import Ledger
from tests.edited_package import Mend, mending
from tests.orchestration.conftest import CUT_LIVE, FIRST_LIVE, NAME, living_in, row_counts, strategy_of

SESSION = pd.Timestamp(CUT_LIVE)


@pytest.fixture
def cut_decided(cut_decided_home: Path, tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    shutil.copytree(cut_decided_home, home)
    with living_in(home):
        yield home


@pytest.fixture
def mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mend:
    return mending(tmp_path, monkeypatch)


@pytest.mark.full
def test_the_code_of_a_decision_is_that_of_the_features_it_uses_too(cut_decided: Path, mended: Mend) -> None:
    before = decision_code(strategy_of())
    mended("features/catalogue/trend.py", "def _bollinger(", "@mended\ndef _bollinger(")  # none of its features
    assert decision_code(strategy_of()) == before
    mended("features/catalogue/returns.py", "return close_location_value(panel)", "return -close_location_value(panel)")
    with open_history(strategy_of()) as history:
        assert store_features(history)[2] == ("close_location",)  # as a run begins
    assert again().sentence.endswith("(changed: nn_assets.features.catalogue.returns:_close_location)")


@pytest.fixture
def other_code(mended: Mend) -> str:
    """Versions of a package of which a function was edited; the version before."""
    before = decision_code(strategy_of())
    mended("session/daily_round.py", "def play_session(", "@mended\ndef play_session(")
    assert decision_code(strategy_of()) != before
    return before


def otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what runs give one position more of the first symbol, and no orders."""
    plain = rounds.session_frames

    def frames(*args):  # type: ignore[no-untyped-def]
        made = plain(*args)
        targets = made["target_positions"].copy()
        targets.loc[0, "target_quantity"] += 1.0
        return {**made, "target_positions": targets, "orders": made["orders"].iloc[:0]}

    monkeypatch.setattr(rounds, "session_frames", frames)


def again(session: pd.Timestamp = SESSION) -> DecidedSession:
    with open_history(strategy_of()) as history:
        return decide_session(history, session, "again")


def head() -> object:
    with Ledger() as ledger:
        return ledger.head()


def files(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (home / "lake").rglob("*") if path.is_file() and path.name != ".lock"}


def test_by_the_code_that_decided_it_what_differs_is_refused(cut_decided: Path, monkeypatch) -> None:
    done = again()
    assert done.already_decided
    assert done.compared is None
    assert done.sentence.endswith("(decided before, and equal)")
    otherwise(monkeypatch)
    with pytest.raises(LedgerError, match="a stale run must stop"):
        again()


@pytest.mark.full
def test_by_other_code_that_decides_the_same_it_is_told_which_and_what_changed(cut_decided: Path, other_code) -> None:
    before, kept, counts = head(), files(cut_decided), row_counts(cut_decided)
    for session in (pd.Timestamp(FIRST_LIVE), SESSION):
        done = again(session)
        assert done.compared is not None
        assert (done.already_decided, done.differs, done.compared.differing) == (True, False, ())
        assert done.sentence == (
            f"{session.date()}: decided before, and equal, though code {other_code} decided it, "
            f"{decision_code(strategy_of())} is in force (changed: nn_assets.session.daily_round:play_session)"
        )
        assert done.provenance["code_version"] == other_code
    assert (head(), files(cut_decided), row_counts(cut_decided)) == (before, kept, counts)


def test_by_other_code_that_decides_otherwise_it_is_told_row_by_row_and_nothing_is_changed(
    cut_decided: Path, other_code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger() as ledger:
        orders = ledger.read("orders", NAME, SESSION, SESSION)
        targets = ledger.read("target_positions", NAME, SESSION, SESSION)
    assert len(orders)
    before, kept, counts = head(), files(cut_decided), row_counts(cut_decided)
    otherwise(monkeypatch)
    done = again()
    assert done.differs
    assert done.compared is not None
    lines = list(done.compared.differing)
    symbol, quantity = targets["symbol"].iloc[0], float(targets["target_quantity"].iloc[0])
    position = f"target_positions strategy {NAME}, session {CUT_LIVE}, symbol {symbol}: target_quantity "
    assert [line for line in lines if line.startswith("target_positions")] == [
        f"{position}{quantity!r} on record, {quantity + 1.0!r} now"
    ]
    assert sum(line.startswith("orders") and line.endswith(": on record alone") for line in lines) == len(orders)
    assert len(lines) == len(orders) + 1
    assert f"differs by {len(lines)} rows: " in done.sentence
    assert "what is on record stands" in done.sentence
    assert "changed: nn_assets.session.daily_round:play_session" in done.sentence
    assert (head(), files(cut_decided), row_counts(cut_decided)) == (before, kept, counts)
    assert all(check.held is None for check in check_sessions([done], strategy_of().portfolio))


def test_the_page_and_the_alerts_of_what_other_code_decided_otherwise_stay(
    cut_decided: Path, other_code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, alerted = [], []
    monkeypatch.setattr(days, "write_daily_page", lambda *args: written.append(args) or "page")
    monkeypatch.setattr(days, "alert_of_breakers", lambda *args: alerted.append(args))

    def played() -> tuple[DecidedSession, dict[str, dict[str, object]]]:
        with open_history(strategy_of()) as history:
            (result,) = days.play_days(history, [SESSION], "again", logging.getLogger("test"))
        return result

    done, metadata = played()
    assert metadata["daily_report"][days.COMPARED] == done.sentence
    assert (len(written), len(alerted)) == (1, 1)
    otherwise(monkeypatch)
    done, metadata = played()
    assert metadata == {"daily_report": {"report": "left as it is", days.COMPARED: done.sentence}}
    assert (len(written), len(alerted)) == (1, 1)


@pytest.mark.full
def test_without_what_was_kept_of_the_code_its_versions_are_told(cut_decided: Path, other_code: str) -> None:
    for content in (b"{", None):
        for file in (cut_decided / "lake" / NAME / "decision_code").glob("*.json"):
            file.unlink() if content is None else file.write_bytes(content)
        assert again().sentence.endswith(f"code {other_code} decided it, {decision_code(strategy_of())} is in force")


@pytest.mark.full
def test_targets_that_differ_when_derived_again_are_told_with_the_code_that_decided_them(
    cut_decided: Path, mended: Mend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sentence() -> str:
        with open_history(strategy_of()) as history:
            return rederivation.rederive_decisions(history, "test", whole=True).sentence

    plain = sentence()
    assert plain.endswith("all targets equal; 0 were verified before")
    before = decision_code(strategy_of())
    monkeypatch.setattr(rederivation, "decisions_repeat_in_replay", lambda *_: (5, ["SIM01: another"]))
    assert sentence() == "1 targets differ from those on record: SIM01: another"
    mended("session/daily_round.py", "def play_session(", "@mended\ndef play_session(")
    now = decision_code(strategy_of())
    assert sentence() == (
        "1 targets differ from those on record: SIM01: another; sessions on record were decided by other code "
        f"({before}) than that in force, {now} (changed: nn_assets.session.daily_round:play_session)"
    )


@pytest.mark.full
def test_a_comment_is_no_other_code(cut_decided: Path, mended: Mend) -> None:
    mended("session/daily_round.py", "def play_session(", "# another way to put it\ndef play_session(")
    assert again().compared is None
