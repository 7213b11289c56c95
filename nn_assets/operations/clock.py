"""What day it is for a strategy: the wall clock, or the end of its history, and never past the vault."""

from __future__ import annotations

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import (
    assumed_known_at,
    calendar_end_told,
    previous_session,
    sessions_between,
)
from nn_assets.settings import MarketSettings

__all__ = [
    "as_of_session",
    "as_of_sessions",
    "how_to_see",
    "last_open_session",
    "last_stated_session",
    "now_utc",
    "seen_until",
]


def now_utc() -> pd.Timestamp:
    """The wall clock of orchestration; the ledger has its own for when a row was stored."""
    return pd.Timestamp.now(tz="UTC").as_unit("ns")


def as_of_session(market: MarketSettings, session: object) -> pd.Timestamp:
    """The moment at which a session's decision is made: its close plus the stated lag, UTC."""
    return assumed_known_at(market.calendar, [pd.Timestamp(session)], market.known_at_lag_minutes)[0]


def as_of_sessions(market: MarketSettings, sessions: pd.DatetimeIndex | pd.Series) -> pd.DatetimeIndex:
    """The same moment of each of several sessions; NaT for a day that is none."""
    return assumed_known_at(market.calendar, sessions, market.known_at_lag_minutes)


def seen_until(market: MarketSettings, session: object, now: pd.Timestamp) -> pd.Timestamp:
    """The moment until which what became known is judged and published: now, but never before a session's decision."""
    return max(as_of_session(market, session), now)


def last_stated_session(market: MarketSettings) -> pd.Timestamp | None:
    """The session at which a strategy's settings end its history or seal its vault; None where neither does."""
    ends = []
    if market.history_ends is not None:
        ends.append(previous_session(market.calendar, pd.Timestamp(market.history_ends) + pd.Timedelta(days=1)))
    if market.vault_starts is not None:
        ends.append(previous_session(market.calendar, market.vault_starts))
    return min(ends, default=None)


def how_to_see(market: MarketSettings, session: pd.Timestamp, now: pd.Timestamp) -> str:
    """What lets a session be seen that lies after the last that may be: by the vault, the stated end, or the clock."""
    if market.vault_starts is not None and session >= pd.Timestamp(market.vault_starts):
        return f"it lies in the vault and stays sealed, for as long as market.vault_starts is {market.vault_starts}"
    waits = "wait for its close" if as_of_session(market, session) > now else ""
    ends = market.history_ends
    if ends is None or session <= pd.Timestamp(ends):
        return waits or "ask for a session of the calendar"
    return f"{waits}{', then ' * bool(waits)}move market.history_ends {ends} to {session.date()} or later"


def last_open_session(market: MarketSettings, now: pd.Timestamp) -> pd.Timestamp:
    """The last session a strategy may see: closed, within its history, and before its vault.

    Parameters
    ----------
    market : MarketSettings
    now : Timestamp, UTC
        Ignored where the strategy states ``history_ends``.
    """
    if market.history_ends is not None:
        there = sessions_between(market.calendar, market.history_starts, market.history_ends)
        if len(there) == 0:
            raise SettingsError(
                expected=f"a session of {market.calendar} from history_starts to history_ends",
                found=f"none from {market.history_starts} to {market.history_ends}",
                remedy="widen the span",
                key="market.history_ends",
            )
        last = there[-1]
    else:
        today = now.tz_convert("UTC").tz_localize(None).normalize() + pd.Timedelta(days=1)
        recent = sessions_between(market.calendar, today - pd.Timedelta(days=30), today)
        known = assumed_known_at(market.calendar, recent, market.known_at_lag_minutes)
        closed = recent[known <= now]
        if len(closed) == 0:
            raise SettingsError(
                expected=f"a closed session of {market.calendar.split(' ')[0]} within the last 30 days",
                found=f"none; {calendar_end_told(market.calendar, today) or 'it has a longer break'}",
                remedy="carry its days on under extra_sessions in the file that market.calendar_overrides names, or "
                "set market.history_ends",
                key="market.calendar",
            )
        last = closed[-1]
    if market.vault_starts is not None:
        last = min(last, previous_session(market.calendar, market.vault_starts))
    return last
