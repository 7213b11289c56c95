"""Sessions in words: a day's date, or the moment at which a bar within the session begins."""

from __future__ import annotations

import pandas as pd


def begin_within_days(sessions: pd.DatetimeIndex) -> bool:
    """Whether an axis is of bars within the session: a day's sessions all begin at midnight."""
    return bool((sessions.normalize() != sessions).any())


def session_name(session: pd.Timestamp, *, within: bool) -> str:
    """A session's date, or its date and time where it is a bar ``within`` the day."""
    return f"{session:%Y-%m-%dT%H:%M}" if within else str(session.date())


def session_names(sessions: pd.DatetimeIndex) -> list[str]:
    """The name of each session of an axis; no two are alike."""
    within = begin_within_days(sessions)
    return [session_name(session, within=within) for session in sessions]
