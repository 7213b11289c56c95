"""Models of a range of months: fitted where due, checked against the one in force, recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import records_of
from nn_assets.contracts.frames import ModelRows, RefreshRequestRows
from nn_assets.estimators import TRADED
from nn_assets.learning.address import fit_code
from nn_assets.learning.artifact import to_files
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import forecast_rows
from nn_assets.learning.model import FoldData, fit_models, no_stationary_feature
from nn_assets.learning.refits import DailyRefits, refits_of
from nn_assets.learning.refresh import RefreshCheck, check_refresh
from nn_assets.market.calendar.sessions import next_session, previous_session
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.models import (
    ANSWERED,
    MODEL_SECTIONS,
    models_in_force,
    of_study,
    recorded_models,
    scheduled_models,
    studied_models,
)
from nn_assets.operations.history import History
from nn_assets.operations.models.preparation import (
    DueFold,
    due_refits,
    fold_after,
    fold_data,
    folds_of,
    lacking_before,
    refits_on_record,
    refresh_fold,
    require_learnable,
    selection_of,
    stationarity_of,
)
from nn_assets.operations.models.refresh_requests import record_answer
from nn_assets.operations.models.stored import load_model
from nn_assets.reports.plots import training_curves
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify_acts
from nn_assets.store.ledger.schema import BOOKKEEPING

Progress = Callable[[str], None]


@dataclass(frozen=True)
class MonthModel:
    """A model that a month uses, and how it came to."""

    month: str
    model_id: str
    fitted: bool  # false: fitted for an earlier month
    check: RefreshCheck
    refits: tuple[str, ...] = ()  # those that it answers, in order; one that was not taken names the model it left


def train_months(
    history: History,
    months: list[str],
    verdicts: Mapping[str, pd.DataFrame],
    selections: Mapping[str, pd.DataFrame],
    run_id: str,
    tell: Progress,
) -> list[MonthModel]:
    """Fit what is not in the model store yet, store each model at once, and record every month.

    Each model is fitted, and judged, on what was known at the last session before it is used. Models are
    fitted side by side; whether each may take force is then asked in order of time, against the one then in
    force. Killed and run again, only what is missing is fitted. Once a session is decided, a month between refits
    uses the model that its refit put on record, whatever code fitted it: a model stays until its next refit is asked.

    Parameters
    ----------
    verdicts, selections : mapping of month to DataFrame
        As :func:`~nn_assets.operations.models.preparation.stationarity` and ``selected_features`` of it give
        them, for the same months.

    Raises
    ------
    AuditError
        A record of what persons, studies and trainings did is not as it was appended: nothing is fitted.
    """
    verify_acts(history.stores.ledger)
    strategy = history.strategy
    pace, in_force = refits_of(strategy), due_refits(history, months)
    using: dict[str, str] = {}  # refit to a month that uses it
    for month in months:
        for refit in in_force[month]:
            using.setdefault(refit, month)
    chosen = refits_on_record(history, {refit for refit in using if pace.partition(refit) not in in_force})
    refits = sorted(refit for refit in using if refit not in chosen)
    addresses = _fit_missing(
        history,
        (
            _data(due, verdicts[using[refit]], selections[using[refit]])
            for refit, due in zip(refits, folds_of(history, refits), strict=True)
        ),
        len(refits),
        tell,
    )
    fit_lost_refreshes(history, pace.partition(min(using)), max(months), tell)
    incumbent = _incumbent_before(history, refits[0]) if refits else None
    for refit, due in zip(refits, folds_of(history, refits), strict=True):
        candidate = load_model(history.stores, addresses[due.fold.used_from])
        check = _checked(candidate, incumbent, due, strategy)
        incumbent = candidate if check.accepted or incumbent is None else incumbent
        chosen[refit] = (incumbent.model_id, check)
    named: list[MonthModel] = []
    for month in months:
        of_month: dict[str, MonthModel] = {}
        for refit in in_force[month]:
            model_id, check = chosen[refit]
            began_in = pace.partition(refit)
            model_id = _refreshed_since(history, began_in, month, model_id)
            begins = began_in == month and check.accepted
            before = of_month.get(model_id)
            if before is None:
                of_month[model_id] = MonthModel(month, model_id, begins, check, (refit,))
            else:  # the refit was not taken: the model goes on
                of_month[model_id] = replace(before, refits=(*before.refits, refit))
        named += of_month.values()
    _record(history, named, run_id)
    return named


def _data(due: DueFold, verdicts: pd.DataFrame, selection: pd.DataFrame) -> tuple[str, FoldData]:
    """The address of the model due, and what it is fitted on."""
    address = due.address(due.strategy)
    judged = stationarity_of(verdicts, address, due)
    if not judged.kept:
        raise no_stationary_feature([feature.name for feature in judged.verdicts], due.fold)
    chosen = selection_of(selection, address, due)
    return address, FoldData(due.cube, due.cut.labels, due.fold, judged, chosen, due.strategy, due.parent)


def _checked(candidate: FoldModel, incumbent: FoldModel | None, due: DueFold, strategy: Strategy) -> RefreshCheck:
    if incumbent is None:
        return RefreshCheck(accepted=True, reason="the first model of the record")
    tolerance = strategy.walk_forward.refresh_tolerance_fraction
    horizon = strategy.label.horizon_sessions
    return check_refresh(candidate, incumbent, due.cut.cube, due.cut.labels, tolerance, horizon)


def _fit_missing(history: History, due: Iterable[tuple[str, FoldData]], count: int, tell: Progress) -> dict[int, str]:
    """Fit the models that are not stored yet; address of each, by the first row of its use."""
    addresses: dict[int, str] = {}
    missing: list[FoldData] = []
    for address, data in due:
        addresses[data.fold.used_from] = address
        if not history.stores.models.has(address):
            missing.append(data)
    missing += (before := _parents_lacking(history, missing))
    count += len(before)
    if before:
        tell(f"{len(before)} refits before them are fitted first: networks begin with the weights of the one before")
    if missing or count > 1:  # one that is there already is no news
        tell(f"{count} model{'s' * (count != 1)} due, {count - len(missing)} already in the store")
    began = time.monotonic()
    for number, model in enumerate(_fitted(history, missing), start=1):
        history.stores.models.put(model.model_id, to_files(model))
        left = (time.monotonic() - began) / number * (len(missing) - number)
        tell(f"model {number} of {len(missing)} fitted, used from {_use_begins(history, model)}{time_left(left)}")
    return addresses


def _parents_lacking(history: History, missing: Iterable[FoldData]) -> list[FoldData]:
    """The scheduled refits that some fits begin with, one after another, and that the store lacks."""
    if not history.strategy.learning.warm_start:
        return []
    due_now = {data.fold.used_from for data in missing}
    lacking = {due.fold.used_from: due for row in sorted(due_now) for due in lacking_before(history, row)}
    return [fold_data(due) for row, due in lacking.items() if row not in due_now]


def _fitted(history: History, missing: list[FoldData]) -> Iterator[FoldModel]:
    """The models of some folds; one after another where networks begin with the weights of the refit before.

    Raises
    ------
    ModelError
        The refit before is not in the store.
    TrainingError, ShortFoldError
        Nothing can be learned of one: see :func:`~nn_assets.operations.models.preparation.require_learnable`.
    """
    strategy = history.strategy
    for data in missing:
        require_learnable(data, strategy)
    if not strategy.learning.warm_start:
        yield from fit_models(missing, strategy)
        return
    for data in sorted(missing, key=lambda data: data.fold.used_from):
        parent = load_model(history.stores, data.parent_id) if data.parent_id else None
        yield from fit_models([replace(data, parent=parent)], strategy)


def _use_begins(history: History, model: FoldModel) -> str:
    """The month from which a model is used; the session, where several may begin in a month."""
    begins, axis = model.fold.used_from, history.axis
    if history.strategy.walk_forward.refit_every_days is None or begins >= len(axis):
        return model.fold.month
    return str(axis[begins].date())


def time_left(seconds: float) -> str:
    """How long the rest takes at the pace so far, from a minute on."""
    minutes = round(seconds / 60)
    return f"; about {minutes} minute{'s' * (minutes != 1)} left" if minutes else ""


def fit_lost_refreshes(history: History, first: str, last: str, tell: Progress) -> None:
    """Fit again, as it was fitted, each refresh that the store lost, of those in force in some months or right before.

    One that other code fitted, or whose data have changed since, is logged with its remedy and left.
    """
    strategy = history.strategy
    lost = _lost_refreshes(history, first, last)
    for model_id, rows in lost.sort_values("effective_session").groupby("model_id", sort=False):
        since = rows["effective_session"].iloc[0]
        due = fold_after(history, previous_session(strategy.market.calendar, since))
        if fit_code(due.strategy) in set(rows["code_version"]) and due.address(due.strategy) == model_id:
            _fit_missing(history, [(str(model_id), fold_data(due))], 1, tell)
            continue
        tell(
            f"model {model_id}, in force from {since.date()}, cannot be fitted again as it was: the code, or what is "
            f"known by now, is not what it was; restore {history.stores.models.folder(str(model_id))} from a backup"
        )


def _lost_refreshes(history: History, first: str, last: str) -> RefreshRequestRows:
    """Rows of refreshes in force in some months, or right before them, whose model is not in the store."""
    ledger, strategy, store = history.stores.ledger, history.strategy, history.stores.models
    by_month = models_in_force(ledger, strategy).by_month
    before = max((month for month in by_month if month < first), default=first)
    used = {model_id for month in by_month if before <= month <= last for _, model_id in by_month[month]}
    lost = {model_id for model_id in used if not store.has(model_id)}
    recorded = recorded_models(ledger, strategy)
    return recorded[recorded["fitted"] & recorded["model_id"].isin(lost) & recorded["effective_session"].notna()]


def _incumbent_before(history: History, refit: str) -> FoldModel | None:
    ledger, strategy = history.stores.ledger, history.strategy
    # What a study put in force is history once a session is decided. Until then the next study may take it back.
    read = models_in_force if first_undecided(ledger, strategy) is not None else scheduled_models
    by_month, begins = read(ledger, strategy).by_month, pd.Timestamp(refit)
    earlier = [model_id for month in sorted(by_month) for since, model_id in by_month[month] if since < begins]
    return load_model(history.stores, earlier[-1]) if earlier else None


def _refreshed_since(history: History, due: str, month: str, model_id: str) -> str:
    """The model of the last refresh between a month's refit and the month; the refit's own where there is none."""
    ledger, strategy = history.stores.ledger, history.strategy
    recorded = recorded_models(ledger, strategy)
    if first_undecided(ledger, strategy) is None:
        recorded = recorded[~of_study(recorded)]
    fitted = recorded[recorded["fitted"] & recorded["month"].between(due, month, inclusive="left")]
    since = fitted.loc[fitted["model_id"] == model_id, "effective_session"].max()
    later = fitted[fitted["effective_session"] > since].sort_values(["effective_session", "sequence"])
    return model_id if later.empty else str(later["model_id"].iloc[-1])


def _record(history: History, named: list[MonthModel], run_id: str) -> None:
    strategy = history.strategy
    sessions = history.axis
    recorded, undecided = (
        models_in_force(history.stores.ledger, history.strategy).by_month,
        first_undecided(history.stores.ledger, history.strategy),
    )
    rows, several = [], isinstance(refits_of(strategy), DailyRefits)
    for month_model in named:
        first = forecast_rows(sessions, month_model.month).start
        if month_model.refits:  # the newest begins with the month, or within it
            first = max(first, int(sessions.searchsorted(pd.Timestamp(month_model.refits[0]))))
        effective = sessions[first] if first < len(sessions) else None
        if (
            effective is None
            and month_model.refits
            and pd.Timestamp(month_model.refits[0]) > pd.Timestamp(month_model.month)
        ):
            effective = next_session(
                strategy.market.calendar, sessions[-1]
            )  # due within the month, on the next session
        before = [since for since, model_id in recorded.get(month_model.month, []) if model_id == month_model.model_id]
        if before:
            effective = before[-1]
        elif recorded.get(month_model.month) and effective is not None and undecided is not None:
            effective = max(effective, undecided)  # another model for a month at work: from its next session on
        rows.append(row := model_row(history, month_model, effective))
        if several:
            row["figures"] |= {ANSWERED: list(month_model.refits)}
    if several and undecided is None:
        rows += taken_back_rows(history, _no_longer_named(history, named))
    if undecided is not None:
        studied = studied_models(history.stores.ledger, history.strategy)
        kept = set(zip(studied["month"], studied["model_id"], strict=True))
        rows = [row for row in rows if (row["month"], row["model_id"]) not in kept]
    history.stores.ledger.append(
        "models", rows, run_id=run_id, strategy=strategy.name, reason="the month was fitted again"
    )


def _no_longer_named(history: History, named: list[MonthModel]) -> ModelRows:
    """Rows of models that earlier runs put in force within months of these, and this one does not."""
    rows = recorded_models(history.stores.ledger, history.strategy)
    kept = {(month_model.month, month_model.model_id) for month_model in named}
    months = {month_model.month for month_model in named}
    in_force = rows["effective_session"].dt.strftime("%Y-%m") == rows["month"]
    gone = [key not in kept for key in zip(rows["month"], rows["model_id"], strict=True)]
    taken: pd.DataFrame = rows[in_force & rows["month"].isin(months) & ~of_study(rows) & np.array(gone, dtype=np.bool_)]
    return taken


def taken_back_rows(history: History, rows: ModelRows) -> list[dict[str, Any]]:
    """The rows that take models on record out of force: each is effective from the first session after its month."""
    calendar = history.strategy.market.calendar
    return [
        {
            **row,
            "fitted": False,
            "effective_session": next_session(calendar, pd.Period(str(row["month"]), "M").end_time).normalize(),
        }
        for row in records_of(rows.drop(columns=list(BOOKKEEPING)))
    ]


def model_row(history: History, named: MonthModel, effective: pd.Timestamp | None) -> dict[str, Any]:
    """One row of the ledger's ``models``; ``effective`` is None while the month has no session yet."""
    strategy, model = history.strategy, load_model(history.stores, named.model_id)
    return {
        "month": named.month,
        "model_id": named.model_id,
        "estimator": model.estimators.settings.network,
        "fitted": named.fitted,
        "effective_session": None if effective is None else effective.normalize(),
        "artifact_sha256": history.stores.models.artifact_sha256(named.model_id),
        "figures": {
            "check": named.check.reason,
            "candidate_loss": named.check.candidate_loss,
            "incumbent_loss": named.check.incumbent_loss,
        },
        "data_hash": model.data_hash,
        "code_version": model.code_version,
        "settings_hash": strategy.content_hash(*MODEL_SECTIONS),
    }


def refresh_after(
    history: History,
    session: pd.Timestamp,
    verdicts: Mapping[str, pd.DataFrame],
    selections: Mapping[str, pd.DataFrame],
    run_id: str,
    tell: Progress,
) -> MonthModel:
    """Fit the same configuration on data up to a session; in force from the next one if it passes.

    A refresh that comes late takes force after the sessions decided meanwhile, never before them.

    Parameters
    ----------
    verdicts, selections : mapping of month to DataFrame
        Of the refresh's own fold, whatever month they are kept under.

    Raises
    ------
    AuditError
        As :func:`train_months`.
    """
    verify_acts(history.stores.ledger)
    strategy = history.strategy
    due = refresh_fold(history, session)
    decided_on = history.axis[due.fold.used_from - 1]
    effective = next_session(strategy.market.calendar, decided_on)
    data = _data(due, *(next(iter(frames.values())) for frames in (verdicts, selections)))
    model_id = _fit_missing(history, [data], 1, tell)[due.fold.used_from]
    in_force = models_in_force(history.stores.ledger, strategy).on(decided_on)
    check = _checked_by_id(history, model_id, in_force, due)
    named = MonthModel(due.fold.month, model_id if check.accepted else in_force, check.accepted, check)
    if check.accepted:
        row = model_row(history, named, effective)
        reason = "refreshed where a study had put it in force"
        history.stores.ledger.append("models", [row], run_id=run_id, strategy=strategy.name, reason=reason)
    record_answer(history.stores.ledger, strategy.name, session, model_id, check, run_id)
    return named


def candidate_for(history: History, due: DueFold, in_force: str, tell: Progress) -> tuple[str, RefreshCheck]:
    """The model of a fold, fitted where the store has none, and its check against the one in force.

    Nothing but the model itself is put on record. Once a session is decided, one that other code fitted on the same
    data by the same settings is taken as it is.

    Returns
    -------
    str
        Address of the model.
    RefreshCheck
    """
    address = _known_address(history, due)
    missing = [] if history.stores.models.has(address) else [(address, fold_data(due))]
    _fit_missing(history, missing, 1, tell)
    return address, _checked_by_id(history, address, in_force, due)


def _known_address(history: History, due: DueFold) -> str:
    """Address of the model of a fold: by the code in force, or by one on record that fitted what the store has."""
    ledger, strategy, store = history.stores.ledger, history.strategy, history.stores.models
    address = due.address(due.strategy)
    if store.has(address) or first_undecided(ledger, strategy) is None:
        return address
    codes = dict.fromkeys(recorded_models(ledger, strategy).sort_values("sequence")["code_version"].iloc[::-1])
    others = (due.address(due.strategy, code) for code in codes)
    return next((other for other in others if store.has(other)), address)


def _checked_by_id(history: History, candidate: str, in_force: str, due: DueFold) -> RefreshCheck:
    fitted, incumbent = (load_model(history.stores, model_id) for model_id in (candidate, in_force))
    return _checked(fitted, incumbent, due, history.strategy)


def model_metadata(history: History, named: MonthModel, *, curves: bool = False) -> dict[str, Any]:
    """What an operator sees of a month's model, by name: how it came to be, its size, and its held-out figures.

    Parameters
    ----------
    curves : bool
        With a plot of how its members were trained.
    """
    model = load_model(history.stores, named.model_id)
    held_out = model.figures["estimators"][TRADED].get("calibration") or {}
    figures: dict[str, Any] = {
        "model_id": named.model_id,
        "fitted": named.fitted,
        "fitted_for": _use_begins(history, model),
        "check": named.check.reason,
        "features": len(model.feature_names),
        "training_samples": int(model.figures["samples"]["training"]),
        "members": len(model.figures["members"]),
    }
    for name in ("log_loss", "brier", "expected_calibration_error", "base_rate"):
        if held_out.get(name) is not None:
            figures[f"held_out_{name}"] = float(held_out[name])
    losses = [float(member["validation_loss"]) for member in model.figures["members"]]
    figures["validation_loss_spread"] = max(losses) - min(losses)
    if curves:
        figures["training"] = training_curves(model.figures["members"])
    return figures
