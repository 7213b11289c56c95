"""The steps of a session lie in one file, which the ledger seals: a file lost or changed is found, and made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.ledger import run_query, verify_audit
from nn_assets.errors import PublicationError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.traces import STEPS, read_steps
from nn_assets.operations.decisions import records
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.store.lake.files import file_sha256, write_record
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import FIRST_LIVE, LAST, NAME, strategy_of

LIVE = list(sessions_between("XNYS", FIRST_LIVE, LAST))


def file_of(session: pd.Timestamp) -> Path:
    with Ledger() as ledger:
        (address,) = ledger.read("traces", NAME, session, session)["address"]
    return Lake().folder(NAME, STEPS) / f"{address}.parquet"


def decide(*sessions: pd.Timestamp) -> list[bool]:
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, "again").already_decided for session in sessions]


def lose(file: Path) -> None:
    file.unlink()


def change(file: Path) -> None:
    """Other weights, in a file that is whole, beside a manifest that tells its bytes."""
    steps = pd.read_parquet(file)
    steps["weight_after"] *= 2.0
    steps.to_parquet(file, index=False)
    write_record(file.with_name(f"{file.stem}.manifest.json"), {"rows": len(steps), "sha256": file_sha256(file)})


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def test_a_session_has_one_file_and_one_row(decided: Path) -> None:
    with Ledger() as ledger:
        traces, targets = ledger.read("traces", NAME), ledger.read("target_positions", NAME)
        assert ledger.count(STEPS) == 0
        steps = read_steps(Lake(), ledger, NAME)
    assert list(traces["session"]) == LIVE
    assert {f"{address}.parquet" for address in traces["address"]} == {
        path.name for path in (decided / "lake" / NAME / STEPS).glob("*.parquet")
    }
    assert (traces["rows"] == 8 * targets.groupby("session")["symbol"].count().to_numpy()).all()
    assert len(steps) == traces["rows"].sum()
    ends = steps[steps["step"] == 8].set_index(["session", "symbol"])["weight_after"]
    weights = targets.set_index(["session", "symbol"])["target_weight"]
    pd.testing.assert_series_equal(ends.sort_index(), weights.sort_index(), check_names=False, rtol=1e-9)


@pytest.mark.parametrize("harm", [lose, change, pytest.param(damage, marks=pytest.mark.full)])
def test_a_file_that_is_not_the_one_on_record_is_named_and_made_again_with_its_session(
    decided: Path, harm: Callable[[Path], None]
) -> None:
    assert verify_audit()["ok"]
    file, asked = file_of(LIVE[3]), ["symbol=SIM01", f"session={LIVE[3].date()}"]
    before = run_query("why_this_size", NAME, asked)["rows"]
    assert [row["step"] for row in before] == list(range(1, 9))
    harm(file)
    result = verify_audit()
    assert not result["ok"]
    (finding,) = result["findings"]
    assert f"traces {NAME} {LIVE[3].date()}" in finding
    assert str(file) in finding
    assert f"nn-assets run --strategy {NAME} --session {LIVE[3].date()}" in finding
    with pytest.raises(PublicationError, match=str(LIVE[3].date())):
        run_query("why_this_size", NAME, asked)
    assert run_query("why_this_size", NAME, ["symbol=SIM01", f"session={LIVE[2].date()}"])["ok"]
    if harm is change:
        file.unlink()  # it tells the truth of itself: nobody but the ledger knows better
    assert decide(LIVE[3]) == [True]
    assert verify_audit()["ok"]
    assert run_query("why_this_size", NAME, asked)["rows"] == before


def test_a_session_whose_steps_are_rows_keeps_them(studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As versions before this one left it."""
    with monkeypatch.context() as patched:
        patched.setattr(records, "_with_trace", lambda history, done, frames: frames)
        decide(LIVE[0])
    with Ledger() as ledger:
        head, rows = ledger.head(), ledger.read(STEPS, NAME)
    assert decide(*LIVE[:2]) == [True, False]
    with Ledger() as ledger:
        assert list(ledger.read("traces", NAME)["session"]) == [LIVE[1]]
        steps = read_steps(Lake(), ledger, NAME)
        pd.testing.assert_frame_equal(steps[steps["session"] == LIVE[0]], rows[list(steps.columns)])
        assert ledger.count(STEPS) == len(rows)
    assert verify_audit(str(head))["ok"]
    asked = ["symbol=SIM01", *(f"session={session.date()}" for session in LIVE[:2])]
    assert len(run_query("why_this_size", NAME, asked)["rows"]) == 16
