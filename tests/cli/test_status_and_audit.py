"""Status, and the audit of the ledger."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection

import nn_assets.store.ledger.ledger as ledgers
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions import stored_checks
from nn_assets.operations.failures import LOST, end_message
from nn_assets.operations.intake.gate_record import record_halt, record_pass
from nn_assets.operations.outcomes import FAILED, SUCCEEDED, FailedCheck, Run, record_end, record_start
from nn_assets.operations.stores import open_stores
from nn_assets.session.market_view import SessionMarket
from nn_assets.store.ledger.audit import AuditReport
from nn_assets.store.ledger.audit_checks import AuditFinding
from nn_assets.store.ledger.chain import GENESIS
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.reading import Query, read_frame
from nn_assets.store.ledger.run_locks import hold_run, let_go
from tests.cli.conftest import LIVE, call
from tests.first_lines import in_one_sentence
from tests.forks import ended
from tests.matrices import often
from tests.operations import homes
from tests.orchestration.conftest import living_in


def test_status_says_what_the_strategy_last_did(give) -> None:
    answer = give("status", "--strategy", "mine", "--json")
    state = answer.document["strategies"]["mine"]
    assert answer.status == 0
    assert state["last_session"] == "2016-04-29"
    assert state["published_to"] == "2016-04-29"
    assert state["quarantined"] == 1
    assert state["study_to"] == "2016-04"
    assert state["models"] == 2
    assert state["decided_to"] == LIVE[1]
    assert state["undecided_sessions"] == 1
    assert state["kill_switch"] == "ACTIVE"
    assert state["trading_state"] in {"CONTINUE", "REDUCE_SIZE", "PAUSE_STRATEGY"}


def test_each_count_of_sessions_that_a_verdict_tells_says_as_of_which_month(give) -> None:
    """The first line tells the verdict that decided, the line below that of the newest study."""
    shown = give("status", "--strategy", "mine").out
    state = give("status", "--strategy", "mine", "--json").document["strategies"]["mine"]
    assert re.search(rf"\n  verdict +{re.escape(state['verdict'])}, of 2016-04\n", shown)
    assert re.search(r"with the verdict '[^']+' of 2016-03: ", in_one_sentence(shown))


@pytest.mark.full
def test_status_without_a_name_tells_of_every_strategy(give) -> None:
    assert set(give("status", "--json").document["strategies"]) == {"index_daily", "planted_edge", "mine"}


@pytest.mark.full
def test_bundled_strategies_that_nobody_used_are_one_line_without_a_call_for_a_person(tmp_path) -> None:
    answer = call(tmp_path, "status")
    assert answer.status == 0
    assert answer.out.strip() == (
        "index_daily, planted_edge: come with the package, never used in this home; nn-assets demo runs them"
    )
    strategies = call(tmp_path, "status", "--json").document["strategies"]
    assert set(strategies) == {"index_daily", "planted_edge"}
    for name, state in strategies.items():
        assert in_one_sentence(state["headline"]).startswith(f"{name} DOES NOT TRADE: it comes with the package")
        assert "person" not in in_one_sentence(state["headline"])
    with living_in(tmp_path), open_stores() as stores:
        record_halt(stores.ledger, "index_daily", pd.Timestamp.now(tz="UTC"), "freshness: too old", "r")
    lines = call(tmp_path, "status").out.splitlines()
    assert lines[0].startswith("index_daily ")
    assert "A person is needed" in lines[0]
    assert lines[-1].startswith("planted_edge: comes with the package")


def test_status_of_a_fresh_home_tells_that_nothing_was_done(tmp_path) -> None:
    state = call(tmp_path, "status", "--strategy", "index_daily", "--json").document["strategies"]
    assert state["index_daily"]["published_to"] is None
    assert state["index_daily"]["decided_to"] is None


@pytest.mark.parametrize("words", [("status",), ("check",), ("run",), ("audit", "verify"), ("query", "trial_count")])
def test_a_home_that_is_named_and_not_there_is_refused_and_not_made(tmp_path, words) -> None:
    answer = call(tmp_path / "mistyped", *words, "--json")
    assert answer.status == 1
    assert answer.document["error"] == "InstallationError"
    assert f"mkdir -p {tmp_path / 'mistyped'}" in answer.document["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_query_is_put_for_several_symbols_and_sessions_at_once(give) -> None:
    def rows(*values: str) -> list[dict[str, object]]:
        options = [word for value in values for word in ("--value", value)]
        answer = give("query", "why_this_size", "-s", "mine", *options, "--json")
        assert answer.status == 0, answer.out
        return answer.document["rows"]

    pairs = [(session, symbol) for session in LIVE[:2] for symbol in ("TRUE", "BRK.B")]
    together = rows(f"session={LIVE[0]}", f"session={LIVE[1]}", "symbol=TRUE", "symbol=BRK.B")
    one_by_one = [
        {"session": session, "symbol": symbol, **row}
        for session, symbol in pairs
        for row in rows(f"session={session}", f"symbol={symbol}")
    ]
    assert together == one_by_one
    assert len({(row["session"], row["symbol"]) for row in together}) == len(pairs)
    twice = give(
        "query", "drifted", "-s", "mine", "--value", "first=2016-04-01", "--value", "first=2016-04-02", "--json"
    )
    assert twice.status == 1
    assert "several of first" in twice.document["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("query", "trial_count", "-s", "mien"),
        ("query", "trial_count", "--value", "strategy=mien"),
        ("query", "why_this_size", "-s", "mien", "--value", "session=2016-04-28", "--value", "symbol=CON"),
        ("status", "-s", "mien"),
        ("export", "fills", "--out", "fills.csv", "-s", "mien"),
        ("audit", "decisions", "-s", "mien"),
        ("control", "kill-switch", "HALTED", "--reason", "r", "-s", "mien"),
        ("import-fills", "fills.csv", "-s", "mien"),
    ],
)
def test_a_strategy_that_nothing_names_is_refused_with_the_nearest_name(give, words) -> None:
    answer = give(*words, "--json")
    assert (answer.status, answer.document["error"]) == (1, "SettingsError")
    for part in ("mine", "found 'mien'", "did you mean mine?"):
        assert part in answer.document["message"]
    again = [word.replace("mien", "mine") for word in words]
    if words[0] in ("query", "status"):  # the remedy
        assert give(*again, "--json").status == 0


def test_a_strategy_whose_file_is_gone_is_asked_about_as_before(tmp_path) -> None:
    assert call(tmp_path, "query", "trial_count", "-s", "gone", "--json").status == 1
    with living_in(tmp_path), Ledger() as ledger:
        row = {"control_id": "a", "kind": "kill_switch", "state": "HALTED", "who": "w", "reason": "r", "details": {}}
        ledger.append("controls", [row], run_id="run", strategy="gone")
    assert call(tmp_path, "query", "trial_count", "-s", "gone", "--json").status == 0


def test_the_help_of_query_names_the_values_that_each_needs(give) -> None:
    text = " ".join(give("query", "--help").out.split())
    assert "why_this_size: session, symbol" in text
    assert "trial_count: none" in text


def test_status_for_a_person_is_text(give) -> None:
    answer = give("status", "--strategy", "mine")
    assert answer.out.startswith("mine TRADES: ")
    assert "decided to" in answer.out


def test_status_reads_nothing_of_the_ledger_twice(give, monkeypatch) -> None:
    asked = []

    def counting_read(
        connection: Connection, query: Query, *, columns: Sequence[str] | None = None, **others: Any
    ) -> Any:
        asked.append((query.asked, columns and tuple(columns), others["bookkeeping"]))
        return read_frame(connection, query, columns=columns, **others)

    monkeypatch.setattr(ledgers, "read_frame", counting_read)
    give("status", "--strategy", "mine")
    assert len(asked) > 10
    assert len(asked) == len(set(asked))


def test_an_untouched_ledger_verifies(give) -> None:
    answer = give("audit", "verify", "--json")
    assert answer.status == 0
    assert answer.document["ok"] is True
    assert answer.document["findings"] == []
    assert answer.document["entries"] > 20
    assert re.fullmatch(r"\d+:[0-9a-f]{64}", answer.document["head"])


def tamper(home, statement: str) -> None:
    """Change the ledger's file behind the system's back: the triggers that refuse it are dropped first."""
    with sqlite3.connect(home / "ledger.sqlite") as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'")]
        for name in names:
            connection.execute(f'drop trigger "{name}"')
        assert connection.execute(statement).rowcount > 0


@pytest.mark.full
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (f"update portfolio_states set equity_usd = 2e6 where session like '{LIVE[1]}%'", "row changed"),
        (f"delete from signals where session like '{LIVE[0]}%' and symbol = 'CON'", "row deleted"),
    ],
)
def test_a_tampered_row_is_named(own_home, give_own, statement, kind) -> None:
    tamper(own_home, statement)
    answer = give_own("audit", "verify", "--json")
    assert answer.status == 1
    assert answer.document["ok"] is False
    first = answer.document["findings"][0]
    assert kind in first
    assert statement.split()[1 if kind == "row changed" else 2] in first
    assert LIVE[1 if kind == "row changed" else 0] in first
    shown = give_own("audit", "verify")
    assert shown.status == 1
    assert first in shown.out


def test_the_ledger_refuses_a_change_while_its_triggers_stand(own_home) -> None:
    with sqlite3.connect(own_home / "ledger.sqlite") as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("update portfolio_states set equity_usd = 2e6")


def test_a_ledger_that_is_no_database_is_a_named_error(own_home, give_own) -> None:
    (own_home / "ledger.sqlite").write_bytes(b"this is not a database, it only has its name" * 40)
    for words in (("status",), ("audit", "verify"), ("run", "--strategy", "mine", "--session", LIVE[1])):
        answer = give_own(*words, "--json")
        assert answer.status == 1
        assert answer.document["error"] == "LedgerError"
        assert "Remedy" in answer.document["message"]


TAMPERINGS = {
    "equity": f"update portfolio_states set equity_usd = 9e6 where session like '{LIVE[1]}%'",
    "a verdict": "update studies set verdict = 'edge found'",
    "a look": "update looks set strategy = 'zzz'",
    "a trial": "delete from trials",
    "the decision": f"delete from decisions where session like '{LIVE[1]}%'",
    "the decision, put off": f"update decisions set session = '2016-03-29' where session like '{LIVE[1]}%'",
    "a target": f"update target_positions set symbol = 'XYZ' where session like '{LIVE[1]}%' and symbol = 'CON'",
    "what is held": f"update holdings set quantity = 3 * quantity where session like '{LIVE[1]}%'",
    "a round's end": "update outcomes set message = 'all is well' where kind = 'run'",
}


@pytest.mark.parametrize("what", often(TAMPERINGS, "equity", "a trial", "the decision, put off", "a round's end"))
def test_status_does_not_tell_as_right_what_was_changed_in_the_ledger(own_home, give_own, what) -> None:
    tamper(own_home, TAMPERINGS[what])
    answer = give_own("status", "-s", "mine", "--json")
    assert answer.status == 1
    state = answer.document["strategies"]["mine"]
    assert in_one_sentence(state["headline"]).startswith("mine HALTED: the ledger is not as it was appended: entry ")
    assert "needed: stop trading on this ledger; restore it from a backup that verifies" in in_one_sentence(
        state["headline"]
    )
    assert f", {TAMPERINGS[what].replace('delete from', 'update').split()[1]} " in in_one_sentence(state["headline"])
    (check,) = state["failed_checks"]
    assert check.startswith("check ledger_is_intact failed: entry ")


def test_a_row_that_cannot_be_read_back_is_the_named_error_of_a_changed_ledger(own_home, give_own) -> None:
    tamper(own_home, f"update portfolio_states set equity_usd = 'much' where session like '{LIVE[1]}%'")
    answer = give_own("status", "-s", "mine", "--json")
    state = answer.document["strategies"]["mine"]
    assert (answer.status, state["error"]) == (1, "AuditError")
    assert in_one_sentence(state["headline"]).startswith(
        "mine HALTED: row unreadable: ValueError: could not convert string to float"
    )
    assert "table portfolio_states" in state["message"]
    assert "row unreadable: ValueError: could not convert string to float: 'much'" in state["message"]
    assert state["message"].endswith("stop trading on this ledger; restore it from a backup that verifies")


def test_a_backup_that_verifies_ends_what_status_tells_of_a_changed_ledger(own_home, give_own, tmp_path) -> None:
    first = in_one_sentence(give_own("status", "-s", "mine").out)
    with sqlite3.connect(own_home / "ledger.sqlite") as kept, sqlite3.connect(tmp_path / "backup") as backup:
        kept.backup(backup)
    tamper(own_home, TAMPERINGS["equity"])
    assert "the ledger is not as it was appended" in give_own("status", "-s", "mine").out
    for file in own_home.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copy(tmp_path / "backup", own_home / "ledger.sqlite")
    assert in_one_sentence(give_own("status", "-s", "mine").out) == first


def test_status_tells_rows_and_decisions_that_nobody_appended(own_home, give_own) -> None:
    """A later session, numbered far behind the chain, would be told as the last decided."""
    with sqlite3.connect(own_home / "ledger.sqlite") as connection:
        for table in ("decisions", "portfolio_states", "trading_states"):
            names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            overrides = {"session": f"'{LIVE[2]}'", "sequence": "999999999"}
            chosen = ", ".join(overrides.get(name, f'"{name}"') for name in names)
            connection.execute(f"insert into {table} select {chosen} from {table} where session like '{LIVE[1]}%'")
    first = in_one_sentence(give_own("status", "-s", "mine").out)
    assert first.startswith("mine HALTED: the ledger is not as it was appended: entry 999999999, decisions ")
    assert "nobody appended it" in first


@pytest.mark.parametrize("what", often(["equity", "what is held", "the book, emptied"], "what is held"))
def test_a_book_whose_strategy_is_gone_is_not_told_as_right_where_the_ledger_was_changed(
    own_home, give_own, what
) -> None:
    (own_home / "strategies" / "mine.yaml").unlink()
    assert give_own("status").status == 0
    tamper(own_home, {**TAMPERINGS, "the book, emptied": "update holdings set quantity = 0"}[what])
    answer = give_own("status", "--json")
    states = answer.document["strategies"]
    assert (answer.status, states["mine"]["error"]) == (1, "AuditError")
    assert in_one_sentence(states["mine"]["headline"]).startswith("mine HALTED: ")
    assert "row changed" in in_one_sentence(states["mine"]["headline"])
    assert "decided_to" in states["index_daily"]  # whose line it takes not away


def test_no_run_that_nobody_appended_hides_a_failed_one(own_home, give_own) -> None:
    """Numbered before the first entry of the chain, and begun last: it would be told as how the last round ended."""
    then = pd.Timestamp.now(tz="UTC").floor("us")
    with living_in(own_home), open_stores() as stores:
        run = Run("failed", "mine", "daily", LIVE[2], LIVE[2], then)
        record_end(stores.ledger, run, FAILED, then, message="ModelError: x", failed_step="mine__daily_round")
    overrides = {"sequence": "-5", "outcome_id": "'x'", "began_at": f"'{then + pd.Timedelta(seconds=1):%F %T.%f}'"}
    with sqlite3.connect(own_home / "ledger.sqlite") as connection:
        names = [row[1] for row in connection.execute("pragma table_info(outcomes)")]
        chosen = ", ".join(overrides.get(name, f'"{name}"') for name in names)
        ended_well = "kind = 'run' and name = 'daily' and outcome = 'SUCCEEDED'"
        connection.execute(f"insert into outcomes select {chosen} from outcomes where {ended_well} limit 1")
    answer = give_own("status", "-s", "mine")
    assert answer.status == 1
    assert answer.out.startswith(
        "mine HALTED: the ledger is not as it was appended: row without an entry: outcomes has"
    )


@pytest.mark.parametrize("what", often(["a look", "a trial"]))
def test_no_study_is_made_on_looks_and_trials_that_were_changed(own_home, give_own, what) -> None:
    tamper(own_home, TAMPERINGS[what])
    answer = give_own("study", "-s", "mine", "--json")
    assert (answer.status, answer.document["error"]) == (1, "AuditError")
    assert "expected a ledger in which every row is as it was appended; found row" in answer.document["message"]
    assert "restore it from a backup that verifies" in answer.document["message"]
    state = give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]
    assert in_one_sentence(state["headline"]).startswith("mine HALTED: the ledger is not as it was appended: entry ")


TAMPERED = {
    "holdings": f"update holdings set quantity = 3 * quantity where session like '{LIVE[1]}%'",
    "an old decision": f"update decisions set verdict = 'edge found' where session like '{LIVE[0]}%'",
    "a study under another name": "update studies set strategy = 'zzz'",
}


@pytest.mark.parametrize("what", often(TAMPERED, "a study under another name"))
def test_no_session_is_decided_on_a_ledger_that_was_changed(own_home, give_own, what) -> None:
    tamper(own_home, TAMPERED[what])
    answer = give_own("run", "-s", "mine", "--session", LIVE[2], "--json")
    assert answer.status == 1
    message = answer.document["message"]
    assert "row changed" in message
    assert "restore it from a backup that verifies" in message
    shown = give_own("status", "-s", "mine", "--json")
    assert shown.status == 1
    state = shown.document["strategies"]["mine"]
    assert state["decided_to"] == LIVE[1]
    assert any("daily_round" in line and "as it was appended" in line for line in state["runs"])
    assert in_one_sentence(state["headline"]).startswith(
        "mine HALTED: the last run of daily failed at mine__daily_round: AuditError"
    )
    assert "; 1 session not decided, the oldest " in in_one_sentence(state["headline"])
    assert in_one_sentence(state["headline"]).endswith(
        "needed: stop trading on this ledger; restore it from a backup that verifies."
    )
    (check,) = state["failed_checks"]
    assert check.startswith("check ledger_is_intact failed: AuditError")
    (alert,) = alerts(own_home)
    assert "row changed" in alert["cause"]
    assert in_one_sentence(alert["headline"]) == in_one_sentence(state["headline"])
    assert alert["remedy"] == "stop trading on this ledger; restore it from a backup that verifies"


def test_what_an_audit_on_demand_finds_is_an_alert_in_the_first_line_and_stops_the_next_round(
    own_home, give_own
) -> None:
    tamper(own_home, f"delete from drift where session like '{LIVE[0]}%'")  # no round reads it again
    assert give_own("audit", "verify").status == 1
    answer = give_own("status", "-s", "mine", "--json")
    assert answer.status == 1
    state = answer.document["strategies"]["mine"]
    assert in_one_sentence(state["headline"]).startswith("mine HALTED: audit verify found a changed ledger: entry ")
    assert in_one_sentence(state["headline"]).endswith(
        "needed: stop trading on this ledger; restore it from a backup that verifies."
    )
    assert "row deleted" in state["failed_checks"][0]
    (alert,) = alerts(own_home)
    assert "row deleted" in alert["cause"]
    stopped = give_own("run", "-s", "mine", "--session", LIVE[2])
    assert stopped.status == 1
    assert "row deleted" in stopped.err
    assert give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]["decided_to"] == LIVE[1]


@pytest.mark.parametrize("what", ["the ledger", "the alerts"])
def test_what_an_audit_finds_is_told_where_nothing_can_be_written(own_home, give_own, monkeypatch, what) -> None:
    tamper(own_home, f"delete from drift where session like '{LIVE[0]}%'")
    if what == "the ledger":
        with sqlite3.connect(own_home / "ledger.sqlite") as connection:
            full = "select raise(abort, 'database or disk is full')"
            connection.execute(f"create trigger no_room before insert on audit_chain begin {full}; end")
    else:
        (own_home / "alerts.jsonl").mkdir()
    answer = give_own("audit", "verify", "--json")
    assert answer.status == 1
    assert "row deleted" in answer.document["findings"][0]
    assert answer.document["untold"][0].startswith(f"not in {what}: ")
    assert f"not in {what}: " in give_own("audit", "verify").out


@pytest.mark.full
def test_a_file_of_alerts_that_cannot_be_used_fails_no_round_and_hides_no_error(own_home, give_own) -> None:
    file, session_loss = own_home / "alerts.jsonl", f"breaker:mine:{LIVE[2]}:session_loss"
    file.mkdir()
    edited(own_home, "portfolio:", "portfolio:\n  session_loss_limit_fraction: 0.0000001")
    run = ("run", "-s", "mine", "--session", LIVE[2])
    decided = give_own(*run)
    assert decided.status == 0
    assert "breaker session_loss" in decided.out
    for first in (in_one_sentence(answer.out) for answer in (decided, give_own("status", "-s", "mine"))):
        assert f"alerts cannot be written: {file} is no file" in first
        assert f"move {file} away: it is made anew" in first
    shutil.move(file, own_home / "away")

    file.write_bytes(b"\xff\n")  # no text
    again = give_own(*run)
    assert again.status == 0
    firsts = [in_one_sentence(answer.out) for answer in (again, give_own("status", "-s", "mine"))]
    assert not any("alerts cannot" in first for first in firsts)
    assert [json.loads(line)["alert_id"] for line in file.read_bytes().splitlines()[1:]] == [session_loss]

    tamper(own_home, TAMPERED["an old decision"])
    stopped = give_own(*run, "--json")
    assert "row changed" in stopped.document["message"]
    ids = [json.loads(line)["alert_id"] for line in file.read_bytes().splitlines()[1:]]
    assert ids[0] == session_loss
    assert len(ids) == 2


@pytest.mark.full
def test_a_file_in_the_place_of_the_locks_is_named_and_the_remedy_works(own_home, give_own) -> None:
    """In the place of the runs' locks, and then of all; the remedy of the first leads to the second."""
    locks = own_home / "locks"
    for file in (locks / "runs", locks):
        shutil.rmtree(file)
        file.write_bytes(b"\xff\n")
        answer = give_own("check", "-s", "mine", "--json")
        assert answer.status == 1
        assert answer.document["error"] == "AccessError"
        assert answer.document["message"] == (
            f"[file {file}] expected a folder, or nothing; found a file. Remedy: move it away, and give the same "
            "command again"
        )
        assert "decided to" in give_own("status", "-s", "mine").out
        shutil.move(file, own_home / f"away_{file.name}")
    assert give_own("check", "-s", "mine").status == 0


def alerts(home) -> list[dict[str, str]]:
    return [json.loads(line) for line in (home / "alerts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_failed_check_is_printed_counted_and_an_alert_and_the_exit_status_is_one(
    own_home, give_own, monkeypatch
) -> None:
    finding = AuditFinding(7, "row changed", "fills", "[]", "it reads otherwise")
    broken = AuditReport(1, {}, GENESIS, (finding,), ())
    with monkeypatch.context() as patch:
        patch.setattr(stored_checks, "verify_since_last", lambda *_, **__: broken)
        answer = give_own("run", "-s", "mine", "--session", LIVE[2])
    expected = f"check orders.ledger_is_intact failed: {finding}. Remedy: stop trading on this ledger"
    assert answer.status == 1
    assert expected in answer.out
    shown = give_own("status", "-s", "mine", "--json")
    state = shown.document["strategies"]["mine"]
    assert (shown.status, shown.document["ok"]) == (1, False)
    assert state["decided_to"] == LIVE[2]
    (line,) = state["failed_checks"]
    assert line.startswith(expected)
    assert f"check orders.ledger_is_intact failed: {finding}" in in_one_sentence(state["headline"])
    (alert,) = alerts(own_home)
    assert (alert["strategy"], alert["job"]) == ("mine", "mine__daily")
    assert str(finding) in alert["cause"]
    assert alert["remedy"].startswith("stop trading on this ledger")


# --- the first line ------------------------------------------------------------------------------------------------


def first_lines(home, session: str) -> dict[str, str]:
    """The first line of run, status and the session's page, and the last of run, by place."""
    ran = call(home, "run", "-s", "mine", "--session", session)
    page = (home / "reports" / f"mine-{session}.html").read_text(encoding="utf-8")
    ((headline, below),) = re.findall(r'<p class="headline \w+">(.*?)</p>\s*(<ul>.*?</ul>)?', page, re.DOTALL)
    headline = html.unescape("\n".join([headline, *re.findall("<li>(.*)</li>", below)]))
    return {
        "run": in_one_sentence(ran.out[re.search("^mine ", ran.out, re.MULTILINE).start() :]),
        "last of run": ran.out.splitlines()[-1],
        "status": in_one_sentence(call(home, "status", "-s", "mine").out),
        "page": in_one_sentence(headline),
    }


def edited(home, before: str, after: str) -> None:
    """Change the strategy's settings: a session that was decided keeps those of its day."""
    file = home / "strategies" / "mine.yaml"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_a_book_that_is_flat_by_verdict_does_not_trade_wherever_it_is_told(own_home) -> None:
    edited(own_home, "trade_without_verdict: true", "trade_without_verdict: false")
    headlines = first_lines(own_home, LIVE[2])
    assert headlines["run"] == headlines["status"] == headlines["page"]
    assert headlines["run"].startswith("mine DOES NOT TRADE: flat")
    page = (own_home / "reports" / f"mine-{LIVE[2]}.html").read_text(encoding="utf-8")
    assert 'class="state CONTINUE"' not in page
    assert "Real bars" not in page
    assert "Bars from files" in page


def test_a_latched_breaker_is_in_every_first_line_the_last_one_and_an_alert_with_cause_and_remedy(
    own_home, monkeypatch
) -> None:
    monkeypatch.setattr(SessionMarket, "stale_share", property(lambda _: 0.75))
    headlines = first_lines(own_home, LIVE[2])
    assert headlines["run"] == headlines["status"] == headlines["page"]
    cause = "75% of the symbols have no close of this session or repeat the bar before"
    remedy = "mend the data, then nn-assets control reset-breaker --strategy mine --kind stale_data"
    assert headlines["run"].startswith(f"mine HALTED: breaker stale_data is latched ({cause}")
    assert remedy in headlines["run"]
    assert "breaker stale_data" in headlines["last of run"]
    (alert,) = alerts(own_home)
    assert in_one_sentence(alert["headline"]) == headlines["run"]
    assert alert["session"] == LIVE[2]
    assert alert["cause"].startswith(f"breaker stale_data fired: {cause}")
    assert alert["remedy"].startswith(remedy)


def test_status_begins_with_the_halt_of_the_gate_until_data_pass(own_home, give_own) -> None:
    with living_in(own_home), open_stores() as stores:
        moment = pd.Timestamp("2026-01-05 22:00", tz="UTC")
        record_halt(stores.ledger, "mine", moment, "CON 2016-04-29: freshness", "r")
    status = give_own("status", "-s", "mine").out.splitlines()
    assert status[0].startswith("mine HALTED: the gate halted on 2026-01-05 22:00 UTC: CON 2016-04-29: freshness")
    assert "A person is needed: mend the data at the source, then nn-assets run --strategy mine" in status[0]
    with living_in(own_home), open_stores() as stores:
        record_pass(stores.ledger, "mine", moment + pd.Timedelta(hours=1), "r")
    assert give_own("status", "-s", "mine").out.startswith("mine TRADES: ")


def test_a_halt_of_many_checks_is_one_clause_of_the_first_line_with_a_count_of_the_others(own_home, give_own) -> None:
    checks = [f"check_{number}: {number} of 40 symbols (1.0%) lack a current bar, limit 1.0%" for number in range(12)]
    with living_in(own_home), open_stores() as stores:
        moment = pd.Timestamp("2026-01-05 22:00", tz="UTC")
        record_halt(stores.ledger, "mine", moment, "; ".join(checks), "r")
        run = Run("r", "mine", "tables", None, None, moment)
        failed = [FailedCheck(f"validated_bars.check_{number}", "3 of 40", "mend them") for number in range(12)]
        message = f"GateHalted: [rule x] expected data that pass the gate; found {'; '.join(checks)}. Remedy: mend them"
        record_end(
            stores.ledger,
            run,
            FAILED,
            moment,
            message=message,
            failed_step="mine__validated_bars",
            failed_checks=failed,
        )
    answer = give_own("status", "-s", "mine", "--json")
    first = in_one_sentence(answer.document["strategies"]["mine"]["headline"])
    halt = first.partition("; 1 session not decided")[0]
    assert halt.startswith(f"mine HALTED: the gate halted on 2026-01-05 22:00 UTC: {'; '.join(checks[:3])}; and 9 more")
    assert len(halt) < 400
    assert (first.count("halted"), first.count("validated_bars")) == (1, 0)
    assert len(answer.document["strategies"]["mine"]["failed_checks"]) == 12  # the full list


@pytest.mark.parametrize(
    ("passed", "stand"),
    [
        (("halted", "passed"), ["check features.no_look_ahead failed"]),
        (("passed", "halted"), ["check validated_bars.freshness failed", "check features.no_look_ahead failed"]),
    ],
)
def test_what_the_gate_found_in_a_check_stands_until_it_passes_and_the_rest_until_it_is_checked_again(
    own_home, give_own, passed, stand
) -> None:
    """The gate passes in a round that fails afterwards: its word counts all the same."""
    now = pd.Timestamp.now(tz="UTC").floor("us")
    checks = [FailedCheck("validated_bars.freshness", "3 days old", "wait"), FailedCheck("features.no_look_ahead", "x")]
    with living_in(own_home), open_stores() as stores:
        if passed[0] == "passed":
            record_halt(stores.ledger, "mine", now - pd.Timedelta(hours=1), "freshness: 3 days old", "before")
            record_pass(stores.ledger, "mine", now, "before")
        record_halt(stores.ledger, "mine", now, "freshness: 3 days old", "r")
        if passed[1] == "passed":
            record_pass(stores.ledger, "mine", now + pd.Timedelta(seconds=1), "later")
        # Told last, as by the sensor of a daemon that looks once a minute.
        failure = {"message": "GateHalted: expected a; found b", "failed_step": "mine__validated_bars"}
        run = Run("r", "mine", "tables", None, None, now)
        record_end(stores.ledger, run, FAILED, now, failed_checks=checks, **failure)
        later = Run("later", "mine", "daily", LIVE[2], LIVE[2], now + pd.Timedelta(seconds=1))
        record_end(stores.ledger, later, FAILED, now, message="DecisionError: x", failed_step="mine__daily_round")
    answer = give_own("status", "-s", "mine", "--json")
    state = answer.document["strategies"]["mine"]
    assert answer.status == 1
    assert [line.partition(":")[0] for line in state["failed_checks"]] == stand
    assert any("tables: FAILED" in line for line in state["runs"])  # what happened stays told
    assert (
        "validated_bars" in in_one_sentence(state["headline"])
        or "the gate halted" in in_one_sentence(state["headline"])
    ) == (len(stand) == 2)


def test_a_killed_run_is_in_the_first_line_until_it_is_closed(own_home, give_own, tmp_path) -> None:
    def first_line() -> str:
        return in_one_sentence(give_own("status", "-s", "mine").out)

    def begins_and_is_killed() -> None:
        hold_run("killed")
        os.kill(os.getpid(), signal.SIGKILL)

    sentence = "; a run of daily was killed; the next command or tick closes it"
    with living_in(own_home):
        now = pd.Timestamp.now(tz="UTC").floor("us")
        with open_stores() as stores:
            assert record_start(stores.ledger, Run("killed", "mine", "daily", LIVE[2], LIVE[2], now))
        assert sentence not in first_line()  # about to begin: nobody saw to it yet
        assert ended(begins_and_is_killed, tmp_path / "told.txt") == -signal.SIGKILL
        assert sentence in first_line()
        assert sentence in first_line()  # asking closes nothing
        hold_run("killed")
        assert sentence not in first_line()  # somebody sees to it
        let_go("killed")
        assert sentence not in first_line()  # it ended, which the daemon puts on record


@pytest.mark.full
def test_a_killed_check_halts_nothing_and_is_told_until_it_is_run_again(own_home, give_own, tmp_path) -> None:
    def first_line() -> str:
        return in_one_sentence(give_own("status", "-s", "mine").out)

    def begins_and_is_killed() -> None:
        hold_run("killed")
        os.kill(os.getpid(), signal.SIGKILL)

    with living_in(own_home):
        before = first_line()
        run = Run("killed", "mine", "tables", None, None, pd.Timestamp.now(tz="UTC").floor("us"))
        with open_stores() as stores:
            assert record_start(stores.ledger, run)
        assert ended(begins_and_is_killed, tmp_path / "told.txt") == -signal.SIGKILL
        killed = first_line()
        with open_stores() as stores:  # as another command, or a tick, closes it
            at = pd.Timestamp.now(tz="UTC").floor("us")
            assert record_end(stores.ledger, run, FAILED, at, message=end_message(run, LOST))
        assert first_line() == killed
    word = before.partition(":")[0]
    assert killed.startswith(f"{word}: ")
    assert f"; a check that began on {run.began_at:%Y-%m-%d %H:%M} UTC was killed: what it had taken in is" in killed
    assert "A person is needed: nn-assets check --strategy mine again; " in killed
    assert give_own("check", "-s", "mine").status == 0
    assert first_line() == before


@pytest.mark.full
def test_a_refused_run_of_a_decided_session_is_told_and_changes_nothing(own_home, give_own) -> None:
    edited(own_home, "half_spread_bps: 0.5", "half_spread_bps: 0.9")
    before = in_one_sentence(give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]["headline"])
    refused = give_own("run", "-s", "mine", "--session", LIVE[1])
    assert refused.status == 1
    assert "costs.half_spread_bps 0.5 then, 0.9 now" in refused.err
    state = give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]
    expected = "; the last run of daily was refused and changed nothing: DecisionError: "
    assert in_one_sentence(state["headline"]).split(": ")[0] == before.split(": ")[0] == "mine TRADES"
    assert expected in in_one_sentence(state["headline"])
    assert any(line.startswith(f"daily {LIVE[1]}: FAILED") for line in state["runs"])
    (alert,) = alerts(own_home)
    assert in_one_sentence(alert["headline"]) == in_one_sentence(state["headline"])
    assert "costs.half_spread_bps 0.5 then, 0.9 now" in alert["cause"]


@pytest.mark.parametrize(
    ("day", "kind", "word"),
    [
        (LIVE[0], "DecisionError", "TRADES"),  # decided before
        ("2016-04-26", "DecisionError", "TRADES"),  # before the live start
        (LIVE[2], "DecisionError", "HALTED"),  # the next to be decided
        (LIVE[0], "LedgerError", "HALTED"),  # what is on record is not what is computed
    ],
)
def test_only_a_refusal_of_what_was_not_due_leaves_the_state_as_it_was(own_home, give_own, day, kind, word) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("us")
    with living_in(own_home), open_stores() as stores:
        run = Run("refused", "mine", "daily", day, day, now)
        message = f"{kind}: expected a; found b. Remedy: c"
        record_end(stores.ledger, run, FAILED, now, message=message, failed_step="mine__daily_round")
    first = in_one_sentence(give_own("status", "-s", "mine").out)
    assert first.startswith(f"mine {word}: ")
    assert "expected a; found b" in first
    assert ("A person is needed: c" in first) == (word == "HALTED")


def test_a_refusal_hides_no_failure_of_the_round_before_it(own_home, give_own) -> None:
    then = pd.Timestamp.now(tz="UTC").floor("us")
    ends = [
        (LIVE[2], "ModelError: expected the model as written; found it damaged. Remedy: study again"),
        (LIVE[0], "DecisionError: expected a session not decided; found one that is. Remedy: none"),
    ]
    with living_in(own_home), open_stores() as stores:
        for later, (day, message) in enumerate(ends):
            at = then + pd.Timedelta(microseconds=later)
            run = Run(f"run {later}", "mine", "daily", day, day, at)
            record_end(stores.ledger, run, FAILED, at, message=message, failed_step="mine__daily_round")
    first = in_one_sentence(give_own("status", "-s", "mine").out)
    assert first.startswith("mine HALTED: ")
    assert "found it damaged" in first
    assert "A person is needed: study again" in first
    assert "the last run of daily was refused and changed nothing: DecisionError" in first


def test_a_halt_that_stands_hides_no_other_failure_at_the_gate(own_home, give_own) -> None:
    now = pd.Timestamp.now(tz="UTC").floor("us")
    message = "PublicationError: expected moments as recorded; found others. Remedy: restore the lake"
    with living_in(own_home), open_stores() as stores:
        record_halt(stores.ledger, "mine", now, "freshness: there is no clean bar", "run")
        run = Run("published", "mine", "tables", None, None, now)
        record_end(stores.ledger, run, FAILED, now, message=message, failed_step="mine__validated_bars")
    first = in_one_sentence(give_own("status", "-s", "mine").out)
    assert "the gate halted on " in first
    assert "expected moments as recorded; found others" in first
    assert "restore the lake" in first


def test_status_names_the_session_whose_records_are_gone(own_home, give_own) -> None:
    tamper(own_home, f"delete from portfolio_states where session like '{LIVE[1]}%'")
    line = in_one_sentence(give_own("status", "-s", "mine").out)
    assert line.startswith(f"mine HALTED: records of {LIVE[1]} are gone from the ledger")
    assert "nn-assets audit verify" in line


@pytest.mark.full
def test_a_killed_round_needs_a_person_only_where_it_left_a_session_undecided(own_home, give_own) -> None:
    """Also where it leaves the round before it as the last that came to a good end."""

    def now() -> pd.Timestamp:
        return pd.Timestamp.now(tz="UTC").floor("us")

    def fed_nothing(run_id: str, began: pd.Timestamp) -> None:
        run = Run(run_id, "mine", "tables", None, None, began)
        with open_stores() as stores:
            assert record_end(stores.ledger, run, FAILED, began, message="no feed", failed_step="raw")

    def killed(run_id: str, last: str) -> str:
        began = now()
        run = Run(run_id, "mine", "daily", LIVE[1], last, began)
        with open_stores() as stores:
            assert record_end(stores.ledger, run, FAILED, began, message=end_message(run, LOST))
        return in_one_sentence(give_own("status", "-s", "mine", "--json").document["strategies"]["mine"]["headline"])

    with living_in(own_home):
        fed_nothing("before", now() - pd.Timedelta(days=2))
        first = in_one_sentence(give_own("status", "-s", "mine").out)
        assert killed("decided", LIVE[1]) == first
        assert "the last run of" not in first
        headline = killed("undecided", LIVE[2])
        assert headline.startswith("mine HALTED: the last run of daily failed: its process is gone")
        assert f"nn-assets run --strategy mine --from {LIVE[1]} --to {LIVE[2]}" in headline
        (done,) = homes.decide(find_strategy("mine").strategy, [pd.Timestamp(LIVE[2])])
        assert not done.already_decided
        ran = now()
        with open_stores() as stores:
            assert record_end(stores.ledger, Run("decides", "mine", "daily", LIVE[2], LIVE[2], ran), SUCCEEDED, ran)
        assert "the last run of" not in killed("decided since", LIVE[2])
        fed_nothing("after", now())
        first = in_one_sentence(give_own("status", "-s", "mine").out)
        assert first.startswith("mine HALTED: the last run of tables failed at raw: no feed")
