"""Versions of facts as they lie in the lake, their moments as they are read: the one door to all of their tables.

They are appended by ``operations/intake/appended.py``.

A moment is the clock's. Where a clock ran ahead, what it stamped is read as a person had it mended, on record
(``operations/asof/wrong_clock.py``); nothing stored is changed.
"""

from __future__ import annotations

from typing import Unpack

import pandas as pd

from nn_assets.contracts import (
    ACTION_VERSIONS,
    BAR_DETAILS,
    BAR_VERSIONS,
    HALTS,
    INTRADAY_DETAILS,
    INTRADAY_VERSIONS,
    MEMBERSHIP,
    SERIES,
)
from nn_assets.market.facts.bitemporal import Kind
from nn_assets.operations.stores import Stores
from nn_assets.store.lake.parts import Selection

RAW_BARS, ACTIONS, OTHER_SERIES = "raw_bars", "actions", "other_series"
RAW_INTRADAY, UNIVERSE, COMPARED = "raw_intraday_bars", "universe_membership", "compared_bars"
DETAILS_OF_BARS, TRADING_HALTS = "bar_details", "trading_halts"
DETAILS_OF_INTRADAY = "intraday_details"
_CONTRADICTED = "_contradicted"
CONTRADICTED_BARS = f"{RAW_BARS}{_CONTRADICTED}"
FACTS = {
    RAW_BARS: BAR_VERSIONS,
    ACTIONS: ACTION_VERSIONS,
    OTHER_SERIES: SERIES,
    RAW_INTRADAY: INTRADAY_VERSIONS,
    UNIVERSE: MEMBERSHIP,
    COMPARED: BAR_VERSIONS,
    DETAILS_OF_BARS: BAR_DETAILS,
    DETAILS_OF_INTRADAY: INTRADAY_DETAILS,
    TRADING_HALTS: HALTS,
}
"""The tables, and the contract of each."""


def versions_of(stores: Stores, strategy: str, table: str, **selection: Unpack[Selection]) -> pd.DataFrame:
    """Every version stored in a table of facts, in the order of arrival; to be read only.

    Raises
    ------
    PublicationError
        None ever was.
    """

    def read() -> pd.DataFrame:
        return stores.lake.read_segments(strategy, table, **selection)

    segments = stores.lake.segments(strategy, table)
    versions = read() if selection or not segments else stores.newest(("versions", strategy, table), segments, read)
    return stores.ledger.mended().of_versions(versions)


def contradicted(stores: Stores, strategy: str, table: str) -> pd.DataFrame | None:
    """The values delivered for contradicted versions of a table, from its quarantine; None where there are none."""
    name = f"{table}{_CONTRADICTED}"
    return versions_of(stores, strategy, name) if stores.lake.segments(strategy, name) else None


def with_contradictions(
    stores: Stores, strategy: str, table: str, kind: Kind, in_force: pd.DataFrame, versions: pd.DataFrame
) -> pd.DataFrame:
    """What is known, contradicted versions replaced by the values delivered for them, so that cleaning can name those.

    Parameters
    ----------
    in_force : DataFrame
        What ``kind.as_of`` gave of ``versions``: every version stored. Older homes have contradicted values there.
    """
    silent = in_force.loc[kind.without_values(in_force), "symbol"].unique()
    if not len(silent):
        return in_force
    parts = [contradicted(stores, strategy, table), versions[versions["symbol"].isin(silent)]]
    return kind.with_contents(in_force, pd.concat(parts, ignore_index=True))
