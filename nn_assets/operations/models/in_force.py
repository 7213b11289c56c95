"""Models on record: which one decides a session, what it forecasts, what drift is measured against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import ModelError
from nn_assets.frames import FORECASTS as FORECAST_ROWS
from nn_assets.frames import empty
from nn_assets.learning.artifact import from_files
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import forecast_rows
from nn_assets.learning.inference import forecast
from nn_assets.operations.asof.universe import candidates_of
from nn_assets.operations.workplace import FORECASTS, Workplace
from nn_assets.oversight.reference import DriftReference
from nn_assets.session.drift_watch import model_reference
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore

__all__ = [
    "MODEL_SECTIONS",
    "ModelsInForce",
    "drift_references",
    "forecast_addresses",
    "forecast_months",
    "forecast_record",
    "forecasts_until",
    "keep_forecast_list",
    "load_model",
    "missing_months",
    "models_in_force",
    "read_forecast_list",
]


MODEL_SECTIONS = ("features", "label", "learning", "walk_forward", "universe", "series")
"""Sections of the settings that decide which model a month uses."""


_FORECAST_LISTS = "forecast_lists"


def load_model(workplace: Workplace, model_id: str) -> FoldModel:
    """A model from the store; every file is checked against its hash when first read."""
    return _read_model(workplace.models.root, model_id)


@lru_cache(maxsize=64)
def _read_model(root: Path, model_id: str) -> FoldModel:
    return from_files(ModelStore(root).get(model_id))


@dataclass(frozen=True)
class ModelsInForce:
    """The models on record, read once: for each month its models by the session they are effective from."""

    strategy: str
    by_month: dict[str, list[tuple[pd.Timestamp, str]]]  # ascending; the last one effective decides

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
        raise ModelError(
            expected=f"a model used from {month}",
            found=f"one effective from {recorded[0][0].date()}" if recorded else "none",
            remedy=f"nn-assets study --strategy {self.strategy} --from {month} --to {month}",
            strategy=self.strategy,
            session=session.date(),
        )


def models_in_force(workplace: Workplace, recorded_by: pd.Timestamp | None = None) -> ModelsInForce:
    """Read which models decide which sessions from the ledger, as it stands or stood at a UTC moment."""
    # A study at another pace of refits, or of other settings, puts nothing in force here.
    settings = {"settings_hash": workplace.strategy.content_hash(*MODEL_SECTIONS)}
    found = workplace.ledger.read(
        "models", workplace.strategy.name, recorded_by=recorded_by, where=settings, bookkeeping=True
    )
    # A month that lay ahead when its model was recorded had no first session yet: its first day stands in.
    since = found["effective_session"].fillna(pd.to_datetime(found["month"] + "-01"))
    ordered = found.assign(since=since).sort_values(["since", "sequence"])
    by_month: dict[str, list[tuple[pd.Timestamp, str]]] = {}
    for row in ordered.itertuples():
        by_month.setdefault(str(row.month), []).append((row.since, str(row.model_id)))
    return ModelsInForce(workplace.strategy.name, by_month)


def forecast_months(workplace: Workplace, cube: Cube, months: list[str]) -> dict[str, pd.DataFrame]:
    """Forecasts of every session of some months that the cube holds, each by the model in force on it."""
    in_force = models_in_force(workplace)
    return {month: _joined(_forecast(workplace, cube, _rows_of(cube, month), in_force)) for month in months}


def missing_months(workplace: Workplace, before: str) -> list[str]:
    """Months of the record before a month that have no forecasts yet."""
    first = first_model_month(workplace.strategy)
    there = set(workplace.lake.months(workplace.strategy.name, FORECASTS))
    months = [str(month) for month in pd.period_range(first, before, freq="M")]
    return [month for month in months if month < before and month not in there]


def forecast_addresses(workplace: Workplace, session: pd.Timestamp) -> dict[str, str]:
    """Address of every month of forecasts on record that ended before a session's month."""
    lake, name, month = workplace.lake, workplace.strategy.name, session.strftime("%Y-%m")
    addresses = {each: lake.month_address(name, FORECASTS, each) for each in lake.months(name, FORECASTS)}
    return {each: address for each, address in addresses.items() if address is not None and each < month}


def keep_forecast_list(workplace: Workplace, session: pd.Timestamp) -> str:
    """Keep which content each month on record has, so that a decision can be replayed from it; its address."""
    listed = sorted(forecast_addresses(workplace, session).items())
    frame = pd.DataFrame(listed, columns=["month", "address"], dtype="str")
    return workplace.lake.store(workplace.strategy.name, _FORECAST_LISTS, frame)


def read_forecast_list(workplace: Workplace, address: str) -> dict[str, str]:
    """Months and addresses as :func:`keep_forecast_list` kept them."""
    frame = workplace.lake.read_table(workplace.strategy.name, _FORECAST_LISTS, address)
    return dict(zip(frame["month"], frame["address"], strict=True))


def forecasts_until(
    workplace: Workplace,
    cube: Cube,
    session: pd.Timestamp,
    on_record: Mapping[str, str] | None = None,
    recorded_by: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Out-of-sample forecasts up to a session: months on record, and this month's up to the session.

    Months that ended without being materialised are forecast here, by the models in force in them.

    Parameters
    ----------
    on_record : mapping of month to address, optional
        The record as an earlier decision read it; as it is now when left out.
    recorded_by : UTC moment, optional
        When that decision was recorded: models recorded later are not in force for it.
    """
    month = session.strftime("%Y-%m")
    addresses = forecast_addresses(workplace, session) if on_record is None else on_record
    stored = sorted(addresses)
    start = pd.Period(stored[-1], "M") + 1 if stored else pd.Period(month, "M")
    unrecorded = [str(each) for each in pd.period_range(start, month, freq="M")]
    in_force = models_in_force(workplace, recorded_by)
    return _record(workplace, cube.until(session), [*stored, *unrecorded], addresses, in_force)


def forecast_record(workplace: Workplace, cube: Cube, months: list[str]) -> pd.DataFrame:
    """Forecasts of every session of some months that the cube holds, as recorded where they were.

    A month is materialised on its first morning, when it has no session yet: the sessions that came
    after its record was made are forecast here, by the models in force on them.
    """
    lake, name = workplace.lake, workplace.strategy.name
    addresses = {month: lake.month_address(name, FORECASTS, month) for month in months}
    stored = {month: address for month, address in addresses.items() if address is not None}
    return _record(workplace, cube, months, stored, models_in_force(workplace))


def _record(
    workplace: Workplace, cube: Cube, months: list[str], addresses: Mapping[str, str], in_force: ModelsInForce
) -> pd.DataFrame:
    parts: list[pd.DataFrame] = []
    for month in months:
        rows = _rows_of(cube, month)
        if month in addresses:
            recorded = _read_forecasts(workplace.lake.root, workplace.strategy.name, addresses[month])
            recorded = recorded[recorded["session"] <= cube.sessions[-1]]
            if not _made_in_force(recorded, in_force):
                recorded = recorded.iloc[:0]
            parts.append(recorded)
            if len(recorded):
                rows = range(cube.row(recorded["session"].max()) + 1, rows.stop)
        parts += _forecast(workplace, cube, rows, in_force)
    return _joined(parts)


def _made_in_force(recorded: pd.DataFrame, in_force: ModelsInForce) -> bool:
    """Whether every forecast was made by the model in force on its session."""
    made = recorded.drop_duplicates(["session", "model_id"])
    return all(in_force.on(session) == model for session, model in zip(made["session"], made["model_id"], strict=True))


def _rows_of(cube: Cube, month: str) -> range:
    rows = forecast_rows(cube.sessions, month)
    return range(rows.start, rows.stop)


def _forecast(workplace: Workplace, cube: Cube, rows: range, in_force: ModelsInForce) -> list[pd.DataFrame]:
    parts = []
    for model_id, run in groupby(rows, key=lambda row: in_force.on(cube.sessions[row])):
        together = list(run)
        model = load_model(workplace, model_id)
        parts.append(forecast(model, cube, slice(together[0], together[-1] + 1)))
    members = candidates_of(workplace.strategy, workplace.lake, cube.sessions, cube.symbols)
    if members is None:
        return parts
    symbols = pd.Index(cube.symbols)
    return [
        part[members[cube.sessions.get_indexer(part["session"]), symbols.get_indexer(part["symbol"])]] for part in parts
    ]


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else empty(FORECAST_ROWS)


@lru_cache(maxsize=1024)
def _read_forecasts(root: Path, strategy: str, address: str) -> pd.DataFrame:
    # content-addressed: another content is another entry of the cache
    return Lake(root).read_table(strategy, FORECASTS, address)


def drift_references(workplace: Workplace, cube: Cube, model_ids: Iterable[str]) -> dict[str, DriftReference]:
    """What each model knew when it was fitted; made once for each model."""
    return {model_id: _reference(workplace, cube, model_id) for model_id in dict.fromkeys(model_ids)}


_REFERENCES: dict[tuple[object, ...], DriftReference] = {}


def _reference(workplace: Workplace, cube: Cube, model_id: str) -> DriftReference:
    strategy, model = workplace.strategy, load_model(workplace, model_id)
    # Bars of the rows it reads may be restated: what a session knew of them decides, whatever was asked before.
    read = slice(max(0, model.fold.training.start - strategy.learning.lookback), model.fold.calibration.stop)
    members = candidates_of(strategy, workplace.lake, cube.sessions, cube.symbols)
    known = cube.content_hash(read), None if members is None else members[read].tobytes()
    key = (model_id, *known, strategy.content_hash("oversight"), workplace.sessions_per_year)
    if key not in _REFERENCES:
        _REFERENCES[key] = model_reference(
            model, cube, strategy.oversight, workplace.sessions_per_year, candidates=members
        )
    return _REFERENCES[key]
