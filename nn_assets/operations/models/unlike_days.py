"""How unlike a decided session is: its record, and the sentence on its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.learning.novelty import DAY_REACH, day_departures, day_score
from nn_assets.operations.history import History
from nn_assets.operations.models.novelty import p_values_of
from nn_assets.operations.models.stored import load_model
from nn_assets.signals.novelty import DayNovelty, judge_day


def day_novelty(history: History, session: pd.Timestamp, model_id: str) -> DayNovelty | None:
    """How unlike a session is by the model that decides it; None where the settings, or the model, do not say.

    Rows are judged on every session; the day as a whole only beside sessions before it that have scores.

    Only members of the universe count, as in forecasts.
    """
    settings, model = history.strategy.novelty, load_model(history.stores, model_id)
    if settings is None or model.novelty is None:
        return None
    view = history.view(session)
    p_values = p_values_of(model, view.cube, slice(max(0, view.row + 1 - DAY_REACH), view.row + 1), view.symbols)
    if view.members is not None:
        p_values = np.where(view.members[-len(p_values) :], p_values, np.nan)
    scores = np.array([day_score(of_session) for of_session in p_values])
    return judge_day(
        p_values[-1],
        view.symbols,
        score=float(scores[-1]),
        day_p_value=float(model.novelty.days.p_value(day_departures(scores)[-1:])[0]),
        sessions=len(model.novelty.days.reference),
        unlike_p_value=settings.unlike_p_value,
        days_a_year=settings.unlike_days_a_year,
        sessions_per_year=history.sessions_per_year,
    )


def novelty_details(history: History, session: pd.Timestamp, model_id: str) -> dict[str, dict[str, Any]]:
    """What a decision records of it; nothing where the settings do not ask."""
    if history.strategy.novelty is None:
        return {}
    novelty = day_novelty(history, session, model_id)
    return {} if novelty is None else {"novelty": novelty.to_record()}


def novelty_notices(history: History, details: Mapping[str, Any], model_id: str) -> list[str]:
    """Say on a session's page which rows are unlike, or why none is judged.

    Parameters
    ----------
    details : mapping
        Of the session's decision, as :func:`novelty_details` gave them.
    """
    settings = history.strategy.novelty
    if settings is None:
        return []
    if "novelty" not in details:
        model = load_model(history.stores, model_id)
        if model.novelty is not None:
            return ["No row is judged unlike: no features of the session, or of those before it, could be scored."]
        why = model.figures.get("novelty", {}).get("none", "it was fitted without")
        return [f"No row is judged unlike: the model has no novelty scores ({why})."]
    novelty = DayNovelty.from_record(details["novelty"])
    if not novelty.unlike:
        return []
    sentence = f"{novelty.sentence[0].upper()}{novelty.sentence[1:]}"
    return [f"{sentence}. Their confidence is multiplied by p / {settings.unlike_p_value:g}."]
