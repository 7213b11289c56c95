"""What a day's round costs the ledger: 20 symbols, ten tables, about 300 rows, one transaction."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.benchmarks.telling import tell
from tests.store.rounds import append_round, day_round

ROWS = sum(len(rows) for rows in day_round().values())


@pytest.mark.benchmark(group="ledger, one day's round appended")
def test_append_a_day(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        tell(benchmark, "package", ROWS, "rows")
        days = iter(pd.bdate_range("2018-01-02", periods=40).strftime("%Y-%m-%d"))
        benchmark.pedantic(
            append_round, setup=lambda: ((ledger, day_round(next(days))), {}), rounds=30, warmup_rounds=2
        )
        assert verify(ledger).ok


@pytest.mark.benchmark(group="ledger, the same round appended again")
def test_append_the_same_day_again(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        tell(benchmark, "package", ROWS, "rows")
        append_round(ledger, day_round())
        head = ledger.head()
        benchmark(append_round, ledger, day_round())
        assert ledger.head() == head


@pytest.mark.benchmark(group="ledger, sixty days verified")
def test_verify_sixty_days(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        for day in pd.bdate_range("2018-01-02", periods=60).strftime("%Y-%m-%d"):
            append_round(ledger, day_round(day))
        tell(benchmark, "package", 60 * ROWS, "rows")
        assert benchmark.pedantic(verify, args=(ledger,), rounds=3).ok
