"""Several writers, unreachable databases, and what the database itself is asked to promise."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Dialect, create_engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

from nn_assets.errors import LedgerError
from nn_assets.store.ledger import engine as engines
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.engine import reading
from nn_assets.store.ledger.ledger import Ledger
from tests.forks import ended
from tests.store.rounds import append_round, day_round


def test_two_writers_wait_for_each_other_and_lose_nothing(bare_url: str) -> None:
    failures: list[BaseException] = []

    def write(strategy: str) -> None:
        try:
            with Ledger(bare_url) as own:  # opened, and so migrated, at the same time too
                for day in ("2018-01-02", "2018-01-03", "2018-01-04"):
                    append_round(own, day_round(day, symbols=3), run_id=strategy, strategy=strategy)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Ledger(bare_url) as ledger:
        assert verify(ledger).ok
        assert ledger.count("signals") == 27
        total = sum(ledger.count(table) for table in day_round())
        assert ledger.head().sequence == total


def test_of_two_writers_of_one_session_the_second_is_fenced_off(ledger_url: str) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def write(seed: int) -> None:
        with Ledger(ledger_url) as own:
            barrier.wait()
            try:
                append_round(own, day_round(seed=seed, symbols=2))
                outcomes.append("committed")
            except LedgerError as error:
                outcomes.append("fenced" if "stale" in error.remedy else str(error))

    Ledger(ledger_url).close()
    threads = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "fenced"]


def test_what_was_compiled_for_one_ledger_is_not_compiled_again_for_another(tmp_path: Path) -> None:
    def compiled_while_read(file: Path) -> int:
        with Ledger(f"sqlite:///{file}") as ledger, pytest.MonkeyPatch.context() as patch:
            begun = 0
            compile_statement = SQLCompiler.__init__

            def counted(*arguments: object, **options: object) -> None:
                nonlocal begun
                begun += 1
                compile_statement(*arguments, **options)  # type: ignore[arg-type]

            patch.setattr(SQLCompiler, "__init__", counted)
            append_round(ledger, day_round(symbols=2))
            assert len(ledger.read("signals", "demo")) == 2
            return begun

    engines._COMPILED.clear()
    assert compiled_while_read(tmp_path / "one.sqlite") > 5
    assert compiled_while_read(tmp_path / "two.sqlite") == 0


@pytest.mark.parametrize("version", [(3, 34, 1), (16, 4)])
def test_what_was_compiled_for_one_kind_of_database_is_given_to_no_other(version: tuple[int, ...]) -> None:
    """Of the same version and another dialect, or the other way round: RETURNING is not for every SQLite."""

    def of(kind: type[Dialect], version: tuple[int, ...]) -> Dialect:
        (dialect := kind()).server_version_info = version
        return dialect

    compiled, statement = engines._Statements(10), ("a statement", ("its columns",), False)
    compiled[(of(SQLiteDialect_pysqlite, version), *statement)] = "for it"
    assert compiled.get((of(SQLiteDialect_pysqlite, version), *statement)) == "for it"
    for other in (of(PGDialect_psycopg, version), of(SQLiteDialect_pysqlite, (*version, 1))):
        assert compiled.get((other, *statement)) is None
    same = of(SQLiteDialect_pysqlite, version)
    for another in (("another", *statement[1:]), (*statement[:1], (), False), (*statement[:2], True)):
        assert compiled.get((same, *another), "none") == "none"


def test_a_file_that_is_no_ledger_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear quant, this is no database, however long it may be. " * 100, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"letter\.txt"):
        Ledger(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("what", ["may be read alone", "may not be opened"])
def test_a_file_that_this_user_may_not_use_is_a_matter_of_rights(tmp_path: Path, what: str) -> None:
    file = tmp_path / "ledger.sqlite"
    Ledger(f"sqlite:///{file}").close()
    address = f"sqlite:///file:{file}?mode=ro&uri=true" if "read" in what else f"sqlite:///file:{tmp_path}?uri=true"
    engine = create_engine(address)
    with pytest.raises(LedgerError) as caught, engines.named_errors(engine), engine.begin() as connection:
        connection.execute(text("CREATE TABLE another (number INTEGER)"))
    assert caught.value.remedy.startswith("give this user the right to read and write the file")
    engine.dispose()


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_the_database_is_set_up_to_survive(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        settings_found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings_found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


@pytest.mark.full
def test_a_reader_does_not_wait_for_a_writer(ledger: Ledger) -> None:
    with ledger.transaction("run", strategy="demo") as transaction:
        transaction.append("settings_versions", [{"settings_hash": "h", "settings": {}}])
        assert len(ledger.read("settings_versions")) == 0
        assert verify(ledger).ok
    assert len(ledger.read("settings_versions")) == 1


def test_a_reader_sees_one_state_throughout(ledger: Ledger) -> None:
    counted = text("SELECT count(*) FROM settings_versions")
    with reading(ledger.engine) as connection:
        before = connection.execute(counted).scalar_one()
        ledger.append("settings_versions", [{"settings_hash": "h", "settings": {}}], run_id="run", strategy="demo")
        assert connection.execute(counted).scalar_one() == before
    assert ledger.count("settings_versions") == before + 1


def test_a_writer_who_waited_in_vain_is_told_so(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_BUSY_TIMEOUT_SECONDS", 0)
    monkeypatch.setitem(engines._POSTGRESQL_SETTINGS, "lock_timeout", "1ms")
    row = {"settings_hash": "h", "settings": {}}
    with Ledger(ledger_url) as holder, Ledger(ledger_url) as waiter, holder.transaction("run", strategy="demo") as own:
        with pytest.raises(LedgerError, match="wait for the other writer"):
            waiter.append("settings_versions", [row], run_id="waiter", strategy="demo")
        own.append("settings_versions", [row])
    with Ledger(ledger_url) as ledger:
        assert ledger.read("settings_versions", bookkeeping=True)["run_id"].tolist() == ["run"]


ROW = {"settings_hash": "h", "settings": {}}


@pytest.fixture
def opened(ledger_file: Path) -> Iterator[tuple[Ledger, list[int]]]:
    """A ledger in a file with one row, and the processes in which it opened the file since."""
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        ledger.append("settings_versions", [ROW], run_id="run", strategy="one")
        opened_in: list[int] = []
        event.listen(ledger.engine, "connect", lambda *_: opened_in.append(os.getpid()))
        yield ledger, opened_in


def test_one_reading_after_another_opens_the_file_once(opened: tuple[Ledger, list[int]]) -> None:
    ledger, opened_in = opened
    ledger.close()
    assert [ledger.count("settings_versions") for _ in range(5)] == [1] * 5
    assert len(opened_in) == 1


def test_what_took_the_place_of_the_file_is_read_and_written(
    opened: tuple[Ledger, list[int]], ledger_file: Path
) -> None:
    ledger, _ = opened
    other = ledger_file.with_name("backup.sqlite")
    with Ledger(f"sqlite:///{other}") as backup:
        for name in ("one", "two"):
            backup.append("settings_versions", [ROW], run_id="run", strategy=name)
    for beside in ledger_file.parent.glob(f"{ledger_file.name}-*"):
        beside.unlink()
    other.replace(ledger_file)
    assert ledger.count("settings_versions") == 2
    ledger.append("settings_versions", [ROW], run_id="run", strategy="three")
    with closing(sqlite3.connect(ledger_file)) as connection:
        assert connection.execute("SELECT count(*) FROM settings_versions").fetchone() == (3,)


def test_a_ledger_moved_away_is_missed_and_nothing_is_written_into_it(
    opened: tuple[Ledger, list[int]], ledger_file: Path, tmp_path: Path
) -> None:
    ledger, _ = opened
    ledger.close()
    ledger.count("settings_versions")
    moved = tmp_path / "moved.sqlite"
    ledger_file.rename(moved)
    with pytest.raises(LedgerError, match="no such table"):
        ledger.append("settings_versions", [ROW], run_id="run", strategy="two")
    with closing(sqlite3.connect(moved)) as connection:
        assert connection.execute("SELECT count(*) FROM settings_versions").fetchone() == (1,)


def test_a_forked_process_opens_the_file_itself(opened: tuple[Ledger, list[int]], tmp_path: Path) -> None:
    ledger, opened_in = opened
    own = len(opened_in)

    def act() -> None:
        ledger.append("settings_versions", [ROW], run_id="run", strategy="child")
        assert opened_in[own:] == [os.getpid()]

    log = tmp_path / "told"
    assert ended(act, log) == 0, log.read_text()
    assert ledger.count("settings_versions") == 2
    assert len(opened_in) == own


def test_a_file_that_one_connection_has_alone_is_let_go_after_each_use(
    opened: tuple[Ledger, list[int]], ledger_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no room for the index of the log, a reader has the file alone: not longer than it reads."""
    ledger, _ = opened
    ledger.close()
    connect = ledger.engine.dialect.connect

    class Cramped(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            if "sqlite_master" in statement:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(statement, *values)

    monkeypatch.setattr(ledger.engine.dialect, "connect", lambda *args, **more: connect(*args, factory=Cramped, **more))
    assert ledger.count("settings_versions") == 1
    with closing(sqlite3.connect(ledger_file, timeout=0)) as another:
        another.execute("CREATE TABLE another (number INTEGER)")
    assert ledger.count("settings_versions") == 1
