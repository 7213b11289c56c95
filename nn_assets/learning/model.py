"""Fit a fold, from untransformed features to estimators; each step on its own rows only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube, FloatArray
from nn_assets.errors import ShortFoldError, TrainingError
from nn_assets.estimators import ESTIMATORS, TRADED, estimators_of
from nn_assets.features.labels import Labels, label_kind
from nn_assets.features.scaling import Scaler, fit_scaler
from nn_assets.features.selection import SelectionReport, select_features
from nn_assets.features.stationarity import StationarityReport, apply_transforms, decide_transforms
from nn_assets.features.unit_root import MINIMUM_OBSERVATIONS
from nn_assets.learning.address import first_needed_row, fit_code, model_address, training_data_hash
from nn_assets.learning.autoencoder import fit_novelty
from nn_assets.learning.calibration import reliability
from nn_assets.learning.compute import HERE, Compute, open_compute
from nn_assets.learning.fitted import FitInputs, Fitted, Weights
from nn_assets.learning.fold_model import Estimators, FoldModel
from nn_assets.learning.folds import Fold, check_realised, purge_sessions, require_rows
from nn_assets.learning.heads import HEADS, VOLATILITY, Head
from nn_assets.learning.inference import Estimates, cut_cube, estimate, forecast
from nn_assets.learning.momentum import past_returns
from nn_assets.learning.networks import levels_read
from nn_assets.learning.novelty import Novelty
from nn_assets.learning.windows import Samples, Windows, find_samples
from nn_assets.plugins import imported
from nn_assets.settings import Strategy

__all__ = [
    "Estimators",
    "FoldData",
    "FoldModel",
    "chosen_features",
    "fit_models",
    "fit_without",
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
    parent_id: str = ""  # address of the model that networks begin from, where they begin warm
    parent: FoldModel | None = None  # it, as it was fitted


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
    head: Head
    stationarity: StationarityReport | None = None
    selection: SelectionReport | None = None
    parent: FoldModel | None = None

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
        labels=labels.rows(slice(first, stop)),
        first_row=first,
        axis_start=cube.sessions[0],
        fold=fold,
        strategy=strategy,
        model_id=model_address(cube, labels, fold, strategy, parent=data.parent_id),
        data_hash=training_data_hash(cube, labels, fold, lookback, missing),
        code=fit_code(strategy),
        head=HEADS[label_kind(strategy.label).learns],
        stationarity=data.stationarity,
        selection=data.selection,
        parent=data.parent,
    )


def _fit(task: _Task, compute: Compute = HERE) -> FoldModel:
    inputs = _prepare(task)
    learning = task.strategy.learning
    training, validation = inputs.samples["training"], inputs.samples["validation"]
    members: dict[str, tuple[Any, ...]] = {}
    weights, beginning = _begins_with(task, inputs)
    figures: Figures = {"samples": {name: samples.count for name, samples in inputs.samples.items()}}
    # the one that is traded comes last: it may start from another
    for name in sorted(estimators_of(learning.baselines), key=lambda name: name == TRADED):
        fit_inputs = FitInputs(inputs.windows, training, validation, learning, compute, members, task.head, weights)
        fitted: Fitted = imported(ESTIMATORS[name].fit)(fit_inputs)
        members[name] = fitted.members
        figures |= fitted.figures
    figures |= beginning
    estimators = Estimators(settings=learning, members=members, head=task.head)
    novelty = None
    if task.strategy.novelty is not None:
        fit = fit_novelty(inputs.windows, inputs.samples, learning, inputs.windows.names)
        novelty, figures = fit.novelty, {**figures, "novelty": dict(fit.figures)}
    volatility = None
    if task.strategy.portfolio.volatility == "network":
        volatility, figures["volatility"] = _fit_volatility(task, inputs, compute)
    judged = estimate(estimators, inputs.windows, task.fold.validation)
    held_out = estimate(estimators, inputs.windows, task.fold.calibration)
    return _fitted(
        task,
        inputs,
        estimators,
        {
            **figures,
            "libraries": {name: version(name) for name in ("numpy", "scikit-learn", "torch")},
            "estimators": _judged(task, judged, held_out),
        },
        _reference(task, judged),
        novelty=novelty,
        volatility=volatility,
    )


def _fitted(
    task: _Task,
    inputs: _Inputs,
    estimators: Estimators,
    figures: Figures,
    validation_forecasts: pd.DataFrame,
    novelty: Novelty | None = None,
    volatility: Estimators | None = None,
) -> FoldModel:
    """A task's model: its estimators, with what their inputs were made by."""
    return FoldModel(
        model_id=task.model_id,
        fold=task.fold,
        axis_start=task.axis_start,
        symbols=task.cube.symbols,
        stationarity=inputs.stationarity,
        selection=inputs.selection,
        scaler=inputs.scaler,
        estimators=estimators,
        figures=figures,
        validation_forecasts=validation_forecasts,
        data_hash=task.data_hash,
        code_version=task.code,
        novelty=novelty,
        volatility=volatility,
    )


def _fit_volatility(task: _Task, inputs: _Inputs, compute: Compute) -> tuple[Estimators, Figures]:
    """The ensemble of the strategy's network on realised variances, by the same loop on the same windows."""
    learning, fold, learned = task.strategy.learning, task.fold, task.labels.learned_variance()
    samples = _samples(task, inputs.windows, learned)
    members: dict[str, tuple[Any, ...]] = {}
    for name in (*(("linear",) if learning.residual else ()), TRADED):  # which each member then begins as
        parts = samples["training"], samples["validation"]
        fitted: Fitted = imported(ESTIMATORS[name].fit)(
            FitInputs(inputs.windows, *parts, learning, compute, members, VOLATILITY)
        )
        members[name] = fitted.members
    estimators = Estimators(settings=learning, members={TRADED: members[TRADED]}, head=VOLATILITY)
    figures = dict(fitted.figures) | {"samples": {name: part.count for name, part in samples.items()}}
    for part in ("validation", "calibration"):
        made = estimate(estimators, inputs.windows, fold.parts()[part])
        outcome = learned[made.rows - task.first_row, made.columns]
        finite = np.isfinite(outcome)
        figures[part] = _judge(VOLATILITY, made.probability[TRADED][finite], outcome[finite])
    return estimators, figures


def _begins_with(task: _Task, inputs: _Inputs) -> tuple[Weights, Figures]:
    """The weights that networks begin with, by seed, and what is kept of that: none of another network or features."""
    parent = task.parent
    if parent is None:
        return {}, {}
    shape = {"network", "network_settings", "hidden", "layers", "lookback", "residual"}
    before = parent.estimators.settings.model_dump(include=shape)
    names = inputs.windows.names
    then, now = (
        [one.verdict for name in names for one in report.verdicts if one.name == name]
        for report in (parent.stationarity, inputs.stationarity)
    )
    alike = parent.feature_names == names and then == now
    if before != task.strategy.learning.model_dump(include=shape) or not alike:
        why = "another network" if alike else "other features, or made stationary otherwise"
        return {}, {"warm_start": {"parent": parent.model_id, "cold": why}}
    weights = {member.seed: member.state for member in parent.estimators.members[TRADED]}
    return weights, {"warm_start": {"parent": parent.model_id}}


def no_stationary_feature(names: Sequence[str], fold: Fold) -> TrainingError:
    """That no feature of a fold is stationary on its training rows, or none has rows enough to be judged."""
    rows = fold.training.stop - fold.training.start
    return TrainingError(
        expected="at least one stationary feature on the training rows",
        found=f"none of {', '.join(names)} on {rows} rows, of which a test needs {MINIMUM_OBSERVATIONS}",
        remedy="add features, lower features.panel_pass_share, or lengthen walk_forward.training_months (or _days)",
        month=fold.month,
    )


def fit_without(data: FoldData, strategy: Strategy, left_out: npt.NDArray[np.bool_]) -> FoldModel:
    """Fit the simple estimators of a fold without some sessions: those, and every row whose label reaches one.

    Parameters
    ----------
    data : FoldData
    strategy : Strategy
        As of :func:`fit_models`: that of the data, where they bring their own, is theirs.
    left_out : ndarray of bool, shape (bars,)
        On the axis of ``data``. Neither for training nor for validation has one of them a label, nor do its features
        count for scaling and selection.

    Returns
    -------
    FoldModel
        Of the estimators beside the one that is traded, for :func:`~nn_assets.learning.inference.estimate` alone. It
        is never stored, and no forecast of it enters a record.

    Raises
    ------
    ShortFoldError
        Too few usable rows are left for training, or none for validation.
    FoldError, TrainingError
        As :func:`fit_models`.
    """
    strategy = strategy if data.strategy is None else data.strategy
    reach = purge_sessions(strategy.label.horizon_sessions, strategy.label.execution_lag_sessions)
    ahead = np.concatenate([left_out, np.zeros(reach, dtype=np.bool_)])
    kept = np.logical_not(np.lib.stride_tricks.sliding_window_view(ahead, reach + 1).any(axis=1)).reshape(-1, 1)
    candidates = np.broadcast_to(kept, data.labels.targets.shape)
    if data.labels.candidates is not None:
        candidates = candidates & data.labels.candidates
    labels = replace(data.labels.of_candidates(candidates), candidates=candidates)  # which scaling and selection follow
    task = _cut(replace(data, labels=labels), strategy)
    inputs = _prepare(task)
    if not inputs.samples["validation"].count:
        raise ShortFoldError(
            expected="a usable validation row",
            found="none outside the sessions left out",
            remedy="leave fewer sessions out",
            month=task.fold.month,
        )
    samples = inputs.samples["training"], inputs.samples["validation"]
    fit_inputs = FitInputs(inputs.windows, *samples, strategy.learning, HERE, head=task.head)
    simple = (name for name in estimators_of(strategy.learning.baselines) if name != TRADED)
    members = {name: imported(ESTIMATORS[name].fit)(fit_inputs).members for name in simple}
    estimators = Estimators(strategy.learning, members, task.head)
    figures = {"samples": {name: part.count for name, part in inputs.samples.items()}}
    return _fitted(task, inputs, estimators, figures, pd.DataFrame())


def _prepare(task: _Task) -> _Inputs:
    strategy, training_rows = task.strategy, task.local(task.fold.training)
    candidates = task.labels.candidates
    stationarity = task.stationarity
    if stationarity is None:
        stationarity = judged_features(task.cube, candidates, training_rows, strategy)
    if not stationarity.kept:
        raise no_stationary_feature(task.cube.names, task.fold)
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
    windows = Windows(
        scaler.transform(values), lookback, task.first_row, missing, stationary.names, scaler, past_returns(task.cube)
    )
    samples = _samples(task, windows, task.labels.learned)
    require_rows(task.fold, samples["training"].count, strategy.walk_forward.minimum_training_rows)
    return _Inputs(stationarity, selection, scaler, windows, samples)


def _samples(task: _Task, windows: Windows, learned: FloatArray) -> dict[str, Samples]:
    """The samples of each part of a fold whose target, (bars, symbols), is there."""
    dense = task.strategy.learning.dense_targets
    return {
        name: find_samples(windows, rows, learned[task.local(rows)], dense=dense and name == "training")
        for name, rows in task.fold.parts().items()
    }


def _judged(task: _Task, validation: Estimates, held_out: Estimates) -> Figures:
    parts = {"validation": validation, "calibration": held_out}
    outcomes_by_part = {part: _outcomes(task, estimates) for part, estimates in parts.items()}
    return {
        name: {
            part: _judge(task.head, parts[part].probability[name][finite], outcome)
            for part, (finite, outcome) in outcomes_by_part.items()
        }
        for name in validation.probability
    }


def _outcomes(task: _Task, estimates: Estimates) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    labels = task.labels
    targets = (labels.targets if task.head.probabilities else labels.learned)[
        estimates.rows - task.first_row, estimates.columns
    ]
    finite = np.isfinite(targets)
    return finite, targets[finite]


def _judge(head: Head, forecast: FloatArray, outcome: FloatArray) -> Figures | None:
    if not len(outcome):
        return None
    if head.probabilities:
        return asdict(reliability(forecast, outcome))
    return {"outcomes": len(outcome), head.loss_unit.lower(): head.mean_loss(2.0 * np.log(forecast), outcome)}


def _reference(task: _Task, judged: Estimates) -> pd.DataFrame:
    candidates, rows = task.labels.candidates, judged.rows - task.first_row
    kept = np.ones(len(rows), dtype=bool) if candidates is None else candidates[rows, judged.columns]
    names = estimators_of(task.strategy.learning.baselines)
    count, kinds = int(kept.sum()), len(names)
    sessions = task.cube.sessions[rows[kept]]
    symbols = pd.Series(task.cube.symbols, dtype="str")
    return pd.DataFrame(
        {
            "symbol": symbols.take(np.tile(judged.columns[kept], kinds)).array,
            "session": pd.DatetimeIndex(np.tile(sessions.to_numpy(), kinds)).as_unit("ns"),
            "estimator": pd.Series([name for name in names for _ in range(count)], dtype="str"),
            "probability": np.concatenate([task.head.share(judged.probability[name][kept]) for name in names]),
        }
    )
