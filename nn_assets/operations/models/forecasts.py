"""The record of forecasts: each session's by the model in force on it, on the features that it knew.

The windows that end with a bar become a probability for each symbol, by a model that
``operations/models/training.py`` fitted. ``operations/decisions/rounds.py`` asks for
those up to the session that it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.contracts.frames import ForecastRows
from nn_assets.errors import PublicationError
from nn_assets.estimators import forecast_names
from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.forecasts import Forecasts, forecasts_from_rows, no_forecasts
from nn_assets.learning.inference import forecast
from nn_assets.learning.refits import used_rows
from nn_assets.operations.asof.forecasts import FORECASTS, recorded_months
from nn_assets.operations.asof.models import ModelsInForce, models_in_force
from nn_assets.operations.history import History
from nn_assets.operations.models.outdated import keep_facts, months_in_doubt
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.models.tried import record_tried
from nn_assets.settings import Strategy
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.lake import Lake

ModelOf = Callable[[pd.Timestamp], str]  # session to the address of the model that decides it

ROUNDING = 1e-6
"""Of a probability: a network's float32 ends otherwise on another processor, by 2e-9 on the two tried."""

_FORECAST_LISTS = "forecast_lists"


def forecast_months(history: History, months: list[str], run_id: str) -> dict[str, ForecastRows]:
    """Forecasts of every session of some months, as they are to be stored: the rows of each month.

    What their sessions knew is kept at once, for this content, and that the configuration was tried on these data.
    """
    frames = _made(history, months)
    keep_facts(history, frames)
    if any(len(frame) for frame in frames.values()):
        record_tried(history, run_id)
    return frames


def forecasts_metadata(frames: Mapping[str, ForecastRows]) -> dict[str, Any]:
    """What an operator sees of the forecasts of some months, by name."""
    rows = sum(len(frame) for frame in frames.values())
    return {"months": len(frames), "rows": rows, "newest": frames[max(frames)].tail(12)}


def _made(history: History, months: list[str]) -> dict[str, ForecastRows]:
    in_force = models_in_force(history.stores.ledger, history.strategy)
    frames = {}
    for month in months:
        rows = _rows_of(history, month)
        table = _nothing(history, history.axis[rows.start : rows.stop])
        forecast_by(history, rows, in_force.on, table)
        frames[month] = table.to_rows()
    return frames


def renew_forecasts(history: History, months: Iterable[str]) -> list[str]:
    """Make stored months again whose sessions know something else by now than when they were forecast.

    What differs is stored in their place. What a decision read stays readable by the address in its list. Months of
    version 0.1, which kept no hash of what they were made of, are made again and compared once.

    Returns
    -------
    list of str
        Months whose forecasts are others now, in order.
    """
    lake, name, renewed = history.stores.lake, history.strategy.name, []
    for month in months_in_doubt(history, months):
        stored = lake.read_months(name, FORECASTS, [month])
        if stored.empty:
            history.whole_months.add((month, str(lake.month_address(name, FORECASTS, month))))
            continue  # made on the month's first morning: its sessions are forecast when they are asked for
        fresh = _made(history, [month])[month]
        comparable = fresh[fresh["session"] <= stored["session"].max()].reset_index(drop=True)
        frame = stored if _same_but_rounding(stored, comparable) else fresh
        keep_facts(history, {month: frame})
        if frame is fresh:
            lake.write_month(name, FORECASTS, month, fresh)
            renewed.append(month)
    return renewed


def _same_but_rounding(stored: ForecastRows, fresh: ForecastRows) -> bool:
    """Whether two months of rows are equal but for what another processor may round otherwise."""
    if len(stored) != len(fresh):
        return False
    numbers = [name for name in fresh.columns if fresh[name].dtype.kind == "f"]
    named = [name for name in fresh.columns if name not in numbers]
    close = np.abs(stored[numbers].to_numpy() - fresh[numbers].to_numpy()) <= ROUNDING
    return bool(close.all()) and all(stored[name].tolist() == fresh[name].tolist() for name in named)


def forecast_addresses(lake: Lake, strategy: Strategy, session: pd.Timestamp) -> dict[str, str]:
    """Address of every month of forecasts on record that ended before a session's month."""
    month = session.strftime("%Y-%m")
    before = [name for name in recorded_months(lake, strategy) if name < month]
    addresses = {name: lake.month_address(strategy.name, FORECASTS, name) for name in before}
    return {name: address for name, address in addresses.items() if address is not None}


def keep_forecast_list(history: History, session: pd.Timestamp) -> str:
    """Keep which content each month on record has, so that a decision can be replayed from it; its address.

    Months that no longer follow from what their sessions know are made again first.

    Raises
    ------
    PublicationError
        A month that the last decision read is no longer on record.
    """
    lake, name = history.stores.lake, history.strategy.name
    renew_forecasts(history, forecast_addresses(lake, history.strategy, session))
    months = sorted(forecast_addresses(lake, history.strategy, session).items())
    address = lake.store(name, _FORECAST_LISTS, _list_of(months))
    lost = sorted(_read_by_last_decision(history) - {month for month, _ in months})
    if lost:
        raise PublicationError(
            expected=f"forecasts of {', '.join(lost)}, which the last decision read",
            found="none on record",
            remedy=f"nn-assets study --strategy {name} --from {lost[0]} --to {lost[-1]}",
            file=str(lake.folder(name, FORECASTS) / "months" / f"{lost[0]}.json"),
        )
    return address


def _list_of(months: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(months, columns=["month", "address"], dtype="str")


def _read_by_last_decision(history: History) -> set[str]:
    """Months of forecasts that the last decision read, and the settings in force can have a model for.

    None where it named none, or its list is lost too.
    """
    last = history.stores.ledger.latest("decisions", history.strategy.name)["details"]
    address = None if last.empty else last.iloc[0].get("forecast_list")
    if address is None:
        return set()
    try:
        first = first_model_month(history.strategy)
        return {month for month in read_forecast_list(history, address) if month >= first}
    except PublicationError:
        return set()  # the check that derives that decision again says so


def read_forecast_list(history: History, address: str) -> dict[str, str]:
    """Months and addresses as :func:`keep_forecast_list` kept them.

    A list that is damaged or gone follows from the months on record, as long as none of them was made anew.

    Raises
    ------
    PublicationError
        The list is damaged or gone, and the months on record are others.
    """
    lake, name = history.stores.lake, history.strategy.name

    def read() -> dict[str, str]:
        try:
            frame = lake.read_table(name, _FORECAST_LISTS, address)
        except PublicationError as error:
            frame = _list_again(history, address, error)
        return dict(zip(frame["month"], frame["address"], strict=True))

    return history.stores.once((_FORECAST_LISTS, name, address), read)


def _list_again(history: History, address: str, lost: PublicationError) -> pd.DataFrame:
    lake, strategy = history.stores.lake, history.strategy
    months = sorted(forecast_addresses(lake, strategy, pd.Timestamp.max).items())
    for until in range(len(months) + 1):
        frame = _list_of(months[:until])
        if frame_hash(frame) == address:
            lake.store(strategy.name, _FORECAST_LISTS, frame)
            return frame
    raise PublicationError(
        expected="the list of forecasts that a decision read",
        found=lost.found,
        remedy=f"nn-assets study --strategy {strategy.name} where months of forecasts are gone: the list follows from "
        "them; else restore it from a backup, without which decisions that name it cannot be derived again",
        **lost.where,
    ) from lost


def forecasts_until(
    history: History,
    session: pd.Timestamp,
    on_record: Mapping[str, str] | None = None,
    in_force: ModelsInForce | None = None,
) -> Forecasts:
    """Out-of-sample forecasts up to a session, on the axis up to it: months on record, and this month's.

    Months that ended without being materialised are forecast here, by the models in force in them.

    Parameters
    ----------
    on_record : mapping of month to address, optional
        The record as an earlier decision read it; as it is now when left out.
    in_force : ModelsInForce, optional
        The models of that decision; those on record now when left out.
    """
    month = session.strftime("%Y-%m")
    lake, strategy = history.stores.lake, history.strategy
    addresses = forecast_addresses(lake, strategy, session) if on_record is None else on_record
    stored = sorted(addresses)
    start = pd.Period(stored[-1], "M") + 1 if stored else pd.Period(month, "M")
    unrecorded = [str(period) for period in pd.period_range(start, month, freq="M")]
    models = models_in_force(history.stores.ledger, strategy) if in_force is None else in_force
    table = _nothing(history, history.sessions(session))
    _fill(history, table, [*stored, *unrecorded], addresses, models)
    return table


def forecasts_of_months(history: History, months: list[str]) -> Forecasts:
    """Forecasts of every session of some months, on the whole axis, as recorded where they were.

    A month is materialised on its first morning, when it has no session yet: the sessions that came
    after its record was made are forecast here, by the models in force on them. A month that no longer follows
    from what its sessions know is made again.
    """
    lake, name = history.stores.lake, history.strategy.name
    renew_forecasts(history, months)
    addresses = {month: lake.month_address(name, FORECASTS, month) for month in months}
    stored = {month: address for month, address in addresses.items() if address is not None}
    table = _nothing(history, history.axis)
    _fill(history, table, months, stored, models_in_force(history.stores.ledger, history.strategy))
    return table


def require_in_force(history: History, months: Mapping[str, ForecastRows]) -> None:
    """Refuse stored forecasts that are not by the models in force on their sessions.

    Parameters
    ----------
    months : mapping of month to DataFrame
        Rows as they are stored, with session and model_id.

    Raises
    ------
    PublicationError
        A session's forecasts are by another model; the first such session is named.
    ModelError
        None is in force in a month.
    """
    strategy, in_force = history.strategy, models_in_force(history.stores.ledger, history.strategy)
    for month, rows in months.items():
        made_by = rows[["session", "model_id"]].drop_duplicates()
        for session, model_id in made_by.itertuples(index=False):
            if model_id != in_force.on(session):
                raise PublicationError(
                    expected=f"forecasts of {month} by the models in force, here {in_force.on(session)[:12]}",
                    found=f"some by {str(model_id)[:12]}, made under other settings or before a refit",
                    remedy=f"nn-assets study --strategy {strategy.name} --from {month} --to {month}",
                    strategy=strategy.name,
                    session=session.date(),
                    table=FORECASTS,
                )


def _fill(
    history: History, table: Forecasts, months: list[str], addresses: Mapping[str, str], in_force: ModelsInForce
) -> None:
    for month in months:
        rows = _rows_of(history, month)
        rows = range(rows.start, min(rows.stop, len(table.sessions)))
        if month in addresses:
            recorded = _recorded(history, month, addresses[month])
            forecast_row_indices = [row for row, model_id in enumerate(recorded.model_ids) if model_id is not None]
            if forecast_row_indices and all(
                in_force.on(recorded.sessions[row]) == recorded.model_ids[row] for row in forecast_row_indices
            ):
                table.put(recorded)
                rows = range(rows.start + forecast_row_indices[-1] + 1, rows.stop)
        forecast_by(history, rows, in_force.on, table)


def _recorded(history: History, month: str, address: str) -> Forecasts:
    """A month as recorded, on the month's own sessions."""
    name, rows = history.strategy.name, _rows_of(history, month)
    names = _names(history)
    sessions = history.axis[rows.start : rows.stop]

    def read() -> Forecasts:
        lake = history.stores.lake
        try:
            rows = lake.read_table(name, FORECASTS, address)
        except PublicationError as error:
            raise lake.with_damaged_months(name, FORECASTS, error) from error
        return forecasts_from_rows(rows, sessions, history.symbols, names)

    return history.stores.once((FORECASTS, name, address, len(sessions), history.symbols, names), read)


def _nothing(history: History, sessions: pd.DatetimeIndex) -> Forecasts:
    """A table for the forecasts of a strategy's estimators."""
    return no_forecasts(sessions, history.symbols, _names(history))


def _names(history: History) -> tuple[str, ...]:
    return forecast_names(history.strategy.learning.baselines, history.strategy.portfolio.volatility)


def _rows_of(history: History, month: str) -> range:
    rows = used_rows(history.strategy, history.axis, month)
    return range(rows.start, rows.stop)


def forecast_by(history: History, rows: range, model_of: ModelOf, table: Forecasts) -> None:
    """Forecast rows of the axis, each by its model and its own cut, into a table; made once for each of these."""

    def model_at(row: int) -> str:
        return model_of(history.axis[row])

    for stretch in history.stretches(rows):
        for model_id, run in groupby(stretch.rows, key=model_at):
            together = list(run)
            kept = history.made.setdefault((model_id, stretch.number), {})
            missing = [row for row in together if row not in kept]
            if missing:
                part = slice(missing[0], missing[-1] + 1)
                forecasts = forecast(load_model(history.stores, model_id), stretch.cut.cube, part)
                members = stretch.cut.members
                forecasts = forecasts.where(None if members is None else members[part])
                kept.update(
                    {
                        row: forecasts.rows(slice(offset, offset + 1))
                        for offset, row in enumerate(range(part.start, part.stop))
                    }
                )
            for row in together:
                table.put(kept[row])
