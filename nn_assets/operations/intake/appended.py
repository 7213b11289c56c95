"""Versions of facts: compared with those stored, and appended to them; ``operations/asof/stored.py`` reads them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pandas as pd

from nn_assets.arrays import BoolArray
from nn_assets.contracts import BAR_VERSIONS, empty
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.frames import BarVersions, DeliveredBars
from nn_assets.errors import SchemaError
from nn_assets.market.facts.bars import RevisionCount, new_versions, restated_values, with_assumed_known_at
from nn_assets.market.facts.bitemporal import BAR_FACTS, DETAIL_FACTS
from nn_assets.market.facts.repeats import new_versions_of_files
from nn_assets.operations.asof.stored import DETAILS_OF_BARS, FACTS, contradicted, versions_of
from nn_assets.operations.history import History
from nn_assets.operations.stores import Stores

_MOST_RESTATED = 5

Mend = Callable[[History, BarVersions, BarVersions, BarVersions], BarVersions]
"""From the versions stored, the bars as stamped and some of the latter: these, known from another moment if need be."""


def stamped_bars(
    history: History,
    delivered: DeliveredBars,
    arrived_at: pd.Timestamp,
    decided_to: pd.Timestamp | None,
    contract: Contract = BAR_VERSIONS,
) -> BarVersions:
    """Give delivered bars their moments, as of :func:`with_assumed_known_at` for the strategy's market."""
    market = history.strategy.market
    lag = market.known_at_lag_minutes
    return with_assumed_known_at(delivered, market.calendar, lag, arrived_at, decided_to=decided_to, contract=contract)


def append_new(
    history: History,
    table: str,
    stamped: BarVersions,
    explicit: BoolArray | None,
    taken_before: Collection[str] | None,
    mend: Mend | None = None,
) -> RevisionCount:
    """Compare bars with the versions stored of their sessions, no others are read, and store what is new.

    Parameters
    ----------
    table : str
        Where in the lake the versions lie.
    stamped : DataFrame
        The bars delivered, or what is said of them beside: columns of the table's contract.
    explicit : array of bool, shape (rows delivered,), optional
        Rows whose ``known_at`` is the source's own; none when left out.
    taken_before : collection of str, optional
        The ``source`` of files whose very contents were taken in before; None where the bars are of no files.
    mend : callable, optional
        For bars of which none states a moment.

    Returns
    -------
    RevisionCount
        Counts of bars.
    """
    stores, name = history.stores, history.strategy.name
    stored, repeats = empty(FACTS[table]), stamped.iloc[:0]
    kind = DETAIL_FACTS if table == DETAILS_OF_BARS else BAR_FACTS
    if stores.lake.segments(name, table):
        stored = versions_of(stores, name, table, sessions=pd.DatetimeIndex(stamped["session"].unique()))
    if taken_before is None:
        fresh, counted = new_versions(stored, stamped, explicit=explicit, kind=kind)
    else:
        on_record = contradicted(stores, name, table)
        fresh, repeats, counted = new_versions_of_files(
            stored, stamped, taken_before, explicit=explicit, contents=on_record, kind=kind
        )
    contents = counted.contradicted
    if mend is not None and len(fresh) and (explicit is None or not explicit.any()):
        fresh, contents = (mend(history, stored, stamped, rows) for rows in (fresh, contents))
    append_contradicted(stores, name, table, contents)
    append_versions(stores, name, table, stored, fresh, repeats)
    if counted.revised:
        return replace(counted, restated=tuple(restated_values(stored, fresh, _MOST_RESTATED, kind)))
    return counted


def append_contradicted(stores: Stores, strategy: str, table: str, contents: pd.DataFrame) -> None:
    """Put the values of contradicted versions into quarantine, as far as they are not there; before the versions."""
    if contents.empty:
        return
    on_record = contradicted(stores, strategy, table)
    both = contents if on_record is None else pd.concat([on_record, contents], ignore_index=True)
    distinct = both.drop_duplicates([name for name in both.columns if name != "ingested_at"])
    _append(
        stores, strategy, f"{table}_contradicted", distinct.iloc[len(both) - len(contents) :].reset_index(drop=True)
    )


def append_versions(
    stores: Stores, strategy: str, table: str, stored: pd.DataFrame | None, *added: pd.DataFrame
) -> None:
    """Add versions; none of them with a moment of arrival that is read as another one.

    Parameters
    ----------
    table : str
        One of ``FACTS``.
    stored : DataFrame, optional
        At least the versions stored of the facts added; None where the table is not there yet.

    Raises
    ------
    SchemaError
        Two rows would share the key of a version: nothing is added.
    """
    some = [frame for frame in added if len(frame)]
    if some:
        fresh = pd.concat(some, ignore_index=True)
        _refuse_twice(FACTS[table], table, fresh, stored)
        _append(stores, strategy, table, fresh)


def _refuse_twice(contract: Contract, table: str, fresh: pd.DataFrame, stored: pd.DataFrame | None) -> None:
    """Hold what is added to the key of its table, beside what was stored at the same moments: no other can share it."""
    key = list(contract.unique)
    both = fresh[key]
    if stored is not None:
        both = pd.concat([stored.loc[stored["ingested_at"] >= fresh["ingested_at"].min(), key], both])
    twice = both[both.duplicated()]
    if len(twice):
        row = ", ".join(str(value) for value in twice.iloc[0])
        raise SchemaError(
            expected=f"one row for each {', '.join(key)} in {table}",
            found=f"{len(twice)} rows more, the first of {row}",
            remedy="nothing was stored; tell the makers of nn_assets, with the files that were taken in",
            rule="one_row_a_version",
        )


def _append(stores: Stores, strategy: str, table: str, fresh: pd.DataFrame) -> None:
    arrived_at = stores.ledger.mended().unlike(fresh["ingested_at"])
    by_arrival = fresh["known_at"] == fresh["ingested_at"]
    stamped = fresh.assign(ingested_at=arrived_at, known_at=fresh["known_at"].where(~by_arrival, arrived_at))
    stores.lake.append_segment(strategy, table, stamped)
