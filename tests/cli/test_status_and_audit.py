"""Status, and the audit of the ledger."""

from __future__ import annotations

import re
import sqlite3

import pytest

from tests.cli.conftest import LIVE, call


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


def test_status_without_a_name_tells_of_every_strategy(give) -> None:
    assert set(give("status", "--json").document["strategies"]) == {"index_daily", "planted_edge", "mine"}


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
        told = [word for value in values for word in ("--value", value)]
        answer = give("query", "why_this_size", "-s", "mine", *told, "--json")
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


def test_the_help_of_query_names_the_values_that_each_needs(give) -> None:
    told = " ".join(give("query", "--help").out.split())
    assert "why_this_size: session, symbol" in told
    assert "trial_count: none" in told


def test_status_for_a_person_is_text(give) -> None:
    answer = give("status", "--strategy", "mine")
    assert answer.out.startswith("mine\n")
    assert "decided to" in answer.out


def test_an_untouched_ledger_verifies(give) -> None:
    answer = give("audit", "verify", "--json")
    assert answer.status == 0
    assert answer.document["ok"] is True
    assert answer.document["findings"] == []
    assert answer.document["entries"] > 50
    assert re.fullmatch(r"\d+:[0-9a-f]{64}", answer.document["head"])


def tamper(home, statement: str) -> None:
    """Change the ledger's file behind the system's back: the triggers that refuse it are dropped first."""
    with sqlite3.connect(home / "ledger.sqlite") as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'")]
        for name in names:
            connection.execute(f'drop trigger "{name}"')
        assert connection.execute(statement).rowcount > 0


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
    told = give_own("audit", "verify")
    assert told.status == 1
    assert first in told.out


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
