"""Before a round every row that decides by being there is held against the chain, however old: it cannot be hidden."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Column, Connection, Double, Integer, String, create_engine, text

from nn_assets.store import home as homes
from nn_assets.store.ledger import schema
from nn_assets.store.ledger.audit import verify_before_round, verify_since_last
from nn_assets.store.ledger.columns import CanonicalJson, Flag, Moment, SessionDate
from nn_assets.store.ledger.ledger import Ledger
from tests.store.rounds import append_round, day_round
from tests.store.test_audit import tamper

__all__ = ["tamper"]

NOW = pd.Timestamp("2026-01-05 22:00", tz="UTC").to_pydatetime()
GROWS_WITH_SESSIONS = {
    *("decisions", "signals", "target_positions", "position_steps", "traces", "orders", "fills", "portfolio_states"),
    *("holdings", "drift", "trading_states", "publications", "verifications", "outcomes"),
    *("account_orders", "order_events", "account_fills", "reconciliations"),
}
OF_ACTS = sorted(schema.TABLES.keys() - GROWS_WITH_SESSIONS)
VALUES = (  # of a column's type: one, and another in SQL
    (SessionDate, "2018-01-02", "'1999-01-04'"),
    (Moment, NOW, "'1999-01-04 00:00:00.000000'"),
    (CanonicalJson, {}, "'[1]'"),
    (Flag, True, "FALSE"),
    (Double, 0.5, "0.25"),
    (Integer, 1, "777"),
    (String, "a", "'zzz'"),
)


def of_type(column: Column[Any]) -> tuple[Any, str]:
    return next((one, another) for kind, one, another in VALUES if isinstance(column.type, kind))


def a_row(table: str) -> dict[str, Any]:
    stored = schema.TABLES[table]
    return {name: of_type(stored.columns[name])[0] for name in schema.contract_columns(stored)}


@pytest.fixture
def decided(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A row in each table of acts, then two sessions, all verified; the whole at ``NOW``."""
    monkeypatch.setattr(ledger, "_clock", lambda: NOW)
    with ledger.transaction("acts", strategy="demo") as transaction:
        for table in OF_ACTS:
            transaction.append(table, [a_row(table)])
    for day in ("2018-01-02", "2018-01-03"):
        append_round(ledger, day_round(day, symbols=1))
    assert findings_of(ledger, days=0.0) == set()
    assert verify_since_last(ledger, run_id="r").ok
    return ledger


def findings_of(ledger: Ledger, days: float = 1.0) -> set[tuple[str, str]]:
    report = verify_before_round(ledger, "demo", run_id="r", now=NOW + timedelta(days=days))
    assert days == 0.0 or report.since.sequence > len(OF_ACTS)  # the acts lie before what is looked at anyway
    return {(finding.table, finding.kind) for finding in report.findings}


def unseen_changes(ledger: Ledger, connection: Connection, table: str) -> list[str]:
    """What can be done to a table unseen: another value in a column that a round asks by, deletion, insertion."""

    def do(statement: str) -> None:
        assert connection.execute(text(statement)).rowcount != 0
        connection.commit()

    unseen = []
    do(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
    asked = {"strategy", *schema.natural_key(schema.TABLES[table]), "version", "kind", "in_force", "sequence"}
    for column in [column for column in schema.TABLES[table].columns if column.name in asked]:
        do(f"UPDATE {table} SET {column.name} = {of_type(column)[1]}")
        kinds = {kind for name, kind in findings_of(ledger) if name == table}
        wanted = {"row deleted", "row without an entry"} if column.name == "sequence" else {"row changed"}
        unseen += [] if kinds == wanted else [f"{table}.{column.name}: {sorted(kinds)}"]
        do(f"UPDATE {table} SET {column.name} = (SELECT {column.name} FROM kept_{table})")
    assert findings_of(ledger) == set()
    do(f"UPDATE kept_{table} SET strategy = 'forged', sequence = (SELECT MIN(sequence) FROM decisions)")
    do(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    unseen += [] if findings_of(ledger) == {(table, "row without an entry")} else [f"{table}: insertion"]
    do(f"DELETE FROM {table} WHERE strategy = 'forged'")
    do(f"DELETE FROM {table}")
    unseen += [] if (table, "row deleted") in findings_of(ledger) else [f"{table}: deletion"]
    do(f"UPDATE kept_{table} SET strategy = 'demo', sequence = {OF_ACTS.index(table) + 1}")
    do(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    return unseen


def test_no_row_that_decides_by_being_there_is_changed_removed_or_added_unseen(
    decided: Ledger, ledger_url: str, tamper
) -> None:
    tamper()
    engine = create_engine(homes.ledger_url(ledger_url))
    with engine.connect() as connection:
        tables = OF_ACTS if engine.dialect.name == "sqlite" else ["controls", "cost_models"]
        assert [change for table in tables for change in unseen_changes(decided, connection, table)] == []
    engine.dispose()
    assert findings_of(decided) == set()


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit_chain SET row_key = '[\"zzz\",\"a\",1]' WHERE table_name = 'controls'", "entry changed"),
        ("UPDATE audit_chain SET hash = row_hash WHERE table_name = 'controls'", "entry moved"),
    ],
)
@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_an_entry_of_an_act_that_was_rewritten_is_found(decided: Ledger, tamper, statement: str, kind: str) -> None:
    tamper(statement)
    assert ("controls", kind) in findings_of(decided)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_it_costs_the_same_after_more_sessions(decided: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows_looked_at() -> int:
        findings_of(decided)
        return sum(
            verify_before_round(decided, "demo", run_id="r", now=NOW + timedelta(days=1)).rows[table]
            for table in schema.TABLES
        )

    before = rows_looked_at()
    for day in pd.bdate_range("2018-01-04", periods=5):
        append_round(decided, day_round(str(day.date()), symbols=1))
        assert verify_since_last(decided, run_id="r").ok
    assert rows_looked_at() <= before + len(OF_ACTS)


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", ["kind", "strategy", "verification_id"])
def test_a_finding_on_record_that_was_hidden_still_has_the_whole_looked_at(
    decided: Ledger, tamper, column: str
) -> None:
    broken = {"verification_id": "broken-1", "kind": "broken", "until_sequence": 1, "head_hash": "h"}
    broken["details"] = {"findings": ["entry 1"]}
    decided.append("verifications", [broken], run_id="r", strategy="*")
    append_round(decided, day_round("2018-01-04", symbols=1))
    assert verify_since_last(decided, run_id="r").ok
    tamper(f"UPDATE verifications SET {column} = 'zzz' WHERE kind = 'broken'")
    report = verify_before_round(decided, "demo", run_id="r", now=NOW + timedelta(days=1))
    assert report.since.sequence == 0
    assert {finding.kind for finding in report.findings} == {"row changed"}
