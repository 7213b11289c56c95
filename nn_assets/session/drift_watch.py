"""Drift watched through history: each session against the model that was in force on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, Cube, FloatArray, Symbol
from nn_assets.contracts.frames import ForecastRows
from nn_assets.features.catalogue import CATALOGUE
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import forecast
from nn_assets.oversight.drift import DriftMonitor, DriftReport, DriftStatistic
from nn_assets.oversight.monitored import cross_section
from nn_assets.oversight.reference import DriftReference, drift_reference
from nn_assets.settings import OversightSettings


def model_references(
    model: FoldModel,
    cube: Cube,
    settings: OversightSettings,
    sessions_per_year: int,
    candidates: BoolArray | None = None,
) -> dict[str, DriftReference]:
    """What each estimator of a model knew when it was fitted: its forecasts of what it had seen, and the features.

    Later forecasts are expected to be distributed as those of the sessions that its weights were not
    fitted to, validation and calibration; how long they remember is measured from the first training
    session on. Features that rank the members of a session are not monitored: their mean is the same on every
    session, and their spread tells how many members there are.

    Parameters
    ----------
    cube : Cube
        Untransformed, from the first session of the axis on; only the rows that the model was fitted on
        are read, to the end of its calibration rows, with a lookback before them, and only the symbols.
    candidates : array of bool, shape (bars, symbols), optional
        Members of the universe on each session: no one else's features or forecasts count. Everyone
        when left out.
    """
    fold = model.fold
    read_rows = slice(fold.training.start, fold.calibration.stop)
    forecasts = forecast(model, cube, read_rows, before_use=True)
    features = np.asarray(cube.where(candidates).values[fold.training])  # noqa: PD011  no pandas object
    # Those who never belonged, or joined since, are no symbols of the panel, however many there are.
    columns = np.isin(cube.symbols, model.symbols)
    if candidates is not None:
        columns &= candidates[read_rows].any(axis=0)
    references: dict[str, DriftReference] = {}
    for estimator in model.estimators.names:
        history = forecasts[estimator].probability
        if candidates is not None:
            history = np.where(candidates[read_rows], history, np.nan)
        validation = _table(model.validation_forecasts, cube.symbols, cube.sessions[fold.validation], estimator)
        references[estimator] = drift_reference(
            validation[:, columns],
            features[:, columns],
            cube.names,
            settings,
            unmonitored=[name for name in cube.names if name in CATALOGUE and CATALOGUE[name].ranked],
            held_out=history[fold.validation.start - read_rows.start :, columns],
            history=history[:, columns],
            model_id=model.model_id,
            sessions_per_year=sessions_per_year,
            beside=next(iter(references.values()), None),
        )
    return references


def _table(rows: ForecastRows, symbols: Sequence[Symbol], sessions: pd.DatetimeIndex, estimator: str) -> FloatArray:
    """Probabilities of one estimator, (sessions, symbols); NaN where there is no forecast."""
    selected = rows[(rows["estimator"] == estimator) & rows["symbol"].isin(symbols)]
    table = np.full((len(sessions), len(symbols)), np.nan)
    cells = (
        sessions.get_indexer(pd.DatetimeIndex(selected["session"])),
        pd.Index(symbols).get_indexer(pd.Index(selected["symbol"])),
    )
    table[cells] = selected["probability"]
    return table


@dataclass(frozen=True, eq=False)
class DriftWatch:
    """Series of a whole history, and for each row the reference of the model in force."""

    monitor: DriftMonitor
    cube: Cube
    in_force: Sequence[DriftReference | None]  # (bars,)
    forecast_columns: FloatArray  # (bars, series)
    feature_columns: FloatArray  # (bars, series)
    feature_tests: dict[tuple[int, str], tuple[DriftStatistic, ...]] = field(default_factory=dict, repr=False)

    def __call__(self, row: int) -> DriftReport | None:
        """The report of a row; None where no model was in force."""
        reference = self.in_force[row]
        if reference is None:
            return None
        series = self.forecast_columns, self.feature_columns
        return self.monitor.examine(row, self.cube.sessions[row], *series, reference, self.feature_tests)


def drift_watch(
    cube: Cube,
    probability: FloatArray,
    model_by_row: Sequence[str | None],
    references: Mapping[str, DriftReference],
    settings: OversightSettings,
    beside: DriftWatch | None = None,
) -> DriftWatch:
    """Prepare the watch over a history.

    Parameters
    ----------
    cube : Cube, values (bars, symbols, features)
        Missing for those who are no members of the universe, where there is one.
    probability : ndarray, shape (bars, symbols)
        Uncalibrated forecasts, each by the model then in force; NaN where there is none.
    model_by_row : sequence of str or None, length bars
        Model id in force on each row.
    references : mapping of model id to DriftReference
        Of the models that hold the estimator; no other session is watched.
    beside : DriftWatch, optional
        Over another estimator of the same models on the same cube: what it tests of the features is taken over.
    """
    ranks = np.full(probability.shape, np.nan)
    in_force: list[DriftReference | None] = []
    for row, model_id in enumerate(model_by_row):
        reference = None if model_id is None else references.get(model_id)
        in_force.append(reference)
        if reference is not None:
            ranks[row] = reference.forecast_ranks(probability[row])
    return DriftWatch(
        monitor=DriftMonitor(settings),
        cube=cube,
        in_force=in_force,
        forecast_columns=cross_section(ranks[:, :, None]),
        feature_columns=cross_section(np.asarray(cube.values)) if beside is None else beside.feature_columns,
        feature_tests={} if beside is None else beside.feature_tests,
    )
