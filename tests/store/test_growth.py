"""A session of 500 symbols adds little to the ledger; at its real size: tests/benchmarks/ledger_at_size.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nn_assets.store.ledger.ledger import Ledger
from tests.benchmarks.ledger_at_size import growth, sizes
from tests.store.rounds import append_round, day_round

SYMBOLS, FEW = 500, 30


def test_a_session_of_500_symbols_adds_at_most_400_kb_to_the_ledger(ledger_file: Path, migrated_file: Path) -> None:
    ledger_file.write_bytes(migrated_file.read_bytes())
    came = {}
    for day in ("2018-01-02", "2018-01-03"):
        rows = day_round(day, symbols=SYMBOLS)
        del rows["position_steps"]  # they lie in a file of the lake
        rows["traces"] = [{"session": day, "address": "a" * 64, "rows": 8 * SYMBOLS}]
        for table in ("orders", "fills", "drift"):
            rows[table] = rows[table][:FEW]
        for signal in rows["signals"]:
            signal["data_hash"] = "d" * 64
        held = {row["symbol"]: np.pi * index for index, row in enumerate(rows["signals"])}
        rows["portfolio_states"][0]["book"] = {
            "symbols": list(held),
            "unscaled_quantity": list(held.values()),
            "x": held,
        }
        before = sizes(ledger_file)
        with Ledger(f"sqlite:///{ledger_file}") as ledger:
            append_round(ledger, rows, run_id="17326585-4d94-4699-82af-d792eeb3751e")
        came = growth(before, sizes(ledger_file))
    assert sum(rows for _, rows in came.values()) == 3 * SYMBOLS + 3 * FEW + 4 + 10  # one entry a table
    assert sum(size for size, _ in came.values()) <= 400_000, came
    assert came["audit_chain"][0] <= 60_000
