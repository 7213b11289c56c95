"""A refresh that drift asks for, from the request on the ledger to the session that the new model decides."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.learning.refresh import RefreshCheck
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.refreshes import DRIFT_ASKS, REFRESH_REFUSED, REFRESH_TAKEN
from nn_assets.operations.days import play_days, session_metadata
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.decisions.rounds import DecidedSession
from nn_assets.operations.history import open_history
from nn_assets.operations.models import training
from nn_assets.operations.next_command import next_command
from nn_assets.operations.situation import headline_now
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.severity import Severity
from nn_assets.session import daily_round
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, LAST, recorded, strategy_of

pytestmark = pytest.mark.slow

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))[:6]
ASKS_FROM = 2


@pytest.fixture
def drifting(studied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose forecasts have drifted from the third live session on, at the pace of retraining alone."""
    asks = property(lambda report: report.session >= SESSIONS[ASKS_FROM])
    monkeypatch.setattr(DriftReport, "asks_retraining", asks)
    monkeypatch.setattr(daily_round, "severity", lambda *_: Severity(0, ()))
    return studied


def decide(*sessions: pd.Timestamp) -> list[DecidedSession]:
    return homes.decide(strategy_of(), sessions)


def states_decided_with(decided: list[DecidedSession]) -> list[str]:
    return [done.round.decision.inputs.trading_state for done in decided]


def causes(home: Path) -> list[str]:
    return sorted(recorded(home, "refresh_requests")["cause"])


@pytest.mark.full
def test_drift_asks_once_and_size_is_reduced_until_the_refreshed_model_decides(drifting: Path) -> None:
    decided = decide(*SESSIONS[:4])
    assert states_decided_with(decided) == ["CONTINUE"] * 3 + ["REDUCE_SIZE"]
    (request,) = recorded(drifting, "refresh_requests").to_dict("records")
    assert (request["cause"], request["session"]) == (DRIFT_ASKS, SESSIONS[ASKS_FROM])
    states = recorded(drifting, "trading_states").set_index("session")["state"]
    assert states.tolist() == ["CONTINUE"] * 2 + ["REDUCE_SIZE"] * 2
    before = decided[-1].provenance["model_id"]

    homes.refresh(strategy_of(), SESSIONS[ASKS_FROM], "2017-06")
    assert causes(drifting) == [DRIFT_ASKS, REFRESH_TAKEN]
    after = decide(*SESSIONS[4:])
    assert after[0].provenance["model_id"] != before
    assert states_decided_with(after) == ["CONTINUE"] * len(after)
    assert causes(drifting) == [DRIFT_ASKS, REFRESH_TAKEN]  # it asks for none in the cooldown
    assert all(done.already_decided for done in decide(*SESSIONS))
    with open_history(strategy_of()) as history:
        assert decisions_repeat_in_replay(history) == (len(SESSIONS), [])
        assert decisions_repeat_in_replay(history, SESSIONS[3]) == (len(SESSIONS) - 4, [])


@pytest.mark.full
def test_a_refused_refresh_leaves_the_model_and_the_reduced_size(
    drifting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = {done.provenance["model_id"] for done in decide(*SESSIONS[:4])}
    monkeypatch.setattr(training, "check_refresh", lambda *_: RefreshCheck(accepted=False, reason="worse"))
    homes.refresh(strategy_of(), SESSIONS[ASKS_FROM], "2017-06")
    assert causes(drifting) == [DRIFT_ASKS, REFRESH_REFUSED]
    after = decide(*SESSIONS[4:])
    assert {done.provenance["model_id"] for done in after} == {before}
    assert states_decided_with(after) == ["REDUCE_SIZE"] * len(after)


@pytest.mark.full
def test_half_the_size_is_taken_while_a_request_stands(drifting: Path) -> None:
    decided = decide(*SESSIONS[:4])
    assert [done.round.decision.scale / done.round.decision.inputs.regime_scale for done in decided] == [1, 1, 1, 0.5]
    reasons = recorded(drifting, "trading_states")["reasons"].iloc[-1]
    assert "has not taken force" in str(reasons)
    asked = SESSIONS[ASKS_FROM].date()
    with open_history(strategy_of()) as history:
        said, following = str(headline_now(history)), next_command(history)
    assert f"nothing has carried out the refresh asked for on {asked}: the daemon was never heard from" in said
    assert "A person is needed: nn-assets ui, then switch" in said
    assert following == "nn-assets ui"
    with open_history(strategy_of()) as history:
        assert len(list(play_days(history, SESSIONS[2:4], "pages", logging.getLogger()))) == 2
    pages = [drifting / "reports" / f"{strategy_of().name}-{session.date()}.html" for session in SESSIONS[2:4]]
    waits = ["nothing has carried out the refresh" in page.read_text(encoding="utf-8") for page in pages]
    assert waits == [False, True]


@pytest.mark.full
def test_the_log_and_the_ui_say_the_state_in_force(drifting: Path) -> None:
    """A request that stands halves the next session: ledger, log line and metadata say so alike, with its reason."""
    decided = decide(*SESSIONS[:4])
    reports = [session_metadata(done, "no page", None)["drift_report"] for done in decided]
    heard = [done.sentence.rsplit("drift says ", 1)[1] for done in decided]
    states = recorded(drifting, "trading_states")["state"].tolist()
    assert states == ["CONTINUE"] * 2 + ["REDUCE_SIZE"] * 2
    assert heard == states
    assert [figures["trading_state"] for figures in reports] == states
    assert "has not taken force" in str(reports[3]["reasons"])
