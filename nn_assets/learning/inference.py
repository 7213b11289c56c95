"""Forecasts from a fitted fold, with the same bits whichever rows are asked for together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import Cube, FloatArray, IntArray
from nn_assets.errors import ModelError
from nn_assets.estimators import ESTIMATORS, TRADED, VOLATILITY
from nn_assets.features.stationarity import apply_transforms
from nn_assets.learning.address import first_needed_row
from nn_assets.learning.fitted import FittedMember
from nn_assets.learning.fold_model import Estimators, FoldModel
from nn_assets.learning.forecasts import Forecasts, no_forecasts
from nn_assets.learning.momentum import past_returns
from nn_assets.learning.windows import Windows
from nn_assets.plugins import imported


@dataclass(frozen=True, eq=False)
class Estimates:
    """Forecasts of the samples with a whole window, in order of row, then symbol.

    Probabilities; of a head that forecasts none, what it forecasts instead.
    """

    rows: IntArray  # (samples,), on the full session axis
    columns: IntArray  # (samples,)
    probability: dict[str, FloatArray]  # of each estimator, (samples,)
    dispersion: dict[str, FloatArray]  # standard deviation over members; 0 for one member


def forecast(model: FoldModel, cube: Cube, rows: slice, *, before_use: bool = False) -> Forecasts:
    """Forecast sessions with a fitted fold.

    Parameters
    ----------
    model : FoldModel
    cube : Cube, values (bars, symbols, features)
        Untransformed and unscaled, from the first session of the axis on. Rows from ``rows.stop``
        on are not read. Symbols that the model was not fitted with are not read either, and have no forecast.
    rows : slice
        Sessions to forecast, none before the model's first session of use.
    before_use : bool
        Allow earlier rows, to judge a model on its own calibration rows; never part of a record.

    Returns
    -------
    Forecasts
        On the rows asked for, uncalibrated. A symbol without features on a row has no forecast on it, nor has one
        whose window lacks more rows than the model may step over. A model that learned volatility, as its label or
        beside it, forecasts v / (1 + v) of the variance v in units of the recent one. Bit for bit the same whether a
        session is asked for alone or with others.

    Raises
    ------
    ModelError
        The cube's first session or features are not those of the fit, or a row lies before the model's use.
    """
    _require_same_start_and_features(model, cube)
    if (rows.start < model.fold.used_from and not before_use) or rows.stop > cube.session_count:
        raise ModelError(
            expected=f"rows from {model.fold.used_from}, the model's first use, to at most {cube.session_count}",
            found=f"rows {rows.start} to {rows.stop}",
            remedy="forecast each month with the model that was fitted before it",
            model=model.model_id,
            month=model.fold.month,
        )
    if rows.stop <= rows.start:
        return no_forecasts(cube.sessions[:0], cube.symbols, _names(model))
    windows = model_windows(model, cube, rows)
    estimates = estimate(model.estimators, windows, rows)
    for name, forecasts in estimates.probability.items():
        estimates.probability[name] = model.estimators.head.share(forecasts)
    if model.volatility is not None:
        of_volatility = estimate(model.volatility, windows, rows)
        estimates.probability[VOLATILITY] = model.volatility.head.share(of_volatility.probability[TRADED])
        estimates.dispersion[VOLATILITY] = of_volatility.dispersion[TRADED]
    return _on_axis(model, cube, rows, estimates)


def forecast_members(model: FoldModel, cube: Cube, rows: slice) -> dict[str, FloatArray]:
    """Uncalibrated forecasts of each member of each estimator, as :func:`forecast` takes its arguments.

    Returns
    -------
    dict of estimator to array, shape (members, rows, symbols)
        NaN without a forecast. Their mean over members is what :func:`forecast` gives.
    """
    _require_same_start_and_features(model, cube)
    windows = model_windows(model, cube, rows)
    local_rows, columns = np.nonzero(windows.whole()[rows.start - windows.first_row : rows.stop - windows.first_row])
    column = {symbol: number for number, symbol in enumerate(cube.symbols)}
    own = np.array([column.get(symbol, -1) for symbol in model.symbols])  # one that is not there has no window
    made = {}
    for name in model.estimators.names:
        kind: type[FittedMember] = imported(ESTIMATORS[name].member)
        members = model.estimators.members[name]
        table = np.full((len(members), rows.stop - rows.start, len(cube.symbols)), np.nan)
        outputs = kind.outputs(members, model.estimators.settings, windows, local_rows + rows.start, columns)
        table[:, local_rows, own[columns]] = model.estimators.head.forecast(outputs)
        made[name] = table
    return made


def model_windows(model: FoldModel, cube: Cube, rows: slice) -> Windows:
    """Windows of a cube's rows as a model reads them: its features, transformed and scaled as it was fitted.

    On the model's own symbols: each sample keeps its place in its block, whichever symbols joined or left since.
    """
    missing = model.stationarity.max_missing_fraction
    first = first_needed_row(rows.start, model.lookback, missing)
    own = cut_cube(cube, first, rows.stop).of_symbols(model.symbols)
    values = apply_transforms(own, model.stationarity).select(model.feature_names).values
    scaled = model.scaler.transform(values)
    return Windows(scaled, model.lookback, first, missing, past_returns=past_returns(own))


def cut_cube(cube: Cube, first: int, stop: int) -> Cube:
    """Cut rows ``first`` to ``stop`` out of a cube; views, nothing is copied."""
    return Cube(cube.sessions[first:stop], cube.symbols, cube.names, cube.values[first:stop])


def estimate(estimators: Estimators, windows: Windows, rows: slice) -> Estimates:
    """Uncalibrated forecasts of every sample of some rows that has a whole window."""
    inside = slice(rows.start - windows.first_row, rows.stop - windows.first_row)
    local_rows, columns = np.nonzero(windows.whole()[inside])
    sample_rows = local_rows.astype(np.int64) + rows.start
    columns = columns.astype(np.int64)
    moments = {}
    for name in estimators.names:
        members = estimators.members[name]
        member: type[FittedMember] = imported(ESTIMATORS[name].member)
        moments[name] = _ensemble(
            estimators.head.forecast(member.outputs(members, estimators.settings, windows, sample_rows, columns))
        )
    return Estimates(
        rows=sample_rows,
        columns=columns,
        probability={name: mean for name, (mean, _) in moments.items()},
        dispersion={name: spread for name, (_, spread) in moments.items()},
    )


def _ensemble(forecasts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (one degree of freedom less) over members, added in their order."""
    members, samples = forecasts.shape
    total = np.zeros(samples)
    for line in forecasts:
        total += line
    mean = total / members
    squares = np.zeros(samples)
    for line in forecasts:
        squares += (line - mean) ** 2
    return mean, np.sqrt(squares / max(members - 1, 1))


def _on_axis(model: FoldModel, cube: Cube, rows: slice, estimates: Estimates) -> Forecasts:
    """Spread the samples over (rows, symbols), on the cube's axis."""
    table = no_forecasts(cube.sessions[rows], model.symbols, _names(model))
    cells = estimates.rows - rows.start, estimates.columns
    for name in _names(model):
        table[name].probability[cells] = estimates.probability[name]
        table[name].dispersion[cells] = estimates.dispersion[name]
    has_forecast = np.isin(np.arange(len(table.sessions)), cells[0])
    model_ids = [model.model_id if present else None for present in has_forecast]
    return Forecasts(table.sessions, table.symbols, table.estimators, model_ids).of_symbols(cube.symbols)


def _names(model: FoldModel) -> tuple[str, ...]:
    return (*model.estimators.names, *(() if model.volatility is None else (VOLATILITY,)))


def _require_same_start_and_features(model: FoldModel, cube: Cube) -> None:
    if cube.sessions[0] != model.axis_start:
        raise ModelError(
            expected=f"a history whose first session is {model.axis_start.date()}, as the model was fitted on",
            found=f"{cube.sessions[0].date()}",
            remedy="put market.history_starts back, or let nn-assets study fit the model again",
            model=model.model_id,
            key="market.history_starts",
        )
    missing = [name for name in model.stationarity.kept if name not in cube.names]
    if missing:
        raise ModelError(
            expected="every feature that the model was fitted on",
            found=f"none named {', '.join(missing)}",
            remedy="put features.names back, or let nn-assets study fit the model again",
            model=model.model_id,
        )
