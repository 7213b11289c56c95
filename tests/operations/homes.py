"""Homes lived in without Dagster: the same operations that the assets call, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.decisions.rounds import DecidedSession, decide_session
from nn_assets.operations.features import store_features
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.bars import audit_bars, ingest_bars, publish_bars
from nn_assets.operations.intake.data_docs import review_bars
from nn_assets.operations.intake.gate_record import recording_halts
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.trading_halts import ingest_halts
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.operations.models import preparation
from nn_assets.operations.models.forecasts import forecast_months
from nn_assets.operations.models.training import refresh_after, train_months
from nn_assets.operations.study import StudyResult, study_until
from nn_assets.settings import Strategy

RUN = "without-dagster"


def take_in(strategy: Strategy, *, review: bool = False) -> None:
    """Take in what the files hold, publish it through the gate, compute features."""
    folder: Path = find_strategy(strategy.name).folder
    with open_history(strategy) as history:
        if strategy.series:
            ingest_series(history, folder)
        if strategy.universe is not None:
            ingest_universe(history, folder)
        if strategy.halts is not None:
            ingest_halts(history, folder)
        ingest_bars(history, folder)
    publish(strategy, review=review)


def publish(strategy: Strategy, *, review: bool = False) -> None:
    """Publish what was taken in before, with the review of the data set when asked for, and compute features."""
    with open_history(strategy) as history:
        audited = audit_bars(history)
        with recording_halts(history, RUN):
            if review:
                review_bars(history, audited)
            audited.report.raise_if_failed()
            publish_bars(history, audited, RUN)
    with open_history(strategy) as history:
        store_features(history)


def train(strategy: Strategy, months: list[str]) -> dict[str, pd.DataFrame]:
    """Fit the models of some months and store their forecasts; gives the verdicts on stationarity."""
    with open_history(strategy) as history:
        verdicts = preparation.stationarity(history, months, None)
        selections = preparation.selected_features(history, months, None, verdicts)
        train_months(history, months, verdicts, selections, RUN, lambda _: None)
    _store_forecasts(strategy, months)
    return verdicts


def refresh(strategy: Strategy, after: pd.Timestamp, month: str) -> None:
    """Fit the model again on what a session's close had shown, then forecast the month asked for."""
    with open_history(strategy) as history:
        verdicts = preparation.stationarity(history, [month], after)
        selections = preparation.selected_features(history, [month], after, verdicts)
        refresh_after(history, after, verdicts, selections, RUN, lambda _: None)
    _store_forecasts(strategy, [month])


def _store_forecasts(strategy: Strategy, months: list[str]) -> None:
    with open_history(strategy) as history:
        for month, frame in forecast_months(history, months, RUN).items():
            history.stores.lake.write_month(strategy.name, FORECASTS, month, frame)


def study(strategy: Strategy, months: list[str]) -> StudyResult:
    """Fit, forecast and study a range of months."""
    train(strategy, months)
    return study_stored(strategy, months)


def study_stored(strategy: Strategy, months: list[str]) -> StudyResult:
    """Study months whose forecasts are stored."""
    with open_history(strategy) as history:
        return study_until(history, months, RUN, lambda _: None)


def decide(strategy: Strategy, sessions: Sequence[pd.Timestamp]) -> list[DecidedSession]:
    """Decide sessions in order, as one run over the range does."""
    with open_history(strategy) as history:
        return [decide_session(history, session, RUN) for session in sessions]


def months_between(first: str, last: str) -> list[str]:
    """Months as YYYY-MM, both included."""
    return [str(month) for month in pd.period_range(first, last, freq="M")]


def live_until(history: History, last: str) -> list[pd.Timestamp]:
    """Live sessions up to one."""
    return [session for session in history.live_sessions if session <= pd.Timestamp(last)]
