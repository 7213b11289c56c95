"""Fit a fold, from untransformed features to estimators; each step on its own rows only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube, FloatArray
from nn_assets.errors import TrainingError
from nn_assets.estimators import ESTIMATORS, TRADED
from nn_assets.features.labels import Labels
from nn_assets.features.scaling import Scaler, fit_scaler
from nn_assets.features.selection import SelectionReport, select_features
from nn_assets.features.stationarity import StationarityReport, apply_transforms, decide_transforms
from nn_assets.learning.address import first_needed_row, fit_code, model_address, training_data_hash
from nn_assets.learning.calibration import reliability
from nn_assets.learning.compute import HERE, Compute, open_compute
from nn_assets.learning.fitted import FitInputs, Fitted
from nn_assets.learning.fold_model import Estimators, FoldModel
from nn_assets.learning.folds import Fold, check_realised, purge_sessions, require_rows
from nn_assets.learning.inference import Estimates, cut_cube, estimate, forecast
from nn_assets.learning.networks import levels_read
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.plugins import imported
from nn_assets.settings import Strategy

__all__ = [
    "Estimators",
    "FoldData",
    "FoldModel",
    "chosen_features",
    "fit_models",
    "forecast",
    "judged_features",
    "model_address",
]

Figures = dict[str, Any]


@dataclass(frozen=True, eq=False)
class FoldData:
    """One fold to fit, with the features and labels known when its model is due."""

    cube: Cube  # untransformed, on an axis that reaches the fold's first session of use
    labels: Labels  # on the same axis
    fold: Fold
    stationarity: StationarityReport | None = None  # decided before on the same rows; decided here when left out
    selection: SelectionReport | None = None  # likewise, where the settings select
    strategy: Strategy | None = None  # with the choice of a search in force; that of the call when left out


@dataclass(frozen=True, eq=False)
class _Task:
    """One fold and the rows that it needs, cut out of the whole: little to hand to another process."""

    cube: Cube
    labels: Labels
    first_row: int
    axis_start: pd.Timestamp
    fold: Fold
    strategy: Strategy
    model_id: str
    data_hash: str
    code: str
    stationarity: StationarityReport | None = None
    selection: SelectionReport | None = None

    def local(self, rows: slice) -> slice:
        """Rows of the full axis as rows of the cut."""
        return slice(rows.start - self.first_row, rows.stop - self.first_row)


@dataclass(frozen=True, eq=False)
class _Inputs:
    stationarity: StationarityReport
    selection: SelectionReport | None
    scaler: Scaler
    windows: Windows
    samples: dict[str, Samples]


def judged_features(
    cube: Cube, candidates: npt.NDArray[np.bool_] | None, rows: slice, strategy: Strategy
) -> StationarityReport:
    """How each feature is made stationary, by some rows of a cube (bars, symbols, features) and those who may trade.

    One that the strategy's network reads by name stays as it is, whatever the tests say.

    Parameters
    ----------
    candidates : array of bool, shape (bars, symbols), optional
        Everybody without one.
    """
    decided = decide_transforms(cube.where(candidates), rows, strategy.features)
    return decided.keeping(levels_read(strategy.learning))


def chosen_features(stationary: Cube, labels: Labels, rows: slice, strategy: Strategy) -> SelectionReport:
    """Which features the settings select, by some rows of a cube that is stationary already, and its labels."""
    purge = purge_sessions(strategy.label.horizon_sessions, strategy.label.execution_lag_sessions)
    return select_features(stationary, labels, rows, strategy.features, purge)


def fit_models(folds: Iterable[FoldData], strategy: Strategy, compute: Compute | None = None) -> Iterator[FoldModel]:
    """Fit every estimator of some folds, and give their models in order as they are done.

    Stationarity, selection and scaling are decided on training rows; networks and baselines learn
    from training rows and stop by validation rows; calibration rows only judge them. No row from
    ``fold.used_from`` on is read. The bits are the same wherever what is trained.

    Parameters
    ----------
    folds : iterable of FoldData
    strategy : Strategy
        Its features, label and learning sections matter, and the minimum of training rows; those of a fold that brings
        its own are its own.
    compute : Compute, optional
        Where folds are fitted at once, or the networks of one fold after another where ``learning.processes`` leave
        that in fewer rounds. Without one, what ``learning.compute`` names is opened for this call.

    Raises
    ------
    ShortFoldError
        Too few usable training rows.
    FoldError
        A label realised too late.
    TrainingError
        No feature is stationary, a part has no samples, or too few members trained.
    WorkerError
        A training process died.
    """
    tasks = [_cut(fold, strategy) for fold in folds]
    learning = strategy.learning
    by_network = 0 < len(tasks) * math.ceil(learning.ensemble / learning.processes) < learning.ensemble
    at_once = min(learning.processes, learning.ensemble if by_network else len(tasks))
    own = nullcontext(compute) if compute else open_compute(learning.compute, at_once, learning.compute_settings)
    with own as where:
        yield from (_fit(task, where) for task in tasks) if by_network else where.map(_fit, tasks)


def _cut(data: FoldData, strategy: Strategy) -> _Task:
    strategy = strategy if data.strategy is None else data.strategy
    cube, labels, fold = data.cube, data.labels, data.fold
    check_realised(fold, labels.realised_row)
    lookback, missing = strategy.learning.lookback, strategy.features.max_missing_bars_fraction
    first, stop = first_needed_row(fold.training.start, lookback, missing), fold.calibration.stop
    return _Task(
        cube=cut_cube(cube, first, stop),
        labels=Labels(
            targets=labels.targets[first:stop],
            returns=labels.returns[first:stop],
            realised_row=labels.realised_row[first:stop],
            candidates=None if labels.candidates is None else labels.candidates[first:stop],
        ),
        first_row=first,
        axis_start=cube.sessions[0],
        fold=fold,
        strategy=strategy,
        model_id=model_address(cube, labels, fold, strategy),
        data_hash=training_data_hash(cube, labels, fold, lookback, missing),
        code=fit_code(strategy),
        stationarity=data.stationarity,
        selection=data.selection,
    )


def _fit(task: _Task, compute: Compute = HERE) -> FoldModel:
    inputs = _prepare(task)
    learning = task.strategy.learning
    training, validation = inputs.samples["training"], inputs.samples["validation"]
    members: dict[str, tuple[Any, ...]] = {}
    figures: Figures = {"samples": {name: samples.count for name, samples in inputs.samples.items()}}
    for name in sorted(ESTIMATORS, key=lambda name: name == TRADED):  # the one that is traded may start from another
        fit_inputs = FitInputs(inputs.windows, training, validation, learning, compute, members)
        fitted: Fitted = imported(ESTIMATORS[name].fit)(fit_inputs)
        members[name] = fitted.members
        figures |= fitted.figures
    estimators = Estimators(settings=learning, members=members)
    judged = estimate(estimators, inputs.windows, task.fold.validation)
    held_out = estimate(estimators, inputs.windows, task.fold.calibration)
    return FoldModel(
        model_id=task.model_id,
        fold=task.fold,
        axis_start=task.axis_start,
        symbols=task.cube.symbols,
        stationarity=inputs.stationarity,
        selection=inputs.selection,
        scaler=inputs.scaler,
        estimators=estimators,
        figures={
            **figures,
            "libraries": {name: version(name) for name in ("numpy", "scikit-learn", "torch")},
            "estimators": _judged(task, judged, held_out),
        },
        validation_forecasts=_reference(task, judged),
        data_hash=task.data_hash,
        code_version=task.code,
    )


def _prepare(task: _Task) -> _Inputs:
    strategy, training_rows = task.strategy, task.local(task.fold.training)
    candidates = task.labels.candidates
    stationarity = task.stationarity
    if stationarity is None:
        stationarity = judged_features(task.cube, candidates, training_rows, strategy)
    if not stationarity.kept:
        raise TrainingError(
            expected="at least one stationary feature on the training rows",
            found=f"none of {', '.join(task.cube.names)}",
            remedy="add features, or lower features.panel_pass_share",
            month=task.fold.month,
        )
    stationary = apply_transforms(task.cube, stationarity)
    selection = task.selection
    if strategy.features.select:
        if selection is None:
            selection = chosen_features(stationary, task.labels, training_rows, strategy)
        stationary = stationary.select(selection.selected)
    values = stationary.values  # noqa: PD011  no pandas object
    scaler = fit_scaler(stationary.where(candidates).values[training_rows], strategy.features.scaling)  # noqa: PD011
    missing = stationarity.max_missing_fraction
    lookback = strategy.learning.lookback
    windows = Windows(scaler.transform(values), lookback, task.first_row, missing, stationary.names, scaler)
    samples = {
        name: find_samples(windows, rows, task.labels.targets[task.local(rows)])
        for name, rows in task.fold.parts().items()
    }
    require_rows(task.fold, samples["training"].count, strategy.walk_forward.minimum_training_rows)
    return _Inputs(stationarity, selection, scaler, windows, samples)


def _judged(task: _Task, validation: Estimates, held_out: Estimates) -> Figures:
    parts = {"validation": validation, "calibration": held_out}
    outcomes_by_part = {part: _outcomes(task, estimates) for part, estimates in parts.items()}
    return {
        name: {
            part: _judge(parts[part].probability[name][finite], outcome)
            for part, (finite, outcome) in outcomes_by_part.items()
        }
        for name in ESTIMATORS
    }


def _outcomes(task: _Task, estimates: Estimates) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    targets = task.labels.targets[estimates.rows - task.first_row, estimates.columns]
    finite = np.isfinite(targets)
    return finite, targets[finite]


def _judge(probability: FloatArray, outcome: FloatArray) -> Figures | None:
    return asdict(reliability(probability, outcome)) if len(outcome) else None


def _reference(task: _Task, judged: Estimates) -> pd.DataFrame:
    candidates, rows = task.labels.candidates, judged.rows - task.first_row
    kept = np.ones(len(rows), dtype=bool) if candidates is None else candidates[rows, judged.columns]
    count, kinds = int(kept.sum()), len(ESTIMATORS)
    sessions = task.cube.sessions[rows[kept]]
    symbols = pd.Series(task.cube.symbols, dtype="str")
    return pd.DataFrame(
        {
            "symbol": symbols.take(np.tile(judged.columns[kept], kinds)).array,
            "session": pd.DatetimeIndex(np.tile(sessions.to_numpy(), kinds)).as_unit("ns"),
            "estimator": pd.Series([name for name in ESTIMATORS for _ in range(count)], dtype="str"),
            "probability": np.concatenate([judged.probability[name][kept] for name in ESTIMATORS]),
        }
    )
