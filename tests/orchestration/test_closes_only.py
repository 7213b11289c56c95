"""A wide file of closes alone from check to fills: nothing reads a range, and what asks for one is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.cli.check import check_data
from nn_assets.errors import NnAssetsError
from nn_assets.operations.history import open_history
from tests.operations.homes import decide, months_between, study, take_in
from tests.orchestration.conftest import FIRST_MONTH, LAST, LAST_MONTH, strategy_of, write_strategy
from tests.sources.test_closes import CLOSES, NEEDED, closes


def written(home: Path, names: list[str] | None) -> Path:
    source = {**CLOSES["source"], "seed": None, "planted_rank_ic": None}
    market = {"symbols": list(closes().columns)}
    portfolio = {**NEEDED["portfolio"], "minimum_outcomes": 5, "shrink_prior_outcomes": 1.0}
    learning = {"maximum_epochs": 20, "learning_rate": 0.01}
    sections = {**NEEDED, "portfolio": portfolio, "features": {"names": names}, "learning": learning}
    return write_strategy(home, source=source, market=market, **sections)


@pytest.mark.full
def test_closes_alone_are_studied_and_traded_at_the_next_close_without_a_range(empty_home: Path) -> None:
    file = written(empty_home, ["log_return_1", "close_location"])
    closes(400).to_csv(file.parent / "closes.csv")
    with pytest.raises(NnAssetsError) as refused:
        take_in(strategy_of())
    assert "take close_location out of features.names" in str(refused.value)
    written(empty_home, ["log_return_1", "log_return_5", "rsi_14"])
    strategy = strategy_of()
    take_in(strategy)
    study(strategy, months_between(FIRST_MONTH, LAST_MONTH))
    with open_history(strategy) as history:
        bars, live = history.published_bars, list(history.live_sessions)
    done = decide(strategy, live)
    assert done[-1].round.session == pd.Timestamp(LAST)
    prices = bars.set_index(["session", "symbol"])["close"]
    fills = [decided.frames["fills"] for decided in done if len(decided.frames["fills"])]
    assert fills
    for row in pd.concat(fills).itertuples():
        assert row.mid_price == pytest.approx(prices[row.session, row.symbol], rel=2e-4)  # the impact moves it
    written(empty_home, None)
    take_in(strategy_of())
    with open_history(strategy_of()) as history:
        assert set(history.view().cube.names).isdisjoint({"range_over_close", "atr_14_over_close", "close_location"})
        assert "rsi_14" in history.view().cube.names
    assert "closes alone: orders fill at the next close" in check_data("tiny")["text"]
