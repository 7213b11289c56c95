"""History replayed: the daily round, session after session, on forecasts that were out of sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.costs.model import CostModel
from nn_assets.evaluation.record import BookTrack
from nn_assets.features.labels import Labels
from nn_assets.oversight.drift import DriftReport
from nn_assets.portfolio.late_actions import LateActions
from nn_assets.session.daily_round import (
    Controls,
    Round,
    SessionFacts,
    Standing,
    first_standing,
    play_session,
)
from nn_assets.session.market_view import MarketView
from nn_assets.settings import Strategy
from nn_assets.signals.signals import OutcomeStatistics, SessionSignals, make_signals, outcome_statistics

__all__ = ["ForecastArrays", "Replay", "buy_and_hold", "forecast_arrays", "replay", "session_signals"]

FloatArray = npt.NDArray[np.float64]

Monitor = Callable[[int], DriftReport | None]

REPLAY_RESET = ("replay policy", "nobody is there to reset a breaker in a replay")


@dataclass(frozen=True, eq=False)
class ForecastArrays:
    """One estimator's forecasts on the session axis, shape (bars, symbols); NaN where there is none."""

    probability: FloatArray
    dispersion: FloatArray
    calibrated: FloatArray


def forecast_arrays(
    forecasts: pd.DataFrame, estimator: str, sessions: pd.DatetimeIndex, symbols: tuple[str, ...]
) -> ForecastArrays:
    """Spread a long frame of forecasts over (bars, symbols); rows outside the axis are left out."""
    mine = forecasts[forecasts["estimator"] == estimator]
    row = sessions.get_indexer(pd.DatetimeIndex(mine["session"]))
    column = pd.Index(symbols).get_indexer(mine["symbol"])
    inside = (row >= 0) & (column >= 0)
    spread = {}
    for name in ("probability", "dispersion", "calibrated_probability"):
        values = np.full((len(sessions), len(symbols)), np.nan)
        values[row[inside], column[inside]] = mine[name].to_numpy(dtype=np.float64)[inside]
        spread[name] = values
    return ForecastArrays(spread["probability"], spread["dispersion"], spread["calibrated_probability"])


def session_signals(
    row: int,
    symbols: tuple[str, ...],
    forecasts: ForecastArrays,
    outcomes: OutcomeStatistics,
    volatility: FloatArray,
) -> SessionSignals:
    """Signals of one row, from the forecasts of that row and the outcomes known at it."""
    return make_signals(
        symbols,
        forecasts.probability[row],
        forecasts.dispersion[row],
        forecasts.calibrated[row],
        outcomes.at(row),
        volatility[row],
    )


@dataclass(frozen=True, eq=False)
class Replay:
    """Every round of a replay, and the daily results as arrays over the whole session axis."""

    rounds: tuple[Round, ...]
    track: BookTrack

    @property
    def standing(self) -> Standing:
        """State after the last session."""
        return self.rounds[-1].standing


def replay(
    strategy: Strategy,
    costs: CostModel,
    sessions_per_year: int,
    market: MarketView,
    labels: Labels,
    forecasts: ForecastArrays,
    rows: range,
    *,
    monitor: Monitor | None = None,
    standing: Standing | None = None,
    controls: Callable[[int], Controls] | None = None,
    late: Callable[[int], LateActions | None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Play sessions in order, as the live round would have.

    Unless ``controls`` says otherwise, the verdict's gate is open (whether to trade at all is what a
    replay is for), and a latched breaker, which live only a person resets, is reset after
    ``portfolio.replay_reset_sessions``.

    Parameters
    ----------
    market : MarketView
        On the session axis, bars up to the last row at least.
    labels : Labels
        On the same axis; row t uses only those realised at or before t.
    forecasts : ForecastArrays
        Out of sample only.
    rows : range
        Rows to play, consecutive.
    monitor : callable, optional
        Row to drift report; without it nothing is watched.
    standing : Standing, optional
        State before the first row; a flat book when left out.
    controls : callable, optional
        Row to the controls in force, to play recorded sessions again as they were.
    late : callable, optional
        Row to the actions that became known late on it, for recorded sessions too. A study has none: it
        reads all actions at one moment, and each of its sessions converts the book by those of its own day.
    progress : callable, optional
        Called with the number of sessions played, after each.
    """
    symbols = market.panel.symbols
    sessions = market.panel.sessions
    outcomes = outcome_statistics(forecasts.calibrated, labels.returns, labels.realised_row)
    state = first_standing(strategy, symbols, sessions[rows[0]]) if standing is None else standing
    rounds: list[Round] = []
    equity = state.book.equity_usd
    net, gross, turnover = (np.full(len(sessions), np.nan) for _ in range(3))
    latched = 0
    for played, row in enumerate(rows, start=1):
        latched = latched + 1 if state.book.breaker is not None else 0
        facts = SessionFacts(
            market=market.at(row),
            signals=session_signals(row, symbols, forecasts, outcomes, market.volatility),
            drift=None if monitor is None else monitor(row),
            controls=_unattended(strategy, latched) if controls is None else controls(row),
            late=None if late is None else late(row),
        )
        done = play_session(strategy, costs, sessions_per_year, state, facts)
        net[row] = done.state.session_return
        gross[row] = net[row] + done.state.costs_usd / equity
        turnover[row] = done.turnover_usd / equity
        equity, state = done.state.equity_usd, done.standing
        rounds.append(done)
        if progress is not None:
            progress(played)
    return Replay(tuple(rounds), BookTrack(net, gross, turnover))


def _unattended(strategy: Strategy, latched: int) -> Controls:
    reset = REPLAY_RESET if latched > strategy.portfolio.replay_reset_sessions else None
    return Controls(verdict_allows=True, breaker_reset=reset)


def buy_and_hold(market: MarketView, rows: range, candidates: npt.NDArray[np.bool_] | None = None) -> BookTrack:
    """Equal weights bought at the first session's close and held: the yardstick, without costs.

    A symbol without a bar that day, or not among its ``candidates`` (bars, symbols), is left out; a
    missing bar later keeps the last price.
    """
    bars = market.panel.bars
    net = np.full(bars, np.nan)
    prices = pd.DataFrame(market.panel.total_return().close[rows[0] : rows[-1] + 1]).ffill().to_numpy()
    there = np.isfinite(prices[0]) & (prices[0] > 0.0)
    if candidates is not None:
        there &= candidates[rows[0]]
    wealth = (prices[:, there] / prices[0, there]).mean(axis=1)
    net[rows[0]] = 0.0
    net[rows[0] + 1 : rows[-1] + 1] = wealth[1:] / wealth[:-1] - 1.0
    turnover = np.where(np.isfinite(net), 0.0, np.nan)
    turnover[rows[0]] = 1.0
    return BookTrack(net, net.copy(), turnover)
