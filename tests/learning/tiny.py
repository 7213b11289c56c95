"""A tiny strategy and made-up features, so that networks train in a moment."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube, FloatArray
from nn_assets.features.labels import Labels
from nn_assets.learning import inference
from nn_assets.learning.compute import Compute
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import Fold, make_fold
from nn_assets.learning.model import FoldData, fit_models
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.settings import LearningSettings, Strategy

SYMBOLS = ("AAA", "BBB", "CCC")
NAMES = ("alpha", "beta", "gamma", "delta")
MONTH = "2012-07"
SPAN = 4  # lag 1 + horizon 3


def tiny_settings(**changed: object) -> LearningSettings:
    small: dict[str, object] = {
        "network": "lstm",
        "lookback": 4,
        "hidden": 4,
        "layers": 2,
        "dropout": 0.1,
        "batch_size": 64,
        "maximum_epochs": 3,
        "patience": 2,
        "plateau_patience": 1,
        "ensemble": 2,
        "processes": 1,
        "learning_rate": 0.01,
    }
    return LearningSettings.model_validate(small | changed)


def tiny_strategy(features: dict[str, object] | None = None, **learning: object) -> Strategy:
    return Strategy.model_validate(
        {
            "name": "tiny",
            "market": {"history_starts": "2011-01-03"},
            "features": features or {},
            "label": {"horizon_sessions": 3},
            "learning": tiny_settings(**learning).model_dump(),
            "walk_forward": {
                "training_months": 12,
                "validation_months": 2,
                "calibration_months": 3,
                "minimum_training_rows": 500,
            },
        }
    )


def tiny_market(last: str = "2012-09-28", seed: int = 3) -> tuple[Cube, Labels]:
    """AR(1) features; the label's return follows the first feature, with noise."""
    sessions = sessions_between("XNYS", "2011-01-03", last)
    bars, symbols, features = len(sessions), len(SYMBOLS), len(NAMES)
    random = np.random.default_rng(seed)
    values = np.empty((bars, symbols, features))
    returns = np.full((bars, symbols), np.nan)
    state = np.zeros((symbols, features))
    for row in range(bars):  # row by row, so that a longer history begins with the same numbers
        state = 0.5 * state + random.normal(size=state.shape)
        values[row] = state
        noise = random.normal(size=symbols)
        if row + SPAN < bars:
            returns[row] = 0.01 * (0.8 * state[:, 0] + noise)
    cube = Cube(sessions, SYMBOLS, NAMES, values)
    targets = np.where(np.isfinite(returns), (returns > 0.0).astype(np.float64), np.nan)
    return cube, Labels(targets, returns, np.arange(bars, dtype=np.int64) + SPAN)


def tiny_fold(cube: Cube, strategy: Strategy, month: str = MONTH) -> Fold:
    return make_fold(cube.sessions, month, strategy.walk_forward, strategy.label)


def tiny_windows(values: FloatArray, lookback: int = 4) -> Windows:
    """Windows over features of the tiny market, the first of which stands for the session's return."""
    return Windows(values, lookback, past_returns=values[:, :, 0])


def tiny_samples(lookback: int = 4) -> tuple[Windows, Samples, Samples]:
    """Windows over the tiny market, 261 samples to train on and 90 to validate on."""
    cube, labels = tiny_market()
    windows = tiny_windows(cube.values, lookback)
    parts = slice(20, 107), slice(111, 141)
    training, validation = (find_samples(windows, rows, labels.targets[rows]) for rows in parts)
    return windows, training, validation


def fit_model(cube: Cube, labels: Labels, fold: Fold, strategy: Strategy, compute: Compute | None = None) -> FoldModel:
    """The model of one fold."""
    (model,) = fit_models([FoldData(cube, labels, fold)], strategy, compute)
    return model


@cache
def fitted(network: str = "lstm", *, select: bool = False) -> FoldModel:
    cube, labels = tiny_market()
    strategy = tiny_strategy({"select": select}, network=network)
    return fit_model(cube, labels, tiny_fold(cube, strategy), strategy)


def months_of_use(model: FoldModel, cube: Cube) -> slice:
    return slice(model.fold.used_from, cube.session_count)


def same_bits(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert list(one.columns) == list(other.columns)
    assert len(one) == len(other) > 0
    for name in one.columns:
        left, right = one[name].to_numpy(), other[name].to_numpy()
        if left.dtype == np.float64:
            assert left.tobytes() == right.tobytes(), name
        else:
            assert (left == right).all(), name


def restated(cube: Cube, labels: Labels, cut: int, scale: float = 99.0) -> tuple[Cube, Labels]:
    """The same history up to ``cut``, and an entirely different one from there."""
    values, targets, returns = np.array(cube.values), np.array(labels.targets), np.array(labels.returns)
    values[cut:] = scale
    # a label that needs a row from the cut on is not known at the cut
    targets[max(cut - SPAN, 0) :] = np.nan
    returns[max(cut - SPAN, 0) :] = np.nan
    changed = Cube(cube.sessions, cube.symbols, cube.names, values)
    return changed, Labels(targets, returns, labels.realised_row)


def forecast(model: FoldModel, cube: Cube, rows: slice) -> pd.DataFrame:
    """Forecasts as they are stored: a row for each session, symbol and estimator."""
    return inference.forecast(model, cube, rows).to_rows()
