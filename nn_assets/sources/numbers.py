"""Numbers of a source's table as they are written; among them what it says of a bar beyond prices and volume."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import pandas as pd

from nn_assets.contracts import DETAILS

_log = logging.getLogger(__name__)
_NONE = frozenset(["", "na", "n/a", "nan", "null", "none", "-"])


def numbers_written(written: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Numbers of a column, and which cells are no number: neither a number, nor empty, nor a common word for none."""
    if pd.api.types.is_numeric_dtype(written) and not pd.api.types.is_bool_dtype(written):
        return written.astype(np.float64), pd.Series(data=False, index=written.index)
    values = pd.to_numeric(written.astype("str").str.strip(), errors="coerce").astype(np.float64)
    return values, values.isna() & ~blank(written)


def blank(written: pd.Series) -> pd.Series:
    """Which cells of a column are empty, or a common word for none."""
    return written.isna() | written.astype("str").str.strip().str.lower().isin(_NONE)


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
