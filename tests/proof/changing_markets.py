"""Markets of five years whose truth is known, healthy for four; in the last one thing changes, or nothing does.

The first three years are what a model is fitted on: its forecasts and the features of those sessions are what the
drift watch holds later ones against. Trading begins with the fourth year, the change with the fifth. Forecasts are
exactly calibrated while the market is healthy (as in :mod:`tests.proof.capture`) and go on in the same way
afterwards, as those of a model that nobody has fitted again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from unittest.mock import patch

import numpy as np
import pandas as pd

from nn_assets.costs.model import COEFFICIENTS, CostModel, cost_model_from
from nn_assets.evaluation.replay import Scene
from nn_assets.features.catalogue.compute import compute_features
from nn_assets.features.labels import make_labels
from nn_assets.learning.folds import make_fold
from nn_assets.learning.forecasts import ForecastArrays
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.reference import DriftReference, drift_reference
from nn_assets.portfolio.expected import NORMAL_SLOPE
from nn_assets.session import daily_round
from nn_assets.session.drift_watch import drift_watch
from nn_assets.session.market_view import MarketView, SessionMarket, market_view
from nn_assets.settings import Strategy
from nn_assets.simulator.markets import SimulatedMarket, simulate_market
from tests.proof.capture import CORRELATION, PERSISTENCE, RANK_IC

FIRST, TRADED, CHANGED, LAST = "2011-01-03", "2014-01", "2015-01", "2015-12-31"
HORIZON, YEAR = 10, 252
CHANGES = ("nothing is wrong", "the edge dies", "volatility doubles", "costs triple")
REPEATS = "the feed repeats"
EVERY, REPEATED = 63, 5  # sessions from one failure of the feed to the next, and of each
_MODEL = "of the healthy years"


@dataclass(frozen=True, eq=False)
class ChangingMarket:
    """A market, the forecasts on it and the watch of their drift, ready to be replayed."""

    strategy: Strategy
    change: str
    scene: Scene  # of every traded session
    changed: int  # row of the first session that is another
    true_market: MarketView | None = None  # what fills happen on, where the feed shows another

    @property
    def costs(self) -> CostModel:
        """The model that the strategy believes in, and by which a healthy market charges."""
        return cost_model_from(self.strategy.costs)

    def rows(self, rows: range) -> Scene:
        """Some of the traded sessions."""
        return replace(self.scene, rows=rows)

    @contextmanager
    def charging(self) -> Iterator[None]:
        """Fills are those of the market as it is, and cost what it charges.

        That is three times what the model in force says from the change on, where costs triple. Where the feed shows
        another market than there is, decisions and marks are made on the feed's, fills on the true one.
        """
        plain, dear = daily_round.fill_session, times(self.costs, 3.0)
        sessions, triples = self.scene.market.panel.sessions, self.change == "costs triple"

        def filled(
            strategy: Strategy, costs: CostModel, market: SessionMarket, *rest: object, **named: object
        ) -> object:
            charged = dear if triples and market.session >= sessions[self.changed] else costs
            there = market if self.true_market is None else self.true_market.at(sessions.get_loc(market.session))
            return plain(strategy, charged, there, *rest, **named)  # type: ignore[arg-type]

        with patch.object(daily_round, "fill_session", filled):
            yield


def times(costs: CostModel, factor: float) -> CostModel:
    """A cost model with every coefficient multiplied."""
    dearer = {name: replace(getattr(costs, name), value=factor * getattr(costs, name).value) for name in COEFFICIENTS}
    return CostModel(**dearer)


def strategy_of(first: str = FIRST) -> Strategy:
    """Forty names, a neutral book by the programme, everything else at its default."""
    return Strategy.model_validate(
        {
            "name": "changing",
            "market": {"history_starts": first},
            "label": {"kind": "direction_relative", "horizon_sessions": HORIZON, "execution": "next_close"},
            "portfolio": {"construction": "programme", "net_limit": 0.0},
        }
    )


def changing_market(
    change: str,
    seed: int,
    names: int = 40,
    last: str = LAST,
    *,
    first: str = FIRST,
    traded: str = TRADED,
    planted: float = RANK_IC,
) -> ChangingMarket:
    """Simulate, change what is to change, forecast and watch.

    Parameters
    ----------
    change : one of CHANGES
        ``the edge dies``: the planted part is taken out of every later return. ``volatility doubles``: every later
        log return is doubled, its planted part too, so that the rank IC stays. ``costs triple``: fills cost
        three times what the model in force says, which sizing goes on believing. Or REPEATS: once a quarter every bar
        and every forecast of five sessions repeats the one before, while the market goes on.
    first, traded : str
        First session, and month from which the model is used.
    planted : float
        Rank IC with the next session's return.
    """
    strategy = strategy_of(first)
    sessions = sessions_between("XNYS", first, last)
    simulated = simulate_market(names, sessions, seed, planted, PERSISTENCE)
    fold = make_fold(sessions, traded, strategy.walk_forward, strategy.label)
    changed = int(sessions.searchsorted(pd.Timestamp(CHANGED)))
    panel, probability = bars(simulated, change, changed), forecast(simulated, seed, planted)
    true_market = None
    if change == REPEATS:
        true_market = market_view(panel, strategy.portfolio)
        shown = rows_shown(len(sessions), changed)
        fields = {name: getattr(panel, name)[shown] for name in FIELDS}
        panel, probability = Panel(sessions=panel.sessions, symbols=panel.symbols, **fields), probability[shown]
    labels = make_labels(panel, strategy.label)
    market = market_view(panel, strategy.portfolio)
    constant = {name: np.full(probability.shape, value) for name, value in (("spread", 0.02), ("half", 0.5))}
    forecasts = ForecastArrays(
        probability=probability,
        dispersion=constant["spread"],
        calibrated=probability,
        base_rate=constant["half"],
        confidence=np.ones(probability.shape),
        score=np.log(probability / (1.0 - probability)),
        novelty=np.ones(probability.shape),
    )
    cube = compute_features(panel)
    seen = slice(fold.training.start, fold.calibration.stop)
    watch = drift_watch(
        cube,
        probability,
        [_MODEL if row >= fold.used_from else None for row in range(len(sessions))],
        {_MODEL: _reference(probability, np.asarray(cube.values), cube.names, strategy, fold.parts(), seen)},
        strategy.oversight,
    )
    rows = range(fold.used_from, len(sessions))
    scene = Scene(rows, market, labels, forecasts, _once(watch))
    return ChangingMarket(strategy, change, scene, changed, true_market)


def rows_shown(sessions: int, changed: int) -> np.ndarray:
    """Row whose bar a failing feed shows on each session, (sessions,): its own, or that of the last good one."""
    rows = np.arange(sessions)
    failing = (rows > changed) & ((rows - changed - 1) % EVERY < REPEATED)
    return np.maximum.accumulate(np.where(failing, 0, rows))


def forecast(simulated: SimulatedMarket, seed: int, planted: float = RANK_IC) -> np.ndarray:
    """Probability that a name beats the cross-section, right by construction while the market is healthy.

    A noisy sight of the planted signal, correlated 0.45 with it and as lasting; (sessions, names).
    """
    signal = simulated.truth.signal
    other = np.random.default_rng([seed, 45]).normal(size=signal.shape)
    for row in range(1, len(other)):
        other[row] = PERSISTENCE * other[row - 1] + math.sqrt(1.0 - PERSISTENCE**2) * other[row]
    seen = CORRELATION * signal + math.sqrt(1.0 - CORRELATION**2) * other
    # E[signal(t + j)] = 0.95^j 0.45 seen(t); the fill is at t + 1, the first return earned that of t + 2.
    lasts = sum(PERSISTENCE**j for j in range(1, HORIZON + 1))
    mean = planted * lasts * CORRELATION * (seen - seen.mean(axis=1, keepdims=True))  # in daily volatilities
    return 0.5 + mean / (NORMAL_SLOPE * math.sqrt(HORIZON))


def bars(simulated: SimulatedMarket, change: str, changed: int) -> Panel:
    """Bars of the market with its change, (sessions, names): each bar keeps its form around its own close."""
    shape = len(simulated.symbols), len(simulated.sessions)
    fields = {name: simulated.bars[name].to_numpy(dtype=np.float64).reshape(shape).T for name in FIELDS}
    later = (np.arange(shape[1]) >= changed)[:, None]
    log_close = np.log(fields["close"])
    returns = np.diff(log_close, axis=0, prepend=log_close[:1])
    planted = np.vstack([np.zeros((1, shape[0])), simulated.truth.expected_return[:-1]])
    factor = np.where(later, 2.0, 1.0) if change == "volatility doubles" else np.ones((shape[1], 1))
    taken = np.where(later, planted, 0.0) if change == "the edge dies" else np.zeros_like(planted)
    close = np.exp(log_close[0] + np.cumsum(factor * (returns - taken), axis=0))
    made = {
        name: close * np.exp(factor * (np.log(fields[name]) - log_close)) for name in ("open", "high", "low", "close")
    }
    dollars = fields["close"] * fields["volume"]
    made["volume"] = np.round(dollars / close)
    return Panel(sessions=simulated.sessions, symbols=simulated.symbols, **made)


def _reference(
    probability: np.ndarray,
    features: np.ndarray,
    names: tuple[str, ...],
    strategy: Strategy,
    parts: dict[str, slice],
    seen: slice,
) -> DriftReference:
    """What a model fitted on the healthy years knows of its forecasts and features."""
    return drift_reference(
        probability[parts["validation"]],
        features[parts["training"]],
        names,
        strategy.oversight,
        held_out=probability[parts["validation"].start : seen.stop],
        history=probability[seen],
        model_id=_MODEL,
        sessions_per_year=YEAR,
    )


def _once(watch: Callable[[int], DriftReport | None]) -> Callable[[int], DriftReport | None]:
    """Each report made once: it hangs on forecasts and features alone, and several replays ask for it."""
    return cache(watch)
