"""Each control in a real home: it fires, and the book does what it says, until a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.controls import set_kill_switch
from nn_assets.cli.status import report
from nn_assets.operations.asof.controls import sending_control
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.history import open_history
from nn_assets.orchestration.controls import kill_switch_job
from nn_assets.orchestration.resources import StoresResource
from nn_assets.portfolio.breakers import Control
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import NAME, recorded, strategy_of
from tests.orchestration.test_daily_round import LIVE

pytestmark = [pytest.mark.slow, pytest.mark.full]


def decide(*sessions: pd.Timestamp) -> list[bool]:
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, "test").already_decided for session in sessions]


def accepted(home: Path, session: pd.Timestamp) -> int:
    orders = recorded(home, "orders")
    return int(((orders["session"] == session) & (orders["status"] == "accepted")).sum())


def test_a_folder_called_halt_stops_the_next_round_and_all_after_it_until_a_person_says_why(studied: Path) -> None:
    """It is put there between two decisions: what the first ordered is not filled, and the second orders nothing."""
    assert decide(LIVE[0]) == [False]
    assert accepted(studied, LIVE[0]) > 0
    (studied / "HALT").mkdir()
    first_line = report(NAME)["strategies"][NAME]["headline"]
    assert first_line.startswith(f"{NAME} HALTED: ")
    assert "HALT lies in the home" in first_line
    assert decide(LIVE[1]) == [False]
    assert recorded(studied, "fills").empty
    (studied / "HALT").rmdir()
    assert decide(LIVE[2]) == [False]  # nobody said that it may go on
    assert [accepted(studied, session) for session in LIVE[1:3]] == [0, 0]
    assert recorded(studied, "fills").empty
    set_kill_switch(NAME, "ACTIVE", "operator", "the folder was a test")
    assert decide(LIVE[3], LIVE[4]) == [False, False]
    assert accepted(studied, LIVE[3]) > 0
    assert not recorded(studied, "fills").empty
    switches = [details["kill_switch"] for details in recorded(studied, "decisions")["details"]]
    assert switches == ["ACTIVE", "HALTED", "HALTED", "ACTIVE", "ACTIVE"]
    assert decide(*LIVE[:5]) == [True] * 5  # each again as it was decided, though no file lies there
    with Ledger() as ledger:
        assert verify(ledger).ok


def test_the_job_reduces_from_the_pages_and_what_is_sent_then_only_closes(studied: Path) -> None:
    decide(*LIVE[:2])
    held = recorded(studied, "holdings")
    assert (held["quantity"] != 0.0).any()
    config = {"state": "REDUCING", "strategy": NAME, "reason": "a test of the job"}
    kill_switch_job(StoresResource()).execute_in_process(run_config={"ops": {"set_kill_switch": {"config": config}}})
    with Ledger() as ledger:
        assert sending_control(ledger, strategy_of()).control is Control.REDUCING
    before = held[held["session"] == LIVE[1]].set_index("symbol")["quantity"]
    decide(LIVE[2])
    targets = recorded(studied, "target_positions")
    after = targets[targets["session"] == LIVE[2]].set_index("symbol")["target_quantity"]
    assert (after.abs() <= before.reindex(after.index).abs() + 1e-9).all() or (after == 0.0).any()
    orders = recorded(studied, "orders")
    now = orders[(orders["session"] == LIVE[2]) & (orders["status"] == "accepted")]
    signed = now["quantity"].where(now["side"] == "buy", -now["quantity"]).groupby(now["symbol"]).sum()
    filled = recorded(studied, "holdings")
    holding = filled[filled["session"] == LIVE[2]].set_index("symbol")["quantity"]
    assert ((holding[signed.index] + signed).abs() < holding[signed.index].abs()).all()
