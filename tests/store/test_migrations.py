"""An older ledger is brought up to date whole, whatever happens; one that is not understood is left as it is."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic import command
from sqlalchemy import Column, insert, inspect, select, text
from sqlalchemy import table as sa_table

from nn_assets.errors import LedgerError
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.chain import ChainHead
from nn_assets.store.ledger.engine import open_engine, writing
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.migrations import alembic_config, revision_of, view_names
from nn_assets.store.ledger.schema import CHAIN, TABLES
from tests.matrices import often
from tests.store.killed import in_a_child
from tests.store.rounds import append_round, day_round

ACCOUNTS = {"account_orders", "order_events", "account_fills", "reconciliations"}
NEW = {"verifications", "outcomes", "looks", "data_fingerprints", "traces"} | ACCOUNTS
ADDED = ("base_rate", "outcome_sessions")  # to signals, by 0004


def make_first_ledger(url: str, revision: str = "0001") -> ChainHead:
    """A ledger of an older schema with a session's rows, as it left them: an entry for each; the chain's head."""
    engine = open_engine(url)
    with writing(engine, lock_chain=False) as connection:
        command.upgrade(alembic_config(connection), revision)
    moment = datetime(2018, 1, 2, 22, tzinfo=UTC)
    rounds = day_round(symbols=2)
    with TemporaryDirectory() as folder, Ledger(f"sqlite:///{folder}/ledger.sqlite") as made:
        with made.transaction("run", strategy="demo", known_at=moment, recorded_at=moment) as transaction:
            for table, rows in rounds.items():
                for row in rows:  # each by itself, which has the entry that it always had
                    left_out = ADDED if revision < "0004" else ()
                    transaction.append(table, [{name: row[name] for name in row if name not in left_out}])
        with made.engine.connect() as source, writing(engine) as target:
            for table in (CHAIN, *(TABLES[name] for name in rounds)):
                names = [column["name"] for column in inspect(target).get_columns(table.name)]
                there = sa_table(table.name, *(Column(name, table.c[name].type) for name in names))
                copied = source.execute(select(*(table.c[name] for name in names))).mappings()
                target.execute(insert(there), [dict(row) for row in copied])
        head = made.head()
    engine.dispose()
    return head


def contents(file: Path) -> dict[str, str]:
    """Every file of a SQLite database, and the hash of its bytes."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(file.parent.glob(f"{file.name}*"))
    }


def tables_of(url: str) -> set[str]:
    engine = open_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_a_ledger_of_the_first_schema_keeps_every_row_and_its_chain(bare_url: str) -> None:
    head = make_first_ledger(bare_url)
    assert not NEW & tables_of(bare_url)
    with Ledger(bare_url) as ledger:
        report = verify(ledger, expected_head=head)
        assert report.ok
        assert report.head == head
        assert report.unguarded == ()
        assert report.rows["signals"] == 2
        assert ledger.read("signals")["base_rate"].isna().all()
        ledger.append("signals", day_round("2018-01-03", symbols=2)["signals"], run_id="next", strategy="demo")
        assert ledger.read("signals", "demo", "2018-01-03")["base_rate"].notna().all()
        ledger.append("outcomes", [{"outcome_id": "o", "kind": "run", "name": "j", "outcome": "succeeded"}],
                      run_id="o", strategy="demo")  # fmt: skip
        assert verify(ledger, expected_head=head).ok


@pytest.mark.full
@pytest.mark.parametrize("revision", ["0001", "0004"])
def test_a_chain_of_entries_of_one_row_goes_on_with_entries_of_several_and_either_is_found_out(
    bare_url: str, revision: str
) -> None:
    head = make_first_ledger(bare_url, revision)
    engine = open_engine(bare_url)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT * FROM signals ORDER BY sequence")).mappings().all()
        entries = connection.execute(text("SELECT * FROM audit_chain ORDER BY sequence")).mappings().all()
    with Ledger(bare_url) as ledger:
        append_round(ledger, day_round("2018-01-03", symbols=2))
        append_round(ledger, day_round("2018-01-03", symbols=2))  # all there: nothing comes
        assert verify(ledger, expected_head=head).ok
        grown = ledger.chain()
        assert len(entries) == head.sequence
        assert len(grown) == head.sequence + len(day_round())
        before = grown[list(entries[0])].head(len(entries))
        assert [dict(entry) for entry in entries] == before.to_dict("records")  # none was rewritten
        with ledger.rows_verified():
            signals = ledger.read("signals", bookkeeping=True)
        assert len(signals) == 4
        assert signals["run_id"].tolist() == ["run"] * 4
        with engine.connect() as connection:
            now = connection.execute(text("SELECT * FROM signals ORDER BY sequence")).mappings().all()
        assert [dict(old) for old in kept] == [{name: row[name] for name in kept[0]} for row in now[:2]]
        for session in ("2018-01-02", "2018-01-03"):
            tampered = f"UPDATE signals SET outcomes = outcomes + 1 WHERE symbol = 'S01' AND session = '{session}'"
            for statement in (disarmed("signals", engine.dialect.name), tampered):
                with engine.begin() as connection:
                    connection.execute(text(statement))
            (finding,) = verify(ledger).findings
            assert (finding.kind, finding.key) == ("row changed", f'["demo","{session}","S01",1]')
            with engine.begin() as connection:
                connection.execute(text(tampered.replace("+ 1", "- 1")))
        assert verify(ledger).ok
    engine.dispose()


def disarmed(name: str, dialect: str) -> str:
    """The statement that removes a table's guard against changes."""
    if dialect == "sqlite":
        return f"DROP TRIGGER IF EXISTS {name}_no_update"
    return f"DROP TRIGGER IF EXISTS {name}_append_only ON {name}"


@pytest.mark.full
@pytest.mark.parametrize("stamp", ["9999", "0000", "a1b2c3d4"])
def test_a_ledger_of_a_schema_that_is_not_known_is_refused_and_left_as_it_is(tmp_path: Path, stamp: str) -> None:
    file = tmp_path / "ledger.sqlite"
    make_first_ledger(f"sqlite:///{file}")
    for mode in ("wal", "delete"):  # a backup made with VACUUM INTO has no write-ahead log
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (stamp,))
            connection.commit()
            connection.execute(f"PRAGMA journal_mode = {mode}")
        before = contents(file)
        with pytest.raises(LedgerError, match=rf"0001.*0006, 0007.*{stamp}.*newer version.*backup"):
            Ledger(f"sqlite:///{file}")
        assert contents(file) == before
        assert list(before) == ["ledger.sqlite"]


def test_a_newer_ledger_on_a_server_is_refused(postgres_url: str) -> None:
    make_first_ledger(postgres_url)
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = inspect(engine).get_table_names()
    with pytest.raises(LedgerError, match="9999"):
        Ledger(postgres_url)
    assert inspect(engine).get_table_names() == before
    engine.dispose()


def test_tables_of_a_later_schema_than_the_version_says_are_named_and_left_alone(bare_url: str) -> None:
    make_first_ledger(bare_url)
    engine = open_engine(bare_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE outcomes (strategy VARCHAR)"))
    with pytest.raises(LedgerError, match=r"version 0001, and outcomes nevertheless.*backup"):
        Ledger(bare_url)
    with engine.connect() as connection:
        assert revision_of(connection) == "0001"
    assert "verifications" not in inspect(engine).get_table_names()
    assert [column["name"] for column in inspect(engine).get_columns("outcomes")] == ["strategy"]
    engine.dispose()


@pytest.mark.full
def test_a_ledger_without_its_version_is_named_and_left_alone(bare_url: str) -> None:
    make_first_ledger(bare_url)
    engine = open_engine(bare_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    with pytest.raises(LedgerError, match=r"no version, and audit_chain.*backup"):
        Ledger(bare_url)
    assert not NEW & set(inspect(engine).get_table_names())
    engine.dispose()


@pytest.mark.parametrize("bare_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True)
def test_a_version_ahead_of_its_tables_is_named_at_open_and_left_alone(bare_url: str) -> None:
    make_first_ledger(bare_url)
    engine = open_engine(bare_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    with pytest.raises(LedgerError, match=r"version 0002 without outcomes, verifications.*backup"):
        Ledger(bare_url)
    assert not NEW & set(inspect(engine).get_table_names())
    engine.dispose()


LOST = {
    "looks": "DROP TABLE looks",
    "signals.base_rate": "ALTER TABLE signals DROP COLUMN base_rate",
    "signals": "DROP TABLE signals",
}


@pytest.mark.parametrize(
    ("bare_url", "named"),
    [
        *(("sqlite", named) for named in LOST),
        *often([("postgresql", named) for named in LOST], ("postgresql", "signals.base_rate")),
    ],
    indirect=["bare_url"],
)
def test_the_newest_version_without_all_of_its_tables_is_named_at_open(bare_url: str, named: str) -> None:
    Ledger(bare_url).close()
    engine = open_engine(bare_url)
    with engine.begin() as connection:
        for view in view_names():
            connection.execute(text(f"DROP VIEW {view}"))
        connection.execute(text(LOST[named]))
    before = inspect(engine).get_table_names()
    with pytest.raises(LedgerError, match=rf"version 0008 without {named}:.*restore the backup.*nothing was changed"):
        Ledger(bare_url)
    assert inspect(engine).get_table_names() == before
    engine.dispose()


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


@pytest.mark.full
def test_a_migration_killed_anywhere_leaves_the_old_schema_and_run_again_completes(tmp_path: Path) -> None:
    first = tmp_path / "first" / "ledger.sqlite"
    first.parent.mkdir()
    head = make_first_ledger(f"sqlite:///{first}")
    before = first.read_bytes()

    def migrated(name: str, step: int) -> tuple[Path, list[str] | None]:
        file = tmp_path / name / "ledger.sqlite"
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_bytes(before)
        return file, in_a_child("opening", file.parent, step)

    whole, steps = migrated("whole", 0)
    assert steps is not None
    expected = dump(whole)
    assert len(steps) > 20
    old, new = 0, 0
    for step in range(1, len(steps) + 1, 3):
        file, answer = migrated(f"{step}", step)
        assert answer is None, step
        with closing(sqlite3.connect(file)) as connection:
            there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        assert (version, there & NEW) in (("0001", set()), ("0008", NEW)), step
        old, new = old + (version == "0001"), new + (version == "0008")
        with Ledger(f"sqlite:///{file}") as ledger:
            assert verify(ledger).head == head
            assert verify(ledger).ok
        assert dump(file) == expected, step
    assert old > 5


@pytest.mark.full
def test_an_up_to_date_ledger_is_opened_without_alembic(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    Ledger(address).close()
    program = (
        "import sys\n"
        "from nn_assets.store.ledger.ledger import Ledger\n"
        f"with Ledger({address!r}) as ledger:\n"
        "    assert ledger.read('signals').empty\n"
        "    assert ledger.latest('outcomes', 'demo').empty\n"
        "heavy = {'alembic', 'dagster', 'torch', 'scipy', 'pandera'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
