"""Contradictions between bars and actions, carried from one publication to the next beside its pieces.

As long as nothing new came for a session published before, the bars that came are looked at beside the few before them.
Where anything did, or what is carried on is gone, all bars are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import pandas as pd

from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.market.quality.suspected import Suspected
from nn_assets.operations.history import History
from nn_assets.operations.intake.pieces import CARRIED, Carried, Grown
from nn_assets.store.lake.carried import read_arrays, store_arrays

_LOOKED_AT = ["symbol", "session", "open", "high", "low", "close", "volume"]
_SESSIONS = 80  # that are read at first


def suspected_of(
    history: History, grown: Grown | None, bars: Callable[[], DailyBars], actions: ActionVersions | None
) -> Suspected | None:
    """What is suspected of the bars to be published; None without actions.

    Parameters
    ----------
    grown : Grown, optional
        Bars that came since the last publication; None where all were judged.
    bars : callable
        Gives all of them.
    actions : DataFrame, optional
        Those to be published.
    """
    if actions is None or history.strategy.market.binary:
        return None
    carried = None if grown is None else _carried_on(history, grown, actions)
    return Suspected.of(bars(), actions) if carried is None else carried


def _carried_on(history: History, grown: Grown, actions: ActionVersions) -> Suspected | None:
    """What was suspected, carried on by the bars that came; None where that cannot be."""
    before, fresh, axis = _read(history, grown.base), grown.fresh.bars, history.axis
    if before is None or fresh.empty:
        return before
    first = fresh["session"].min()
    if first <= pd.Timestamp(grown.base.until):
        return None
    sessions = _SESSIONS
    while True:
        row = max(int(axis.searchsorted(first)) - sessions, 0)
        tail = grown.bars_from(axis[row], _LOOKED_AT)
        suspected = before.carried_on(tail, grown.newest["rows"], first, actions)
        if suspected is not None or row == 0:
            return suspected
        sessions *= 2


def _read(history: History, base: Carried) -> Suspected | None:
    """What was suspected when bars were published last; None where that is not on record, or lost."""
    folder = history.stores.lake.folder(history.strategy.name, CARRIED)
    arrays = read_arrays(folder, base.suspected) if base.suspected else None
    if arrays is None:
        return None
    tables: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for key, values in arrays.items():
        table, _, column = key.partition(".")
        tables.setdefault(table, {})[column] = values
    return Suspected(tables, base.suspicions)


def with_suspected(history: History, carried: Carried, suspected: Suspected | None) -> Carried:
    """What is to be carried on, with what was suspected stored beside it."""
    if suspected is None:
        return replace(carried, suspected="", suspicions=())
    folder = history.stores.lake.folder(history.strategy.name, CARRIED)
    arrays = {
        f"{table}.{name}": values for table, columns in suspected.tables.items() for name, values in columns.items()
    }
    return replace(carried, suspected=store_arrays(folder, arrays), suspicions=suspected.notices)
