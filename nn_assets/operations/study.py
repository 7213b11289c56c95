"""A study from the stores to the stores: forecasts and bars in, record, figures, verdicts and trials out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.errors import PublicationError
from nn_assets.estimators import TRADED, estimators_of, roots_of_fits
from nn_assets.evaluation.figures import LEAK_ALARMS
from nn_assets.evaluation.study import (
    MonthVerdict,
    Study,
    StudyMaterial,
    Terms,
    judge_months,
    run_study,
    unjudged,
)
from nn_assets.evaluation.trials import trial_configuration, trial_hash
from nn_assets.evaluation.verdict import NO_MONTH_ENDED, NOT_AGAINST_THE_PRICE, is_released
from nn_assets.evaluation.volatility_figures import WITHOUT_DIRECTION
from nn_assets.evaluation.volatility_study import run_volatility_study
from nn_assets.features.labels import label_kind
from nn_assets.learning.first_month import first_model_month
from nn_assets.market.calendar.sessions import bars_of_session, next_session
from nn_assets.operations.asof.alarms import released_alarms, released_figures, standing_alarms
from nn_assets.operations.asof.capacity import capacity_in_force
from nn_assets.operations.asof.choices import in_sample_until
from nn_assets.operations.asof.costs import costs_in_force
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.trials import (
    OTHER_BARS,
    Ground,
    earlier_grounds,
    ground_of,
    looks_taken,
    trials_made,
)
from nn_assets.operations.derived import trading_roots
from nn_assets.operations.history import History
from nn_assets.operations.judged import Judged
from nn_assets.operations.models.calibration import calibrate_forecasts
from nn_assets.operations.models.outdated import months_to_refit
from nn_assets.operations.models.refresh_requests import leave_watch_for_live
from nn_assets.operations.models.refreshed import RefreshedForecasts, put_in_force_before_live, refreshed_forecasts
from nn_assets.operations.models.tried import STUDIED_BY
from nn_assets.operations.replay_pace import ReplayPace
from nn_assets.operations.study_material import material_of
from nn_assets.session.horizon_in_session import decisions_that_count
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify_acts
from nn_assets.versions import version_of

Progress = Callable[[str], None]

_EPOCH = pd.Timestamp(0, tz="UTC")


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A study, the verdict at the end of each month asked for, and what it was made from."""

    study: Study
    months: tuple[MonthVerdict, ...]
    material: StudyMaterial
    terms: Terms
    horizon: str = ""  # of a label in hours or in decision bars, as it is told

    @property
    def trials(self) -> int:
        """Configurations ever evaluated on these data, this study's included."""
        return self.terms.trials

    @property
    def unreleased_alarms(self) -> tuple[str, ...]:
        """Figures that are too good to be true, of the whole record or standing at the last look, not released."""
        figures, terms = self.study.figures, self.terms
        if terms.unjudged is not None:
            return ()
        of_all = {
            alarm.name: str(alarm)
            for alarm in figures.alarms
            if not is_released(figures, alarm, terms.released, terms.released_figures)
        }
        return tuple({**self.last.verdict.unreleased_alarms, **of_all}.values())

    @property
    def measured(self) -> bool:
        """Whether there is any figure of forecasts by which a leak would show."""
        total = self.study.figures.total.values()
        return any(getattr(figures, name) is not None for figures in total if figures.forecasts for name in LEAK_ALARMS)

    @property
    def leak_alarm(self) -> Judged:
        """Whether no figure is too good to be true, but those that a person released."""
        if self.study.volatility is not None:
            return Judged("no_leak_alarm", None, f"{WITHOUT_DIRECTION}, nor an accuracy, rank IC or Sharpe ratio")
        if self.terms.unjudged is not None:
            return Judged("no_leak_alarm", None, self.terms.unjudged.reason)
        alarms = self.unreleased_alarms
        text = "; ".join([*alarms, *self.last.verdict.released])
        finding = text or ("no alarm" if self.measured else "no forecast has a realised label")
        held = not alarms if self.measured or alarms else None
        return Judged("no_leak_alarm", held, finding, warns=True)

    @property
    def last(self) -> MonthVerdict:
        """The newest verdict; where no month of the record has ended, that none was taken."""
        if self.months:
            return self.months[-1]
        figures = self.study.figures
        return MonthVerdict(
            str(self.study.track.months[-1]), figures, unjudged(NO_MONTH_ENDED, figures, self.terms), None
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """The verdict, and figures of each estimator and the yardstick, by name."""
        verdict = self.last.verdict
        figures: dict[str, Any] = {
            "verdict": verdict.phrase,
            "verdict_of": self.last.month,
            "why": verdict.reason,
            "smallest_effect": verdict.smallest_effect_derivation,
            "sessions": len(self.study.rows),
            "trials": self.trials,
        }
        if self.horizon:
            figures["horizon"] = self.horizon
        if self.study.figures.volatility is not None:
            return figures | self.study.figures.volatility.flat()
        if late := self.study.replays[TRADED].late_decisions:
            figures["late_decisions"] = late
        for name, of_name in self.study.figures.total.items():
            for figure in ("auc", "accuracy", "sharpe_net"):
                value = getattr(of_name, figure)
                if value is not None:
                    figures[f"{name}_{figure}"] = round(float(value), 4)
        return figures


def study_identity(history: History, month: str) -> str:
    """Address of the study that ends with a month: data, code, settings."""
    strategy = history.strategy
    content: dict[str, Any] = {
        "strategy": strategy.name,
        "month": month,
        "data": history.covering(history.last_session).content_hash,
        "code": version_of(STUDIED_BY, *roots_of_fits(), *trading_roots(strategy)),
        "settings": strategy.content_hash(),
        "costs": costs_in_force(history.stores.ledger, strategy.name).newest,
    }
    if (capacity := capacity_in_force(history.stores.ledger, strategy).newest) is not None:
        content["capacity"] = capacity
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def study_until(history: History, months: list[str], run_id: str, tell: Progress) -> StudyResult:
    """Study the record from its first month to the last one asked for.

    Figures and verdicts are recorded for each month asked for that has ended (the calendar's next session lies in
    another one), each from the record as it stood then. A month under way or ahead has no verdict: the last one that
    ended is judged in its place, and its look, where it is on record, is not taken again. Every session is replayed on
    what it knew: a bar restated later is not there yet. Refreshes that drift asks for are carried out as they are live.
    Every estimator is a trial, and is counted; every verdict is a look, and is on record whether it is read or not.
    Both are shared by all studies of the same data.

    Raises
    ------
    PublicationError
        A month of the record has no forecasts, or ones of other facts than its sessions know by now.
    AuditError
        A record of what persons, studies and trainings did is not as it was appended: no look is taken.
    """
    strategy = history.strategy
    verify_acts(history.stores.ledger)  # the looks and trials among them are counted below
    needed_months = _months_until(history, months[-1])
    refreshed = refreshed_forecasts(history, needed_months, tell)
    material = _material_of(history, needed_months, refreshed)
    judgeable = _months_to_judge(strategy, material, months)
    ground = ground_of(strategy.name, history.covering(history.last_session).content_hash, history.view().bars)
    if earlier := earlier_grounds(history.stores):
        rows = [earlier_ground.to_row() for earlier_ground in earlier]
        history.stores.ledger.append("data_fingerprints", rows, run_id=run_id, reason=OTHER_BARS)
    terms = _terms(history, ground, judgeable or months)
    per_year = history.sessions_per_year
    if strategy.of_no_direction:
        study = run_volatility_study(strategy, per_year, material, terms, tell)
    else:
        study = run_study(strategy, per_year, material, terms, tell, progress=ReplayPace(tell))
    put_in_force_before_live(history, refreshed, run_id)
    if not strategy.of_no_direction:
        leave_watch_for_live(history.stores.ledger, strategy, study.replays[TRADED].rounds, run_id)
    tell(f"judging {len(judgeable)} months")
    judged = judge_months(strategy, per_year, study, judgeable, terms)
    result = StudyResult(study, judged, material, terms, strategy.horizon_text if strategy.horizon_in_bars else "")
    _record(history, result, ground, run_id)
    return result


def _months_to_judge(strategy: Strategy, material: StudyMaterial, months: list[str]) -> list[str]:
    """Those of the months asked for that have ended, and the last one that has, where one asked for has not.

    With ``walk_forward.partial_months`` the month that the history is stated to end in has ended with it. Where that
    end moves on, the month is looked at again, which counts as a look of its own.
    """
    last, market = material.sessions[-1], strategy.market
    following = next_session(market.calendar, last)
    at_end = market.history_ends is not None and following.normalize() > pd.Timestamp(market.history_ends)
    partly = strategy.walk_forward.partial_months and at_end
    ended = sorted({month for month in material.month_by_row if month and (partly or month < f"{following:%Y-%m}")})
    return sorted(
        {max(before) for month in months if (before := [ended_month for ended_month in ended if ended_month <= month])}
    )


def material_until(history: History, last_month: str) -> StudyMaterial:
    """What a study of every month up to one replays, of the forecasts on record.

    Raises
    ------
    PublicationError
        As of :func:`study_until`.
    """
    needed_months = _months_until(history, last_month)
    return _material_of(history, needed_months, refreshed_forecasts(history, needed_months, lambda _: None))


def _months_until(history: History, last_month: str) -> list[str]:
    strategy = history.strategy
    needed_months = [str(m) for m in pd.period_range(first_model_month(strategy), last_month, freq="M")]
    missing = sorted(set(needed_months) - set(history.stores.lake.months(strategy.name, FORECASTS)))
    if missing:
        raise PublicationError(
            expected=f"forecasts of every month from {needed_months[0]} to {last_month}",
            found=f"none for {', '.join(missing[:12])}{' …' * (len(missing) > 12)}",
            remedy=f"nn-assets study --strategy {strategy.name} --from {missing[0]} --to {last_month}",
            strategy=strategy.name,
        )
    if outdated := months_to_refit(history, str(pd.Period(last_month, "M") + 1)):
        raise PublicationError(
            expected=f"forecasts of every month from {needed_months[0]} to {last_month}, of what its sessions know",
            found=f"facts of {', '.join(outdated[:12])}{' …' * (len(outdated) > 12)} that arrived since, and state a "
            "moment in the past",
            remedy=f"nn-assets study --strategy {strategy.name} --from {outdated[0]} --to {last_month}",
            strategy=strategy.name,
        )
    return needed_months


def _material_of(history: History, needed_months: list[str], refreshed: RefreshedForecasts) -> StudyMaterial:
    forecasts = refreshed.forecasts
    if label_kind(history.strategy.label).learns != "volatility":  # which has no probability to be calibrated
        forecasts = calibrate_forecasts(history, forecasts)
    return material_of(history, needed_months, forecasts, refreshed.refreshes)


def _terms(history: History, ground: Ground, months: list[str]) -> Terms:
    """What was tried, seen and released on the strategy's data before, this study's trials included."""
    strategy = history.strategy
    ledger = history.stores.ledger
    known_trials = trials_made(ledger, ground)
    own_trials = {trial_hash(strategy, estimator) for estimator in estimators_of(strategy.learning.baselines)}
    sharpes = [
        float(figures["sharpe_per_session"])
        for trial, figures in zip(known_trials["trial_id"], known_trials["figures"], strict=True)
        if trial not in own_trials and figures.get("sharpe_per_session") is not None
    ]
    trial_id = trial_hash(strategy)
    counted, bars = decisions_that_count(strategy), bars_of_session(strategy.market.calendar)
    looks = looks_taken(ledger, ground, trial_id)
    return Terms(
        trials=len(own_trials | set(known_trials["trial_id"])),
        trial_sharpes=sharpes,
        first_look=looks[0].month if looks else _first_look(strategy, months),
        looks=looks,
        released=released_alarms(ledger, ground, trial_id),
        released_figures=released_figures(ledger, ground, trial_id),
        standing_alarms=standing_alarms(ledger, ground, trial_id),
        in_sample_until=in_sample_until(ledger, strategy),
        decisions_per_day=counted,
        counted_per_year=None if counted is None else history.sessions_per_year // bars * counted,
        unjudged=NOT_AGAINST_THE_PRICE if strategy.market.binary else None,
    )


def _first_look(strategy: Strategy, months: list[str]) -> str:
    """The month of the first verdict: the last one before the live start, or else the newest one studied."""
    starts = strategy.market.live_starts
    before_live = "" if starts is None else str(pd.Period(starts, "M") - 1)
    return min((month for month in months if before_live and month >= before_live), default=months[-1])


def _record(history: History, result: StudyResult, ground: Ground, run_id: str) -> None:
    strategy = history.strategy
    sessions = result.study.track.sessions
    code = version_of(STUDIED_BY, *roots_of_fits(), *trading_roots(strategy))
    studies = [
        {
            "study_id": study_identity(history, judged.month),
            "month": judged.month,
            "verdict": judged.verdict.phrase,
            "trial_count": result.trials,
            "figures": {
                "allows_trading": judged.verdict.allows_trading,
                "reason": judged.verdict.reason,
                "released_alarms": "; ".join(judged.verdict.released),
                **judged.figures.flat(),
            },
            "data_hash": ground.data_hash,
            "code_version": code,
            "settings_hash": strategy.content_hash(),
            "first_session": sessions[result.study.rows[0]].normalize(),
            "last_session": sessions[max(_rows_of(result.study, judged.month))].normalize(),
        }
        for judged in result.months
    ]
    trials = []
    for estimator in estimators_of(strategy.learning.baselines):
        figures = result.study.figures.total[estimator]
        per_session = None
        if figures.sharpe_net is not None:
            per_session = figures.sharpe_net / history.sessions_per_year**0.5
        trials.append(
            {
                "trial_id": trial_hash(strategy, estimator),
                "data_hash": ground.data_hash,
                "code_version": code,
                "study_id": studies[-1]["study_id"] if studies else None,
                "configuration": trial_configuration(strategy, estimator),
                "figures": {"sharpe_per_session": per_session, **figures.values()},
            }
        )
    looks = [
        _look_row(strategy, judged, ground, result.trials, str(study["study_id"]))
        for judged, study in zip(result.months, studies, strict=True)
        if judged.look is not None
    ]
    with history.stores.ledger.transaction(run_id, strategy=strategy.name) as transaction:
        transaction.append("settings_versions", [settings_version(strategy)])
        transaction.append("data_fingerprints", [ground.to_row()], reason=OTHER_BARS)
        transaction.append("studies", studies, reason="the study was run again")
        transaction.append("trials", trials, reason="a study measured it")
        transaction.append("looks", looks, reason="the study was run again")


def _look_row(strategy: Strategy, judged: MonthVerdict, ground: Ground, trials: int, study_id: str) -> dict[str, Any]:
    look, verdict = judged.look, judged.verdict
    assert look is not None
    return {
        "trial_id": trial_hash(strategy),
        "data_hash": ground.data_hash,
        "month": look.month,
        "study_id": study_id,
        "verdict": verdict.phrase,
        "look": verdict.look,
        "sessions": look.sessions,
        "trials": trials,
        "estimate": look.estimate,
        "standard_error": look.standard_error,
        "degrees": look.degrees,
        "adjusted_p_value": verdict.adjusted_p_value,
        "allowed_p_value": verdict.allowed_p_value,
        "interval_low": verdict.interval_low,
        "interval_high": verdict.interval_high,
        "smallest_effect": verdict.smallest_effect,
        "allows_trading": look.allows_trading,
        "details": {
            "statistic": verdict.statistic,
            "smallest_effect_derivation": verdict.smallest_effect_derivation,
            "standing_alarms": verdict.unreleased_alarms,
            "released_alarms": list(verdict.released),
            **({"rung": rung} if (rung := _whose(strategy, judged)) else {}),
        },
    }


def _whose(strategy: Strategy, judged: MonthVerdict) -> dict[str, dict[str, Any]]:
    """Whose figure each alarm is that a look leaves standing, by its name: configuration, month, and how large."""
    return {
        alarm.name: {
            "trial_id": alarm.trial_id or trial_hash(strategy),
            "month": alarm.month,
            "figure": alarm.figure,
        }
        for alarm in judged.standing_alarms
    }


def _rows_of(study: Study, month: str) -> list[int]:
    return [row for row, named in enumerate(study.track.months) if named == month]


def settings_version(strategy: Strategy) -> dict[str, Any]:
    """The row that has the settings of a hash; a constant moment, since the hash says when."""
    return {"settings_hash": strategy.content_hash(), "settings": strategy.behaviour(), "known_at": _EPOCH}


def _no_book() -> pd.DataFrame:
    """Daily results where nothing was replayed."""
    numbers = {name: pd.Series(dtype=np.float64) for name in ("net_return", "gross_return", "turnover")}
    day = {"session": pd.Series(dtype="datetime64[ns]"), "track": pd.Series(dtype="str")}
    return pd.DataFrame(day | numbers)


def track_frames(study: Study, months: list[str]) -> dict[str, pd.DataFrame]:
    """Daily results of every estimator and the yardstick, one frame for each month."""
    tracks = study.track
    frames = {}
    for month in months:
        rows = _rows_of(study, month)
        parts = [
            pd.DataFrame(
                {
                    "session": tracks.sessions[rows],
                    "track": name,
                    "net_return": track.net[rows],
                    "gross_return": track.gross[rows],
                    "turnover": track.turnover[rows],
                }
            )
            for name, track in tracks.tracks.items()
        ]
        frames[month] = pd.concat(parts, ignore_index=True) if parts else _no_book()
    return frames
