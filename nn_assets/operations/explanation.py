"""What moved the forecasts of a session, and what each feature was worth over some months, by the models in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.evaluation.significance import robust_mean_test
from nn_assets.learning.explanation import Importance, Move, importance, what_moved
from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model


@dataclass(frozen=True, eq=False)
class MovedForecasts:
    """The moves of a session's forecasts, the model that made them, and whether the session before had another."""

    session: pd.Timestamp
    before: pd.Timestamp
    model_id: str
    refitted: bool
    move: Move


def moved_forecasts(history: History, session: pd.Timestamp | None = None) -> MovedForecasts:
    """Explain a session's forecasts by what they read: the features as they were known at its decision.

    Parameters
    ----------
    history : History
    session : Timestamp, optional
        The last closed one when left out.

    Raises
    ------
    DecisionError
        The session is not closed yet, lies in the vault, or is no session of the calendar.
    ModelError
        No model is in force on it.
    """
    view = history.view(session)
    model = load_model(history.stores, view.model_id)
    before = view.sessions[view.row - 1]
    move = what_moved(model, view.cube, view.row)
    refitted = view.row <= model.fold.used_from or view.models.on(before) != view.model_id
    return MovedForecasts(view.session, before, view.model_id, refitted, move)


@dataclass(frozen=True, eq=False)
class MonthlyImportance:
    """Permutation importance by month, each by the model in force at its start; months without one are left out."""

    months: tuple[str, ...]
    of_each: tuple[Importance, ...]
    horizon: int  # sessions of the label

    def table(self) -> pd.DataFrame:
        """A row a feature, the most important first.

        Columns: feature; months, in which a model used it; rise, the mean rise of the log loss over all sessions, in
        nats, its standard_error, robust to labels that overlap, and t. NaN where all symbols share the feature, and
        below 20 sessions.
        """
        rises: dict[str, list[float]] = {}
        months: dict[str, int] = {}
        for one in self.of_each:
            for column, name in enumerate(one.features):
                rises.setdefault(name, []).extend(one.rise[:, column].tolist())
                months[name] = months.get(name, 0) + 1
        rows = []
        for name, values in rises.items():
            test = robust_mean_test(np.array(values), self.horizon)
            rows.append((name, months[name], test.estimate, test.standard_error, test.t_statistic))
        frame = pd.DataFrame(rows, columns=["feature", "months", "rise", "standard_error", "t"])
        frame = frame.astype({"rise": "float64", "standard_error": "float64", "t": "float64"})
        return frame.sort_values("rise", ascending=False, ignore_index=True)


def importance_by_month(history: History, months: Sequence[str], repeats: int = 3) -> MonthlyImportance:
    """What each feature was worth in some months of use, out of sample, each by the model in force at its start.

    Features and labels are those known at the last session that may be seen; a label that is not realised by then
    counts nowhere.

    Parameters
    ----------
    months : sequence of str
        As ``2016-03``.
    """
    view = history.view()
    done: list[tuple[str, Importance]] = []
    for month in months:
        period = pd.Period(month, "M")
        rows = slice(
            int(history.axis.searchsorted(period.start_time)),
            int(history.axis.searchsorted(period.end_time.floor("D"), side="right")),
        )
        rows = slice(rows.start, min(rows.stop, view.row + 1))
        if rows.start < rows.stop and view.models.by_month.get(month):
            model = load_model(history.stores, view.models.on(history.axis[rows.start]))
            done.append((month, importance(model, view.cube, view.labels, rows, repeats=repeats)))
    if not done:
        view.models.on(view.session)  # which says what to do where there is no model at all
    horizon = history.strategy.label.horizon_sessions
    return MonthlyImportance(tuple(month for month, _ in done), tuple(one for _, one in done), horizon)
