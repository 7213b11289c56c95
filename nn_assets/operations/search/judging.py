"""How a search judges configurations: fitted on folds that lie before its month, by the rows that the fits left out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube, FloatArray
from nn_assets.costs.model import cost_model_from
from nn_assets.errors import SettingsError, ShortFoldError, TrainingError
from nn_assets.estimators import TRADED
from nn_assets.evaluation.smallest_effect import usual_daily_volatility
from nn_assets.features.labels import Labels, label_kind
from nn_assets.features.stationarity import StationarityReport
from nn_assets.learning.address import training_data_hash
from nn_assets.learning.compute import HERE, Compute
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import Fold, make_fold
from nn_assets.learning.inference import forecast
from nn_assets.learning.model import FoldData, fit_models, judged_features
from nn_assets.learning.objective import book_returns, net_sharpe
from nn_assets.operations.asof.choices import first_start, search_of
from nn_assets.operations.history import History
from nn_assets.operations.models.preparation import require_learnable, searched_features
from nn_assets.settings import Strategy
from nn_assets.units import bps_to_fraction

Figure = float | None
"""Of a trial over the folds so far: its annual net Sharpe ratio; None where it has none that is finite."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a search may see: features and labels known at the last session before its choice is in force; folds.

    A fold is what :func:`~nn_assets.learning.folds.make_fold` makes of a month or a day: a trial is fitted on its
    training and validation rows and judged on its calibration rows, whose labels are all realised before it begins.
    """

    strategy: Strategy
    cube: Cube
    labels: Labels
    folds: tuple[Fold, ...]  # the newest first
    sessions_per_year: float

    @classmethod
    def of(cls, history: History, since: str) -> Evidence:
        """What a search sees before a month or day; that over all folds sees all of the history that may be seen."""
        strategy, axis = history.strategy, history.axis
        in_days = strategy.walk_forward.refit_every_days is not None
        after = history.last_session.to_period("D" if in_days else "M") + 1
        newest = since if search_of(strategy).scope == "nested" else str(after)
        before = int(axis.searchsorted(pd.Timestamp(newest)))
        cut = history.cut_for(axis[before - 1])
        return cls.before(newest, cut.cube, cut.labels, strategy, history.sessions_per_year)

    @classmethod
    def before(cls, since: str, cube: Cube, labels: Labels, strategy: Strategy, sessions_per_year: float) -> Evidence:
        """The same, of features and labels on an axis that ends before a month or a day."""
        search, steps = search_of(strategy), strategy.walk_forward
        in_days = steps.refit_every_days is not None
        apart = steps.calibration_days if in_days else steps.calibration_months
        newest, first = (pd.Period(start, "D" if in_days else "M") for start in (since, first_start(strategy)))
        starts = [str(newest - number * apart) for number in range((newest - first).n // apart + 1)]
        if search.scope == "nested":
            starts = starts[: search.folds]
        folds = tuple(make_fold(cube.sessions, start, steps, strategy.label) for start in starts)
        return cls(strategy, cube, labels, folds, sessions_per_year)

    @property
    def saw_until(self) -> str:
        """The last session at which a label that is seen was realised: its day, of a decision bar its moment."""
        newest = self.folds[0].calibration.stop - 1
        session = self.cube.sessions[int(self.labels.realised_row[newest])]
        return f"{session:%Y-%m-%d}" if session == session.normalize() else f"{session:%Y-%m-%d %H:%M}"

    @property
    def address(self) -> str:
        """Hash of every feature and label that a trial may read, 16 hex digits."""
        everything = len(self.cube.sessions)  # a lookback that long reaches back to the first of them
        hashes = [training_data_hash(self.cube, self.labels, fold, everything, 0.0) for fold in self.folds]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


@dataclass(eq=False)
class FoldJudge:
    """Fits trials fold after fold by the one training path, and tells what each was worth so far.

    Parameters
    ----------
    evidence : Evidence
    compute : Compute
        Where folds of several trials are fitted at once.
    """

    evidence: Evidence
    compute: Compute = HERE
    _net: dict[int, list[FloatArray]] = field(default_factory=dict, repr=False)
    _stationary: dict[tuple[Any, ...], StationarityReport] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> int:
        """How many folds there are."""
        return len(self.evidence.folds)

    def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, Figure | str]:
        """By number, the figure over the folds up to a step; a sentence where a trial cannot be fitted.

        Parameters
        ----------
        trials : mapping of number to parameters
            Those that were judged on every step before.
        """
        answers: dict[int, Figure | str] = {}
        for number, outcome in zip(trials, self._fits(trials, self.evidence.folds[step]), strict=True):
            if isinstance(outcome, str):
                answers[number] = outcome
                continue
            kept = self._net.setdefault(number, [])
            kept[step:] = [self._judged(outcome)]
            horizon = self.evidence.strategy.label.horizon_sessions
            sharpe = net_sharpe(np.concatenate(kept), horizon, self.evidence.sessions_per_year)
            answers[number] = sharpe if math.isfinite(sharpe) else None
        return answers

    def _fits(self, trials: Mapping[int, Mapping[str, Any]], fold: Fold) -> Iterator[FoldModel | str]:
        """The model of each trial; why there is none."""
        base = self.evidence.strategy
        due: list[FoldData | str] = []
        for parameters in trials.values():
            try:
                data = self._data(trial_strategy(base, parameters), fold)
                require_learnable(data, base)
            except (
                SettingsError,
                ShortFoldError,
                TrainingError,
            ) as error:  # a feature that the cube lacks, all labels alike
                due.append(str(error))
            else:
                due.append(data)
        ready = [data for data in due if not isinstance(data, str)]
        models = self._fitted(ready)
        return (data if isinstance(data, str) else next(models) for data in due)

    def _fitted(self, folds: list[FoldData]) -> Iterator[FoldModel | str]:
        try:
            fitted: list[FoldModel | str] = list(fit_models(folds, self.evidence.strategy, self.compute))
        except (ShortFoldError, TrainingError, SettingsError):
            # One of them: each again by itself, to the same bits.
            fitted = [self._alone(data) for data in folds]
        return iter(fitted)

    def _alone(self, data: FoldData) -> FoldModel | str:
        try:
            (model,) = fit_models([data], self.evidence.strategy, self.compute)
        except (ShortFoldError, TrainingError, SettingsError) as error:
            return str(error)
        return model

    def _data(self, strategy: Strategy, fold: Fold) -> FoldData:
        cube = searched_features(self.evidence.cube, strategy)
        key = (fold.used_from, cube.names, strategy.learning.network, str(strategy.learning.network_settings))
        if key not in self._stationary:
            candidates = self.evidence.labels.candidates
            self._stationary[key] = judged_features(cube, candidates, fold.training, strategy)
        return FoldData(cube, self.evidence.labels, fold, self._stationary[key], None, strategy)

    def _judged(self, model: FoldModel) -> FloatArray:
        """Net returns of the model's book on its calibration rows, (sessions,)."""
        evidence, rows = self.evidence, model.fold.calibration
        probability = forecast(model, evidence.cube, rows, before_use=True)[TRADED].probability
        if evidence.labels.candidates is not None:
            probability = np.where(evidence.labels.candidates[rows], probability, np.nan)
        costs, earned = evidence.strategy.costs, evidence.labels.earned[rows]
        widening = cost_model_from(costs).widening(usual_daily_volatility(earned, evidence.strategy))
        return book_returns(
            model.logit_scales[TRADED].score(probability),
            earned,
            evidence.strategy.label.horizon_sessions,
            bps_to_fraction(costs.half_spread_bps + costs.commission_bps) + widening,
            neutral=label_kind(evidence.strategy.label).relative,
        )


def trial_strategy(strategy: Strategy, parameters: Mapping[str, Any]) -> Strategy:
    """The strategy as a trial fits it: with the trial's parameters, the networks that a trial has, and nothing beside.

    A trial is judged by its networks alone: no baseline is fitted that these do not begin as, and no novelty.
    """
    varied = strategy.with_parameters(parameters)
    beside = ("linear",) * varied.learning.residual
    learning = varied.learning.model_copy(update={"ensemble": search_of(strategy).ensemble, "baselines": beside})
    portfolio = varied.portfolio.model_copy(update={"volatility": "ewma"})  # which a trial is not judged by
    return varied.model_copy(update={"learning": learning, "portfolio": portfolio, "novelty": None})
