"""Several writers, unreachable databases, and what the database itself is asked to promise."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from nn_assets.errors import LedgerError
from nn_assets.store.ledger import Ledger
from tests.store.rounds import append_round, day_round


def test_two_writers_wait_for_each_other_and_lose_nothing(ledger_file: Path) -> None:
    failures: list[BaseException] = []

    def write(strategy: str) -> None:
        try:
            with Ledger(f"sqlite:///{ledger_file}") as own:  # opened, and so migrated, at the same time too
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
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        assert ledger.count("signals") == 27
        total = sum(ledger.count(table) for table in day_round())
        assert ledger.head().sequence == total


def test_of_two_writers_of_one_session_the_second_is_fenced_off(ledger_file: Path) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def write(seed: int) -> None:
        with Ledger(f"sqlite:///{ledger_file}") as own:
            barrier.wait()
            try:
                append_round(own, day_round(seed=seed, symbols=2))
                outcomes.append("committed")
            except LedgerError as error:
                outcomes.append("fenced" if "stale" in error.remedy else str(error))

    Ledger(f"sqlite:///{ledger_file}").close()
    threads = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "fenced"]


def test_a_file_that_is_no_ledger_is_named_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear quant, this is no database, however long it may be. " * 100, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"letter\.txt"):
        Ledger(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_an_unreachable_database_is_an_error_that_keeps_the_password() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger("postgresql://quant:s3cret@127.0.0.1:1/ledger?connect_timeout=1")
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


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


def test_a_reader_does_not_wait_for_a_writer(ledger: Ledger, ledger_file: Path) -> None:
    connection = sqlite3.connect(ledger_file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert len(ledger.read("holdings")) == 0
    finally:
        connection.execute("ROLLBACK")
        connection.close()
