"""What forecasts of a volatility lose beside the simplest ones: out-of-sample losses and paired tests, no direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray
from nn_assets.evaluation.figure_set import BOOK_NAMES, FORECAST_NAMES, Figures, LossFigures, StudyFigures
from nn_assets.evaluation.significance import MeanTest
from nn_assets.evaluation.smallest_effect import SmallestEffect
from nn_assets.features.labels import Labels
from nn_assets.signals.volatility import first_tested, losses_compared

SIMPLE_TITLES = {"ewma": "the EWMA", "har": "HAR", "base_rate": "the base rate", "har_implied": "what HAR implies"}
"""What a sentence calls the simple forecasts that every estimator is held against."""

WITHOUT_DIRECTION = "the label is a volatility, which has no direction"
_NO_ALARM = "none of direction: accuracy, rank IC and Sharpe ratios have no meaning of a volatility"


@dataclass(frozen=True, eq=False)
class VolatilityTrack:
    """Out-of-sample forecasts beside the simplest ones; arrays (sessions, symbols), NaN without a forecast.

    Parameters
    ----------
    statistic : str
        ``QLIKE`` of variances per session, or ``Brier score`` of probabilities that a threshold is exceeded.
    forecasts : mapping of estimator to array
    simple : mapping of name to array
        What each estimator has to beat, likewise: of a session made of what that session knew.
    """

    statistic: Literal["QLIKE", "Brier score"]
    forecasts: Mapping[str, FloatArray]
    simple: Mapping[str, FloatArray]

    def outcome(self, labels: Labels) -> FloatArray:
        """What is forecast, (sessions, symbols), as the labels know it: mean squared return a session, or 1 and 0."""
        if self.statistic == "Brier score":
            return labels.targets
        assert labels.variance is not None, "labels of a volatility are made with it"
        return np.where(np.isfinite(labels.targets), labels.variance, np.nan)

    def losses(self, forecast: FloatArray, outcome: FloatArray) -> FloatArray:
        """Loss of each cell; NaN where one of the two is missing, or a variance is not above 0."""
        if self.statistic == "Brier score":
            return (forecast - outcome) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((outcome > 0.0) & (forecast > 0.0), outcome / forecast, np.nan)
            return ratio - np.log(ratio) - 1.0  # Patton 2011, equation 5


def loss_figures(
    track: VolatilityTrack, labels: Labels, realised_row: IntArray, horizon: int, counted: BoolArray
) -> LossFigures:
    """Losses and paired tests of what is forecast out of sample, as far as the labels are realised.

    Parameters
    ----------
    labels : Labels
        Rows as the track's first ones, as the last of them knows them; the track is cut there.
    realised_row : ndarray of int, shape (sessions,)
        Row at which each outcome is known.
    horizon : int
        h of the label, sessions.
    counted : ndarray of bool, shape (sessions,)
        Sessions that count.

    Notes
    -----
    Losses of a session are the mean over its names; their differences are tested as
    :func:`~nn_assets.signals.volatility.choose_volatility` tests them, one-sidedly. An estimator is tested on the cells
    that it and the simple forecasts have, whatever other estimators forecast; the table of losses is of the cells that
    all have. Whatever forecasts nothing takes no cell from the others.
    """
    bars = len(labels.targets)
    outcome = track.outcome(labels)
    every = {name: values[:bars] for name, values in {**track.forecasts, **track.simple}.items()}
    losses = {
        name: np.where(counted[:bars, None], track.losses(values, outcome), np.nan) for name, values in every.items()
    }
    simple = tuple(track.simple)
    own = {name: _on_common_cells(losses, (name, *simple)) for name in track.forecasts}
    table = _on_common_cells(losses, tuple(losses))
    return LossFigures(
        track.statistic,
        simple,
        _means(table),
        {
            name: {of: _gain(own[name][name] - own[name][of], realised_row[:bars], horizon) for of in simple}
            for name in track.forecasts
        },
        int(np.logical_or.reduce([np.isfinite(loss).any(axis=1) for loss in table.values()]).sum()),
        {name: _means(values) for name, values in own.items()},
    )


def _on_common_cells(losses: Mapping[str, FloatArray], names: Sequence[str]) -> dict[str, FloatArray]:
    """Losses by name, (bars, symbols), on the cells where each of those that have any has one; NaN elsewhere."""
    there = [np.isfinite(losses[name]) for name in names]
    cells: BoolArray = np.logical_and.reduce([one for one in there if one.any()] or there)
    return {name: np.where(cells, losses[name], np.nan) for name in names}


def _means(losses: Mapping[str, FloatArray]) -> dict[str, float | None]:
    return {name: float(np.nanmean(loss)) if np.isfinite(loss).any() else None for name, loss in losses.items()}


def _gain(differences: FloatArray, realised_row: IntArray, horizon: int) -> MeanTest:
    """How much less a candidate loses a session, from its loss less the simple one's."""
    test = losses_compared(differences, realised_row, horizon)
    if test.sessions == 0:
        return MeanTest(None, None, None, None, None, 0, "no session has both forecasts and a realised volatility")
    if math.isnan(test.standard_error):
        needed = first_tested(horizon)
        short = f"{test.sessions} sessions are realised, and {needed} are needed"
        why = short if test.sessions < needed else "the two lose the same in every session"
        return MeanTest(-test.mean, None, None, None, None, test.sessions, why)
    statistic = -test.mean / test.standard_error
    return MeanTest(-test.mean, test.standard_error, statistic, test.p_value, test.degrees, test.sessions)


def volatility_study_figures(
    losses: LossFigures,
    forecasts: Mapping[str, int],
    *,
    horizon: int,
    sessions_per_year: int,
    symbols: int,
    trials: int,
) -> StudyFigures:
    """A study's figures where the label has no direction: the losses, and of all others why they are absent.

    Parameters
    ----------
    forecasts : mapping of estimator to int
        Pairs of a forecast and a realised label.
    """
    absent = dict.fromkeys((*FORECAST_NAMES, *BOOK_NAMES), WITHOUT_DIRECTION)
    return StudyFigures(
        total={
            name: Figures(name, forecast_sessions=losses.sessions_of(name), forecasts=count, absent=absent)
            for name, count in forecasts.items()
        },
        folds={},
        regimes={},
        horizon_sessions=horizon,
        sessions_per_year=sessions_per_year,
        symbols=symbols,
        trials=trials,
        smallest_effect=SmallestEffect(0.0, "", float(symbols)),
        remarks=(f"leak alarms: {_NO_ALARM}",),
        volatility=losses,
    )
