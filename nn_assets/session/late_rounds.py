"""Actions that became known late, for a book whose rounds are in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nn_assets.arrays import stamps_of
from nn_assets.portfolio.late_actions import ActionRows, LateActions
from nn_assets.session.daily_round import Round
from nn_assets.session.market_view import MarketView


def late_actions_since(
    rounds: Sequence[Round], before: MarketView, now: MarketView, stop_atr_multiple: float
) -> LateActions | None:
    """Actions of the sessions played so far that are known otherwise now than when the last of them was played.

    Parameters
    ----------
    rounds : sequence of Round
        Every round from the book's first on, in order.
    before, now : MarketView
        As known when the last round was played, and as known at the session to be played next.
    stop_atr_multiple : float
        Ranges between an entry and its stop.

    Returns
    -------
    LateActions or None
        None where nothing changed.
    """
    sessions = pd.DatetimeIndex([session_round.session for session_round in rounds])
    first, stop = now.panel.row(sessions[0]), now.panel.row(sessions[-1]) + 1
    taken, known_now = (_rows(market, first, stop) for market in (before, now))
    if not taken.differs(known_now).any():
        return None
    books = [session_round.session_state.book for session_round in rounds]
    held = np.array([book.quantity for book in books])
    marks = np.where(held != 0.0, np.array([book.price for book in books]), 0.0)
    traded = np.zeros_like(held)
    for row, session_round in enumerate(rounds):
        for batch in session_round.fills:
            np.add.at(traded[row], batch.symbol, batch.quantity)
    return LateActions(
        sessions=stamps_of(sessions),
        traded=traded,
        taken=taken,
        known=known_now,
        mark=np.vstack([np.full(held.shape[1], np.nan), marks[:-1]]),
        quoted=np.isfinite(before.panel.close[first:stop]),
        stop_distance=stop_atr_multiple * now.average_true_range[stop - 1],
        held=held,
        equity_usd=np.array([session_round.state.equity_usd for session_round in rounds]),
        booked_usd=np.array(
            [book.session_dividends_usd + book.session_cash_in_lieu_usd + book.session_delistings_usd for book in books]
        ),
        reset=np.array([session_round.starts_new_peaks for session_round in rounds]),
        first_peak_usd=rounds[0].state.high_water_mark_usd,
        closes=now.panel.close[first:stop],
    )


def _rows(market: MarketView, first: int, stop: int) -> ActionRows:
    actions = market.panel.adjustment
    if actions is None:
        return ActionRows.nothing(stop - first, len(market.panel.symbols))
    rows = slice(first, stop)
    return ActionRows(actions.split[rows], actions.dividend[rows], actions.delisting[rows], actions.assumed[rows])
