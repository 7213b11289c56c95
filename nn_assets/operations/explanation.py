"""What moved the forecasts of a session, and what each feature was worth over some months, by the models in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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

    def table(self) -> pd.DataFrame:
        """A row a feature, the most important first.

        Columns: feature; months, in which a model used it; rise and standard_error, of the mean rise of the log loss
        over all sessions, in nats; t.
        """
        rises: dict[str, list[float]] = {}
        months: dict[str, int] = {}
        for one in self.of_each:
            for column, name in enumerate(one.features):
                rises.setdefault(name, []).extend(one.rise[:, column].tolist())
                months[name] = months.get(name, 0) + 1
        rows = []
        for name, values in rises.items():
            error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
            mean = float(np.mean(values)) if values else float("nan")
            rows.append((name, months[name], mean, error, mean / error if error else float("nan")))
        frame = pd.DataFrame(rows, columns=["feature", "months", "rise", "standard_error", "t"])
        return frame.sort_values("rise", ascending=False, ignore_index=True)


def importance_by_month(history: History, months: Sequence[str], repeats: int = 3) -> MonthlyImportance:
    """What each feature was worth in some months of use, out of sample.

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
        address = view.models.on(history.axis[rows.start]) if rows.start < rows.stop else None
        if address is not None:
            model = load_model(history.stores, address)
            done.append((month, importance(model, view.cube, view.labels, rows, repeats=repeats)))
    return MonthlyImportance(tuple(month for month, _ in done), tuple(one for _, one in done))
