"""Strategies that come with the package as examples: they are the user's once they are in the home."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from nn_assets.learning.refits import refits_of
from nn_assets.market.calendar.sessions import sessions_per_year
from nn_assets.operations.catalog import find_strategy, load_strategies, with_example
from tests.orchestration.conftest import living_in


def test_an_example_is_in_a_home_only_once_it_was_asked_for_and_stays_as_the_user_edits_it(tmp_path: Path) -> None:
    with living_in(tmp_path):
        assert [entry.strategy.name for entry in load_strategies()] == ["index_daily", "planted_edge"]
        with_example("crypto_24_7")
        strategy = find_strategy("crypto_24_7").strategy
        assert not find_strategy("crypto_24_7").is_bundled
        file = tmp_path / "strategies" / "crypto_24_7.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("seed: 20210101", "seed: 3"), encoding="utf-8")
        with_example("crypto_24_7")
        assert find_strategy("crypto_24_7").strategy.content_hash() != strategy.content_hash()
        assert [file.name for file in file.parent.iterdir()] == ["crypto_24_7.yaml"]


def test_the_crypto_example_is_refitted_every_thirty_days_on_ninety_days_of_fifteen_perpetuals(tmp_path: Path) -> None:
    with living_in(tmp_path):
        with_example("crypto_24_7")
        strategy = find_strategy("crypto_24_7").strategy
    walk, market = strategy.walk_forward, strategy.market
    assert (walk.refit_every_days, walk.training_days, walk.minimum_training_rows) == (30, 90, 1000)
    assert (market.asset_class, strategy.costs.borrow_fee_annual_fraction) == ("perpetual", 0.0)
    assert len(market.symbols) == 15
    assert sessions_per_year(market.calendar) == 365
    refits = refits_of(strategy).of_months(map(str, pd.period_range("2021-08", "2022-12", freq="M")))
    steps = pd.DatetimeIndex(refits).to_series().diff().dropna()
    assert (steps == pd.Timedelta(days=30)).all()
