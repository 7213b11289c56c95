"""What the demo leaves in its home: both strategies studied and decided, the planted one in positions."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay, signals_repeat_forecasts
from nn_assets.operations.history import History, open_history
from nn_assets.store.ledger.audit import verify

_VARIABLE = "NN_ASSETS_DEMO_HOME"


@pytest.fixture(params=["index_daily", "planted_edge"])
def history(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    home = os.environ.get(_VARIABLE)
    if home is None:
        pytest.skip(f"no home of a demo is named in {_VARIABLE}")
    monkeypatch.setenv("NN_ASSETS_HOME", home)
    with open_history(find_strategy(request.param).strategy) as opened:
        yield opened


def test_every_session_played_repeats_in_replay_and_its_signals_are_the_study_s(history: History) -> None:
    sessions = len(history.decision_moments)
    assert sessions >= 3
    assert decisions_repeat_in_replay(history) == (sessions, [])
    compared, differing = signals_repeat_forecasts(history)
    assert compared == sessions * len(history.symbols)
    assert differing == []
    assert verify(history.stores.ledger).ok


def test_the_planted_edge_takes_positions_and_fills_orders_and_the_indexes_stay_flat(history: History) -> None:
    name, ledger = history.strategy.name, history.stores.ledger
    fills, holdings = ledger.read("fills", name), ledger.read("holdings", name)
    if name == "index_daily":
        assert fills.empty
        assert (holdings["quantity"] == 0.0).all()
        return
    assert len(fills)
    assert (holdings["quantity"] != 0.0).any()
    assert ledger.read("drift", name)["statistic"].nunique() > 20
