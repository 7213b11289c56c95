"""What a replay is made of: sessions as each knew them, forecasts, costs in force, timing and groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from nn_assets.costs.model import CostModel
from nn_assets.evaluation.study import StudyMaterial, StudyRefresh, StudyStretch
from nn_assets.learning.forecasts import Forecasts
from nn_assets.learning.refits import used_rows
from nn_assets.operations.asof.capacity import capacity_in_force
from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.operations.clock import as_of_sessions, has_clock, now_utc
from nn_assets.operations.decision_timing import decision_timing
from nn_assets.operations.history import History
from nn_assets.operations.models.groups import groups_by_row
from nn_assets.operations.models.stored import drift_references, load_model


def material_of(
    history: History,
    months: Sequence[str],
    forecasts: Forecasts,
    refreshes: Sequence[StudyRefresh] = (),
    *,
    watched: bool = True,
) -> StudyMaterial:
    """Gather what replays of these forecasts read, over the sessions that each month's models are used on.

    Parameters
    ----------
    months : sequence of str
        YYYY-MM, consecutive, that are out of sample.
    forecasts : Forecasts
        Calibrated, on the whole axis.
    refreshes : sequence of StudyRefresh
        Asked for by the drift of the forecasts, ascending.
    watched : bool
        Whether drift is watched: without it no model's reference is read.
    """
    strategy = history.strategy
    watched = watched and not strategy.of_no_direction
    month_by_row = [""] * len(history.axis)
    for month in months:
        rows = used_rows(strategy, history.axis, month)
        month_by_row[rows] = [month] * (rows.stop - rows.start)
    clocked = has_clock(strategy.market, now_utc())  # as for a decision, what came too late for a session is none of it
    moments = as_of_sessions(strategy.market, history.axis) if clocked else None

    def due(row: int) -> pd.Timestamp | None:
        return None if moments is None else moments[row]

    costs = costs_in_force(history.stores.ledger, strategy.name)
    models: dict[str | None, CostModel] = {}

    def costs_of(row: int) -> CostModel:
        cost_model_id = costs.on(history.axis[row], due(row))
        if cost_model_id not in models:
            models[cost_model_id] = cost_model(history.stores.ledger, strategy, cost_model_id)
        return models[cost_model_id]

    capacity = capacity_in_force(history.stores.ledger, strategy)
    used = [row for row, month in enumerate(month_by_row) if month]
    timing = decision_timing(history)

    def known() -> Iterator[StudyStretch]:
        for stretch in history.stretches(range(used[0], used[-1] + 1)):
            cut = stretch.cut
            in_force = [model_id for model_id in forecasts.model_ids[: cut.cube.session_count] if model_id]
            references = drift_references(history, cut.cube, cut.members, in_force) if watched else {}
            groups = groups_by_row(history, cut.market, forecasts.model_ids)
            yield StudyStretch(stretch.rows, cut.market, cut.cube, cut.labels, references, groups, timing)

    (newest,) = history.stretches([used[-1]])
    return StudyMaterial(
        history.axis,
        history.symbols,
        forecasts,
        month_by_row,
        forecasts.model_ids,
        known,
        costs_of,
        refreshes,
        training=_training_rows(history, forecasts.model_ids),
        first_rows=None if history.strategy.market.symbols else newest.cut.first_rows,
        capacity=lambda row: capacity.on(history.axis[row], due(row)),
    )


def _training_rows(history: History, model_ids: Iterable[str | None]) -> dict[str, range]:
    """Rows that each model was trained on, by its id."""
    folds = {model_id: load_model(history.stores, model_id).fold for model_id in dict.fromkeys(model_ids) if model_id}
    return {model_id: range(fold.training.start, fold.training.stop) for model_id, fold in folds.items()}
