"""Columns of a source's table that say more of a bar than its prices and volume."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pandas as pd

from nn_assets.contracts import DETAILS
from nn_assets.sources.tables.columns import numbers_written

_log = logging.getLogger(__name__)


def detail_columns(table: pd.DataFrame, columns: Iterable[str], where: str) -> dict[str, pd.Series]:
    """Details of bars as numbers, by name; NaN where a cell is empty.

    A column that holds anything but numbers is another thing of that name: it is left out, which is told.

    Parameters
    ----------
    table : DataFrame
        With columns of ``DETAILS`` as they are written.
    columns : iterable of str
        Those of its columns to look at.
    where : str
        For the message: the file, or the source.
    """
    details: dict[str, pd.Series] = {}
    for name in (column for column in columns if column in DETAILS):
        numbers, wrong = numbers_written(table[name])
        if wrong.any():
            cell = repr(str(table.loc[wrong.to_numpy(), name].iloc[0])[:60])
            _log.warning("%s: the column of %s holds %s, which is no number: it is left out", where, name, cell)
            continue
        details[name] = numbers
    return details
