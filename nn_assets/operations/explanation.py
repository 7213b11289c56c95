"""What moved the forecasts of a session, and what each feature was worth over some months, by the models in force."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.evaluation.significance import robust_mean_test
from nn_assets.features.labels import label_kind
from nn_assets.learning.explanation import Importance, Move, importance, what_moved
from nn_assets.learning.folds import forecast_rows
from nn_assets.learning.heads import HEADS, SIGN
from nn_assets.operations.asof.models import ModelsInForce
from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model
from nn_assets.settings import Strategy


@dataclass(frozen=True, eq=False)
class MovedForecasts:
    """The moves of a session's forecasts, the model that made them, and whether the session before had another."""

    session: pd.Timestamp
    before: pd.Timestamp
    model_id: str
    refitted: bool
    move: Move


def moved_forecasts(
    history: History, session: pd.Timestamp | None = None, symbols: Collection[Symbol] | None = None
) -> MovedForecasts:
    """Explain a session's forecasts by what they read: the features as they were known at its decision.

    Parameters
    ----------
    history : History
    session : Timestamp, optional
        The last closed one when left out.
    symbols : collection of str, optional
        Those to explain; all when left out.

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
    move = what_moved(model, view.cube, view.row, symbols)
    refitted = view.row <= model.fold.used_from or view.models.on(before) != view.model_id
    return MovedForecasts(view.session, before, view.model_id, refitted, move)


def loss_of(strategy: Strategy) -> tuple[str, str]:
    """The loss that a strategy's networks learn by, in which features are worth something, and its unit."""
    head = HEADS[label_kind(strategy.label).learns]
    return ("log loss", "nats") if head is SIGN else (head.loss, head.loss_unit)


@dataclass(frozen=True)
class ModelPart:
    """The sessions of a month on which one model is in force, as rows of the axis."""

    month: str
    model_id: str
    rows: slice


@dataclass(frozen=True, eq=False)
class MonthlyImportance:
    """Permutation importance by part of a month, each by the model in force on it; months without one are left out."""

    parts: tuple[ModelPart, ...]
    of_each: tuple[Importance, ...]
    horizon: int  # sessions of the label

    @property
    def months(self) -> tuple[str, ...]:
        """Months in which a model is in force, in order."""
        return tuple(dict.fromkeys(part.month for part in self.parts))

    def table(self) -> pd.DataFrame:
        """A row a feature, the most important first.

        Columns: feature; months, in which a model used it; rise, the mean rise of the loss over all sessions, in the
        unit of :func:`loss_of`, its standard_error, robust to labels that overlap, and t. NaN where all symbols share
        the feature, and below 20 sessions.
        """
        rises: dict[str, list[float]] = {}
        months: dict[str, set[str]] = {}
        for part, one in zip(self.parts, self.of_each, strict=True):
            for column, name in enumerate(one.features):
                rises.setdefault(name, []).extend(one.rise[:, column].tolist())
                months.setdefault(name, set()).add(part.month)
        rows = []
        for name, values in rises.items():
            test = robust_mean_test(np.array(values), self.horizon)
            rows.append((name, len(months[name]), test.estimate, test.standard_error, test.t_statistic))
        frame = pd.DataFrame(rows, columns=["feature", "months", "rise", "standard_error", "t"])
        frame = frame.astype({"rise": "float64", "standard_error": "float64", "t": "float64"})
        return frame.sort_values("rise", ascending=False, ignore_index=True)


def importance_by_month(history: History, months: Sequence[str], repeats: int = 3) -> MonthlyImportance:
    """What each feature was worth in some months of use, out of sample, each session by the model in force on it.

    Features and labels are those known at the last session that may be seen; a label that is not realised by then
    counts nowhere.

    Parameters
    ----------
    months : sequence of str
        As ``2016-03``.
    """
    view = history.view()
    parts = list(parts_in_force(view.models, view.sessions, months))
    if not parts:
        view.models.on(view.session)  # which says what to do where there is no model at all
    horizon = history.strategy.label.horizon_sessions
    return MonthlyImportance(tuple(parts), tuple(importance_of_parts(history, parts, repeats=repeats)), horizon)


def parts_in_force(models: ModelsInForce, sessions: pd.DatetimeIndex, months: Iterable[str]) -> Iterator[ModelPart]:
    """The sessions of some months by the model that decides them: one that a refresh put in force from its own on."""
    for month in months:
        recorded = models.by_month.get(month, [])

        def model_of(row: int, recorded: list[tuple[pd.Timestamp, str]] = recorded) -> str | None:
            return next((model_id for since, model_id in reversed(recorded) if since <= sessions[row]), None)

        yield from parts_of(month, sessions, model_of)


def parts_of(month: str, sessions: pd.DatetimeIndex, model_of: Callable[[int], str | None]) -> Iterator[ModelPart]:
    """Runs of the sessions of a month that have one model, those without any left out."""
    rows = forecast_rows(sessions, month)
    for model_id, run in groupby(range(rows.start, rows.stop), key=model_of):
        together = list(run)
        if model_id is not None:
            yield ModelPart(month, model_id, slice(together[0], together[-1] + 1))


def importance_of_parts(
    history: History, parts: Iterable[ModelPart], *, repeats: int, most_samples: int | None = None
) -> Iterator[Importance]:
    """Permutation importance of each part in turn; see :func:`nn_assets.learning.explanation.importance`."""
    view = history.view()
    for part in parts:
        model = load_model(history.stores, part.model_id)
        yield importance(model, view.cube, view.labels, part.rows, repeats=repeats, most_samples=most_samples)
