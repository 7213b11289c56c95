"""The table of missing bars: what a treatment loses is counted on a market of which some bars are lost."""

from __future__ import annotations

import pytest

from tests.proof import missing_bars


def test_stepping_over_lost_bars_keeps_signals_that_strict_windows_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    real = missing_bars.strategy_of

    def quick(*arguments):
        strategy = real(*arguments)
        learning = strategy.learning.model_copy(update={"ensemble": 1, "maximum_epochs": 1})
        return strategy.model_copy(update={"learning": learning})

    monkeypatch.setattr(missing_bars, "strategy_of", quick)
    monkeypatch.setattr(missing_bars, "NAMES", 6)
    monkeypatch.setattr(missing_bars, "SESSIONS", 900)
    panel = {"market": "planted", "seed": 1, "lost_one_in": 100}
    strict, over = (missing_bars.measure({**panel, "treatment": name}) for name in ("strict", "step_over"))
    assert strict["symbol_sessions"] == over["symbol_sessions"] > 0
    assert strict["lost"] == over["lost"] > 0
    assert strict["signals"] < over["signals"] <= over["symbol_sessions"] - over["lost"]
    assert strict["training_samples"] < over["training_samples"]
