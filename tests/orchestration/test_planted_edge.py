"""The bundled simulated strategy, as it ships: positions, fills and drift move, and the check of history holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.cli.runs import run_rounds
from nn_assets.learning.first_month import first_model_month
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, signals_repeat_forecasts
from nn_assets.operations.history import open_history
from tests.runs import materialise

pytestmark = [pytest.mark.slow, pytest.mark.full]


def test_planted_edge_takes_positions_and_fills_orders_as_it_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    strategy = find_strategy("planted_edge").strategy
    materialise(strategy, "study", first=f"{first_model_month(strategy)}-01", last="2017-12-01")
    materialise(strategy, "daily", first="2017-12-15", last="2017-12-28")
    answer = run_rounds("planted_edge", "2017-12-29")
    with open_history(strategy) as history:
        fills = history.stores.ledger.read("fills", strategy.name)
        holdings = history.stores.ledger.read("holdings", strategy.name)
        drift = history.stores.ledger.read("drift", strategy.name)
        states = history.stores.ledger.read("portfolio_states", strategy.name)
        compared, differing = signals_repeat_forecasts(history)
        rederived, apart = decisions_repeat_in_replay(history)
    assert answer["session"] == "2017-12-29"
    assert len(fills) > 0
    assert (holdings["quantity"] != 0.0).any()
    assert states["session"].nunique() == 10
    assert drift["statistic"].nunique() > 20
    assert compared == 600
    assert differing == []
    assert rederived == 10
    assert apart == []
