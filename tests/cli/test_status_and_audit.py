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
    state = call(tmp_path / "fresh", "status", "--strategy", "index_daily", "--json").document["strategies"]
    assert state["index_daily"]["published_to"] is None
    assert state["index_daily"]["decided_to"] is None


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
