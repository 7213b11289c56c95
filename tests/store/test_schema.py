"""The migrations make what the schema declares; the tables refuse changes; the SQL files run."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from nn_assets.errors import LedgerError
from nn_assets.store.ledger import schema
from nn_assets.store.ledger.engine import open_engine, writing
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.migrations import alembic_config, upgrade, view_names
from nn_assets.store.ledger.query_files import query_names, query_parameters
from tests.store.conftest import IN_A_FILE_FIRST
from tests.store.rounds import append_round, day_round

VALUES = {"session": "2018-01-02", "first": "2018-01-01", "last": "2018-12-31", "symbol": "S03"}
FRAMES = {
    "signals": "symbol session probability dispersion calibrated_probability direction expected_return "
    "mean_win mean_loss outcomes forecast_volatility confidence model_id data_hash code_version known_at "
    "base_rate outcome_sessions",
    "target_positions": "symbol session reference_price reference_at current_quantity target_quantity "
    "target_weight stop_price known_at",
    "position_steps": "symbol session step rule weight_before weight_after reason",
    "orders": "client_order_id symbol session side quantity execution urgency reference_price reference_at "
    "status reason_code",
    "fills": "fill_id client_order_id symbol session quantity price mid_price half_spread_usd commission_usd "
    "impact_usd source known_at filled_at later_mid_price",
    "drift": "session layer name statistic critical autocorrelation drifted",
    "trading_states": "session effective_session state score reasons",
}


@pytest.mark.parametrize("table", sorted(FRAMES))
def test_a_table_has_the_columns_of_its_frame(table: str) -> None:
    assert schema.contract_columns(schema.TABLES[table]) == tuple(FRAMES[table].split())


@pytest.mark.full
def test_the_migrated_schema_is_the_declared_one(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_the_declared_head_is_the_newest_migration(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    assert scripts.get_current_head() == schema.HEAD_REVISION
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == schema.REVISIONS


def test_opening_a_ledger_again_migrates_nothing(ledger: Ledger) -> None:
    assert upgrade(ledger.engine) is False


def test_a_ledger_of_a_newer_version_is_refused(ledger: Ledger, ledger_url: str) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="9999"):
        Ledger(ledger_url)


@pytest.mark.full
def test_a_migration_that_fails_leaves_no_half_schema(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(bare_url)
    broken = tmp_path / "broken.sql"
    broken.write_text("CREATE VIEW broken AS SELECT nothing FROM nowhere WHERE", encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr("nn_assets.store.ledger.migrations._view_files", lambda: [broken])
        with pytest.raises(LedgerError):
            upgrade(engine)
    assert inspect(engine).get_table_names() == []
    assert upgrade(engine) is True
    engine.dispose()


def _guards(ledger: Ledger, table: str) -> set[str]:
    """What the triggers of a table fire on, as the database tells it."""
    if ledger.engine.dialect.name == "sqlite":
        asked = text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name")
    else:
        asked = text(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = to_regclass(:name) AND NOT tgisinternal"
        )
    with ledger.engine.connect() as connection:
        statements = connection.execute(asked, {"name": table}).scalars().all()
    fires = " or ".join(statement.lower().split("before ")[1].split(" on ")[0] for statement in statements)
    return set(fires.split(" or "))


def test_every_table_refuses_changes(ledger: Ledger) -> None:
    refused = {"update", "delete"} | ({"truncate"} if ledger.engine.dialect.name == "postgresql" else set())
    names = [*schema.TABLES, schema.CHAIN.name]
    assert {name: _guards(ledger, name) for name in names} == dict.fromkeys(names, refused)


def _demand_refused(ledger: Ledger, statement: str) -> None:
    append_round(ledger, day_round(symbols=2))
    before = ledger.read("signals", bookkeeping=True)
    with pytest.raises(LedgerError, match="append-only"), writing(ledger.engine) as connection:
        connection.execute(text(statement))
    assert ledger.read("signals", bookkeeping=True).equals(before)


@pytest.mark.full
@pytest.mark.parametrize(
    "statement",
    ["UPDATE signals SET probability = 0.9", "DELETE FROM orders", "UPDATE audit_chain SET hash = 'x'"],
)
def test_a_committed_row_can_be_neither_changed_nor_deleted(ledger: Ledger, statement: str) -> None:
    _demand_refused(ledger, statement)


@pytest.mark.parametrize(
    ("ledger_url", "statement"),
    [
        ("sqlite", "INSERT OR REPLACE INTO signals SELECT * FROM signals"),
        ("postgresql", "TRUNCATE signals"),
        ("postgresql", "TRUNCATE audit_chain CASCADE"),
        ("postgresql", "INSERT INTO signals SELECT * FROM signals ON CONFLICT (sequence) DO UPDATE SET outcomes = 0"),
    ],
    indirect=["ledger_url"],
)
def test_nor_by_a_statement_that_only_one_database_knows(ledger: Ledger, statement: str) -> None:
    _demand_refused(ledger, statement)


@pytest.mark.parametrize("name", query_names())
def test_a_query_runs_with_its_values_bound(ledger: Ledger, name: str) -> None:
    append_round(ledger, day_round())
    values = {parameter: VALUES.get(parameter, "demo") for parameter in query_parameters(name)}
    harmless = values | {"strategy": "demo'; DROP TABLE signals; --"}
    ledger.query(name, **harmless)
    assert ledger.count("signals") == 20
    assert list(ledger.query(name, **values).columns) == list(ledger.query(name, **harmless).columns)


@pytest.mark.full
@pytest.mark.parametrize("name", view_names())
def test_a_view_can_be_read(ledger: Ledger, name: str) -> None:
    append_round(ledger, day_round())
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM " + name)).all()
    assert len(rows) >= 1


@pytest.mark.full
def test_why_this_size_lists_the_eight_steps_in_order(ledger: Ledger) -> None:
    rows = day_round()
    append_round(ledger, rows)
    steps = ledger.query("why_this_size", strategy="demo", session="2018-01-02", symbol="S03")
    expected = [row for row in rows["position_steps"] if row["symbol"] == "S03"]
    assert steps["step"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert steps["weight_after"].tolist() == [row["weight_after"] for row in expected]
    assert steps["reason"].tolist() == [row["reason"] for row in expected]


def test_a_fill_is_shown_with_its_order_and_its_cost(ledger: Ledger) -> None:
    rows = day_round(symbols=1)
    rows["fills"][0] |= {
        "quantity": -100.0,
        "mid_price": 50.0,
        "half_spread_usd": 2.0,
        "commission_usd": 1.0,
        "impact_usd": 0.5,
    }
    append_round(ledger, rows)
    costs = ledger.query("costs_by_session", strategy="demo", first="2018-01-01", last="2018-02-01")
    assert costs["session"].tolist() == [rows["fills"][0]["session"]]
    assert costs["traded_usd"].tolist() == [5000.0]
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT cost_bps FROM fills_with_orders")).scalar() == pytest.approx(7.0)


@IN_A_FILE_FIRST
def test_a_query_without_its_values_says_which_it_needs(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="strategy, session, symbol"):
        ledger.query("why_this_size", strategy="demo")


@IN_A_FILE_FIRST
def test_an_unknown_query_lists_those_there_are(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="trial_count"):
        ledger.query("../../etc/passwd")


def test_trials_are_counted_once_however_often_they_are_evaluated(ledger: Ledger) -> None:
    rows = [
        {"trial_id": trial, "data_hash": data, "code_version": "c", "figures": {"sharpe": 0.1}}
        for trial, data in (("one", "d1"), ("one", "d2"), ("two", "d1"))
    ]
    ledger.append("trials", rows, run_id="run", strategy="demo")
    assert ledger.query("trial_count", strategy="demo")["trials"].tolist() == [2]
