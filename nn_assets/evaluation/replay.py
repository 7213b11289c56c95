"""History replayed: the daily round, session after session, on forecasts that were out of sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.costs.model import CostModel
from nn_assets.evaluation.track import BookTrack
from nn_assets.execution.broker import OpenBroker
from nn_assets.execution.registry import broker_of
from nn_assets.features.labels import Labels, label_kind
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.decision_bars import DecisionTiming
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.refreshes import RefreshWatch
from nn_assets.portfolio.breakers import BreakerReset
from nn_assets.portfolio.late_actions import LateActions
from nn_assets.session.daily_round import (
    Controls,
    Round,
    SessionFacts,
    SessionState,
    first_session_state,
    play_session,
)
from nn_assets.session.market_view import MarketView
from nn_assets.session.programme_facts import programme_watch
from nn_assets.session.volatility_used import own_volatility, volatility_used
from nn_assets.settings import Strategy
from nn_assets.signals.signals import make_signals, outcome_statistics

Monitor = Callable[[int], DriftReport | None]
GroupsOf = Callable[[int], tuple[str, ...] | None]
CapacityOf = Callable[[int], float | None]

REPLAY_RESET = BreakerReset("replay policy", "nobody is there to reset a breaker in a replay")


@dataclass(frozen=True, eq=False)
class Replay:
    """Every round of a replay, and the daily results as arrays over the whole session axis."""

    rounds: tuple[Round, ...]
    track: BookTrack
    latched: int = 0  # sessions, by the day, for which a breaker had been latched at the end

    @property
    def session_state(self) -> SessionState:
        """State after the last session."""
        return self.rounds[-1].session_state

    @property
    def loss_beyond_stops_usd(self) -> float:
        """What fills lost beyond the stops of the positions they closed, dollars, all sessions together."""
        return math.fsum(session_round.loss_beyond_stops_usd for session_round in self.rounds)

    @property
    def late_decisions(self) -> int:
        """Decisions within the session whose orders would have been late, and were not sent."""
        return sum(session_round.sent_late for session_round in self.rounds)

    @property
    def premium_of_gross(self) -> float:
        """Share of what was held that is premium of base rates, 0 to 1: gross-weighted over the sessions."""
        gross = [float(np.abs(session_round.decision.target_weight).sum()) for session_round in self.rounds]
        premium = [
            session_round.decision.premium_of_gross * held
            for session_round, held in zip(self.rounds, gross, strict=True)
        ]
        return math.fsum(premium) / math.fsum(gross) if any(gross) else 0.0


@dataclass(frozen=True, eq=False)
class Scene:
    """What consecutive sessions are replayed on: one cut of the facts, on the session axis up to its end."""

    rows: range
    market: MarketView
    labels: Labels  # row t uses only those realised at or before t
    forecasts: ForecastArrays  # out of sample only
    monitor: Monitor | None = None  # row to drift report; without it nothing is watched
    costs: Callable[[int], CostModel] | None = None  # row to the cost model in force on it
    groups: GroupsOf | None = None  # row to the groups of the symbols by behaviour; None where they are not asked for
    network_volatility: ForecastArrays | None = None  # of the ensemble that forecasts it; None where none is asked for
    timing: DecisionTiming | None = None  # of decisions within the session
    capacity: CapacityOf | None = None  # row to the estimate of capacity in force on it, where sizes follow one


def replay(
    strategy: Strategy,
    costs: CostModel,
    sessions_per_year: int,
    scenes: Iterable[Scene],
    *,
    initial: SessionState | None = None,
    latched: int = 0,
    controls: Callable[[int], Controls] | None = None,
    late: Callable[[int], LateActions | None] | None = None,
    refreshes: Callable[[int], RefreshWatch] | None = None,
    progress: Callable[[int], None] | None = None,
    open_broker: OpenBroker | None = None,
) -> Replay:
    """Play sessions in order, as the live round would have.

    Unless ``controls`` says otherwise, the verdict's gate is open (whether to trade at all is what a
    replay is for), and a latched breaker, which live only a person resets, is reset after
    ``portfolio.replay_reset_sessions``, which count days: of bars within the session it is reset as a day begins.

    Parameters
    ----------
    costs : CostModel
        Prices the sessions of scenes that name none of their own.
    scenes : iterable of Scene
        In order of time, without a gap; each on the same axis of sessions and symbols.
    initial : SessionState, optional
        State before the first row; a flat book when left out.
    latched : int
        Sessions for which its breaker had been latched, where an earlier replay is taken on.
    controls : callable, optional
        Row to the controls in force, to play recorded sessions again as they were.
    late : callable, optional
        Row to the actions that became known late on it.
    refreshes : callable, optional
        Row to the watch over refreshes after it, where another estimator's drift asks for them; its own when left out.
    progress : callable, optional
        Called with the number of sessions played, after each.
    open_broker : callable, optional
        Opens what fills; the strategy's own when left out, of one that trades at a venue the paper broker.
    """
    rounds: list[Round] = []
    horizon = strategy.label.horizon_sessions
    if open_broker is None:
        open_broker = broker_of(strategy.execution.broker, strategy.execution.broker_settings)
    state, equity = initial, 0.0
    results: dict[int, tuple[float, float, float]] = {}
    bars = 0
    for scene in scenes:
        symbols, sessions = scene.market.panel.symbols, scene.market.panel.sessions
        bars = len(sessions)
        volatility = volatility_used(strategy, scene.market, scene.labels, scene.network_volatility)
        own = own_volatility(scene.market, volatility)
        outcomes = outcome_statistics(
            scene.forecasts.probability,
            scene.labels.returns,
            scene.labels.realised_row,
            own,
            horizon,
            label_kind(strategy.label).relative,
        )
        watch = programme_watch(
            strategy, sessions_per_year, scene.market, scene.forecasts, scene.labels, outcomes, volatility.sigma
        )
        if state is None:
            state = first_session_state(strategy, symbols, sessions[scene.rows[0]])
        for row in scene.rows:
            equity = equity if rounds else state.book.equity_usd
            begins_day = scene.market.begins_day(row)
            latched = latched + begins_day if state.book.breakers else 0
            facts = SessionFacts(
                market=scene.market.at(row),
                signals=make_signals(symbols, scene.forecasts.at(row), outcomes.at(row), own[row], horizon),
                drift=None if scene.monitor is None else scene.monitor(row),
                controls=_unattended(strategy, latched if begins_day else 0, scene.capacity, row)
                if controls is None
                else controls(row),
                late=None if late is None else late(row),
                programme=None if watch is None else watch.at(row),
                groups=None if scene.groups is None else scene.groups(row),
                refresh=None if refreshes is None else refreshes(row),
                volatility=None if len(volatility.names) == 1 else volatility.at(row),
                closes_session=_closes(scene, row, state),
                sent_late=scene.timing is not None and bool(scene.timing.late[row]),
            )
            model = costs if scene.costs is None else scene.costs(row)
            session_round = play_session(strategy, model, sessions_per_year, state, facts, open_broker)
            net = session_round.state.session_return
            worth = equity if equity > 0.0 else math.nan
            results[row] = net, net + session_round.state.costs_usd / worth, session_round.turnover_usd / worth
            equity, state = session_round.state.equity_usd, session_round.session_state
            rounds.append(session_round)
            if progress is not None:
                progress(len(rounds))
    return Replay(tuple(rounds), _track(results, bars), latched)


def _track(results: Mapping[int, tuple[float, float, float]], bars: int) -> BookTrack:
    columns = np.full((3, bars), np.nan)
    for row, values in results.items():
        columns[:, row] = values
    return BookTrack(*columns)


def _closes(scene: Scene, row: int, state: SessionState) -> bool:
    """Whether a decision is to leave nothing held: at a session's end, or after it what a late one left held."""
    timing, book = scene.timing, state.book
    if timing is None or timing.closing[row]:
        return timing is not None
    if timing.catching_up is None or not timing.catching_up[row]:
        return False
    return bool(((book.quantity != 0.0) & (book.entered_session < scene.market.day_began(row))).any())


def _unattended(strategy: Strategy, latched: int, capacity: CapacityOf | None, row: int) -> Controls:
    reset = REPLAY_RESET if latched > strategy.portfolio.replay_reset_sessions else None
    return Controls(verdict_allows=True, breaker_reset=reset, capacity_usd=None if capacity is None else capacity(row))


class BuyAndHold:
    """Equal weights bought at the first session's close and held: the yardstick.

    It pays what its purchase costs, spread, commission and impact by the cost model; it holds no cash and
    borrows none, so no interest is due. What is held as a perpetual pays its funding out of the position. A
    symbol without a bar that day, without a volume or volatility to price its purchase by, or not among its
    candidates, is left out; a missing bar later keeps the last price. What a delisting or a settlement pays is kept in
    cash. Each session's return is that of the prices known at it. Scenes are given in order of time, and none is kept.

    Parameters
    ----------
    capital_usd : float
        What is bought for; its impact depends on it.
    costs : CostModel
        In force on the first session.
    """

    def __init__(self, capital_usd: float, costs: CostModel) -> None:
        self._capital_usd, self._costs = capital_usd, costs
        self._entry_cost = 0.0
        self._returns: dict[int, float] = {}
        self._start = self._last = -1
        self._wealth, self._there = np.ones(0), np.zeros(0, dtype=np.bool_)

    def hold(self, scene: Scene) -> None:
        """Hold what was bought over the sessions of a scene."""
        close, last = scene.market.panel.total_return().close, scene.rows[-1]
        actions = scene.market.panel.adjustment
        if actions is not None:
            close = np.where(np.isfinite(actions.delisting), actions.delisting * actions.growth, close)
        if self._start < 0:
            self._buy(close, scene)
        prices = pd.DataFrame(close[self._start : last + 1]).ffill().to_numpy()[self._last - self._start :]
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing is left of what settled at 0
            growth = prices[:, self._there] / prices[0, self._there]
        growth[~np.isfinite(growth)] = 1.0  # no longer quoted by what is known now: it keeps what it was worth
        if scene.market.funding is not None:
            paid = scene.market.funding.rate[self._last + 1 : last + 1, self._there]
            growth[1:] = np.cumprod(growth[1:] / growth[:-1] - paid, axis=0)
        value = self._wealth * growth
        total = value.mean(axis=1)
        earned = np.divide(total[1:], total[:-1], out=np.ones(len(total) - 1), where=total[:-1] != 0.0) - 1.0
        self._returns.update(enumerate(earned, start=self._last + 1))
        self._wealth, self._last = value[-1], last

    def _buy(self, close: FloatArray, scene: Scene) -> None:
        self._start = self._last = scene.rows[0]
        self._there = np.isfinite(close[self._start]) & (close[self._start] > 0.0)
        if scene.labels.candidates is not None:
            self._there &= scene.labels.candidates[self._start]
        market, names = scene.market, max(int(self._there.sum()), 1)
        adv, volatility = market.adv_usd[self._start], market.cost_volatility[self._start]
        cost = self._costs.cost_fraction(self._capital_usd / names, adv, volatility)
        self._there &= np.isfinite(cost)
        self._wealth = np.ones(int(self._there.sum()))
        self._entry_cost = float(cost[self._there].mean()) if self._there.any() else 0.0
        self._returns[self._start] = 0.0

    @property
    def track(self) -> BookTrack:
        """What it earned, on the session axis up to the last session held."""
        gross = np.array([self._returns.get(row, np.nan) for row in range(self._last + 1)])
        turnover = np.where(np.isfinite(gross), 0.0, np.nan)
        net = gross.copy()
        turnover[self._start], net[self._start] = 1.0, gross[self._start] - self._entry_cost
        return BookTrack(net, gross, turnover)
