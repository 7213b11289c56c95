"""Models of a range of months: fitted where due, checked against the one in force, recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.features.labels import Labels
from nn_assets.learning.address import code_version, model_address
from nn_assets.learning.artifact import to_files
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import Fold, fitted_month, forecast_rows, make_fold
from nn_assets.learning.model import fit_models
from nn_assets.learning.refresh import RefreshCheck, check_refresh
from nn_assets.market.calendar.sessions import next_session, previous_session
from nn_assets.operations.asof.stored import last_decided_session
from nn_assets.operations.models.in_force import MODEL_SECTIONS, load_model, models_in_force
from nn_assets.operations.workplace import Workplace
from nn_assets.settings import Strategy

__all__ = [
    "MonthModel",
    "refit_folds",
    "refresh_after",
    "train_months",
]

Told = Callable[[str], None]


@dataclass(frozen=True)
class MonthModel:
    """Which model a month uses, and how it came to."""

    month: str
    model_id: str
    fitted: bool  # false: fitted for an earlier month
    check: RefreshCheck


def refit_folds(strategy: Strategy, sessions: pd.DatetimeIndex, months: list[str]) -> dict[str, Fold]:
    """The folds to fit for some months: one for each month in which a refit falls due."""
    anchor, every = first_model_month(strategy), strategy.walk_forward.refit_every_months
    due = sorted({fitted_month(month, anchor, every) for month in months})
    return {month: make_fold(sessions, month, strategy.walk_forward, strategy.label) for month in due}


def train_months(
    workplace: Workplace, strategy: Strategy, months: list[str], run_id: str, tell: Told
) -> list[MonthModel]:
    """Fit what is not in the model store yet, store each model at once, and record every month.

    Models are fitted side by side; whether each may take force is then asked in order of time,
    against the one then in force. Killed and run again, only what is missing is fitted.
    """
    cube, labels = workplace.cube(), workplace.labels(workplace.panel())
    folds = refit_folds(strategy, cube.sessions, months)
    fitted = _fit_missing(workplace, strategy, cube, labels, list(folds.values()), tell)
    incumbent = _incumbent_before(workplace, min(folds))
    chosen: dict[str, tuple[str, RefreshCheck]] = {}
    for month, model_id in fitted.items():
        candidate = load_model(workplace, model_id)
        if incumbent is None:
            check = RefreshCheck(accepted=True, reason="the first model of the record")
        else:
            check = check_refresh(candidate, incumbent, cube, labels, strategy.walk_forward.refresh_tolerance_fraction)
        incumbent = candidate if check.accepted or incumbent is None else incumbent
        chosen[month] = (incumbent.model_id, check)
    anchor, every = first_model_month(strategy), strategy.walk_forward.refit_every_months
    named = []
    for month in months:
        due = fitted_month(month, anchor, every)
        model_id, check = chosen[due]
        model_id = _refreshed_since(workplace, due, month, model_id)
        named.append(MonthModel(month, model_id, due == month and check.accepted, check))
    _record(workplace, strategy, named, run_id)
    return named


def _fit_missing(
    workplace: Workplace,
    strategy: Strategy,
    cube: Cube,
    labels: Labels,
    folds: list[Fold],
    tell: Told,
) -> dict[str, str]:
    addresses = {fold.month: model_address(cube, labels, fold, strategy) for fold in folds}
    missing = [fold for fold in folds if not workplace.models.has(addresses[fold.month])]
    tell(f"{len(folds)} models due, {len(folds) - len(missing)} already in the store")
    for done, model in enumerate(fit_models(cube, labels, missing, strategy), start=1):
        workplace.models.put(model.model_id, to_files(model))
        tell(f"model {done} of {len(missing)} fitted, used from {model.fold.month}")
    return addresses


def _recorded_models(workplace: Workplace) -> pd.DataFrame:
    """Rows of the ledger's ``models`` that were fitted under the settings in force."""
    settings = {"settings_hash": workplace.strategy.content_hash(*MODEL_SECTIONS)}
    return workplace.ledger.read("models", workplace.strategy.name, where=settings, bookkeeping=True)


def _incumbent_before(workplace: Workplace, month: str) -> FoldModel | None:
    earlier = _recorded_models(workplace)
    earlier = earlier[earlier["month"] < month].sort_values(["month", "sequence"])
    return None if earlier.empty else load_model(workplace, str(earlier["model_id"].iloc[-1]))


def _refreshed_since(workplace: Workplace, due: str, month: str, model_id: str) -> str:
    """The model of the last refresh between a month's refit and the month; the refit's own where there is none."""
    recorded = _recorded_models(workplace)
    fitted = recorded[recorded["fitted"] & recorded["month"].between(due, month, inclusive="left")]
    since = fitted.loc[fitted["model_id"] == model_id, "effective_session"].max()
    later = fitted[fitted["effective_session"] > since].sort_values(["effective_session", "sequence"])
    return model_id if later.empty else str(later["model_id"].iloc[-1])


def _record(workplace: Workplace, strategy: Strategy, named: list[MonthModel], run_id: str) -> None:
    sessions = workplace.sessions()
    recorded, undecided = models_in_force(workplace).by_month, _first_undecided(workplace)
    rows = []
    for each in named:
        month_rows = forecast_rows(sessions, each.month)
        effective = sessions[month_rows.start] if month_rows.start < len(sessions) else None
        before = [since for since, model_id in recorded.get(each.month, []) if model_id == each.model_id]
        if before:
            effective = before[-1]
        elif recorded.get(each.month) and effective is not None and undecided is not None:
            effective = max(effective, undecided)  # another model for a month at work: from its next session on
        rows.append(_row(workplace, strategy, each, effective))
    workplace.ledger.append("models", rows, run_id=run_id, strategy=strategy.name, reason="the month was fitted again")


def _row(workplace: Workplace, strategy: Strategy, named: MonthModel, effective: pd.Timestamp | None) -> dict[str, Any]:
    """One row of the ledger's ``models``; ``effective`` is None while the month has no session yet."""
    return {
        "month": named.month,
        "model_id": named.model_id,
        "estimator": strategy.learning.network,
        "fitted": named.fitted,
        "effective_session": effective,
        "artifact_sha256": workplace.models.artifact_sha256(named.model_id),
        "figures": {
            "check": named.check.reason,
            "candidate_loss": named.check.candidate_loss,
            "incumbent_loss": named.check.incumbent_loss,
        },
        "data_hash": load_model(workplace, named.model_id).data_hash,
        "code_version": code_version(),
        "settings_hash": strategy.content_hash(*MODEL_SECTIONS),
    }


def _first_undecided(workplace: Workplace) -> pd.Timestamp | None:
    """The session after the last decided one; None where none is decided."""
    decided = last_decided_session(workplace.ledger, workplace.strategy.name)
    return None if decided is None else next_session(workplace.strategy.market.calendar, decided)


def refresh_after(workplace: Workplace, session: pd.Timestamp, run_id: str, tell: Told) -> MonthModel:
    """Fit the same configuration on data up to a session; in force from the next one if it passes.

    A refresh that comes late takes force after the sessions decided meanwhile, never before them.
    """
    strategy = workplace.strategy
    effective = next_session(strategy.market.calendar, session)
    undecided = _first_undecided(workplace)
    if undecided is not None and undecided > effective:
        session, effective = previous_session(strategy.market.calendar, undecided), undecided
    cube, labels = workplace.cube(session), workplace.labels(workplace.panel(session))
    fold = make_fold(
        cube.sessions, effective.strftime("%Y-%m"), strategy.walk_forward, strategy.label, used_from=cube.bars
    )
    model_id = _fit_missing(workplace, strategy, cube, labels, [fold], tell)[fold.month]
    incumbent = load_model(workplace, models_in_force(workplace).on(session))
    check = check_refresh(
        load_model(workplace, model_id),
        incumbent,
        cube,
        labels,
        strategy.walk_forward.refresh_tolerance_fraction,
    )
    named = MonthModel(fold.month, model_id if check.accepted else incumbent.model_id, check.accepted, check)
    if check.accepted:
        row = _row(workplace, strategy, named, effective)
        workplace.ledger.append("models", [row], run_id=run_id, strategy=strategy.name)
    return named
