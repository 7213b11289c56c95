"""``return_zscored`` and ``return_zscored_relative``: how far a return lies from its own recent distribution."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from nn_assets.arrays import FloatArray
from nn_assets.features.labels.definition import LabelFacts, LabelKind, forward_returns
from nn_assets.features.labels.direction import DIRECTION
from nn_assets.features.labels.relative import median_over_symbols
from nn_assets.features.own_bars import over_own_rows
from nn_assets.features.rolling import lagged, rolling_mean, rolling_std
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from nn_assets.settings.section import Section

_OF_ITS_OWN, _OF_THE_OTHERS = 1.0 / 50.0, 1.0 / 200.0
"""Shares of its own largest deviation so far, and of the median of its session's, below which a name's deviation is no
unit: its price is held, as by an offer for the company, so that the cash rate alone is many of them, and what follows
when it is let go thousands. Between the wildest and the calmest year of a share or a coin lies a factor of about ten;
funds of bills move about a fiftieth of what shares do."""

_MISSING = 0.25
"""Share of the window's sessions that may lack a value; the window then reaches further back."""


class ZScored(Section):
    """Settings of a z-scored return.

    ``window_sessions`` is how many of the name's own returns, the newest that are realised, its mean and deviation are
    taken over.
    """

    window_sessions: Annotated[int, Field(ge=20)] = 250


def _moments(returns: FloatArray, label: LabelSettings, settings: ZScored) -> tuple[FloatArray, FloatArray]:
    """Mean and sample deviation at each session of the newest ``window_sessions`` returns realised by it.

    That of row u is realised at u + lag + horizon. NaN until the window is full, and where the session's own newest is
    missing; a constant window has a deviation of 0.
    """
    realised = lagged(returns, label.execution_lag_sessions + label.horizon_sessions)
    window = settings.window_sessions
    return (
        over_own_rows(realised, window, _MISSING, lambda rows: rolling_mean(rows, window)),
        over_own_rows(realised, window, _MISSING, lambda rows: rolling_std(rows, window)),
    )


def _unit(returns: FloatArray, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:
    """The deviation of :func:`_moments`; NaN where it is tiny beside what is known by the session.

    That is below 1 / 50 of the largest that the name had until then, or 1 / 200 of the median over the session's
    candidates.
    """
    deviation = _moments(returns, label, settings)[1]
    compared = deviation if facts.candidates is None else np.where(facts.candidates, deviation, np.nan)
    median, there = np.zeros((len(deviation), 1)), np.isfinite(compared).any(axis=1)
    median[there, 0] = np.nanmedian(compared[there], axis=1)
    least = np.fmax(_OF_ITS_OWN * np.fmax.accumulate(deviation, axis=0), _OF_THE_OTHERS * median)
    return np.where(deviation >= least, deviation, np.nan)


def _own_return(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:  # noqa: ARG001
    """Forward return - cash rate x horizon; learned is its distance from its recent mean in recent deviations."""
    return np.asarray(DIRECTION.own_return(panel, label, facts), dtype=np.float64)


def _centre(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:
    return _moments(DIRECTION.own_return(panel, label, facts), label, settings)[0]


def _scale(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:
    return _unit(DIRECTION.own_return(panel, label, facts), label, facts, settings)


def _own_relative_return(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:  # noqa: ARG001
    """Log growth less the median's; learned is its distance from its recent mean in recent deviations.

    Logarithms, so that what moves every name alike changes nothing.

    Raises
    ------
    SettingsError
        The panel has fewer than 5 symbols.
    """
    return _growth_over_median(panel, label, facts)


def _relative_centre(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:
    return _moments(_growth_over_median(panel, label, facts), label, settings)[0]


def _relative_scale(panel: Panel, label: LabelSettings, facts: LabelFacts, settings: ZScored) -> FloatArray:
    return _unit(_growth_over_median(panel, label, facts), label, facts, settings)


def _growth_over_median(panel: Panel, label: LabelSettings, facts: LabelFacts) -> FloatArray:
    growth = np.log1p(forward_returns(panel, label))
    judged = growth if facts.candidates is None else np.where(facts.candidates, growth, np.nan)
    return np.asarray(growth - median_over_symbols(judged, panel.symbols, label.kind), dtype=np.float64)


RETURN_ZSCORED = LabelKind(_own_return, relative=False, settings=ZScored, learns="value", scale=_scale, centre=_centre)
RETURN_ZSCORED_RELATIVE = LabelKind(
    _own_relative_return,
    relative=True,
    settings=ZScored,
    learns="value",
    scale=_relative_scale,
    centre=_relative_centre,
)
