"""Whether a label can be realised at all by the end of its own session, where the book is flat overnight."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import ends_of_sessions, sessions_between
from nn_assets.settings import Strategy

_DAYS_LOOKED_AT = 21


def horizon_fault(strategy: Strategy) -> SettingsError | None:
    """What is wrong with a horizon that no session is long enough for; None where one is, or the book may be held.

    Of a book that is flat overnight a label counts only where it is realised by its own session's end: one bar to the
    fill, and the horizon after it. By the longest session of the first three weeks of the history.
    """
    decisions, market, label = strategy.decisions, strategy.market, strategy.label
    if decisions is None or decisions.overnight == "held":
        return None
    starts = pd.Timestamp(market.history_starts)
    bars = sessions_between(market.calendar, starts, starts + pd.Timedelta(days=_DAYS_LOOKED_AT))
    ends = np.flatnonzero(ends_of_sessions(market.calendar, bars))
    longest = int(np.diff(ends, prepend=-1).max(initial=0))
    most = longest - 1 - label.execution_lag_sessions
    if not longest or label.horizon_sessions <= most:
        return None
    key = "label.horizon_sessions" if label.horizon_hours is None else "label.horizon_hours"
    return SettingsError(
        expected=f"a horizon of at most {most} bars, which a label of the first bar of a session is realised by the "
        f"end of: a session has {longest} at most, and its book is flat overnight",
        found=f"{key} of {strategy.horizon_text}",
        remedy="shorten it, or set intraday.decisions.overnight: held",
        key=key,
    )
