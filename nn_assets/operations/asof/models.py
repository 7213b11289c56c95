"""Which model decides which session, as the ledger has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import ModelRows
from nn_assets.errors import ModelError
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.refits import refits_of
from nn_assets.operations.asof.settings_on_record import part_hashes_in_force, settings_apart
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

MODEL_SECTIONS = ("features", "label", "learning", "walk_forward", "search", "universe", "series", "novelty")
"""Sections of the settings that decide which model a month uses; of the series, those that features read."""

OF_STUDY = "instead_of"
"""Figure of a model that a study put in force before the first live session: the model that it replaced."""

ANSWERED = "refits"
"""Figure of a model on record where several refits may begin in a month: those that it answers."""


@dataclass(frozen=True)
class ModelsInForce:
    """The models on record, read once: for each month its models by the session they are effective from."""

    strategy: str
    by_month: dict[str, list[tuple[pd.Timestamp, str]]]  # ascending; the last one effective decides
    describe_other_settings: Callable[[str], str]  # of a month: by which settings a model under others differs, or ""
    of_others: Callable[[], set[str]]  # months on record whose models are all of other settings, to be fitted again

    def until(self, session: pd.Timestamp) -> ModelsInForce:
        """Those effective by a session."""
        by_month = {
            month: [(since, model_id) for since, model_id in recorded if since <= session]
            for month, recorded in self.by_month.items()
        }
        return replace(self, by_month={month: recorded for month, recorded in by_month.items() if recorded})

    def on(self, session: pd.Timestamp) -> str:
        """Address of the model that decides a session: the newest of its month effective by then.

        Raises
        ------
        ModelError
            No model is on record for the month, or none is effective yet.
        """
        month = session.strftime("%Y-%m")
        recorded = self.by_month.get(month, [])
        effective = [model_id for since, model_id in recorded if since <= session]
        if effective:
            return effective[-1]
        others = "" if recorded else self.describe_other_settings(month)
        available = f"one effective from {recorded[0][0].date()}" if recorded else "none"
        # A decision depends on every month before it: where settings changed, all of them are fitted again.
        due = sorted({month, *(self.of_others() if others else ())})
        anew = f"nn-assets study --strategy {self.strategy} --from {due[0]} --to {due[-1]}"
        raise ModelError(
            expected=f"a model used from {month}" + (", of the settings in force" if others else ""),
            found=f"one of other settings: {others}" if others else available,
            remedy=f"set them back, or fit one of the new settings: {anew}" if others else anew,
            strategy=self.strategy,
            session=session.date(),
        )


def require_models(models: ModelsInForce, sessions: Sequence[pd.Timestamp]) -> None:
    """Refuse sessions of which one after the first has no model, before any of them is decided.

    Where the first has none, its own round says so, and decides nothing.

    Parameters
    ----------
    sessions : sequence of Timestamp
        In order, none of them decided.

    Raises
    ------
    ModelError
        It names every month that lacks a model.
    """
    lacking: dict[str, ModelError] = {}
    for session in sessions:
        try:
            models.on(session)
        except ModelError as fault:
            if session == sessions[0]:
                return
            lacking.setdefault(f"{session:%Y-%m}", fault)
    if not lacking:
        return
    of_others = models.of_others() if any(map(models.describe_other_settings, lacking)) else ()
    due = sorted({*lacking, *of_others})
    raise ModelError(
        expected=f"a model of every month from {sessions[0].date()} to {sessions[-1].date()}, before a session of them "
        "is decided",
        found="; ".join(f"for {month} {fault.found}" for month, fault in lacking.items()),
        remedy=f"nn-assets study --strategy {models.strategy} --from {due[0]} --to {due[-1]}, then the same sessions "
        "again: none was decided",
        strategy=models.strategy,
    )


def recorded_models(ledger: Ledger, strategy: Strategy, recorded_by: pd.Timestamp | None = None) -> ModelRows:
    """Rows of the ledger's ``models`` that were fitted under the settings in force, with their bookkeeping.

    A study at another pace of refits, or of other settings, puts nothing in force here.
    """
    rows = ledger.read("models", strategy.name, recorded_by=recorded_by, bookkeeping=True)
    if (rows["settings_hash"] == strategy.content_hash(*MODEL_SECTIONS)).all():
        return rows  # what other hashes stand for need not be read
    in_force = part_hashes_in_force(ledger, strategy, *MODEL_SECTIONS)
    return rows[rows["settings_hash"].isin(in_force)].reset_index(drop=True)


def models_in_force(ledger: Ledger, strategy: Strategy, recorded_by: pd.Timestamp | None = None) -> ModelsInForce:
    """Read which models decide which sessions, from the ledger of now or of a UTC moment."""
    return _by_month(ledger, strategy, recorded_models(ledger, strategy, recorded_by))


def scheduled_models(ledger: Ledger, strategy: Strategy) -> ModelsInForce:
    """As :func:`models_in_force`, without what studies put in force."""
    rows = recorded_models(ledger, strategy)
    return _by_month(ledger, strategy, rows[~of_study(rows)])


def studied_models(ledger: Ledger, strategy: Strategy) -> ModelRows:
    """Rows of the ledger's ``models`` that a study put in force, and that none took back."""
    rows = recorded_models(ledger, strategy)
    in_force: pd.DataFrame = rows[of_study(rows) & (rows["effective_session"].dt.strftime("%Y-%m") == rows["month"])]
    return in_force


def refit_overdue(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> str | None:
    """The newest refit that falls due by a session, where the walk is in days and no model on record answers it."""
    month = f"{session:%Y-%m}"
    if strategy.walk_forward.refit_every_days is None or month < first_model_month(strategy):
        return None
    due = [refit for refit in refits_of(strategy).in_force(month) if pd.Timestamp(refit) <= session][-1]
    answered = {
        refit for figures in recorded_models(ledger, strategy)["figures"] for refit in figures.get(ANSWERED, ())
    }
    return None if due in answered else due


def of_study(rows: ModelRows) -> pd.Series:
    """Whether a study put each row in force, also where there is no row."""
    return pd.Series([OF_STUDY in figures for figures in rows["figures"]], index=rows.index, dtype=bool)


def _by_month(ledger: Ledger, strategy: Strategy, rows: ModelRows) -> ModelsInForce:
    # A month that lay ahead when its model was recorded had no first session yet: its first day is used instead.
    since = rows["effective_session"].fillna(pd.to_datetime(rows["month"] + "-01"))
    rows = rows.assign(since=since, of_study=of_study(rows))
    # What a study took back is effective from after its month. What it put in force takes the place of the schedule's.
    rows = rows[since.dt.strftime("%Y-%m") == rows["month"]]
    ordered = rows.sort_values(["since", "of_study", "sequence"])
    by_month: dict[str, list[tuple[pd.Timestamp, str]]] = {}
    for row in named_rows(ordered):
        by_month.setdefault(str(row.month), []).append((row.since, str(row.model_id)))
    return ModelsInForce(
        strategy.name,
        by_month,
        lambda month: model_settings_apart(ledger, strategy, {"month": month}),
        lambda: _months_on_record(ledger, strategy) - set(by_month),
    )


def _months_on_record(ledger: Ledger, strategy: Strategy) -> set[str]:
    """Months on record that the settings in force can have a model for."""
    first = first_model_month(strategy)
    return {month for month in ledger.read("models", strategy.name)["month"] if month >= first}


def model_settings_apart(ledger: Ledger, strategy: Strategy, where: Mapping[str, object]) -> str:
    """By which settings the newest model of some on record differs from those in force; nothing where by none.

    Parameters
    ----------
    where : mapping
        Columns of the ledger's ``models`` with the value that counts, such as ``month``.
    """
    models = ledger.read("models", strategy.name, where=dict(where), bookkeeping=True).sort_values("sequence")
    in_force = part_hashes_in_force(ledger, strategy, *MODEL_SECTIONS)
    others = models.loc[~models["settings_hash"].isin(in_force), "settings_hash"]
    return "" if others.empty else settings_apart(ledger, strategy, str(others.iloc[-1]), *MODEL_SECTIONS)
