"""Versions of facts: compared with those stored, and appended to them; ``operations/asof/stored.py`` reads them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.contracts import BAR_VERSIONS, empty
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.frames import BarVersions
from nn_assets.errors import SchemaError
from nn_assets.market.facts.bars import RevisionCount, new_versions
from nn_assets.market.facts.repeats import new_versions_of_files
from nn_assets.operations.asof.stored import FACTS, contradicted, versions_of
from nn_assets.operations.stores import Stores

__all__ = ["append_contradicted", "append_versions", "compare_bars"]

BoolArray = npt.NDArray[np.bool_]


def compare_bars(
    stores: Stores,
    strategy: str,
    table: str,
    delivered: BarVersions,
    taken_before: Collection[str] | None,
    *,
    explicit: BoolArray | None = None,
) -> tuple[BarVersions, BarVersions, BarVersions, RevisionCount]:
    """Compare bars with the versions stored of their sessions; no others are read, and nothing is stored.

    Parameters
    ----------
    table : str
        Where in the lake the versions lie.
    delivered : DataFrame
        Columns of ``BAR_VERSIONS``.
    taken_before : collection of str, optional
        The ``source`` of files whose very contents were taken in before; None where the bars are of no files.
    explicit : array of bool, shape (rows delivered,), optional
        Rows whose ``known_at`` is the source's own; none when left out.

    Returns
    -------
    stored, fresh, words : DataFrame
        The versions compared with, those to append, and repeats to append beside them, as of ``new_versions_of_files``.
    RevisionCount
        Counts of bars.
    """
    stored = empty(BAR_VERSIONS)
    if stores.lake.segments(strategy, table):
        stored = versions_of(stores, strategy, table, sessions=pd.DatetimeIndex(delivered["session"].unique()))
    if taken_before is None:
        fresh, counted = new_versions(stored, delivered, explicit=explicit)
        return stored, fresh, delivered.iloc[:0], counted
    contents = contradicted(stores, strategy, table)
    return stored, *new_versions_of_files(stored, delivered, taken_before, explicit=explicit, contents=contents)


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
