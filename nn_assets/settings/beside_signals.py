"""Sections of what is said beside a forecast: how unlike a row is, and the range that a price keeps to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nn_assets.settings.section import Section


class NoveltySettings(Section):
    """Rows unlike anything that their model was fitted on lower the signal's confidence; an unlike day is an alert.

    Confidence is multiplied by min(1, p / ``unlike_p_value``), p the row's p-value among those of the model's fold. A
    day is unlike where it departs from the 20 before it by more than chance brings ``unlike_days_a_year`` in the fold.
    """

    unlike_p_value: Annotated[float, Field(gt=0.0, le=0.10)] = 0.01
    unlike_days_a_year: Annotated[float, Field(gt=0.0, le=52.0)] = 1.0


class RangeSettings(Section):
    """Grids for prices that revert to a level, suggested beside the signals; no position is made of them.

    ``window_sessions`` closes say whether a price reverts, and to what; the range is ``width_deviations`` stationary
    standard deviations to both sides of it, and ``grid_levels`` steps from end to end.
    """

    window_sessions: Annotated[int, Field(ge=100, le=1000)] = 250
    significance: Annotated[float, Field(gt=0.0, le=0.10)] = 0.025
    width_deviations: Annotated[float, Field(gt=0.0, le=5.0)] = 2.0
    grid_levels: Annotated[int, Field(ge=2, le=200)] = 10
