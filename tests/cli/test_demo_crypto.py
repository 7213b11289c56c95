"""The demo of simulated perpetuals, as it ships: the planted edge is found, traded, and every decision repeats."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from nn_assets.cli import demo
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, signals_repeat_forecasts
from nn_assets.operations.history import open_history
from nn_assets.store.ledger.audit import verify


@pytest.mark.full
def test_the_crypto_demo_finds_the_planted_signal_and_trades_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    answer = demo.run_demo(Console(quiet=True), names=demo.CRYPTO_STRATEGIES)
    summary = answer["strategies"]["crypto_24_7"]
    assert answer["text"].splitlines()[0] == summary["headline"]
    assert summary["headline"].startswith("crypto_24_7 TRADES: ")
    assert summary["verdict"] == "signal found"
    assert summary["fills"] > 0
    assert Path(answer["report"]).is_file()
    with open_history(find_strategy("crypto_24_7").strategy) as history:
        assert decisions_repeat_in_replay(history) == (2, [])
        assert signals_repeat_forecasts(history) == (2 * 15, [])
        assert verify(history.stores.ledger).ok
