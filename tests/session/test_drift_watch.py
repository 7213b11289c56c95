"""The whole drift chain on markets in which nothing changes, and on one that breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.catalogue.compute import compute_features
from nn_assets.features.labels import make_labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import forecast_rows, make_fold
from nn_assets.learning.forecasts import no_forecasts
from nn_assets.learning.inference import forecast
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import panel_from_bars
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.severity import initial_trading_state, next_trading_state, severity
from nn_assets.session.drift_watch import drift_watch, model_references
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import simulate_market
from tests.learning.tiny import fit_model

STRATEGY = Strategy.model_validate(
    {
        "name": "calm",
        "market": {"history_starts": "2001-01-02"},
        "features": {"names": ["sma_gap_5_20", "signed_volume_balance_20"]},
        "label": {"kind": "direction_relative", "horizon_sessions": 10},
        "portfolio": {"net_limit": 0.0},
        # One epoch of the smallest network: the linear model is the one that is watched.
        "learning": {"network": "mlp", "lookback": 1, "hidden": 1, "layers": 1, "maximum_epochs": 1}
        | {"ensemble": 1, "processes": 1},
    }
)
SETTINGS = STRATEGY.oversight


@dataclass(frozen=True)
class Market:
    """A simulated market, a linear model of it refitted every other year, and its out-of-sample forecasts."""

    cube: Cube
    models: dict[str, FoldModel]
    model_by_row: list[str | None]
    probability: np.ndarray  # (bars, symbols)

    def rows(self) -> list[int]:
        return [row for row, model in enumerate(self.model_by_row) if model]

    def watch(self, probability: np.ndarray | None = None) -> Callable[[int], DriftReport]:
        references = {
            name: model_references(model, self.cube, SETTINGS, 252)["linear"] for name, model in self.models.items()
        }
        made = self.probability if probability is None else probability
        return drift_watch(self.cube, made, self.model_by_row, references, SETTINGS)


def market(seed: int, last_year: int) -> Market:
    sessions = sessions_between("XNYS", "2001-01-02", f"{last_year}-12-31")
    simulated = simulate_market(8, sessions, seed, 0.05, 0.95)
    panel = panel_from_bars(simulated.bars, sessions, simulated.symbols)
    cube = compute_features(panel, STRATEGY.features.names)
    labels = make_labels(panel, STRATEGY.label)
    models, model_by_row, parts = {}, [None] * cube.session_count, []
    for year in range(2005, last_year, 2):
        fold = make_fold(sessions, f"{year}-01", STRATEGY.walk_forward, STRATEGY.label)
        model = fit_model(cube, labels, fold, STRATEGY)
        rows = slice(fold.used_from, forecast_rows(sessions, f"{year + 1}-12").stop)
        models[model.model_id] = model
        model_by_row[rows] = [model.model_id] * (rows.stop - rows.start)
        parts.append(forecast(model, cube, rows))
    made = no_forecasts(sessions, cube.symbols)
    for part in parts:
        made.put(part)
    return Market(cube, models, model_by_row, made["linear"].probability)


def states_of(reports: list[DriftReport]) -> list[str]:
    state = None
    states = []
    for report in reports:
        following = report.session + pd.Timedelta(days=1)
        state = state or initial_trading_state(report.session - pd.Timedelta(days=1), report.session)
        state = next_trading_state(state, severity(report), SETTINGS, report.session, following)
        states.append(state.state)
    return states


def entries(flags: np.ndarray) -> int:
    return int(flags[0]) + int((flags[1:] & ~flags[:-1]).sum())


@pytest.fixture(scope="module")
def calm() -> list[Market]:
    return [market(1, 2016), market(2, 2016)]


@pytest.mark.full
def test_unchanging_markets_reduce_size_about_once_a_year_and_ask_to_retrain_about_four_times(calm):
    reduced, sessions, rings, silent, quarters = 0, 0, 0, 0, 0
    for unchanged in calm:
        watch = unchanged.watch()
        reports = [watch(row) for row in unchanged.rows()[SETTINGS.drift_window_sessions :]]
        away = np.array([state != "CONTINUE" for state in states_of(reports)])
        asks = np.array([report.asks_retraining for report in reports])
        sessions += len(away)
        reduced += int(away.sum())
        rings += entries(away)
        whole = len(asks) // 63
        quarters += whole
        silent += int((~asks[: whole * 63].reshape(whole, 63).any(axis=1)).sum())
    # 23 years of one ring each: two standard errors of a Poisson count are 0.42.
    assert rings / (sessions / 252) == pytest.approx(1.0, abs=0.5)
    assert reduced / sessions < 0.15
    assert silent / quarters == pytest.approx(np.exp(-1.0), abs=0.15)


@pytest.mark.full
@pytest.mark.parametrize("shift", [-2.0, 2.0])
def test_forecasts_that_shift_by_two_standard_deviations_reduce_size_within_a_window(calm, shift):
    for broken in calm:
        rows = broken.rows()
        begins = rows[len(rows) // 2]
        probability = broken.probability.copy()
        probability[begins:] += shift * np.nanstd(broken.probability)
        watch = broken.watch(probability)
        reports = [watch(row) for row in range(begins, begins + SETTINGS.drift_window_sessions)]
        assert not reports[0].prediction_drifted
        assert "REDUCE_SIZE" in states_of(reports)


def test_a_reference_reads_nothing_after_the_rows_that_its_model_was_fitted_on(calm):
    model = next(iter(calm[0].models.values()))
    before = model_references(model, calm[0].cube, SETTINGS, 252)["linear"]
    values = np.array(calm[0].cube.values)
    values[model.fold.calibration.stop :] = np.nan
    changed = Cube(calm[0].cube.sessions, calm[0].cube.symbols, calm[0].cube.names, values)
    after = model_references(model, changed, SETTINGS, 252)["linear"]
    assert [series.critical for series in after.forecasts] == [series.critical for series in before.forecasts]
    for one, other in zip(before.forecasts, after.forecasts, strict=True):
        np.testing.assert_array_equal(one.ordered, other.ordered)
        held_out = model.fold.calibration.stop - model.fold.validation.start
        assert one.ordered.size == held_out - one.prewhitened
