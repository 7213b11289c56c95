"""Which decisions have a label that is realised by the end of its own session, where the book is flat overnight."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import bars_of_session, ends_of_sessions, sessions_between
from nn_assets.settings import Strategy

_DAYS_LOOKED_AT = 21


def decisions_that_count(strategy: Strategy) -> int | None:
    """Decisions of a usual session that a label is realised of; None where sessions are not divided.

    All of them where the book may be held overnight, else those that leave the bars to the fill and the horizon.
    """
    if strategy.decisions is None:
        return None
    bars, label = bars_of_session(strategy.market.calendar), strategy.label
    if strategy.decisions.overnight == "held":
        return bars
    return max(bars - label.execution_lag_sessions - label.horizon_sessions, 1)


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
