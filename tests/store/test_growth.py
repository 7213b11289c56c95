"""A session of 500 symbols adds little to the ledger; at its real size: tests/benchmarks/ledger_at_size.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from nn_assets.store.ledger.ledger import Ledger
from tests.benchmarks.ledger_at_size import growth, sizes
from tests.store.rounds import Rows, append_round, day_round

SYMBOLS, MONITORS = 500, 56


@pytest.mark.parametrize(
    ("orders", "fills", "at_most"),
    [(0, 0, 250_000), (210, 500, 445_000), pytest.param(500, 500, 510_000, marks=pytest.mark.full)],
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
