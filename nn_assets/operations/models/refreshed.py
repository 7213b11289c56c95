"""The record that a study replays: forecasts by the models on record, and by the refreshes that drift asks for in it.

Session after session the network's forecasts are watched as they are live. Where their drift asks for a refresh after
a session, the same configuration is fitted on what that session knew, and takes force on the next one if it passes
the check that a live refresh passes; one that cannot be fitted is refused. The refits that fall due afterwards are
checked against the model then in force.
A model that the ledger has in force from within a month was put there live, and takes force here, too. As long as no
session is decided, what is in force in this record before the first live one is put in force on the ledger, so that a
live round goes on where it ends: with its model, and its forecasts to calibrate by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.errors import ShortFoldError, TrainingError
from nn_assets.estimators import TRADED
from nn_assets.evaluation.study import StudyRefresh
from nn_assets.learning.folds import forecast_rows
from nn_assets.learning.forecasts import Forecasts
from nn_assets.learning.refits import refits_of, used_rows
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.models import OF_STUDY, models_in_force, scheduled_models, studied_models
from nn_assets.operations.history import History, Stretch
from nn_assets.operations.models.forecasts import forecast_by, forecast_months, forecasts_of_months
from nn_assets.operations.models.outdated import keep_facts
from nn_assets.operations.models.preparation import fold_after, folds_of
from nn_assets.operations.models.stored import drift_references
from nn_assets.operations.models.training import MonthModel, candidate_for, model_row, taken_back_rows
from nn_assets.oversight.refreshes import RefreshWatch, next_refresh_watch
from nn_assets.session.drift_watch import DriftWatch, drift_watch

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class RefreshedForecasts:
    """Forecasts of consecutive months with the refreshes that drift asked for, and the outcome of each request."""

    forecasts: Forecasts  # uncalibrated, on the whole axis; they name the model of each session
    refreshes: tuple[StudyRefresh, ...]  # in order of the sessions that asked
    in_force: dict[int, str]  # model by row
    scheduled: dict[int, str]  # what the ledger has in force without any study
    checks: dict[str, RefreshCheck]  # by model, of those that took force by a check made here


def refreshed_forecasts(history: History, months: list[str], tell: Progress) -> RefreshedForecasts:
    """Forecasts of every session of consecutive months, refreshes carried out, and the outcome of each request.

    A model that is in the store is not fitted again. Nothing of a session depends on what came after it.
    """
    chain = _Chain(history, months, tell)
    for stretch in history.stretches(chain.rows):
        row = stretch.rows.start
        while row < stretch.rows.stop:
            row = chain.play(stretch, row)
    return RefreshedForecasts(chain.forecasts, tuple(chain.refreshes), chain.in_force_on, chain.scheduled, chain.checks)


class _Chain:
    """Which model is in force, as far as the record was played."""

    def __init__(self, history: History, months: list[str], tell: Progress) -> None:
        self._history, self._progress = history, tell
        self.forecasts = forecasts_of_months(history, months)
        self.rows = range(
            used_rows(history.strategy, history.axis, months[0]).start, forecast_rows(history.axis, months[-1]).stop
        )
        self.refreshes: list[StudyRefresh] = []
        self.checks: dict[str, RefreshCheck] = {}
        self.in_force_on: dict[int, str] = {}
        recorded, scheduled = (
            read(history.stores.ledger, history.strategy) for read in (models_in_force, scheduled_models)
        )
        self._forecast_by = {row: recorded.on(history.axis[row]) for row in self.rows}
        self.scheduled = {row: scheduled.on(history.axis[row]) for row in self.rows}
        refits = refits_of(history.strategy).begin_in(months)
        self._refits = {int(history.axis.searchsorted(pd.Timestamp(refit))): refit for refit in refits}
        self._in_force = ""
        self._taken_from = -1  # row from which the last refresh is in force
        self._asked = RefreshWatch()
        self._watch: DriftWatch | None = None

    def play(self, stretch: Stretch, row: int) -> int:
        """Play sessions of a stretch from a row on, as long as one model is in force; the row after them."""
        self._in_force = self._model_from(row)
        rows = range(row, self._next_change(row, stretch.rows.stop))
        if any(self._forecast_by[index] != self._in_force for index in rows):
            forecast_by(self._history, rows, lambda _: self._in_force, self.forecasts)
            self._forecast_by.update(dict.fromkeys(rows, self._in_force))
        watch = self._watch_over(stretch, rows)
        for index in rows:
            self.in_force_on[index] = self._in_force
            if (report := watch(index)) is None:
                continue
            self._asked = next_refresh_watch(self._asked, report, self._history.strategy.oversight)
            if self._asked.asked == report.session and self._carry_out(index):
                return index + 1
        return rows.stop

    def _model_from(self, row: int) -> str:
        """The model that decides a row: another than on the row before only where a model takes force on it."""
        before = self.scheduled.get(row - 1)
        if row in self._refits and self._in_force not in ("", before):
            (due,) = folds_of(self._history, [self._refits[row]])
            refit, check = candidate_for(self._history, due, self._in_force, self._progress)
            self.checks[refit] = check
            return refit if check.accepted else self._in_force
        if row != self._taken_from and (self._in_force in ("", before) or self.scheduled[row] != before):
            return self.scheduled[row]
        return self._in_force

    def _next_change(self, row: int, stop: int) -> int:
        """The next row on which another model may take force, if no refresh does before."""
        scheduled = self.scheduled
        changes = (
            index for index in range(row + 1, stop) if index in self._refits or scheduled[index] != scheduled[index - 1]
        )
        return next(changes, stop)

    def _watch_over(self, stretch: Stretch, rows: range) -> DriftWatch:
        strategy, cut = self._history.strategy, stretch.cut
        # Only the rows that the first window can reach need a reference.
        reach = max(0, rows.start - 2 * strategy.oversight.drift_window_sessions)
        model_ids = self.forecasts.model_ids[: rows.stop]
        models = [None] * reach + list(model_ids[reach:]) + [None] * (cut.cube.session_count - rows.stop)
        beside = self._watch if rows.start != stretch.rows.start else None
        self._watch = drift_watch(
            cut.cube.where(cut.members) if beside is None else beside.cube,
            self.forecasts[TRADED].probability[: cut.cube.session_count],
            models,
            drift_references(self._history, cut.cube, cut.members, [model_id for model_id in models if model_id]).get(
                TRADED, {}
            ),
            strategy.oversight,
            beside,
        )
        return self._watch

    def _carry_out(self, row: int) -> bool:
        """Fit the refresh that a row's drift asks for; whether it takes force on the next."""
        session = self._history.axis[row]
        if row + 1 not in self.scheduled:
            self.refreshes.append(StudyRefresh(session))
            return False
        self._progress(f"drift asks for a refresh after {session.date()}")
        model_id, check = self._candidate_after(session)
        self.refreshes.append(StudyRefresh(session, model_id, check))
        if model_id is None:
            return False
        self.checks[model_id] = check
        if check.accepted:
            self._in_force, self._taken_from = model_id, row + 1
        return check.accepted

    def _candidate_after(self, session: pd.Timestamp) -> tuple[str | None, RefreshCheck]:
        """The model of a refresh and its check; no model, and refused, where the data do not let one be fitted."""
        try:
            return candidate_for(self._history, fold_after(self._history, session), self._in_force, self._progress)
        except (ShortFoldError, TrainingError) as error:
            self._progress(f"the refresh could not be fitted: {error}")
            return None, RefreshCheck(accepted=False, reason=f"it could not be fitted: {error}")


def put_in_force_before_live(history: History, refreshed: RefreshedForecasts, run_id: str) -> None:
    """Put in force on the ledger what is in force in a record up to the first live session, and store its forecasts.

    Nothing once a session is decided: what it was decided on stays. What an earlier study put in force, and this one
    does not, is taken back, in the months after this study's last one too: a refresh is there as a whole or not.
    """
    strategy, ledger = history.strategy, history.stores.ledger
    if not refreshed.in_force or first_undecided(ledger, strategy) is not None:
        return
    earlier = studied_models(ledger, strategy)
    rows = _rows_of_study(history, refreshed)
    wanted = {(row["month"], row["model_id"]) for row in rows}
    first, last = (history.axis[row] for row in (min(refreshed.in_force), max(refreshed.in_force)))
    unwanted = pd.Series(
        [key not in wanted for key in zip(earlier["month"], earlier["model_id"], strict=True)], earlier.index, bool
    )
    gone = unwanted & earlier["effective_session"].between(first, last)
    withdrawn = set(earlier.loc[gone, "model_id"]) - {model_id for _, model_id in wanted}
    gone |= (earlier["effective_session"] > last) & earlier["model_id"].isin(withdrawn)
    taken_back = taken_back_rows(history, earlier[gone])
    if not rows and not taken_back:
        return
    ledger.append(
        "models", [*taken_back, *rows], run_id=run_id, strategy=strategy.name, reason="another study was made"
    )
    months = sorted({str(row["month"]) for row in (*taken_back, *rows)})
    later = [month for month in months if month > f"{last:%Y-%m}"]
    tables = {
        month: refreshed.forecasts.rows(used_rows(history.strategy, history.axis, month)).to_rows()
        for month in months
        if month not in later
    }
    keep_facts(history, tables)
    for month, table in (forecast_months(history, later, run_id) | tables).items():
        history.stores.lake.write_month(strategy.name, FORECASTS, month, table)


def _rows_of_study(history: History, refreshed: RefreshedForecasts) -> list[dict[str, Any]]:
    """Rows of the ledger's ``models``: one for each month and model in it that the schedule does not have in force."""
    starts = history.strategy.market.live_starts
    live = len(history.axis) if starts is None else int(history.axis.searchsorted(pd.Timestamp(starts)))
    asked_on = {refresh.model_id: str(refresh.session.date()) for refresh in refreshed.refreshes}
    rows, previous, began = [], "", min(refreshed.in_force)
    for row, model_id in refreshed.in_force.items():
        began = began if refreshed.in_force.get(row - 1) == model_id else row
        month = f"{history.axis[row]:%Y-%m}"
        if began <= live and model_id != refreshed.scheduled[row] and f"{month} {model_id}" != previous:
            previous = f"{month} {model_id}"
            check = refreshed.checks[model_id]
            month_model = MonthModel(month, model_id, began == row, check)
            record = model_row(history, month_model, history.axis[row])
            record["figures"] |= {OF_STUDY: refreshed.scheduled[row], "asked": asked_on.get(model_id)}
            rows.append(record)
    return rows
