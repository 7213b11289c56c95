"""The shift tests on simulated markets whose truth is known: the edge turns its sign with the regime, or stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.figure_set import ShiftTest
from nn_assets.evaluation.shift import shift_test
from nn_assets.evaluation.track import StudyTrack
from nn_assets.features.catalogue import compute_features
from nn_assets.features.labels import make_labels
from nn_assets.learning import baselines
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import fitted_month, forecast_rows, make_fold
from nn_assets.learning.inference import estimate, model_windows
from nn_assets.learning.model import FoldData, fit_without, judged_features
from nn_assets.market.panel import panel_from_bars
from nn_assets.operations.shift import LeftOutRegimes, fits_without
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.session.market_view import market_view
from nn_assets.session.regime_naming import regime_naming
from nn_assets.simulator.markets import MarketShape, simulate_market
from tests.proof.studied import _NO_TREES, sessions_of, settings_of

NAMES, RANK_IC, HORIZON = 24, 0.08, 5
SEEDS = (115,)


@dataclass(frozen=True)
class Tested:
    """What both tests say of the linear model, and how the filtered states agree with the true ones."""

    shift: ShiftTest
    left_out: LeftOutRegimes
    agreement: float


@cache
def shifted(seed: int, edge: float) -> Tested:
    """Seven and a half years, a linear model fitted each year, Markov regimes of two states; no trees."""
    panel = {"names": NAMES, "sessions": 1890, "seed": seed, "rank_ic": RANK_IC, "persistence": 0.95}
    strategy = make_strategy(settings_of(panel | {"horizon": HORIZON}) | {"regimes": {"model": "markov_2"}})
    sessions = sessions_of(panel)
    shape = MarketShape(
        turbulent_edge=edge, regime_scales=(0.8, 3.2), regime_leaves=(0.003, 0.012), garch_shock=0.02, garch_memory=0.9
    )
    made = simulate_market(NAMES, sessions, seed, RANK_IC, 0.95, shape)
    bars = panel_from_bars(made.bars, sessions, made.symbols)
    regimes = market_view(bars, strategy.portfolio, regime_naming=regime_naming(strategy, sessions)).regimes
    cube, labels = compute_features(bars.total_return()), make_labels(bars.total_return(), strategy.label)
    first, data, used = first_model_month(strategy), dict[str, FoldData](), list[tuple[FoldModel, slice]]()
    with mock.patch.object(baselines, "fit_boosting", return_value=_NO_TREES):
        for month in map(str, pd.period_range(first, sessions[-1], freq="M")):
            if fitted_month(month, first, 12) == month:
                fold = make_fold(sessions, month, strategy.walk_forward, strategy.label)
                known = cube.until(sessions[fold.used_from - 1])
                judged = judged_features(known, None, fold.training, strategy)
                data[month] = FoldData(known, labels.until(fold.used_from - 1), fold, judged)
                model = fit_without(data[month], strategy, np.zeros(known.session_count, dtype=np.bool_))
            used.append((model, forecast_rows(sessions, month)))
        realised = labels.until(len(sessions) - 1)
        left_out = fits_without(strategy, used, lambda model: data[model.fold.month], cube, realised, regimes)
    probability = np.full(realised.targets.shape, np.nan)
    share, months = np.full(len(sessions), np.nan), np.full(len(sessions), "", dtype="U7")
    for model, rows in used:
        estimates = estimate(model.estimators, model_windows(model, cube, rows), rows)
        probability[estimates.rows, estimates.columns] = estimates.probability["linear"]
        months[rows] = model.fold.month
        trained_on = range(model.fold.training.start, model.fold.training.stop)
        share[rows] = [regimes.share_of(row, trained_on) for row in range(rows.start, rows.stop)]
    track = StudyTrack(
        sessions,
        made.symbols,
        {"linear": probability},
        realised.targets,
        realised.returns,
        realised.realised_row,
        months,
        training_share=share,
    )
    shift = shift_test(track, lambda _: {}, HORIZON)
    assert shift is not None
    judged_rows = np.flatnonzero(months != "")
    names = np.array([regimes.label(row) == "turbulent" for row in judged_rows])
    return Tested(shift, left_out, float((names == made.truth.turbulent[judged_rows]).mean()))


@pytest.mark.full
@pytest.mark.parametrize("seed", SEEDS)
def test_an_edge_that_flips_in_the_turbulent_regime_is_found_and_one_that_stays_is_not(seed: int) -> None:
    flips, stays = shifted(seed, -1.0), shifted(seed, 1.0)
    assert min(flips.agreement, stays.agreement) > 0.9
    assert flips.shift.alarms
    assert not stays.shift.alarms
    assert any("is wrong on them" in line for line in flips.left_out.lines)
    assert not any("is wrong on them" in line for line in stays.left_out.lines)
