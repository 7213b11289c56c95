"""``direction``: whether a position earns more than cash does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nn_assets.features.labels.definition import LabelFacts, LabelKind, forward_returns
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings


def _own_return(panel: Panel, label: LabelSettings, facts: LabelFacts) -> npt.NDArray[np.float64]:
    """Forward return - cash rate x horizon, (bars, symbols)."""
    return forward_returns(panel, label) - facts.cash_rate_per_session[:, None] * label.horizon_sessions


DIRECTION = LabelKind(_own_return, relative=False)
