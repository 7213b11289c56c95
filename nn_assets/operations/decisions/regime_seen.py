"""Whether a session's regime was among what its model was fitted on: a fact that is stored with the decision."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from nn_assets.operations.history import History
from nn_assets.operations.models.stored import load_model


def regime_details(history: History, session: pd.Timestamp, model_id: str) -> dict[str, Any]:
    """What is recorded of a session's regime, by what the session knew.

    Returns
    -------
    dict
        ``name`` of the regime; ``share``, the share of the training and validation rows of the model in force that
        were in it, 0 to 1, None where that is not known; ``no_markov``, why the rules name it though the settings ask
        for a Markov model, left out where they do not.
    """
    regimes, row = history.cut_for(session).market.regimes, history.row(session)
    fold = load_model(history.stores, model_id).fold
    share = regimes.share_of(row, *(range(rows.start, rows.stop) for rows in (fold.training, fold.validation)))
    why = regimes.no_markov(row)
    details = {"name": regimes.label(row), "share": None if math.isnan(share) else share}
    return details | ({"no_markov": why} if why else {})
