"""A home whose sizes may be made of the network's volatility: from models to pages, and repeated."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from nn_assets.estimators import VOLATILITY
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.days import play_days
from nn_assets.operations.decisions.lookahead import decisions_repeat_in_replay
from nn_assets.operations.history import open_history
from nn_assets.operations.models.forecasts import forecasts_of_months
from nn_assets.operations.study_page import _volatility
from nn_assets.session.volatility_used import volatility_used
from nn_assets.signals import volatility
from nn_assets.signals.volatility import qlike
from tests.operations import homes
from tests.operations.test_as_known import Lived
from tests.orchestration.conftest import FIRST_MONTH, LAST_MONTH, living_in, strategy_of, write_strategy
from tests.shared_homes import nothing_drawn

MONTHS = homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7])


NEUTRAL = {"volatility": "network", "net_limit": 0.0}


@pytest.mark.full
def test_of_a_relative_label_the_variances_are_of_what_the_sessions_members_leave(ends_before: Lived) -> None:
    with living_in(ends_before.home):
        of = find_strategy("known").strategy
        label = of.label.model_copy(update={"kind": "direction_relative"})
        portfolio = of.portfolio.model_copy(update={"volatility": "har", "net_limit": 0.0, "construction": "programme"})
        with open_history(of.model_copy(update={"label": label, "portfolio": portfolio})) as history:
            cut = history.cut_for(history.last_session)
            labels, panel, members = cut.labels, cut.panel.total_return(), cut.members
    price = panel.open if label.execution == "next_open" else panel.close
    steps = price[1:] / price[:-1] - 1.0
    judged = steps if members is None else np.where(members[1:], steps, np.nan)
    few = np.isfinite(judged).sum(axis=1, keepdims=True) < 5
    apart = np.where(few, np.nan, steps - np.nanmedian(np.where(few, 0.0, judged), axis=1, keepdims=True))
    assert labels.variance is not None
    row, first = len(price) - 30, label.execution_lag_sessions
    expected = (apart[row + first : row + first + label.horizon_sessions] ** 2).mean(axis=0)
    np.testing.assert_allclose(labels.variance[row], expected, rtol=1e-9)
    assert np.isfinite(expected).sum() >= 5


@pytest.mark.full
@pytest.mark.parametrize("kind", ["direction", "direction_relative"])
def test_it_is_forecast_stored_chosen_recorded_said_and_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(volatility, "FEWEST_JUDGED", 30)
    monkeypatch.setattr(volatility, "FEWEST_FITTED", 60)
    relative = kind == "direction_relative"
    write_strategy(tmp_path, label={"kind": kind}, portfolio=NEUTRAL if relative else {"volatility": "network"})
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
        ((name, said),) = _volatility(result)
        assert name == "Volatility"
        of = " of returns less their session's median" if relative else ""
        assert f"of 125 sessions. On the last: Volatility{of} by " in said
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
            played, ewma = decided[-1].round, view.market.volatility
            used = played.signals.forecast_volatility
            if relative:
                facts = played.decision.inputs.programme
                assert facts is not None
                assert np.array_equal(used, ewma)
                used, ewma = facts.label_volatility, view.market_history.relative_volatility[view.row]
            assert np.array_equal(used, ewma) == (last["used"] == "ewma")
            compared, differing = decisions_repeat_in_replay(history)
            assert (compared > 0, differing) == (True, [])
            again = homes.decide(strategy, days[-2:])
            assert all(one.already_decided and one.compared is None for one in again)
            assert volatility_used(strategy, view.market_history, view.labels).names == ("ewma", "har", "network")
        page = max((tmp_path / "reports").rglob(f"*{days[-1].date()}.html")).read_text(encoding="utf-8")
        assert f"Volatility{of} by ".replace("'", "&#39;") in page


def write_told_by_volume(home: Path, kind: str) -> None:
    """Four years of 16 names whose volatility of tomorrow today's volume tells, and no earlier return does."""
    sessions, names = sessions_between("XNYS", "2013-01-02", "2017-06-30"), [f"SIM{number:02d}" for number in range(16)]
    random = np.random.default_rng(11)
    shape = len(sessions), len(names)
    shocks = 0.5 * np.sqrt(1.0 - 0.9**2) * random.standard_normal((shape[0] + 1, shape[1]))
    level = np.exp(lfilter([1.0], [1.0, -0.9], shocks, axis=0))
    close = 50.0 * np.exp(0.01 * (level[:-1] * random.standard_normal(shape)).cumsum(axis=0))
    start = np.vstack([close[:1], close[:-1]]) * np.exp(0.001 * random.standard_normal(shape))
    high = np.maximum(start, close) * np.exp(np.abs(0.002 * random.standard_normal(shape)))
    low = np.minimum(start, close) * np.exp(-np.abs(0.002 * random.standard_normal(shape)))
    volume = np.round(5e6 * level[1:] ** 1.5 * np.exp(0.1 * random.standard_normal(shape)))
    fields = {"open": start, "high": high, "low": low, "close": close, "volume": volume}
    bars = [
        pd.DataFrame({"symbol": name, "session": sessions, **{key: of[:, number] for key, of in fields.items()}})
        for number, name in enumerate(names)
    ]
    folder = home / "strategies" / "bars"
    folder.mkdir(parents=True)
    pd.concat(bars).to_csv(folder / "bars.csv", index=False, date_format="%Y-%m-%d")
    write_strategy(
        home,
        source={"kind": "files", "path": "bars", "seed": None, "planted_rank_ic": None},
        market={"symbols": names, "history_starts": "2013-01-02", "live_starts": None},
        features={"names": ["log_return_1", "volume_z_20", "sigma_5_over_sigma_20"]},
        label={"kind": kind, "execution": "next_close", "horizon_sessions": 5},
        learning={"hidden": 16, "maximum_epochs": 40, "learning_rate": 0.005},
        walk_forward={"training_months": 12, "refit_every_months": 6},
        portfolio=NEUTRAL,
    )


@pytest.mark.full
@pytest.mark.parametrize("kind", ["direction", "direction_relative"])
def test_the_network_is_taken_where_it_sees_what_no_simpler_forecast_does(tmp_path: Path, kind: str) -> None:
    write_told_by_volume(tmp_path, kind)
    months = homes.months_between("2014-09", "2017-06")
    with living_in(tmp_path), nothing_drawn():
        strategy = strategy_of()
        homes.take_in(strategy)
        homes.train(strategy, months)
        with open_history(strategy) as history:
            forecasts, cut = forecasts_of_months(history, months), history.cut_for(history.last_session)
            market, labels = cut.market, cut.labels
            used = volatility_used(strategy, market, labels, forecasts.volatility)
    last = slice(-400, None)
    assert labels.variance is not None
    assert used.names == ("ewma", "har", "network")
    assert (used.used[last] == 2).mean() > 0.95
    ewma = market.relative_volatility if kind == "direction_relative" else market.volatility
    loss = [qlike(sigma**2, labels.variance)[last] for sigma in (used.sigma, ewma)]
    assert np.nanmean(loss[0] - loss[1]) < -0.15
