"""Figures of a study: of every estimator, in total, per fold and per regime, with reasons for gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray
from nn_assets.estimators import ESTIMATORS, TRADED
from nn_assets.evaluation.book_figures import StudyTerms, book_figures
from nn_assets.evaluation.figure_set import (
    BOOK_NAMES,
    FIGURE_NAMES,
    FORECAST_NAMES,
    Figures,
    LeakAlarm,
    StudyFigures,
)
from nn_assets.evaluation.shift import shift_test
from nn_assets.evaluation.significance import (
    CROSS_SECTION,
    MeanTest,
    auc_contributions,
    paired_test,
    rank_ic_contributions,
    robust_mean_test,
)
from nn_assets.evaluation.smallest_effect import smallest_effect
from nn_assets.evaluation.spending import per_trial_level
from nn_assets.evaluation.track import StudyTrack
from nn_assets.measures import brier, expected_calibration_error

__all__ = ["FIGURE_NAMES", "LEAK_ALARMS", "Figures", "StudyFigures", "study_figures"]


LEAK_ALARMS = MappingProxyType({"accuracy": 0.10, "rank_ic": 0.10, "sharpe_net": 4.0})
"""Figures too good to be true: accuracy above its base, rank IC across symbols, net Sharpe ratio on few instruments.

A correlation over time is no rank IC across symbols: at the accuracy of 0.57 that the field reports of one instrument
it is already above 0.2.
"""

_FEW_INSTRUMENTS = 10
_SURE = 0.01
"""One-sided p-value below which a figure rings by itself: a short record of noise reaches any figure.

One above its level and less sure rings where the verdict would find a signal all the same.
"""

_RIVALS = {name: kind.called for name, kind in ESTIMATORS.items() if name != TRADED}
_BEATS = 0.05  # one-sided, over the rivals together


def study_figures(
    track: StudyTrack,
    *,
    horizon_sessions: int,
    sessions_per_year: int,
    trials: int = 1,
    trial_sharpes: Sequence[float] = (),
    cash_rate_per_session: float | FloatArray = 0.0,
    linear_cost: float = 0.0,
    configured_effect: float | None = None,
    by_fold: bool = True,
) -> StudyFigures:
    """Take every figure of an out-of-sample record.

    Parameters
    ----------
    track : StudyTrack
        Cut with `StudyTrack.until` where a month's figures must read nothing later.
    horizon_sessions : int
        Of the label; sets the truncation lag of the robust errors.
    sessions_per_year : int
        252 for an exchange, 365 for a market that never closes.
    trials : int
        Configurations ever evaluated on these data, this one included.
    trial_sharpes : sequence of float
        Their net Sharpe ratios *per session*, as far as on record; fewer than ten say too little of
        their spread, and the spread of worthless trials is used instead.
    cash_rate_per_session : float or array of shape (sessions,)
        Fraction; Sharpe ratios are in excess of it.
    linear_cost : float
        Half-spread and commission, fraction of the value traded: what the smallest effect must pay for.
    configured_effect : float, optional
        The smallest effect of interest, an excess over chance, in place of the derived one.
    by_fold : bool
        Without it ``folds`` stays empty: a month's verdict needs the totals of its prefix only, and
        those take milliseconds.

    Returns
    -------
    StudyFigures
        NaN never appears: a figure that cannot be had is ``None``, with the reason beside it.
    """
    terms = StudyTerms(horizon_sessions, sessions_per_year, max(trials, 1), tuple(trial_sharpes), cash_rate_per_session)
    names = tuple(dict.fromkeys([*track.forecasts, *track.tracks]))

    def over(rows: BoolArray) -> dict[str, Figures]:
        return {name: _figures(name, track, rows, terms) for name in names}

    total = over(np.ones(len(track.sessions), dtype=np.bool_))
    wide = track.breadth >= CROSS_SECTION
    nothing = np.full(track.returns.shape, np.nan)
    effect = smallest_effect(
        track.ranked(TRADED) if TRADED in track.forecasts else nothing,
        track.returns,
        across_symbols=wide,
        linear_cost=linear_cost,
        horizon=horizon_sessions,
        sessions_per_year=sessions_per_year,
        configured_effect=configured_effect,
    )
    too_good = list(_too_good(total, track.breadth))
    return StudyFigures(
        total=total,
        folds=_by(track.months, over) if by_fold else {},
        regimes={} if track.regimes is None else _by(track.regimes, over),
        horizon_sessions=horizon_sessions,
        sessions_per_year=sessions_per_year,
        symbols=track.breadth,
        trials=terms.trials,
        smallest_effect=effect,
        alarms=tuple(alarm for alarm, sure in too_good if sure),
        doubts=tuple(alarm for alarm, sure in too_good if not sure),
        remarks=_remarks(track, total, horizon_sessions),
        shift=shift_test(track, over, horizon_sessions),
    )


def _by(named: npt.NDArray[np.str_], over: Callable[[BoolArray], dict[str, Figures]]) -> dict[str, dict[str, Figures]]:
    return {name: over(named == name) for name in sorted(set(named.tolist()) - {""})}


def _figures(name: str, study: StudyTrack, rows: BoolArray, terms: StudyTerms) -> Figures:
    values: dict[str, Any] = {}
    absent: dict[str, str] = {}
    tests: dict[str, MeanTest] = {}
    used = np.zeros(len(rows), dtype=np.bool_)
    if name in study.forecasts:
        forecast_values, tests = _forecast_figures(name, study, rows, terms.horizon_sessions)
        values |= forecast_values
        used |= rows & np.isfinite(study.forecasts[name]).any(axis=1)
    else:
        absent |= dict.fromkeys(FORECAST_NAMES, f"{name} makes no forecasts")
        terms = replace(terms, trials=1)  # a yardstick is not chosen among trials
    track = study.tracks.get(name)
    if track is None:
        absent |= dict.fromkeys(BOOK_NAMES, f"no book of {name} was replayed")
    else:
        kept = rows & np.isfinite(track.net)
        measured, missing = book_figures(track, kept, terms)
        values |= measured
        absent |= missing
        used |= kept
    for key in ("auc", "rank_ic") if tests else ():
        if tests[key].t_statistic is None:
            absent |= dict.fromkeys([f"{key}_t"] + [key] * (tests[key].estimate is None), tests[key].reason)
    if name in study.forecasts and values["forecasts"] == 0:
        measured_on_labels = ("accuracy", "base_rate", "base_accuracy", "brier", "base_brier", "calibration_error")
        absent |= dict.fromkeys(measured_on_labels, "no forecast has a realised label")
    elif name in study.forecasts and values.get("base_brier") is None:
        absent["base_brier"] = "the base rates known then are not on record"
    span = study.sessions[used]
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
    name: str, track: StudyTrack, rows: BoolArray, horizon: int
) -> tuple[dict[str, Any], dict[str, MeanTest]]:
    """Figures of the forecasts alone, without any book."""
    probabilities, targets, outcomes = track.forecasts[name][rows], track.targets[rows], track.outcomes[rows]
    folds = track.folds[rows]
    complete = np.isfinite(probabilities) & np.isfinite(targets)
    p, y = probabilities[complete], targets[complete]
    ranked = track.ranked(name)[rows]
    tests = {
        "auc": robust_mean_test(auc_contributions(ranked, track.rises[rows], folds), horizon, null=0.5),
        "rank_ic": robust_mean_test(rank_ic_contributions(ranked, outcomes, folds), horizon),
    }
    values: dict[str, Any] = {
        "forecast_sessions": int(complete.any(axis=1).sum()),
        "forecasts": len(p),
    }
    if len(p):
        right = _over_symbols((probabilities > 0.5) == (targets > 0.5), complete)
        up = _over_symbols(targets > 0.5, complete)
        base = float(np.nanmean(up))
        commoner = up if base >= 0.5 else 1.0 - up
        tests["accuracy"] = robust_mean_test(right - commoner, horizon)
        values |= {
            "accuracy": float(np.nanmean(right)),
            "base_rate": base,
            "base_accuracy": max(base, 1.0 - base),
            "brier": brier(p, y),
            "calibration_error": expected_calibration_error(p, y),
        }
        if track.base_rates is not None:
            always = track.base_rates[name][rows][complete]
            values["base_brier"] = brier(always, y) if np.isfinite(always).all() else None
    for key in ("auc", "rank_ic"):
        values |= {key: tests[key].estimate, f"{key}_t": tests[key].t_statistic}
    return values, tests


def _over_symbols(true: BoolArray, complete: BoolArray) -> FloatArray:
    """Share of each session's complete pairs of which something is true, (sessions,); NaN without a pair."""
    count = complete.sum(axis=1)
    return np.where(count > 0, (true & complete).sum(axis=1) / np.maximum(count, 1), np.nan)


def _too_good(total: Mapping[str, Figures], symbols: int) -> Iterator[tuple[LeakAlarm, bool]]:
    """Every estimator's figures above the level of their leak alarm, and whether each is surely above chance."""
    for name, figures in total.items():
        for key, message, sure in _above_level(figures, symbols) if figures.forecasts else ():
            yield LeakAlarm(name, key, f"{name}: {message}; look for a leak before belief"), sure


def _above_level(figures: Figures, symbols: int) -> Iterator[tuple[str, str, bool]]:
    over, ic = figures.tests["accuracy"], figures.tests["rank_ic"]
    if _above(over.estimate, "accuracy"):
        base = f"its base rate {figures.base_accuracy:.3f}"
        message = f"accuracy {figures.accuracy:.3f} is more than {LEAK_ALARMS['accuracy']:g} above {base}"
        yield "accuracy", message, over.never_varies or _sure(over.p_value)
    if symbols >= CROSS_SECTION and _above(ic.estimate, "rank_ic"):
        message = f"rank IC {ic.estimate:.3f} is above {LEAK_ALARMS['rank_ic']:g}"
        yield "rank IC", message, ic.never_varies or _sure(ic.p_value)
    if symbols <= _FEW_INSTRUMENTS and _above(figures.sharpe_net, "sharpe_net"):
        positive = figures.probabilistic_sharpe
        sure = _sure(None if positive is None else 1.0 - positive)
        yield "net Sharpe", f"net Sharpe {figures.sharpe_net:.3f} is above {LEAK_ALARMS['sharpe_net']:g}", sure


def _above(figure: float | None, name: str) -> bool:
    return figure is not None and figure > LEAK_ALARMS[name]


def _sure(p_value: float | None) -> bool:
    return p_value is not None and p_value < _SURE


def _remarks(track: StudyTrack, total: Mapping[str, Figures], horizon: int) -> tuple[str, ...]:
    """Compare the network with the other estimators by a paired test, or say that no test can decide."""
    if TRADED not in total:
        return ()
    rivals = [name for name in _RIVALS if name in track.forecasts]
    remarks = [_against(track, rival, horizon, len(rivals)) for rival in rivals] if TRADED in track.forecasts else []
    remarks += [remark for rival in rivals if (remark := _partly_there(track, rival))]
    network_sharpe, hold_sharpe = (
        total[TRADED].sharpe_net,
        total["buy_and_hold"].sharpe_net if "buy_and_hold" in total else None,
    )
    if network_sharpe is not None and hold_sharpe is not None and network_sharpe <= hold_sharpe:
        remarks.append(
            f"the network does not beat buy-and-hold: net Sharpe {network_sharpe:.3f} against {hold_sharpe:.3f}"
        )
    return tuple(remarks)


def _partly_there(track: StudyTrack, rival: str) -> str | None:
    """That an estimator has no forecast of some sessions; None where it has one wherever the network has."""
    network, of_rival = (
        np.isfinite(track.forecasts[name]).any(axis=1) if name in track.forecasts else np.zeros(len(track.sessions))
        for name in (TRADED, rival)
    )
    without = int(np.sum((network > 0) & (of_rival == 0)))
    if without == 0:
        return None
    return (
        f"{_RIVALS[rival]} has no forecast of {without:,} of {int(np.sum(network)):,} sessions, whose models were "
        "fitted without it: it is compared over the others"
    )


def _against(track: StudyTrack, rival: str, horizon: int, rivals: int) -> str:
    """The network against another estimator: paired daily rank IC, or AUC in narrow panels, adjusted for rivals."""
    wide = track.breadth >= CROSS_SECTION
    contributions, outcomes = (rank_ic_contributions, track.outcomes) if wide else (auc_contributions, track.rises)
    network_contributions, rival_contributions = (
        contributions(track.ranked(name), outcomes, track.folds) for name in (TRADED, rival)
    )
    test = paired_test(network_contributions, rival_contributions, horizon)
    called = _RIVALS[rival]
    if test.p_value is None or test.estimate is None:
        return f"the network is not distinguishable from {called}: {test.reason}"
    level = per_trial_level(_BEATS, rivals)
    compared = f"{rivals} comparison{'s' * (rivals != 1)}"
    figure = f"{'rank IC' if wide else 'AUC'} {test.estimate:+.4f} a session, t = {test.t_statistic:.2f}, {compared}"
    if test.p_value < level:
        return f"the network beats {called}: {figure}"
    if 1.0 - test.p_value < level:
        return f"{called} beats the network: {figure}"
    return f"the network is not distinguishable from {called}: {figure}"
