"""A walk-forward study: every estimator's out-of-sample forecasts replayed, measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.costs.model import CostModel
from nn_assets.evaluation.figures import StudyFigures, study_figures
from nn_assets.evaluation.record import BookTrack, StudyRecord, record_from_forecasts
from nn_assets.evaluation.replay import Replay, buy_and_hold, forecast_arrays, replay
from nn_assets.evaluation.verdict import Verdict, verdict
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import ESTIMATORS
from nn_assets.market.panel import Panel
from nn_assets.oversight.reference import DriftReference
from nn_assets.session.drift_watch import drift_watch
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.settings import Strategy

__all__ = ["YARDSTICK", "MonthVerdict", "Study", "StudyMaterial", "judge_month", "run_study"]

YARDSTICK = "buy_and_hold"

Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class StudyMaterial:
    """What a study is made of, all on one session axis."""

    panel: Panel
    cube: Cube
    labels: Labels
    forecasts: pd.DataFrame  # every estimator, every month
    month_by_row: Sequence[str]  # (bars,), month whose model was in force; '' where none
    model_by_row: Sequence[str | None]  # (bars,)
    references: Mapping[str, DriftReference]  # by model id


@dataclass(frozen=True, eq=False)
class Study:
    """The record, the replays behind it, and its figures in total and by fold."""

    record: StudyRecord
    market: MarketView
    replays: Mapping[str, Replay]
    rows: range
    figures: StudyFigures


@dataclass(frozen=True)
class MonthVerdict:
    """What could be said when a month had ended."""

    month: str
    figures: StudyFigures
    verdict: Verdict


def run_study(
    strategy: Strategy,
    costs: CostModel,
    sessions_per_year: int,
    material: StudyMaterial,
    trials: int,
    trial_sharpes: Sequence[float] = (),
    tell: Told = lambda _: None,
) -> Study:
    """Replay every estimator through the one daily round, and measure.

    The network is watched for drift as it would be live; the baselines are judged without a watch,
    which can only flatter them.

    Parameters
    ----------
    trials : int
        Configurations ever evaluated on these data, these included.
    trial_sharpes : sequence of float
        Net Sharpe ratios per session of trials on record.
    tell : callable
        Hears what is being done.
    """
    symbols, sessions = material.panel.symbols, material.panel.sessions
    candidates = material.labels.candidates
    market = market_view(material.panel, strategy.portfolio, candidates)
    used = [row for row, month in enumerate(material.month_by_row) if month]
    rows = range(used[0], used[-1] + 1)
    replays: dict[str, Replay] = {}
    for estimator in ESTIMATORS:
        tell(f"replaying {estimator} over {len(rows)} sessions")
        arrays = forecast_arrays(material.forecasts, estimator, sessions, symbols)
        watch = None
        if estimator == "network":
            watch = drift_watch(
                material.cube.where(candidates),
                arrays.probability,
                material.model_by_row,
                material.references,
                strategy.oversight,
            )
        replays[estimator] = replay(
            strategy, costs, sessions_per_year, market, material.labels, arrays, rows, monitor=watch
        )
    tracks: dict[str, BookTrack] = {name: done.track for name, done in replays.items()}
    tracks[YARDSTICK] = buy_and_hold(market, rows, candidates)
    record = record_from_forecasts(
        material.forecasts,
        sessions,
        symbols,
        material.labels.targets,
        material.labels.returns,
        material.labels.realised_row,
        months={sessions[row]: material.month_by_row[row] for row in rows},
        tracks=tracks,
    )
    regimes = np.array([market.regimes.label(row) for row in range(len(sessions))])
    record = replace(record, regimes=regimes).until(rows[-1])
    figures = _figures(strategy, sessions_per_year, record, trials, trial_sharpes, by_fold=True)
    return Study(record, market, replays, rows, figures)


def judge_month(
    strategy: Strategy,
    sessions_per_year: int,
    study: Study,
    month: str,
    trials: int,
    trial_sharpes: Sequence[float] = (),
) -> MonthVerdict:
    """The verdict that the record allowed at a month's end; nothing later is read."""
    ends = int(np.flatnonzero(study.record.months == month)[-1])
    cut = replace(study.record.until(ends), regimes=None)
    figures = _figures(strategy, sessions_per_year, cut, trials, trial_sharpes, by_fold=False)
    return MonthVerdict(month, figures, verdict(figures))


def _figures(
    strategy: Strategy,
    sessions_per_year: int,
    record: StudyRecord,
    trials: int,
    trial_sharpes: Sequence[float],
    *,
    by_fold: bool,
) -> StudyFigures:
    return study_figures(
        record,
        horizon_sessions=strategy.label.horizon_sessions,
        sessions_per_year=sessions_per_year,
        trials=trials,
        trial_sharpes=trial_sharpes,
        cash_rate_per_session=strategy.market.cash_rate_annual_fraction / sessions_per_year,
        by_fold=by_fold,
    )
