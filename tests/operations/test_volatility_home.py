"""A home whose sizes may be made of the network's volatility: from models to pages, and repeated."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from nn_assets.estimators import VOLATILITY
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.days import play_days
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.history import open_history
from nn_assets.session.volatility_used import volatility_used
from nn_assets.signals import volatility
from tests.operations import homes
from tests.orchestration.conftest import FIRST_MONTH, LAST_MONTH, living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

MONTHS = homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7])


@pytest.mark.full
def test_it_is_forecast_stored_chosen_recorded_said_and_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volatility, "FEWEST_JUDGED", 30)
    monkeypatch.setattr(volatility, "FEWEST_FITTED", 60)
    write_strategy(tmp_path, portfolio={"volatility": "network"})
    with living_in(tmp_path), nothing_drawn():
        strategy = strategy_of()
        homes.take_in(strategy)
        result = homes.study(strategy, MONTHS)
        with open_history(strategy) as history:
            stored = history.stores.lake.read_months(strategy.name, FORECASTS, MONTHS)
            days = history.live_sessions
            decided = [one for one, _ in play_days(history, days, homes.RUN, logging.getLogger("home"))]
        of_volatility = stored[stored["estimator"] == VOLATILITY]
        assert len(of_volatility) == (stored["estimator"] == "network").sum() > 500
        assert of_volatility["probability"].between(0.0, 1.0, inclusive="neither").all()
        assert VOLATILITY not in result.study.replays
        assert VOLATILITY not in result.study.track.forecasts
        with open_history(strategy) as history:
            records = history.stores.ledger.read("decisions", strategy.name)["details"]
            assert {record["volatility"]["used"] for record in records} <= {"ewma", "har", "network"}
            last = records.iloc[-1]["volatility"]
            assert [(one["candidate"], one["simpler"]) for one in last["comparisons"]] == [
                ("har", "ewma"),
                ("network", "ewma"),
                ("network", "har"),
            ]
            assert all(one["sessions"] > 60 for one in last["comparisons"])
            view = history.view(days[-1])
            used = decided[-1].round.signals.forecast_volatility
            ewma = view.market.volatility
            assert np.array_equal(used, ewma) == (last["used"] == "ewma")
            compared, differing = decisions_repeat_in_replay(history)
            assert (compared > 0, differing) == (True, [])
            again = homes.decide(strategy, days[-2:])
            assert all(one.already_decided and one.compared is None for one in again)
            assert volatility_used(strategy, view.market_history, view.labels).names == ("ewma", "har", "network")
        page = max((tmp_path / "reports").rglob(f"*{days[-1].date()}.html")).read_text(encoding="utf-8")
        assert "Volatility by " in page
