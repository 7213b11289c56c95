"""One strategy at several sizes: its settings at another capital, and what its replays earned in excess of cash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.evaluation.replay import Replay
from nn_assets.evaluation.track import BookTrack
from nn_assets.market.cash import cash_rates
from nn_assets.settings import Strategy


def at_capital(strategy: Strategy, multiple: float) -> Strategy:
    """The strategy with another initial capital; all that its decisions know of size is of that capital.

    What is measured must not bound it: the limit and the control by a capacity are left out. The largest order that
    the gate lets pass, a guard against slips, grows with the capital; it never shrinks.

    Parameters
    ----------
    multiple : float
        Of ``portfolio.initial_capital_usd``.
    """
    portfolio, execution = strategy.portfolio, strategy.execution
    sized = {
        "initial_capital_usd": portfolio.initial_capital_usd * multiple,
        "capacity_usd": None,
        "capacity_share": None,
    }
    largest = {"maximum_order_usd": execution.maximum_order_usd * max(multiple, 1.0)}
    return strategy.model_copy(
        update={
            "portfolio": portfolio.model_copy(update=sized),
            "execution": execution.model_copy(update=largest),
        }
    )


def excess_of(
    strategy: Strategy,
    sessions: pd.DatetimeIndex,
    sessions_per_year: int,
    tracks: Sequence[BookTrack],
    replays: Sequence[Replay],
) -> tuple[FloatArray, FloatArray]:
    """Net returns in excess of cash, (sessions, sizes), and the mean equity of each replay, dollars, (sizes,).

    Parameters
    ----------
    sessions : DatetimeIndex, shape (bars,)
        The axis of the tracks; rows without a return of any size are left out.
    tracks : sequence of BookTrack
        Of the replays, from the smallest capital up.
    """
    net = np.stack([track.net[: len(sessions)] for track in tracks], axis=1)
    played = np.isfinite(net).any(axis=1)
    cash = cash_rates(strategy.market, sessions) / sessions_per_year
    equity = [[done.state.equity_usd for done in book.rounds] for book in replays]
    return net[played] - cash[played, None], np.mean(equity, axis=1)
