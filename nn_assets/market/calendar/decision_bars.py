"""Decisions within the session: which must close the book, which labels can be earned, and which orders are late.

A strategy that decides within the session has decision bars for an axis; see ``timetable.divided``. Row t is decided at
its bar's close and fills at the close of row t + 1. All that is asked here is known before the session opens, but for
the moments at which data were known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, IntArray
from nn_assets.market.calendar.sessions import assumed_known_at, ends_of_sessions, next_session

_SECOND = 1_000_000_000


@dataclass(frozen=True, eq=False)
class DecisionTiming:
    """What the clock says of the decisions of an axis; arrays of shape (bars,)."""

    closing: BoolArray  # its book must be flat: its fill is at the session's last close, or beyond
    late: BoolArray  # its orders would be sent after the latency budget, and are not
    catching_up: BoolArray | None = None  # closes what late closing decisions left; None where the book may be held


def _ends(calendar: str, sessions: pd.DatetimeIndex, ahead: int) -> BoolArray:
    """Last bars of their sessions, of an axis and of so many bars after it, by the calendar; (bars + ahead,)."""
    following: list[pd.Timestamp] = []
    for _ in range(ahead):
        following.append(next_session(calendar, following[-1] if following else sessions[-1]))
    return ends_of_sessions(
        calendar, pd.DatetimeIndex(np.concatenate([sessions.to_numpy(), pd.DatetimeIndex(following).to_numpy()]))
    )


def closing_decisions(calendar: str, sessions: pd.DatetimeIndex, fills: int = 1) -> BoolArray:
    """Decisions that close the book, (bars,), where it is flat overnight.

    Those that fill at one of the last closes of their session, and those made at the last, whose fill lies in the next
    session.

    Parameters
    ----------
    fills : int
        Over how many of the last closes it is closed.
    """
    ends = _ends(calendar, sessions, ahead=fills)
    ahead = [ends[step : step + len(sessions)] for step in range(fills + 1)]
    return np.asarray(np.any(ahead, axis=0), dtype=np.bool_)


def catching_up_decisions(closing: BoolArray, late: BoolArray, fills: int) -> BoolArray:
    """Decisions that close what is still held because the closing one before them was late, (bars,).

    The first ones in time after it, as many as there are closing fills, unless one that closes anyway comes first.

    Parameters
    ----------
    closing, late : array of bool, shape (bars,)
        As of :class:`DecisionTiming`; row t reads no later row.
    fills : int
        Over how many closes a book is closed.
    """
    catching_up, left = np.zeros(len(closing), dtype=np.bool_), 0
    for row in range(len(closing)):
        if closing[row]:
            left = fills if late[row] else max(left - 1, 0)
        elif left and not late[row]:
            catching_up[row] = True
            left -= 1
    return catching_up


def earned_within(calendar: str, sessions: pd.DatetimeIndex, span: int) -> BoolArray:
    """Rows whose label is realised, ``span`` bars on, by the end of their own session, (bars,).

    Parameters
    ----------
    span : int
        Execution lag plus horizon, in bars.
    """
    ends = _ends(calendar, sessions, ahead=span)
    passed = np.concatenate([[0], np.cumsum(ends)])  # ends before each row
    return np.asarray(passed[span : span + len(sessions)] == passed[: len(sessions)], dtype=np.bool_)


def late_decisions(
    calendar: str, sessions: pd.DatetimeIndex, known_at: IntArray, *, budget_seconds: int, computing_seconds: int
) -> BoolArray:
    """Decisions whose orders would be sent later than the budget allows, (bars,).

    An order is sent when the newest datum that its decision rests on is known, plus the time that computing takes:
    a bar that came late delays every decision up to the moment it was known at.

    Parameters
    ----------
    known_at : int array, shape (bars,)
        When the last datum of each row was known, UTC nanoseconds; a number below all moments where it has none.
    """
    closes = assumed_known_at(calendar, sessions, 0).asi8
    sent = np.maximum(np.maximum.accumulate(known_at), closes) + computing_seconds * _SECOND
    return np.asarray(sent > closes + budget_seconds * _SECOND, dtype=np.bool_)
