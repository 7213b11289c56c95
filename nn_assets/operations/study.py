"""A study from the stores to the stores: forecasts and bars in, record, figures, verdicts and trials out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.evaluation.study import (
    MonthVerdict,
    Study,
    StudyMaterial,
    judge_month,
    run_study,
)
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.learning.address import code_version
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import ESTIMATORS
from nn_assets.learning.folds import forecast_rows
from nn_assets.operations.costs.in_force import cost_model_id_in_force, cost_model_in_force
from nn_assets.operations.fingerprint import code_of
from nn_assets.operations.models.in_force import drift_references, forecast_record
from nn_assets.operations.workplace import FORECASTS, Workplace
from nn_assets.settings import Strategy

__all__ = [
    "StudyResult",
    "latest_study",
    "settings_version",
    "study_identity",
    "study_until",
    "track_frames",
]

Told = Callable[[str], None]

_EPOCH = pd.Timestamp(0, tz="UTC")


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A study, the verdict at the end of each month asked for, and what it was made from."""

    study: Study
    months: tuple[MonthVerdict, ...]
    material: StudyMaterial
    trials: int

    @property
    def last(self) -> MonthVerdict:
        """The newest verdict."""
        return self.months[-1]


def study_identity(workplace: Workplace, strategy: Strategy, month: str) -> str:
    """Address of the study that ends with a month: data, code, settings."""
    told = {
        "strategy": strategy.name,
        "month": month,
        "data": workplace.data_hash(),
        "code": code_of(),
        "settings": strategy.content_hash(),
        "costs": cost_model_id_in_force(workplace),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def study_until(workplace: Workplace, strategy: Strategy, months: list[str], run_id: str, tell: Told) -> StudyResult:
    """Study the record from its first month to the last one asked for.

    Figures and verdicts are recorded for each month asked for, each from the record as it stood
    when that month had ended; a month still ahead has no figures, and the one before it, which
    has just ended, is judged in its place. Every estimator is a trial, and is counted.

    Raises
    ------
    PublicationError
        A month of the record has no forecasts.
    """
    material = _material(workplace, strategy, months[-1])
    trials, sharpes = _trials(workplace, strategy)
    study = run_study(
        strategy,
        cost_model_in_force(workplace),
        workplace.sessions_per_year,
        material,
        trials,
        sharpes,
        tell,
    )
    ended = _months_to_judge(study, months)
    tell(f"judging {len(ended)} months")
    judged = tuple(judge_month(strategy, workplace.sessions_per_year, study, month, trials, sharpes) for month in ended)
    result = StudyResult(study, judged, material, trials)
    _record(workplace, strategy, result, run_id)
    return result


def _months_to_judge(study: Study, months: list[str]) -> list[str]:
    held = sorted({str(month) for month in study.record.months if month})
    judged = set()
    for month in months:
        ended = [each for each in held if each <= month]
        judged |= {month} if month in held else set(ended[-1:])
    return sorted(judged)


def _material(workplace: Workplace, strategy: Strategy, last_month: str) -> StudyMaterial:
    asked = [str(m) for m in pd.period_range(first_model_month(strategy), last_month, freq="M")]
    missing = sorted(set(asked) - set(workplace.lake.months(strategy.name, FORECASTS)))
    if missing:
        raise PublicationError(
            expected=f"forecasts of every month from {asked[0]} to {last_month}",
            found=f"none for {', '.join(missing[:12])}{' …' * (len(missing) > 12)}",
            remedy=f"nn-assets study --strategy {strategy.name} --from {missing[0]} --to {last_month}",
            strategy=strategy.name,
        )
    panel, cube = workplace.panel(), workplace.cube()
    forecasts = forecast_record(workplace, cube, asked)
    month_by_row = [""] * cube.bars
    for month in asked:
        rows = forecast_rows(cube.sessions, month)
        month_by_row[rows] = [month] * (rows.stop - rows.start)
    model_by_row: list[str | None] = [None] * cube.bars
    network = forecasts[forecasts["estimator"] == "network"].drop_duplicates("session")
    for row, model_id in zip(cube.sessions.get_indexer(network["session"]), network["model_id"], strict=True):
        model_by_row[row] = str(model_id)
    references = drift_references(workplace, cube, [each for each in model_by_row if each])
    return StudyMaterial(panel, cube, workplace.labels(panel), forecasts, month_by_row, model_by_row, references)


def _trials(workplace: Workplace, strategy: Strategy) -> tuple[int, list[float]]:
    """Configurations ever evaluated on the strategy's data, these included, and their net Sharpes."""
    known = workplace.ledger.read("trials", strategy.name)
    mine = {trial_hash(strategy, estimator) for estimator in ESTIMATORS}
    sharpes = [
        float(figures["sharpe_per_session"])
        for trial, figures in zip(known["trial_id"], known["figures"], strict=True)
        if trial not in mine and figures.get("sharpe_per_session") is not None
    ]
    return len(mine | set(known["trial_id"])), sharpes


def _record(workplace: Workplace, strategy: Strategy, result: StudyResult, run_id: str) -> None:
    sessions = result.study.record.sessions
    code, data = code_version(), workplace.data_hash()
    studies = [
        {
            "study_id": study_identity(workplace, strategy, judged.month),
            "month": judged.month,
            "verdict": judged.verdict.phrase,
            "trial_count": result.trials,
            "figures": {
                "allows_trading": judged.verdict.allows_trading,
                "reason": judged.verdict.reason,
                **judged.figures.flat(),
            },
            "data_hash": data,
            "code_version": code,
            "settings_hash": strategy.content_hash(),
            "first_session": sessions[result.study.rows[0]],
            "last_session": sessions[max(_rows_of(result.study, judged.month))],
        }
        for judged in result.months
    ]
    trials = []
    for estimator in ESTIMATORS:
        figures = result.study.figures.total[estimator]
        per_session = None
        if figures.sharpe_net is not None:
            per_session = figures.sharpe_net / workplace.sessions_per_year**0.5
        trials.append(
            {
                "trial_id": trial_hash(strategy, estimator),
                "data_hash": data,
                "code_version": code,
                "study_id": studies[-1]["study_id"],
                "configuration": trial_configuration(strategy, estimator),
                "figures": {"sharpe_per_session": per_session, **figures.values()},
            }
        )
    with workplace.ledger.transaction(run_id, strategy=strategy.name) as transaction:
        transaction.append("settings_versions", [settings_version(strategy)])
        transaction.append("studies", studies, reason="the study was run again")
        transaction.append("trials", trials, reason="the study was run again")


def _rows_of(study: Study, month: str) -> list[int]:
    return [row for row, named in enumerate(study.record.months) if named == month]


def settings_version(strategy: Strategy) -> dict[str, Any]:
    """The row that says what a settings hash stands for; a constant moment, since the hash says when."""
    return {"settings_hash": strategy.content_hash(), "settings": strategy.behaviour(), "known_at": _EPOCH}


def latest_study(workplace: Workplace, before_month: str) -> pd.Series | None:
    """The newest study of the settings in force whose record ended before a month began, or None.

    A study of other settings (looser limits, another pace of refits) says nothing of these.
    """
    settings = {"settings_hash": workplace.strategy.content_hash()}
    found = workplace.ledger.read("studies", workplace.strategy.name, where=settings, bookkeeping=True)
    found = found[found["month"] < before_month]
    return None if found.empty else found.sort_values(["month", "sequence"]).iloc[-1]


def track_frames(study: Study, months: list[str]) -> dict[str, pd.DataFrame]:
    """Daily results of every estimator and the yardstick, one frame for each month."""
    record = study.record
    frames = {}
    for month in months:
        rows = _rows_of(study, month)
        parts = [
            pd.DataFrame(
                {
                    "session": record.sessions[rows],
                    "track": name,
                    "net_return": track.net[rows],
                    "gross_return": track.gross[rows],
                    "turnover": track.turnover[rows],
                }
            )
            for name, track in record.tracks.items()
        ]
        frames[month] = pd.concat(parts, ignore_index=True)
    return frames
