"""Figures of a study: of every estimator, in total, per fold and per regime, with reasons for gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.evaluation.book_figures import StudyTerms, book_figures
from nn_assets.evaluation.figure_set import (
    BOOK_NAMES,
    FIGURE_NAMES,
    FORECAST_NAMES,
    Figures,
    StudyFigures,
)
from nn_assets.evaluation.record import StudyRecord
from nn_assets.evaluation.significance import (
    CROSS_SECTION,
    MeanTest,
    auc_contributions,
    rank_ic_contributions,
    robust_mean_test,
)
from nn_assets.measures import accuracy, brier

__all__ = ["FIGURE_NAMES", "LEAK_ALARMS", "Figures", "StudyFigures", "study_figures"]

FloatArray = npt.NDArray[np.float64]
BooleanArray = npt.NDArray[np.bool_]

LEAK_ALARMS = {"accuracy": 0.60, "rank_ic": 0.10, "sharpe_net": 4.0}
"""Figures too good to be true; the Sharpe ratio only on at most `_FEW_INSTRUMENTS`."""

_FEW_INSTRUMENTS = 10


def study_figures(
    record: StudyRecord,
    *,
    horizon_sessions: int,
    sessions_per_year: int,
    trials: int = 1,
    trial_sharpes: Sequence[float] = (),
    cash_rate_per_session: float | FloatArray = 0.0,
    by_fold: bool = True,
) -> StudyFigures:
    """Take every figure of an out-of-sample record.

    Parameters
    ----------
    record : StudyRecord
        Cut with `StudyRecord.until` where a month's figures must read nothing later.
    horizon_sessions : int
        Of the label; sets the truncation lag of the robust errors.
    sessions_per_year : int
        252 for an exchange, 365 for a market that never closes.
    trials : int
        Configurations ever evaluated on these data, this one included.
    trial_sharpes : sequence of float
        Their net Sharpe ratios *per session*, as far as on record; fewer than ten say too little of
        their spread, and the spread of worthless trials stands in.
    cash_rate_per_session : float or array of shape (sessions,)
        Fraction; Sharpe ratios are in excess of it.
    by_fold : bool
        Without it ``folds`` stays empty: a month's verdict needs the totals of its prefix only, and
        those take milliseconds.

    Returns
    -------
    StudyFigures
        NaN never appears: a figure that cannot be had is ``None``, with the reason beside it.
    """
    terms = StudyTerms(horizon_sessions, sessions_per_year, max(trials, 1), tuple(trial_sharpes), cash_rate_per_session)
    names = tuple(dict.fromkeys([*record.forecasts, *record.tracks]))

    def over(rows: BooleanArray) -> dict[str, Figures]:
        return {name: _figures(name, record, rows, terms) for name in names}

    total = over(np.ones(len(record.sessions), dtype=np.bool_))
    return StudyFigures(
        total=total,
        folds=_by(record.months, over) if by_fold else {},
        regimes={} if record.regimes is None else _by(record.regimes, over),
        horizon_sessions=horizon_sessions,
        sessions_per_year=sessions_per_year,
        symbols=len(record.symbols),
        trials=terms.trials,
        alarms=_alarms(total, len(record.symbols)),
        remarks=_remarks(total, "rank_ic" if len(record.symbols) >= CROSS_SECTION else "auc"),
    )


def _by(
    named: npt.NDArray[np.str_], over: Callable[[BooleanArray], dict[str, Figures]]
) -> dict[str, dict[str, Figures]]:
    return {name: over(named == name) for name in sorted(set(named.tolist()) - {""})}


def _figures(name: str, record: StudyRecord, rows: BooleanArray, terms: StudyTerms) -> Figures:
    values: dict[str, Any] = {}
    absent: dict[str, str] = {}
    tests: dict[str, MeanTest] = {}
    used = np.zeros(len(rows), dtype=np.bool_)
    if name in record.forecasts:
        found, tests = _forecast_figures(name, record, rows, terms.horizon_sessions)
        values |= found
        used |= rows & np.isfinite(record.forecasts[name]).any(axis=1)
    else:
        absent |= dict.fromkeys(FORECAST_NAMES, f"{name} makes no forecasts")
        terms = replace(terms, trials=1)  # a yardstick is not chosen among trials
    track = record.tracks.get(name)
    if track is None:
        absent |= dict.fromkeys(BOOK_NAMES, f"no book of {name} was replayed")
    else:
        kept = rows & np.isfinite(track.net)
        measured, missing = book_figures(track, kept, terms)
        values |= measured
        absent |= missing
        used |= kept
    for key, test in tests.items():
        if test.estimate is None or test.t_statistic is None:
            absent |= dict.fromkeys([f"{key}_t"] + [key] * (test.estimate is None), test.reason)
    if name in record.forecasts and values["forecasts"] == 0:
        absent |= dict.fromkeys(("accuracy", "base_rate", "brier"), "no forecast has a realised label")
    span = record.sessions[used]
    return Figures(
        estimator=name,
        first_session=_day(span[0]) if len(span) else None,
        last_session=_day(span[-1]) if len(span) else None,
        absent=absent,
        tests=tests,
        **values,
    )


def _day(session: pd.Timestamp) -> str:
    return str(session.date())


def _forecast_figures(
    name: str, record: StudyRecord, rows: BooleanArray, horizon: int
) -> tuple[dict[str, Any], dict[str, MeanTest]]:
    """Figures of the forecasts alone, whatever a book makes of them."""
    probabilities, targets, returns = record.forecasts[name][rows], record.targets[rows], record.returns[rows]
    complete = np.isfinite(probabilities) & np.isfinite(targets)
    p, y = probabilities[complete], targets[complete]
    tests = {
        "auc": robust_mean_test(auc_contributions(probabilities, targets), horizon, null=0.5),
        "rank_ic": robust_mean_test(rank_ic_contributions(probabilities, returns), horizon),
    }
    values: dict[str, Any] = {
        "forecast_sessions": int(complete.any(axis=1).sum()),
        "forecasts": len(p),
    }
    if len(p):
        values |= {"accuracy": accuracy(p, y), "base_rate": float(y.mean()), "brier": brier(p, y)}
    for key, test in tests.items():
        values |= {key: test.estimate, f"{key}_t": test.t_statistic}
    return values, tests


def _alarms(total: Mapping[str, Figures], symbols: int) -> tuple[str, ...]:
    """Name every figure above its leak alarm, for whoever makes forecasts."""
    raised = []
    for name, figures in total.items():
        if figures.forecasts == 0:
            continue
        for key, limit in LEAK_ALARMS.items():
            value = getattr(figures, key)
            if key == "sharpe_net" and symbols > _FEW_INSTRUMENTS:
                continue
            if value is not None and value > limit:
                said = key.replace("_", " ")
                raised.append(f"{name}: {said} {value:.3f} is above {limit:g}; look for a leak before belief")
    return tuple(raised)


def _remarks(total: Mapping[str, Figures], statistic: str) -> tuple[str, ...]:
    """Say where the network does not beat what stands beside it, and where it cannot be compared."""
    network = total.get("network")
    if network is None:
        return ()
    said = []
    rivals = {"linear": "the linear model", "boosting": "boosting", "buy_and_hold": "buy-and-hold"}
    words = {"auc": "AUC", "rank_ic": "rank IC", "sharpe_net": "net Sharpe"}
    for rival, called in rivals.items():
        for key in (statistic, "sharpe_net"):
            mine = getattr(network, key)
            theirs = getattr(total[rival], key) if rival in total else None
            if mine is not None and theirs is not None and mine <= theirs:
                said.append(f"the network does not beat {called}: {words[key]} {mine:.3f} against {theirs:.3f}")
    return tuple(said)
