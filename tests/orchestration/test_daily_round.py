"""The daily round: one session as the backfill gives it, in order, once, killed or not, and under every control."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from typer.testing import CliRunner

from nn_assets.cli import app
from nn_assets.cli.controls import reset_breaker, set_kill_switch
from nn_assets.cli.runs import run_rounds
from nn_assets.errors import DecisionError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import days
from nn_assets.operations.decisions.lookahead import signals_repeat_forecasts
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.orchestration.instance import open_instance
from nn_assets.orchestration.naming import asset_key
from nn_assets.store.ledger import engine
from nn_assets.store.ledger.appending import LedgerTransaction
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.forks import ended
from tests.operations import homes
from tests.orchestration.conftest import (
    CUT_LIVE,
    FIRST_LIVE,
    LAST,
    NAME,
    assert_same_decisions,
    living_in,
    recorded,
    row_counts,
    strategy_of,
    write_strategy,
)
from tests.runs import materialise

pytestmark = pytest.mark.slow

LIVE = list(sessions_between("XNYS", FIRST_LIVE, LAST))


def killed_in_the_fourth() -> None:
    """Play the range, and die by SIGKILL inside the transaction of its fourth session."""
    append, seen = LedgerTransaction.append, []

    def counted(self, table, *rest, **named):  # type: ignore[no-untyped-def]
        seen.append(table)
        if seen.count("drift") == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return append(self, table, *rest, **named)

    LedgerTransaction.append = counted  # type: ignore[method-assign]
    decide(*LIVE, run_id="killed")


def decide(*sessions: pd.Timestamp, run_id: str = "test") -> list[bool]:
    """Decide sessions on the tables as they are; whether each had been decided before."""
    with open_history(strategy_of()) as history:
        return [decide_session(history, session, run_id).already_decided for session in sessions]


# --- the same, however it came about -----------------------------------------------------------------------


@pytest.mark.full
def test_one_session_run_on_data_only_then_known_equals_the_backfill_to_the_bit(
    cut_home: Callable[[str], Path], decided_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(cut_home(CUT_LIVE), home)
    with living_in(home):
        decide(*(session for session in LIVE if session < pd.Timestamp(CUT_LIVE)))
        run_rounds(NAME, CUT_LIVE)
    assert assert_same_decisions(home, decided_home, CUT_LIVE) == 5
    assert len(recorded(decided_home, "decisions")) == 8  # the backfill knew three sessions more


def test_the_range_decided_every_session_and_traded(decided_home: Path) -> None:
    decided = recorded(decided_home, "decisions")
    assert list(decided["session"]) == LIVE
    assert decided["content_hash"].is_unique
    assert len(recorded(decided_home, "fills")) > 5
    assert (recorded(decided_home, "target_positions")["target_quantity"] != 0.0).sum() > 5
    steps = recorded(decided_home, "position_steps").groupby(["session", "symbol"])["step"].apply(list)
    assert all(numbers == list(range(1, 9)) for numbers in steps)


def test_the_table_of_reasons_begins_with_what_is_held_or_changes_and_names_what_bound_it(decided: Path) -> None:
    targets = recorded(decided, "target_positions").set_index("symbol")
    targets = targets[targets["session"] == LIVE[-1]]
    with open_instance() as instance:
        key = asset_key(strategy_of(), "target_positions")
        partition = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[LAST])
        (record, *_) = instance.fetch_materializations(partition, limit=1).records
    shown = str(record.asset_materialization.metadata["why"].value).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]]
    flat = (targets["target_quantity"] == 0.0) & (targets["current_quantity"] == 0.0)
    assert [bool(flat[row[0]]) for row in rows] == sorted(flat)
    assert {row[4] for row in rows} <= BOUNDS, rows


BOUNDS = {
    "single name", "ADV", "risk of the signal", "risk in total", "gross", "net", "beta", "edge", "kelly", "correlation",
    "cost", "lots", "nothing", "gross, net", "single name, net",
}  # fmt: skip


def test_live_signals_equal_the_studys_forecasts(decided: Path) -> None:
    with open_history(strategy_of()) as history:
        compared, differing = signals_repeat_forecasts(history)
    assert compared == 8 * 6
    assert differing == []


def test_sessions_run_one_by_one_and_killed_in_the_middle_equal_the_range(
    studied: Path, decided_home: Path, tmp_path: Path
) -> None:
    error_file = tmp_path / "told.txt"
    assert ended(killed_in_the_fourth, error_file) == -signal.SIGKILL, error_file.read_text()
    assert len(recorded(studied, "decisions")) == 3
    for table in ("signals", "orders", "portfolio_states", "drift"):
        assert recorded(studied, table)["session"].max() == LIVE[2], table  # all of a session or none of it
    traces = studied / "lake" / NAME / "position_steps"
    assert len(list(traces.glob("*.parquet"))) == 4  # one is on no record, and serves the next to decide the session
    assert decide(*LIVE) == [True] * 3 + [False] * 5
    assert assert_same_decisions(studied, decided_home, LAST) == 8
    assert len(list(traces.glob("*.parquet"))) == len(recorded(studied, "traces")) == 8
    assert row_counts(studied) == row_counts(decided_home)
    with Ledger() as ledger:
        assert verify(ledger).ok


# --- once, and in order ------------------------------------------------------------------------------------


@pytest.mark.full
def test_a_session_decided_before_is_computed_again_and_changes_nothing(decided: Path, decided_home: Path) -> None:
    before = row_counts(decided)
    with Ledger() as ledger:
        head = ledger.head()
    materialise(strategy_of(), "daily", first="2017-06-29", last=LAST)
    assert decide(*reversed(LIVE)) == [True] * 8
    assert row_counts(decided) == before
    with Ledger() as ledger:
        assert verify(ledger, expected_head=head).ok
    assert assert_same_decisions(decided, decided_home, LAST) == 8


@pytest.mark.full
def test_a_page_that_cannot_be_written_fails_no_round_and_is_told(
    decided: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(days, "write_daily_page", full)
    page = decided / "reports" / f"{NAME}-{LAST}.html"
    page.unlink(missing_ok=True)
    materialise(strategy_of(), "daily", first=LAST, last=LAST)  # a run that fails is raised
    assert not page.exists()
    assert f"the page of {LAST} could not be written" in capsys.readouterr().err
    with open_history(strategy_of()) as history:
        assert LAST in history.stores.ledger.read("decisions", NAME)["session"].astype(str).tolist()


@pytest.mark.full
def test_a_disk_that_fills_up_in_the_middle_of_a_round_is_told_by_name_and_the_round_made_again_is_the_same(
    studied: Path, decided_home: Path
) -> None:
    """SQLite itself finds no room for what the session's transaction adds, after all that came before was written."""
    before = row_counts(studied)
    command = ["run", "--strategy", NAME, "--session", FIRST_LIVE, "--json"]
    connect = engine._connect_sqlite
    with closing(sqlite3.connect(studied / "ledger.sqlite")) as ledger:
        ledger.execute("VACUUM")  # there are no free pages left in it

    def without_room(*args: Any) -> Any:
        connection = connect(*args)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_connect_sqlite", without_room)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["ok"], document["error"]) == (False, "NoRoomError")
    assert "make room and run again" in document["message"]
    assert "Traceback" not in result.stderr
    assert row_counts(studied) == before
    assert decide(LIVE[0]) == [False]
    assert assert_same_decisions(studied, decided_home, FIRST_LIVE) == 1
    with Ledger() as ledger:
        assert verify(ledger).ok


def test_a_session_out_of_order_is_refused_with_the_one_to_run_first(studied: Path) -> None:
    before = row_counts(studied)
    with pytest.raises(DecisionError, match=r"expected 2017-06-22 decided.*--session 2017-06-22"):
        decide(LIVE[2])
    with pytest.raises(DecisionError, match="run --strategy tiny --from 2017-06-21 --to 2017-06-23"):
        run_rounds(NAME, "2017-06-23")
    assert row_counts(studied) == before


@pytest.mark.parametrize(
    ("session", "expected"),
    [("2017-06-20", "a session from 2017-06-21 on"), ("2017-07-03", "a session up to 2017-06-30")],
)
def test_a_session_outside_the_live_span_is_refused(studied: Path, session: str, expected: str) -> None:
    with pytest.raises(DecisionError, match=expected):
        run_rounds(NAME, session)


# --- controls ----------------------------------------------------------------------------------------------


def test_a_halted_kill_switch_sends_nothing_until_it_is_active_again(studied: Path, decided_home: Path) -> None:
    ordered = recorded(decided_home, "orders").groupby("session").size()
    assert LIVE[0] in ordered.index  # without the switch, the first session sends orders
    set_kill_switch(NAME, "HALTED", "operator", "a test of the switch")
    decide(*LIVE[:2])
    sent = recorded(studied, "orders")
    assert sent.empty or (sent["status"] == "denied").all()
    assert recorded(studied, "fills").empty
    details = recorded(studied, "decisions")["details"]
    assert [detail["kill_switch"] for detail in details] == ["HALTED", "HALTED"]
    set_kill_switch(NAME, "ACTIVE", "operator", "the test is over")
    decide(LIVE[2], LIVE[3])
    assert (recorded(studied, "orders")["status"] == "accepted").any()
    assert not recorded(studied, "fills").empty
    # What was decided while it was on is decided so again.
    assert decide(*LIVE[:4]) == [True] * 4


def test_a_breaker_stays_until_a_person_resets_it_and_the_reset_serves_once(studied: Path) -> None:
    write_strategy(studied, portfolio={"session_loss_limit_fraction": 0.00001})
    latched = None
    for session in LIVE[:-3]:
        decide(session)
        state = recorded(studied, "portfolio_states").iloc[-1]
        if isinstance(state["breaker"], str):
            latched = session
            break
    assert latched is not None, "no session lost anything"
    flat, following = LIVE[LIVE.index(latched) + 1], LIVE[LIVE.index(latched) + 2]
    assert state["breaker"] == "session_loss"
    targets = recorded(studied, "target_positions")
    assert (targets.loc[targets["session"] == latched, "target_quantity"] == 0.0).all()
    decide(flat)  # leaving costs more than the limit, too: a reset now would only see it fire again
    reset_breaker(NAME, "operator", "looked into it")
    decide(following)
    states = recorded(studied, "portfolio_states").set_index("session")
    assert not isinstance(states.loc[following, "breaker"], str)
    assert states.loc[following, "drawdown_fraction"] == 0.0
    assert states.loc[following, "high_water_mark_usd"] == states.loc[following, "equity_usd"]
    details = recorded(studied, "decisions").set_index("session")["details"]
    assert details[latched]["breaker_reset"] is None
    assert details[following]["breaker_reset"] == ["operator", "looked into it", ["session_loss"]]
    decide(LIVE[LIVE.index(following) + 1])
    assert recorded(studied, "decisions")["details"].iloc[-1]["breaker_reset"] is None
    assert all(decide(*LIVE[: LIVE.index(following) + 2]))


# --- restated data -----------------------------------------------------------------------------------------


def restate(symbol: str, session: str) -> None:
    """A vendor's correction of one bar, arriving now; then tables as every run makes them, but no new delivery."""
    strategy = strategy_of()
    with open_history(strategy) as history:
        raw = history.raw_versions
        bar = raw[(raw["symbol"] == symbol) & (raw["session"] == session)].reset_index(drop=True)
        now = pd.Timestamp.now(tz="UTC").as_unit("ns")
        corrected = bar.assign(close=bar["close"] * 1.02, high=bar["high"] * 1.03, known_at=now, ingested_at=now)
        history.stores.lake.append_segment(NAME, RAW_BARS, corrected)
    homes.publish(strategy)


def test_bars_restated_after_a_decision_leave_it_as_it_was(decided: Path, decided_home: Path) -> None:
    with open_history(strategy_of()) as history:
        stored = history.view(LAST).cube.content_hash()
        published = history.covering(None).content_hash
    before = row_counts(decided)
    restate("SIM01", "2017-06-22")
    with open_history(strategy_of()) as history:
        assert history.covering(None).content_hash != published  # what is published now is the corrected bar
        assert history.view(LAST).cube.content_hash() == stored  # what was known then is not
    # Before the restated bar, its own session, the next and the last: one that saw it would differ from its record.
    assert decide(*LIVE[:3], LIVE[-1]) == [True] * 4
    assert row_counts(decided) == {**before, "publications": before["publications"] + 1}
    assert assert_same_decisions(decided, decided_home, LAST) == 8
