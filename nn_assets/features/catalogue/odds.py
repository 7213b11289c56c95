"""What the price of a binary contract says of where it settles."""

from __future__ import annotations

import numpy as np

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import log_positive, ratio
from nn_assets.market.panel import Panel


def _log_odds(panel: Panel, _: Context) -> FloatArray:
    return log_positive(ratio(panel.close, np.abs(1.0 - panel.close)))


ODDS = (
    Feature(
        name="log_odds",
        group="price_location",
        reach_sessions=0,
        fields=("close",),
        compute=_log_odds,
        formula="log(C / |1 - C|): of a contract between 0 and 1 the odds that its price gives; no value at 1",
    ),
)
