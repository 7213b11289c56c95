"""``threshold_move``: whether a return exceeds a threshold."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import model_validator

from nn_assets.arrays import FloatArray
from nn_assets.features.labels.definition import LabelFacts, LabelKind
from nn_assets.features.labels.direction import DIRECTION
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from nn_assets.settings.section import Section
from nn_assets.settings.sections import Positive


class ThresholdMove(Section):
    """Settings of a threshold move.

    The return of side ``up`` is to exceed +``threshold``, that of ``down`` to stay above -``threshold``: its
    probability is that there is no such fall, so that more of it is always better. ``unit`` ``sigma`` counts the
    threshold in sigma_20 sqrt h, ``fraction`` as a return, which is not traded: names of more volatility pass it more
    often whatever they earn, and a forecast that knows no more than that would be sized as if it knew their means.
    """

    side: Literal["up", "down"] = "up"
    threshold: Positive = 0.5
    unit: Literal["sigma", "fraction"] = "sigma"

    @property
    def not_traded(self) -> str | None:
        """Why forecasts of such a move say nothing of what a position earns; None where they do."""
        if self.unit == "sigma":
            return None
        return "a threshold in sigma: one that is a fraction is passed by names of more volatility, whatever they earn"

    @model_validator(mode="after")
    def _can_be_passed(self) -> ThresholdMove:
        if self.unit == "fraction" and self.threshold >= 1.0:
            raise ValueError(f"threshold {self.threshold} with unit fraction must lie below 1: it is no percentage")
        return self


def _own_return(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ThresholdMove) -> FloatArray:
    """Forward return - cash rate x horizon, less the threshold (plus it, of ``down``)."""
    unit = facts.recent_volatility * np.sqrt(label.horizon_sessions) if settings.unit == "sigma" else 1.0
    signed = settings.threshold if settings.side == "up" else -settings.threshold
    return np.asarray(DIRECTION.own_return(panel, label, facts) - signed * unit, dtype=np.float64)


def _return(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ThresholdMove) -> FloatArray:  # noqa: ARG001
    """The return itself: one who knows volatilities alone knows which names pass a threshold, and earns nothing."""
    return DIRECTION.own_return(panel, label, facts)


THRESHOLD_MOVE = LabelKind(_own_return, relative=False, settings=ThresholdMove, ranked_against=_return)
