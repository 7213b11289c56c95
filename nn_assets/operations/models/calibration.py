"""The calibration in force in each month: fitted once, at its first session, on what was known before it.

A study and the live round derive it by one function from the raw forecasts on record, so that they get the same
bits; nothing but the raw forecasts is stored of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nn_assets.features.labels import label_kind
from nn_assets.learning.calibration import Calibration, fit_calibration
from nn_assets.learning.chain import ScaledForecasts, calibrated, scaled
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.forecasts import ForecastArrays, Forecasts
from nn_assets.learning.inference import forecast
from nn_assets.learning.refits import used_rows
from nn_assets.operations.asof.choices import unseen_from
from nn_assets.operations.history import History, Stretch
from nn_assets.operations.models.novelty import confidence_shares
from nn_assets.operations.models.preparation import use_begins
from nn_assets.operations.models.stored import load_model

_MONTHS_A_YEAR = 12.0


def calibrate_forecasts(
    history: History,
    record: Forecasts,
    estimators: Sequence[str] | None = None,
    calibrations: Mapping[int, Calibration] | None = None,
) -> Forecasts:
    """Score every session of a record, and calibrate it by the calibration in force in its month.

    Where the settings ask for novelty, a row unlike its model's own lowers its confidence.

    Parameters
    ----------
    record : Forecasts
        Uncalibrated, on the session axis or the part of it up to a session.
    estimators : sequence of str, optional
        Those to calibrate, all that forecast a label when left out; the others stay as they are.
    calibrations : mapping of row to Calibration, optional
        What decided sessions were given: they are calibrated by it, the others have their scores alone, and nothing
        is fitted.
    """
    by_estimator = dict(record.estimators)
    months = [session.strftime("%Y-%m") for session in record.sessions]
    starts = [row for row, month in enumerate(months) if row == 0 or month != months[row - 1]]
    begun = used_rows(history.strategy, record.sessions, first_model_month(history.strategy)).start
    starts = sorted({*starts, begun}) if history.strategy.walk_forward.partial_months else starts
    by_month = [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(months)], strict=True)]
    shares = None
    if history.strategy.novelty is not None:
        shares = confidence_shares(history, range(len(record.sessions)), record.model_ids, record.symbols)
    stretches = by_month if calibrations is None else [slice(row, row + 1) for row in range(len(months))]
    for name in record.judged if estimators is None else estimators:
        marks, parts = _scaled(history, record, name), []
        for rows in stretches:
            calibration = None if calibrations is None else calibrations.get(rows.start)
            if calibrations is None and np.isfinite(record[name].probability[rows]).any():
                calibration = _fit(history, record, marks, name, rows.start)
            part, scores = record[name].at(rows), _rows(marks, rows)
            if calibration is None:
                parts.append(replace(part, score=scores.score))
            else:
                part = calibrated(part, scores, calibration)
                parts.append(part if shares is None else part.less_sure(shares[rows]))
        by_estimator[name] = ForecastArrays.joined(parts)
    return Forecasts(record.sessions, record.symbols, by_estimator, record.model_ids)


def calibration_of(history: History, record: Forecasts, estimator: str) -> Calibration:
    """The calibration in force on a record's last session, from its rows before the session's month."""
    month = used_rows(history.strategy, record.sessions, record.sessions[-1].strftime("%Y-%m"))
    return _fit(history, record, _scaled(history, record, estimator), estimator, month.start)


def calibrate_session(history: History, record: Forecasts, estimator: str, calibration: Calibration) -> ForecastArrays:
    """One estimator's forecasts on a record: every session with its score, the last one calibrated and no other."""
    last = slice(len(record.sessions) - 1, len(record.sessions))
    marks = _scaled(history, record, estimator)
    before = replace(record[estimator].at(slice(last.start)), score=marks.score[: last.start])
    part = calibrated(record[estimator].at(last), _rows(marks, last), calibration)
    if history.strategy.novelty is not None:
        rows = range(last.start, last.stop)
        part = part.less_sure(confidence_shares(history, rows, record.model_ids[last], record.symbols))
    return ForecastArrays.joined([before, part])


def _rows(marks: ScaledForecasts, rows: slice) -> ScaledForecasts:
    return ScaledForecasts(marks.score[rows], marks.dispersion[rows])


def _scaled(history: History, record: Forecasts, estimator: str) -> ScaledForecasts:
    models = {
        model_id: load_model(history.stores, model_id) for model_id in dict.fromkeys(record.model_ids) if model_id
    }
    scales = {
        model_id: model.logit_scales[estimator] for model_id, model in models.items() if estimator in model.logit_scales
    }
    return scaled(record[estimator], record.model_ids, scales)


def _fit(history: History, record: Forecasts, marks: ScaledForecasts, estimator: str, start: int) -> Calibration:
    """Fit on rows before the one at which a calibration comes into force, by what was known at the last of them."""
    strategy = history.strategy
    (stretch,) = history.stretches([start - 1])
    labels = stretch.cut.labels.until(start - 1)
    score, dispersion = marks.score[:start].copy(), marks.dispersion[:start].copy()
    used = dict.fromkeys(model_id for model_id in record.model_ids if model_id)
    first = next((held for held in used if estimator in load_model(history.stores, held).logit_scales), None)
    if first is not None:
        rows = _held_out_rows(history, load_model(history.stores, first), start)
        if rows.start < rows.stop:
            held_out = _held_out(history, first, stretch, estimator, rows)
            score[rows], dispersion[rows] = held_out.score, held_out.dispersion
    return fit_calibration(
        score,
        dispersion,
        labels.targets,
        horizon_sessions=strategy.label.horizon_sessions,
        half_life_sessions=strategy.portfolio.shrink_half_life_months / _MONTHS_A_YEAR * history.sessions_per_year,
        prior_outcomes=strategy.prior_outcomes_at_base_rate,
        relative=label_kind(strategy.label).relative,
        values=labels.standardised,
    )


def _held_out_rows(history: History, model: FoldModel, start: int) -> slice:
    """Calibration rows of the first model that neither it nor a search's choice of its configuration has seen.

    Its later rows are forecasts of months of use, each by a choice that was made before the month.
    """
    rows = model.fold.calibration
    unseen = int(history.axis.searchsorted(unseen_from(history.strategy, use_begins(history, model.fold))))
    return slice(max(rows.start, unseen), min(rows.stop, start))


def _held_out(history: History, model_id: str, stretch: Stretch, estimator: str, rows: slice) -> ScaledForecasts:
    """The first model's forecasts of its own calibration rows: its record before it was used."""
    model = load_model(history.stores, model_id)
    kept = history.made.setdefault((f"{model_id} held out", stretch.number), {})
    if rows.start not in kept:
        held_out_forecasts = forecast(model, stretch.cut.cube, rows, before_use=True)
        members = stretch.cut.members
        kept[rows.start] = held_out_forecasts.where(None if members is None else members[rows])
    held_out_forecasts = kept[rows.start]
    return scaled(
        held_out_forecasts[estimator],
        [model_id] * len(held_out_forecasts.sessions),
        {model_id: model.logit_scales[estimator]},
    )
