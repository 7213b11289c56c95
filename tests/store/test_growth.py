"""A session of 500 symbols adds little to the ledger; at its real size: tests/benchmarks/ledger_at_size.py."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.benchmarks.ledger_at_size import growth, sizes
from tests.store.rounds import Rows, append_round, day_round

SYMBOLS, MONITORS = 500, 56


@pytest.mark.parametrize(
    ("orders", "fills", "at_most"),
    [(0, 0, 228_000), (210, 500, 412_000), pytest.param(500, 500, 478_000, marks=pytest.mark.full)],
)
def test_a_session_of_500_symbols_adds_little_to_the_ledger(
    ledger_file: Path, migrated_file: Path, orders: int, fills: int, at_most: int
) -> None:
    """The second of two sessions: none traded, as many as on the busiest day of the benchmark, and all of them."""
    ledger_file.write_bytes(migrated_file.read_bytes())
    came = {}
    for day in ("2018-01-02", "2018-01-03"):
        rows = session_of_many(day, orders, fills)
        before = sizes(ledger_file)
        with Ledger(f"sqlite:///{ledger_file}") as ledger:
            append_round(ledger, rows, run_id="17326585-4d94-4699-82af-d792eeb3751e")
        came = growth(before, sizes(ledger_file))
    tables = sum(bool(records) for records in rows.values())
    assert sum(rows for _, rows in came.values()) == 3 * SYMBOLS + orders + fills + MONITORS + 4 + tables
    assert sum(size for size, _ in came.values()) <= at_most, came


def session_of_many(day: str, orders: int, fills: int) -> Rows:
    """A round as the operations put it on record: the steps in a file, names of 32 letters, the book as a text."""
    rows = day_round(day, symbols=SYMBOLS)
    del rows["position_steps"]  # they lie in a file of the lake
    rows["traces"] = [{"session": day, "address": "a" * 64, "rows": 8 * SYMBOLS}]
    for table, most in (("orders", orders), ("fills", fills), ("drift", MONITORS)):
        rows[table] = rows[table][:most]
    for row in (*rows["orders"], *rows["fills"]):
        row |= {
            name: hashlib.sha256(f"{name} {day} {row['symbol']}".encode()).hexdigest()[:32]
            for name in row.keys() & {"client_order_id", "fill_id"}
        }
    for signal in rows["signals"]:
        signal["data_hash"] = "d" * 64
    quantities = [float(round(np.pi * index)) for index in range(SYMBOLS)]
    book = {
        "symbols": [signal["symbol"] for signal in rows["signals"]],
        "target_quantity": quantities,
        "unscaled_quantity": [quantity / 3 for quantity in quantities],
        "pending_stop_distance": [quantity / 700 for quantity in quantities],
    }
    rows["portfolio_states"][0]["book"] = json.dumps(book)
    return {table: records for table, records in rows.items() if records}


def test_keys_and_books_are_packed_and_read_as_they_were(ledger_file: Path, migrated_file: Path) -> None:
    ledger_file.write_bytes(migrated_file.read_bytes())
    rows = session_of_many("2018-01-02", 30, 30)
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        append_round(ledger, rows)
        chain = ledger.chain().set_index("table_name")
        names = [row["symbol"] for row in rows["signals"]]
        assert json.loads(chain.loc["signals", "row_key"]) == ["demo", "2018-01-02", names, 1]
        assert ledger.read("portfolio_states")["book"].iloc[0] == rows["portfolio_states"][0]["book"]
        with closing(sqlite3.connect(ledger_file)) as connection:
            ((key,),) = connection.execute("SELECT row_key FROM audit_chain WHERE table_name = 'signals'")
            ((book,),) = connection.execute("SELECT book FROM portfolio_states")
            assert key.startswith('["demo",~')
            assert len(key) + len(book) < 15_000
            for guarded in ("audit_chain", "portfolio_states"):
                connection.execute(f"DROP TRIGGER {guarded}_no_update")
            for statement, kind in (
                ("UPDATE audit_chain SET row_key = row_key || '9' WHERE table_name = 'signals'", "entry changed"),
                (
                    "UPDATE audit_chain SET row_key = SUBSTR(row_key, 1, 99) WHERE table_name = 'orders'",
                    "entry changed",
                ),
                ("UPDATE portfolio_states SET book = book || '9'", "row unreadable"),
                ("UPDATE portfolio_states SET book = SUBSTR(book, 1, 1000)", "row unreadable"),
                ("UPDATE portfolio_states SET book = '~(' || SUBSTR(book, 3)", "row unreadable"),
            ):
                connection.execute("BEGIN")
                connection.execute(statement)
                connection.execute("COMMIT")
                assert kind in {finding.kind for finding in verify(ledger).findings}, statement
                connection.execute("UPDATE audit_chain SET row_key = ? WHERE table_name = 'signals'", (key,))
                connection.execute("UPDATE portfolio_states SET book = ?", (book,))
                connection.commit()


def test_a_ledger_goes_on_behind_rows_that_were_not_packed(
    ledger_file: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger_file.write_bytes(migrated_file.read_bytes())
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        with monkeypatch.context() as before:
            before.setattr("nn_assets.store.ledger.columns.packed", lambda text: text)
            append_round(ledger, session_of_many("2018-01-02", 3, 3))
        append_round(ledger, session_of_many("2018-01-03", 3, 3))
        assert verify(ledger).ok
        with closing(sqlite3.connect(ledger_file)) as connection:
            keys = [key for (key,) in connection.execute("SELECT row_key FROM audit_chain WHERE rows = 500")]
            assert [key.startswith('["demo",~') for key in keys] == [False] * 3 + [True] * 3
            connection.execute("DROP TRIGGER signals_no_update")
            connection.execute("UPDATE signals SET outcomes = 7 WHERE symbol = 'S07'")
            connection.commit()
        changed = {finding.key for finding in verify(ledger).findings}
        assert changed >= {f'["demo","{day}","S07",1]' for day in ("2018-01-02", "2018-01-03")}
