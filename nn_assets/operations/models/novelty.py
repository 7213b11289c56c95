"""How unlike the rows of some sessions are, each by the model in force on it and by what the session knew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube, FloatArray, Symbol
from nn_assets.contracts import NOVELTY, conform, empty
from nn_assets.contracts.frames import ForecastRows, NoveltyRows
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import model_windows
from nn_assets.learning.novelty import DAY_REACH, day_departures, day_score
from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model
from nn_assets.signals.novelty import DayNovelty, confidence_share, judge_day


def confidence_shares(
    history: History, rows: range, model_ids: Sequence[str | None], symbols: tuple[Symbol, ...]
) -> FloatArray:
    """What novelty leaves of each signal's confidence, 0 to 1, (len(rows), symbols); 1 where a model has no scores.

    Parameters
    ----------
    rows : range
        Consecutive rows of the session axis.
    model_ids : sequence of str or None, length of ``rows``
        The model in force on each; None: no forecast.
    """
    settings = history.strategy.novelty
    if settings is None:
        return np.ones((len(rows), len(symbols)))
    return confidence_share(row_p_values(history, rows, model_ids, symbols), settings.unlike_p_value)


def row_p_values(
    history: History, rows: range, model_ids: Sequence[str | None], symbols: tuple[Symbol, ...]
) -> FloatArray:
    """P-value of each row by the model in force on it, (len(rows), symbols); NaN where a model has no scores.

    Parameters as of :func:`confidence_shares`.
    """
    values = np.full((len(rows), len(symbols)), np.nan)
    first = rows.start
    with_model = [row for row in rows if model_ids[row - first] is not None]
    for stretch in history.stretches(with_model):
        for model_id, run in groupby(stretch.rows, key=lambda row: model_ids[row - first]):
            together = list(run)
            assert model_id is not None, "left out above"
            model = load_model(history.stores, model_id)
            part = slice(together[0], together[-1] + 1)
            values[part.start - first : part.stop - first] = p_values_of(model, stretch.cut.cube, part, symbols)
    return values


def novelty_of_forecasts(history: History, forecasts: ForecastRows) -> NoveltyRows:
    """How unlike the row behind each forecast is, by its own model and by what its session knew.

    Parameters
    ----------
    forecasts : DataFrame
        Columns of the contract ``forecasts``, rows of one estimator.
    """
    sessions = pd.DatetimeIndex(forecasts["session"])
    if not len(sessions):
        return empty(NOVELTY)
    row = history.axis.get_indexer(sessions)
    rows, symbols = range(int(row.min()), int(row.max()) + 1), tuple(sorted(forecasts["symbol"].unique()))
    model_by_row = dict(zip(row.tolist(), forecasts["model_id"], strict=True))
    p_values = row_p_values(history, rows, [model_by_row.get(number) for number in rows], symbols)
    column = pd.Index(symbols).get_indexer(pd.Index(forecasts["symbol"]))
    return conform(forecasts.assign(p_value=p_values[row - rows.start, column]), NOVELTY)


def novelty_by_session(history: History, rows: range, model_ids: Sequence[str | None]) -> list[DayNovelty]:
    """How unlike each of some sessions was, by the model in force on it and by what its stretch knew, as for a study.

    Parameters
    ----------
    rows, model_ids
        As of :func:`confidence_shares`.

    Returns
    -------
    list of DayNovelty
        In order of the sessions; those whose model has no scores are left out, and members of the universe alone count.
    """
    settings, first = history.strategy.novelty, rows.start
    if settings is None:
        return []
    days: list[DayNovelty] = []
    for stretch in history.stretches([row for row in rows if model_ids[row - first] is not None]):
        for model_id, run in groupby(stretch.rows, key=lambda row: model_ids[row - first]):
            model, together = load_model(history.stores, str(model_id)), list(run)
            if model.novelty is None:
                continue
            cut, part = stretch.cut, slice(max(0, together[0] + 1 - DAY_REACH), together[-1] + 1)
            p_values = p_values_of(model, cut.cube, part, cut.cube.symbols)
            if cut.members is not None:
                p_values = np.where(cut.members[part], p_values, np.nan)
            scores = np.array([day_score(of_session) for of_session in p_values])
            rarity = model.novelty.days.p_value(day_departures(scores))
            days += [
                judge_day(
                    p_values[row - part.start],
                    cut.cube.symbols,
                    score=float(scores[row - part.start]),
                    day_p_value=float(rarity[row - part.start]),
                    sessions=len(model.novelty.days.reference),
                    unlike_p_value=settings.unlike_p_value,
                    days_a_year=settings.unlike_days_a_year,
                    sessions_per_year=history.sessions_per_year,
                )
                for row in together
            ]
    return days


def p_values_of(model: FoldModel, cube: Cube, rows: slice, symbols: tuple[Symbol, ...]) -> FloatArray:
    """P-values of some rows of a cube, (rows, symbols); NaN without features, for other symbols, and without scores."""
    values = np.full((rows.stop - rows.start, len(symbols)), np.nan)
    if model.novelty is None:
        return values
    windows = model_windows(model, cube, rows)
    row, column = (index.ravel() for index in np.mgrid[rows.start : rows.stop, 0 : len(model.symbols)])
    scores = model.novelty.score(windows.last_rows(row, column)).p_value.reshape(len(values), -1)
    axis = pd.Index(symbols).get_indexer(pd.Index(model.symbols))
    values[:, axis[axis >= 0]] = scores[:, axis >= 0]
    return values
