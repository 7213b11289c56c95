"""``settlement``: whether a binary contract settles at 1 within the horizon."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.labels.definition import LabelFacts, LabelKind
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings


def _own_return(panel: Panel, label: LabelSettings, _facts: LabelFacts) -> FloatArray:
    """Settlement / price of the fill - 1, (bars, symbols); NaN where it does not settle within the horizon.

    So a contract teaches nothing before its settlement lies within the horizon, and is known to have no label as long.
    """
    price = panel.open if label.execution == "next_open" else panel.close
    own = np.full(price.shape, np.nan)
    if panel.adjustment is None:
        return own
    lag, horizon, bars = label.execution_lag_sessions, label.horizon_sessions, panel.session_count
    for row, column in np.argwhere(np.isfinite(panel.adjustment.delisting)).tolist():
        # The last session filled is the one before: what is filled h sessions before it is held over the horizon.
        first, stop = max(row - horizon - lag, 0), min(row - lag, bars - lag - horizon)
        if first >= stop:
            continue
        filled = price[first + lag : stop + lag, column]
        value = panel.adjustment.delisting[row, column]
        with np.errstate(divide="ignore", invalid="ignore"):
            own[first:stop, column] = np.where(filled < 1.0, value / filled - 1.0, np.nan)
    return own


SETTLEMENT = LabelKind(_own_return, relative=False)
