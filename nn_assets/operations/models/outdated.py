"""Whether stored months of forecasts still follow from the facts: each keeps a hash of all that its sessions knew.

A model's address covers what it was fitted on, not what it was given to forecast from. Where a version arrives that
states a moment in the past, sessions that were forecast before know something else now, and their months are outdated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import session_text
from nn_assets.contracts.frames import ForecastRows
from nn_assets.errors import PublicationError
from nn_assets.learning.folds import forecast_rows
from nn_assets.market.facts.known_hash import known_hashes
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.forecasts import FORECASTS, recorded_months
from nn_assets.operations.clock import as_of_sessions
from nn_assets.operations.derived import member_roots
from nn_assets.operations.history import History
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.lake.port import BlobPath
from nn_assets.versions import version_of

_MADE_BY = "nn_assets.learning.inference:forecast"
FORECAST_FACTS = "forecast_facts"
"""Folder in the lake of a strategy: for each stored month the hash of what its sessions knew when it was made."""


def keep_facts(history: History, frames: Mapping[str, ForecastRows]) -> None:
    """Keep what the sessions of some months know, for the forecasts made of it.

    It may be called before the forecasts are stored: what is kept counts for this content alone.
    """
    ends = {month: forecast_rows(history.axis, month).stop - 1 for month, frame in frames.items() if len(frame)}
    for month, facts in _facts(history, ends).items():
        through, address = session_text(history.axis[ends[month]]), frame_hash(frames[month])
        record = {"forecasts": address, "through": through, "facts": facts, "code": _code(history)}
        write_record(_file(history, month), record)
        history.whole_months.add((month, address))


def months_in_doubt(history: History, months: Iterable[str]) -> list[str]:
    """Those of some stored months that the facts known now may contradict, or that keep no hash, in order.

    So may the code in force, where other code made them; months kept before they named their code are not asked.
    Each month is looked at once in a history, whose facts stay as they are.
    """
    looked_at = {month: address for month in months if (address := _unseen(history, month)) is not None}
    kept = {month: _kept(history, month, address) for month, address in looked_at.items()}
    code = _code(history)
    as_kept = {month for month in _as_kept(history, kept) if (kept[month] or {}).get("code", code) == code}
    history.whole_months.update((month, looked_at[month]) for month in as_kept)
    return sorted(set(looked_at) - as_kept)


def months_to_refit(history: History, before: str) -> list[str]:
    """Months before one whose sessions know something else than when they were forecast, so that models may, too.

    None once a session is decided: the models of months at work stay, and only forecasts are made again. A month that
    keeps no hash is none of them: version 0.1 kept none.
    """
    if first_undecided(history.stores.ledger, history.strategy) is not None:
        return []
    lake, name, addresses = history.stores.lake, history.strategy.name, {}
    for month in recorded_months(lake, history.strategy):
        with suppress(PublicationError):  # the reader of a damaged one reports it, and the remedy is to make it again
            addresses[month] = lake.month_address(name, FORECASTS, month)
    kept = {month: _kept(history, month, address) for month, address in addresses.items() if address and month < before}
    as_kept = _as_kept(history, kept)
    return sorted(month for month, record in kept.items() if record is not None and month not in as_kept)


def _code(history: History) -> str:
    """Version of the code that makes forecasts: of features, networks and inference, not of what fits models."""
    return version_of(_MADE_BY, *member_roots(history.strategy))


def _as_kept(history: History, kept: Mapping[str, dict[str, Any] | None]) -> set[str]:
    """Months whose sessions know what they knew when they were forecast."""
    records = {month: record for month, record in kept.items() if record is not None}
    sessions = {month: pd.Timestamp(record["through"]) for month, record in records.items()}
    inside = {month: int(history.axis.searchsorted(day)) for month, day in sessions.items() if day in history.axis}
    facts = _facts(history, inside)
    return {month for month in facts if facts[month] == records[month]["facts"]}


def _unseen(history: History, month: str) -> str | None:
    """Address of a stored month that was not looked at yet; None where there is none."""
    address = history.stores.lake.month_address(history.strategy.name, FORECASTS, month)
    return None if (month, address) in history.whole_months else address


def _kept(history: History, month: str, address: str) -> dict[str, Any] | None:
    """What is kept for the content at an address; None where there is nothing, or something damaged."""
    try:
        record = read_record(_file(history, month))
        if record is None or record["forecasts"] != address:
            return None
        pd.Timestamp(record["through"])
        return record if isinstance(record["facts"], str) else None
    except (KeyError, TypeError, ValueError, PublicationError):
        return None


def _file(history: History, month: str) -> BlobPath:
    return history.stores.lake.folder(history.strategy.name, FORECAST_FACTS) / f"{month}.json"


def _facts(history: History, ends: Mapping[str, int]) -> dict[str, str]:
    """Hash of all that the sessions up to each of some rows know, of facts and settings, by month."""
    if not ends:
        return {}
    market, series = history.strategy.market, history.series_versions
    read = set(history.strategy.features.series.values())  # what forecasts see of the other series
    raw = history.raw_versions
    # What waits for its publication is not read yet.
    published = raw[raw["ingested_at"] <= history.published_at.max()] if len(history.published_at) else raw.iloc[:0]
    tables = [
        (table, column)
        for table, column in (
            (published, "session"),
            (history.compared_versions, "session"),
            (history.action_versions, "ex_session"),
            (series[series["name"].isin(read)], "session"),
            (history.membership_versions, "member_from"),
        )
        if table is not None
    ]
    rows = np.array(sorted(set(ends.values())), dtype=np.int64)
    moments = as_of_sessions(market, history.axis)
    by_row = dict(zip(rows, known_hashes(tables, history.axis, moments, rows), strict=True))
    settings = history.strategy.content_hash("features", "universe", "series", "cleaning")
    days = history.axis.to_numpy(dtype="datetime64[ns]")
    axes = {row: hashlib.sha256(days[: row + 1].tobytes()).hexdigest() for row in rows}
    about = settings, market.calendar, market.adjustment_convention
    return {
        month: hashlib.sha256(repr((about, axes[row], by_row[row])).encode()).hexdigest() for month, row in ends.items()
    }
