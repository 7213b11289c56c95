"""Simple estimators fitted without a regime and tested on it, fold by fold: whether what they learn elsewhere holds.

A diagnosis that a person asks for. Nothing of it is stored but its sentences, which the study's page shows until the
next study; it chooses nothing, and is no trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube, FloatArray
from nn_assets.errors import FoldError, TrainingError
from nn_assets.estimators import TRADED, estimators_of
from nn_assets.evaluation.shift import LeftOut, left_out_lines, left_out_of
from nn_assets.evaluation.significance import CROSS_SECTION
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import Estimators, FoldModel
from nn_assets.learning.folds import Fold, forecast_rows
from nn_assets.learning.inference import estimate, model_windows
from nn_assets.learning.model import FoldData, fit_without
from nn_assets.operations.explanation import parts_in_force
from nn_assets.operations.history import History
from nn_assets.operations.models.preparation import DueFold
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.session_view import SessionView
from nn_assets.settings import Strategy
from nn_assets.signals.regimes import Regimes

FEWEST_SESSIONS = 60
"""Sessions of a regime among those studied below which nothing is fitted without it."""

Tables = dict[str, FloatArray]
"""Forecasts by estimator, (bars, symbols)."""


@dataclass(frozen=True)
class LeftOutRegimes:
    """What the fits came to, and why others could not be made."""

    found: tuple[LeftOut, ...]
    lines: tuple[str, ...]  # of all, in words
    fits: int


def leave_regimes_out(history: History, months: Sequence[str], tell: Callable[[str], None]) -> LeftOutRegimes:
    """Fit the simple estimators of each model in force in some months without each regime, and test them on it.

    Each is fitted as its model was: on the features and labels known when that fell due, purged by the one rule.

    Parameters
    ----------
    months : sequence of str
        'YYYY-MM'. Each session by the model in force on it.

    Raises
    ------
    ModelError
        No model is in force on the last session.
    """
    view = history.view()
    used = list(_used(history, view, months))
    if not used:
        view.models.on(view.session)  # which says what to do where there is no model at all

    def data(model: FoldModel) -> FoldData:
        due = DueFold.of(history, model.fold)
        return FoldData(due.cube, due.cut.labels, model.fold, model.stationarity, strategy=due.strategy)

    return fits_without(history.strategy, used, data, view.cube, view.labels, view.market_history.regimes, tell)


def fits_without(
    strategy: Strategy,
    used: Sequence[tuple[FoldModel, slice]],
    data: Callable[[FoldModel], FoldData],
    cube: Cube,
    labels: Labels,
    regimes: Regimes,
    tell: Callable[[str], None] = lambda _: None,
) -> LeftOutRegimes:
    """Fit and judge, on what is known.

    Parameters
    ----------
    used : sequence of (FoldModel, slice)
        Models and the sessions that each was in force on, ascending.
    data : callable
        From a model to what it was fitted on.
    cube, labels, regimes
        Of the sessions that are judged, on the whole axis. What names the regime of a model's first session of use
        names those of its rows.
    """
    shape = labels.targets.shape
    names, folds = np.full(shape[0], "", dtype="U32"), np.full(shape[0], "", dtype="U32")
    for model, rows in used:
        names[rows] = [regimes.label(row) for row in range(rows.start, rows.stop)]
        folds[rows] = model.model_id
    kinds, counts = np.unique(names[(names != "") & (names != "unknown")], return_counts=True)
    judged = [str(kind) for kind, count in zip(kinds, counts, strict=True) if count >= FEWEST_SESSIONS]
    whole, without = _tables(shape, strategy), {regime: _tables(shape, strategy) for regime in judged}
    for model, rows in used:
        _forecast(model, cube, rows, whole)
    refused, fits = list[str](), 0
    for model, rows_of_model in _merged(used):
        there = {str(name) for rows in rows_of_model for name in names[rows]}
        called = _called(model.fold, cube.sessions)
        learned_in = regimes.names(rows_of_model[0].start, _reach(model.fold))
        for regime in [regime for regime in judged if regime in there]:
            fitted = _fitted_without(strategy, data(model), learned_in, regime)
            if isinstance(fitted, str):
                refused.append(f"{regime}: the model of {called} was not fitted without it: {fitted}")
                continue
            fits += 1
            tell(f"model of {called} fitted without {regime} sessions")
            for rows in rows_of_model:
                _forecast(fitted, cube, rows, without[regime])
    wide, horizon = shape[1] >= CROSS_SECTION, strategy.label.horizon_sessions
    outcomes = {"targets": labels.targets, "returns": labels.outcomes, "folds": folds}
    found = [
        left_out_of(
            regime,
            name,
            without[regime][name],
            whole[name],
            **outcomes,
            chosen=names == regime,
            horizon=horizon,
            wide=wide,
        )
        for regime in judged
        for name in whole
    ]
    return LeftOutRegimes(tuple(found), (*left_out_lines(found), *refused), fits)


def _called(fold: Fold, sessions: pd.DatetimeIndex) -> str:
    """The month that a model is used from, or the session where that is not the month's first."""
    first = fold.used_from == forecast_rows(sessions, fold.month).start
    return fold.month if first else str(sessions[fold.used_from].date())


def _reach(fold: Fold) -> range:
    """Rows that a model learns from."""
    return range(fold.training.start, fold.validation.stop)


def _fitted_without(strategy: Strategy, data: FoldData, names: Sequence[str], regime: str) -> FoldModel | str:
    """The simple estimators of a fold without a regime, or why there are none; ``names`` are those of its rows."""
    rows, left_out = _reach(data.fold), np.zeros(data.cube.session_count, dtype=np.bool_)
    left_out[rows.start : rows.stop] = np.array(names) == regime
    if not left_out.any():
        return "none of its rows is in that regime"
    try:
        return fit_without(data, strategy, left_out)
    except (FoldError, TrainingError) as error:
        return error.found


def _used(history: History, view: SessionView, months: Sequence[str]) -> Iterator[tuple[FoldModel, slice]]:
    """The models in force in some months, and the sessions of each."""
    for part in parts_in_force(view.models, view.sessions, months):
        yield load_model(history.stores, part.model_id), part.rows


def _merged(used: Sequence[tuple[FoldModel, slice]]) -> list[tuple[FoldModel, list[slice]]]:
    """Each model once, with all the stretches that it is used on."""
    merged: dict[str, tuple[FoldModel, list[slice]]] = {}
    for model, rows in used:
        merged.setdefault(model.model_id, (model, []))[1].append(rows)
    return list(merged.values())


def _tables(shape: tuple[int, ...], strategy: Strategy) -> Tables:
    return {name: np.full(shape, np.nan) for name in estimators_of(strategy.learning.baselines) if name != TRADED}


def _forecast(model: FoldModel, cube: Cube, rows: slice, tables: Tables) -> None:
    """Write raw forecasts of some sessions into the tables, on the cube's symbols."""
    members = {name: members for name, members in model.estimators.members.items() if name in tables}
    simple = Estimators(model.estimators.settings, members, model.estimators.head)
    estimates = estimate(simple, model_windows(model, cube, rows), rows)
    columns = pd.Index(cube.symbols).get_indexer(pd.Index(model.symbols))[estimates.columns]
    there = columns >= 0
    for name, probability in estimates.probability.items():
        tables[name][estimates.rows[there], columns[there]] = probability[there]
