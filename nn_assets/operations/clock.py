"""What day it is for a strategy: by the wall clock, or at the end of its history, and never past the vault."""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import Session, Sessions
from nn_assets.errors import SettingsError
from nn_assets.market.calendar.sessions import (
    assumed_known_at,
    calendar_end_warning,
    last_known_session,
    previous_session,
    session_close,
    sessions_between,
    timezone_of,
)
from nn_assets.settings import MarketSettings

# Minutes between the moment the day's bar is taken to be known and its round, so that the feed has settled.
_SETTLING_MINUTES = 15
LAST_OF_A_DAY = pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
"""From a day's midnight to its last moment."""


def now_utc() -> pd.Timestamp:
    """The wall clock, UTC; the ledger has its own for when a row was stored."""
    return pd.Timestamp.now(tz="UTC").as_unit("ns")


def as_of_session(market: MarketSettings, session: Session) -> pd.Timestamp:
    """The moment at which a session's decision is made: its close plus the stated lag, UTC."""
    return assumed_known_at(market.calendar, [pd.Timestamp(session)], market.known_at_lag_minutes)[0]


def as_of_sessions(market: MarketSettings, sessions: Sessions) -> pd.DatetimeIndex:
    """The same moment of each of several sessions; NaT for a day that is no session."""
    return assumed_known_at(market.calendar, sessions, market.known_at_lag_minutes)


def seen_until(market: MarketSettings, session: Session, now: pd.Timestamp) -> pd.Timestamp:
    """The moment until which what became known is judged and published: now, but never before a session's decision."""
    return max(as_of_session(market, session), now)


def last_configured_session(market: MarketSettings) -> pd.Timestamp | None:
    """The session at which a strategy's settings end its history or seal its vault; None where neither does."""
    ends = []
    if market.history_ends is not None:
        ends.append(previous_session(market.calendar, pd.Timestamp(market.history_ends) + pd.Timedelta(days=1)))
    if market.vault_starts is not None:
        ends.append(previous_session(market.calendar, market.vault_starts))
    return min(ends, default=None)


def has_clock(market: MarketSettings, moment: pd.Timestamp) -> bool:
    """Whether sessions are still to come for a strategy at a UTC moment, so that the wall clock says which is next.

    True where its settings end neither history nor the sessions before a vault, and else until the last of them is
    decided.
    """
    end = last_configured_session(market)
    return end is None or moment < as_of_session(market, end)


def counts_until(market: MarketSettings, session: Session, decided_at: pd.Timestamp | None) -> pd.Timestamp | None:
    """The UTC moment by which a record has to be there to count for a session's decision; None: whatever there is.

    With a clock it is the moment at which the session is to be decided, however late that is done: nothing that came
    after it could have been acted on. A history that is played as if live has no such moment.

    Parameters
    ----------
    decided_at : UTC moment or None
        When the session was put on record; None while it is undecided.
    """
    if not has_clock(market, now_utc()):
        return decided_at
    due = as_of_session(market, session)
    return due if decided_at is None else min(due, decided_at)


def round_cron(market: MarketSettings) -> str:
    """Cron of a full day's close plus the lag plus settling, by the exchange's clock; half days simply wait."""
    last = last_known_session(market.calendar)
    begun = sessions_between(market.calendar, min(pd.Timestamp("2020-01-01"), last - pd.Timedelta(days=60)), last)
    closes = [session_close(market.calendar, day).tz_convert(timezone_of(market.calendar)) for day in begun[:40]]
    usual = max(close - close.normalize() for close in closes)
    due = usual + pd.Timedelta(minutes=market.known_at_lag_minutes + _SETTLING_MINUTES)
    minutes = int(due.total_seconds() // 60) % (24 * 60)
    return f"{minutes % 60} {minutes // 60} * * *"


def day_of_round(market: MarketSettings, moment: pd.Timestamp) -> pd.Timestamp:
    """The day whose round is due at a moment of :func:`round_cron`; whether it is a session is not asked.

    A market that never closes ends its session at midnight: the day just over is meant.
    """
    waited = pd.Timedelta(minutes=market.known_at_lag_minutes + _SETTLING_MINUTES + 1)
    return (moment.tz_convert(timezone_of(market.calendar)).tz_localize(None) - waited).normalize()


def how_to_see(market: MarketSettings, session: pd.Timestamp, now: pd.Timestamp) -> str:
    """How to make a later session visible: by moving the vault or the stated end, or by waiting for the clock."""
    if market.vault_starts is not None and session >= pd.Timestamp(market.vault_starts):
        return f"it lies in the vault and stays sealed, for as long as market.vault_starts is {market.vault_starts}"
    waits = "wait for its close" if as_of_session(market, session) > now else ""
    ends = market.history_ends
    if ends is None or session <= pd.Timestamp(ends):
        return waits or "ask for a session of the calendar"
    return f"{waits}{', then ' * bool(waits)}move market.history_ends {ends} to {session.date()} or later"


def last_open_session(market: MarketSettings, now: pd.Timestamp) -> pd.Timestamp:
    """The last session a strategy may see: closed, within its history, and before its vault.

    Raises
    ------
    SettingsError
        No session lies within the history stated, or, where that has not ended, none has closed within the last
        30 days.
    """
    last = None
    if market.history_ends is not None:
        the_end = pd.Timestamp(market.history_ends) + LAST_OF_A_DAY
        sessions = sessions_between(market.calendar, market.history_starts, the_end)
        if len(sessions) == 0:
            raise SettingsError(
                expected=f"a session of {market.calendar} from history_starts to history_ends",
                found=f"none from {market.history_starts} to {market.history_ends}",
                remedy="widen the span",
                key="market.history_ends",
            )
        last = sessions[-1]
    if last is None or as_of_session(market, last) > now:
        last = _last_closed(market, now)
    if market.vault_starts is not None:
        last = min(last, previous_session(market.calendar, market.vault_starts))
    return last


def _last_closed(market: MarketSettings, now: pd.Timestamp) -> pd.Timestamp:
    today = now.tz_convert("UTC").tz_localize(None).normalize() + pd.Timedelta(days=1)
    recent = sessions_between(market.calendar, today - pd.Timedelta(days=30), today)
    known_at = assumed_known_at(market.calendar, recent, market.known_at_lag_minutes)
    closed = recent[known_at <= now]
    if len(closed) == 0:
        raise SettingsError(
            expected=f"a closed session of {market.calendar.split(' ')[0]} within the last 30 days",
            found=f"none; {calendar_end_warning(market.calendar, today) or 'it has a longer break'}",
            remedy="carry its days on under extra_sessions in the file that market.calendar_overrides names, or "
            "set market.history_ends",
            key="market.calendar",
        )
    return closed[-1]
