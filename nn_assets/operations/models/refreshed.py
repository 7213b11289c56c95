"""The record that a study replays: forecasts by the models on record, and by the refreshes that drift asks for in it.

Session after session the network's forecasts are watched as they are live. Where their drift asks for a refresh after
a session, the same configuration is fitted on what that session knew, and takes force on the next one if it passes
the check that a live refresh passes. The refits that fall due afterwards are checked against the model then in force.
A model that the ledger has in force from within a month was put there live, and takes force here, too.
"""

from __future__ import annotations

from collections.abc import Callable

from nn_assets.evaluation.study import StudyRefresh
from nn_assets.learning.estimators import ESTIMATORS
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import fitted_month, forecast_rows
from nn_assets.learning.forecasts import Forecasts
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import History, Stretch
from nn_assets.operations.models.forecasts import forecast_by, forecast_record
from nn_assets.operations.models.preparation import due_folds, fold_after
from nn_assets.operations.models.stored import drift_references
from nn_assets.operations.models.training import candidate_for
from nn_assets.oversight.refreshes import RefreshWatch, next_refresh_watch
from nn_assets.session.drift_watch import DriftWatch, drift_watch

__all__ = ["refreshed_record"]

Told = Callable[[str], None]

_ASKS = ESTIMATORS[0]


def refreshed_record(history: History, months: list[str], tell: Told) -> tuple[Forecasts, tuple[StudyRefresh, ...]]:
    """Forecasts of every session of consecutive months, refreshes carried out, and what came of each request.

    A model that is in the store is not fitted again. Nothing is put in force live, and nothing of a session hangs on
    what came after it.

    Returns
    -------
    Forecasts
        Uncalibrated, on the whole axis; they name the model of each session.
    tuple of StudyRefresh
        In order of the sessions that asked.
    """
    chain = _Chain(history, months, tell)
    for stretch in history.stretches(chain.rows):
        row = stretch.rows.start
        while row < stretch.rows.stop:
            row = chain.play(stretch, row)
    return chain.record, tuple(chain.refreshes)


class _Chain:
    """Which model is in force, as far as the record was played."""

    def __init__(self, history: History, months: list[str], tell: Told) -> None:
        self._history, self._tell = history, tell
        self.record = forecast_record(history, months)
        self.rows = range(forecast_rows(history.axis, months[0]).start, forecast_rows(history.axis, months[-1]).stop)
        self.refreshes: list[StudyRefresh] = []
        on_record = models_in_force(history.stores.ledger, history.strategy)
        self._on_record = {row: on_record.on(history.axis[row]) for row in self.rows}
        anchor, every = first_model_month(history.strategy), history.strategy.walk_forward.refit_every_months
        self._refits = {
            forecast_rows(history.axis, month).start: month
            for month in months
            if fitted_month(month, anchor, every) == month
        }
        self._in_force = ""
        self._taken_from = -1  # row from which the last refresh is in force
        self._asked = RefreshWatch()
        self._watch: DriftWatch | None = None

    def play(self, stretch: Stretch, row: int) -> int:
        """Play sessions of a stretch from a row on, as long as one model is in force; the row after them."""
        self._in_force = self._model_from(row)
        rows = range(row, self._next_change(row, stretch.rows.stop))
        if self._in_force != self._on_record[row]:
            forecast_by(self._history, rows, lambda _: self._in_force, self.record)
        watch = self._watch_over(stretch, rows)
        for each in rows:
            if (report := watch(each)) is None:
                continue
            self._asked = next_refresh_watch(self._asked, report, self._history.strategy.oversight)
            if self._asked.asked == report.session and self._carry_out(each):
                return each + 1
        return rows.stop

    def _model_from(self, row: int) -> str:
        """The model that decides a row: another than on the row before only where a model takes force on it."""
        before = self._on_record.get(row - 1)
        if row in self._refits and self._in_force not in ("", before):
            (due,) = due_folds(self._history, self._history.strategy, [self._refits[row]])
            refit, check = candidate_for(self._history, due, self._in_force, self._tell)
            return refit if check.accepted else self._in_force
        if row != self._taken_from and (self._in_force in ("", before) or self._on_record[row] != before):
            return self._on_record[row]
        return self._in_force

    def _next_change(self, row: int, stop: int) -> int:
        """The next row on which another model may take force, if no refresh does before."""
        told = self._on_record
        changes = (each for each in range(row + 1, stop) if each in self._refits or told[each] != told[each - 1])
        return next(changes, stop)

    def _watch_over(self, stretch: Stretch, rows: range) -> DriftWatch:
        strategy, cut = self._history.strategy, stretch.cut
        # Only the rows that the first window can reach need a reference.
        reach = max(0, rows.start - 2 * strategy.oversight.drift_window_sessions)
        told = self.record.model_ids[: rows.stop]
        models = [None] * reach + list(told[reach:]) + [None] * (cut.cube.bars - rows.stop)
        beside = self._watch if rows.start != stretch.rows.start else None
        self._watch = drift_watch(
            cut.cube.where(cut.members) if beside is None else beside.cube,
            self.record[_ASKS].probability[: cut.cube.bars],
            models,
            drift_references(cut, [each for each in models if each])[_ASKS],
            strategy.oversight,
            beside,
        )
        return self._watch

    def _carry_out(self, row: int) -> bool:
        """Fit the refresh that a row's drift asks for; whether it takes force on the next."""
        session = self._history.axis[row]
        if row + 1 not in self._on_record:
            self.refreshes.append(StudyRefresh(session))
            return False
        self._tell(f"drift asks for a refresh after {session.date()}")
        due = fold_after(self._history, session)
        model_id, check = candidate_for(self._history, due, self._in_force, self._tell)
        self.refreshes.append(StudyRefresh(session, model_id, check))
        if check.accepted:
            self._in_force, self._taken_from = model_id, row + 1
        return check.accepted
